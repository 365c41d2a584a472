"""A store, and bare SQLite that gets the same rows in the same transactions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.floors import RawJournal, Tap, merged
from benchmarks.targets.turn import take_turn
from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from eventstate import Session


class Pair:
    """A store on a file, which may be there, and its floor on another beside it.

    Args:
        path: of the store.
        durability: of both, `"full"` or `"normal"`.
    """

    def __init__(self, path: Path, durability: Any) -> None:
        self.store = StateStore(path, durability=durability)
        self._tap = Tap(path)
        self._raw = RawJournal(path.with_name(f"{path.stem}-raw.db"), durability.upper())
        before = self._tap.news()
        if before:
            self._raw.insert(merged(before))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tap.close()
        self._raw.close()
        self.store.close()

    def timed(self, commit: Callable[[], object]) -> tuple[float, float]:
        """Give the seconds of a call that makes one commit, and those of bare SQLite for the same rows."""
        start = time.perf_counter()
        commit()
        seconds = time.perf_counter() - start
        [rows] = self._tap.news()
        return seconds, self._raw.insert(rows)

    def turn(self, session: Session, number: int, text: str) -> tuple[float, float]:
        """Take a live turn, and give what `timed` does."""
        return self.timed(lambda: take_turn(session, number, text))


def grow(session: Session, turns: int, contents: list[str], *, after: int = 0) -> int:
    """Take a session's live turns after one up to another; give the packed bytes of what changed."""
    numbers = range(after + 1, turns + 1)
    return sum(take_turn(session, number, contents[number % len(contents)]) for number in numbers)
