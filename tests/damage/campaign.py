"""Many faults, one after the other, and how they turned out."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.damage.faults import fault
from tests.damage.judge import Judge, Outcome, WrongError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.damage.images import Originals


_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    """Give a folder that is no slower than it has to be."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        yield Path(name)


@dataclass(slots=True)
class Result:
    """How the faults of one kind turned out."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    shorter: list[str] = field(default_factory=list)
    """Those that made the journal end earlier."""
    wrong: list[str] = field(default_factory=list)
    """Those that did what none may do."""


def campaign(kind: str, originals: Originals, seed: int, numbers: Iterable[int]) -> Result:
    """Make each of the faults, open what came out, and compare it with what was there."""
    result = Result()
    with in_memory() as folder:
        judges = [Judge(image, folder) for image in (originals.closed, originals.live)]
        for number in numbers:
            made = fault(kind, originals, seed, number)
            try:
                outcome = judges[made.live].outcome(made.image, read_only=number % 4 < 2)
            except WrongError as error:
                result.wrong.append(f"{made.what}: {error}")
                continue
            result.outcomes[outcome] += 1
            if outcome is Outcome.SHORTER:
                result.shorter.append(made.what)
    return result
