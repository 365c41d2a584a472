"""What the tests of imports share: a dump of one session, and how a session's rounds are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventstate.importers import ImportResult, import_sessions
from tests.importers.forge import file, hashes
from tests.stores import packed

if TYPE_CHECKING:
    from pathlib import Path

    from eventstate import Session, StateStore

KEY = "user_state:alice:trip"
STATES: dict[str, Any] = {"1": {"n": 1}, "2": {"n": 2, "list": [1]}, "3": {"n": 3, "list": [1, 2]}}


def bring(store: StateStore, *sources: Path, **options: Any) -> ImportResult:
    """Bring sources in."""
    return import_sessions(store, sources, **options)


def dumped(folder: Path, rounds: dict[str, Any], key: str = KEY) -> Path:
    """Write a dump with one session."""
    return file(folder / "dump.rdb", hashes({key: rounds}))


def replayed(session: Session) -> dict[str, bytes]:
    """Give the rounds of a session, to be compared type-strictly."""
    return {str(turn.id): packed(state) for turn, state in session.replay()}


def all_packed(rounds: dict[str, Any]) -> dict[str, bytes]:
    """Give rounds as `replayed` does."""
    return {number: packed(state) for number, state in rounds.items()}
