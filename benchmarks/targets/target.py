"""What a target is measured in, and what comes of it."""

from __future__ import annotations

import statistics
import string
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.workloads import words

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable
    from pathlib import Path

Effort = Literal["full", "quick", "tiny"]
"""How much is done: what the targets ask for, about a minute for all of them, or just enough for a test."""


@dataclass(frozen=True, slots=True)
class Run:
    """Where a target is measured, and with how much effort."""

    folder: Path
    effort: Effort = "full"
    langgraph: Path | None = None
    """The Python of LangGraph's environment, for the one target that is stated beside it."""

    def size(self, full: int, quick: int, tiny: int) -> int:
        """Choose a size by the effort."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.effort]

    def path(self, name: str) -> Path:
        """Give a file of that name in an empty folder of its own."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        return folder / "store.db"


@dataclass(frozen=True, slots=True)
class Target:
    """One target, as it was measured.

    Attributes:
        name: `subject.what`, as `--only` takes it.
        title: what is compared, in words.
        value: what was measured; `None` if it could not be.
        limit: what it may be at most, or shall be at least.
        unit: of both; `x` for a ratio.
        at_least: whether larger is better.
        detail: the figures that the value was made of; times are medians in microseconds. Lists are not told.
        note: what a reader has to know to judge the value.
    """

    name: str
    title: str
    value: float | None
    limit: float
    unit: str = "x"
    at_least: bool = False
    detail: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value keeps to the limit; `None` if there is none."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def data(self) -> dict[str, Any]:
        """Give all of it as data for JSON."""
        return {**asdict(self), "met": self.met}

    def __str__(self) -> str:
        said = {True: "met   ", False: "MISSED", None: "unknown"}[self.met]
        value = "     -" if self.value is None else f"{self.value:6.2f}"
        sign = ">=" if self.at_least else "<="
        figures = ", ".join(
            f"{name} {told}" for name, told in self.detail.items() if not isinstance(told, list)
        )
        return f"{said} {self.name:17} {value} {sign} {self.limit:g} {self.unit}: {self.title} ({figures})"


def timed(run: Callable[[], object]) -> float:
    """Give the seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interleaved(repeat: int, runs: dict[str, Callable[[int], float]]) -> dict[str, list[float]]:
    """Measure several things in turn, over and over, so that the machine's moods fall on all of them alike.

    Args:
        repeat: how often.
        runs: by name; each gets the number of the repetition, and gives the seconds that count.

    Returns:
        The seconds by name, those of one repetition at the same place in each list.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(repeat):
        for name, run in runs.items():
            seconds[name].append(run(number))
    return seconds


def micros(seconds: Iterable[float]) -> float:
    """Give the median of seconds in microseconds, as a detail tells it."""
    return round(statistics.median(seconds) * 1e6, 1)


def ratio(one: Iterable[float], other: Iterable[float]) -> float:
    """Give the ratio of two medians."""
    return statistics.median(one) / statistics.median(other)


def texts(rng: random.Random, count: int, size: int = 500) -> list[str]:
    """Make texts of random words out of a vocabulary of 2,000."""
    return _cut(words(rng, count * size), size)


def noise(rng: random.Random, count: int, size: int = 500) -> list[str]:
    """Make texts of random letters and digits, which no compression makes smaller than three quarters."""
    return _cut("".join(rng.choices(string.ascii_letters + string.digits, k=count * size)), size)


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
