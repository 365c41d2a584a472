"""Runs workloads through power cuts and errors, and counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from eventstate.testing import crash_points, error_points
from eventstate.testing.crashes import FAULTS, IMAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from eventstate.testing import CrashPoint, ErrorPoint
    from eventstate.testing.crashes import Fault
    from eventstate.testing.platter import Kept
    from tests.sweeps.referee import Referee

ALL_FAULTS: Final[tuple[Fault, ...]] = (*FAULTS, "short", "torn", "full")
MANY_IMAGES: Final[tuple[Kept, ...]] = (*IMAGES, "ordered", "some", "some", "garbled", "garbled")


@dataclass(slots=True)
class Figures:
    """What a sweep came to."""

    images: int = 0
    """Of disks after a power cut."""
    errors: int = 0
    """Runs in which an operation failed."""
    operations: int = 0
    """After which the power was cut, or which failed."""
    lost: int = 0
    """Acknowledged commits that are not there."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Of the operations."""
    failures: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Take another sweep's figures in."""
        for name in ("images", "errors", "operations", "lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kinds += other.kinds
        self.failures += other.failures

    def __str__(self) -> str:
        return (
            f"{self.images} images, {self.errors} errors, {self.operations} operations,"
            f" {self.lost} lost, {len(self.failures)} failures"
        )


def sweep_crashes(
    referee: Referee,
    seed: int,
    *,
    durability: str = "full",
    images: tuple[Kept, ...] = IMAGES,
    sample: int | None = None,
    numbers: Collection[int] | None = None,
    lies: bool = False,
    limit: int | None = None,
) -> Figures:
    """Cut the power after every operation of a workload.

    Args:
        referee: knows the workload.
        seed: of the images.
        durability: of the store; with `"normal"` lost commits are counted, but no failure.
        images: see `crash_points`.
        sample: see `crash_points`.
        numbers: see `crash_points`.
        lies: see `crash_points`.
        limit: stop after so many images.
    """

    def judge(point: CrashPoint) -> None:
        lost = referee.judge_crash(point)
        figures.lost += lost
        assert lost == 0 or durability == "normal", f"{lost} acknowledged commits are lost"

    figures = Figures()
    points = crash_points(
        lambda trial: referee.play(trial, durability),
        seed=seed,
        images=images,
        sample=sample,
        numbers=numbers,
        start=referee.start,
        lies=lies,
    )
    figures.images = _judge_all(points, judge, figures, referee.workload.name, limit)
    return figures


def sweep_errors(
    referee: Referee,
    seed: int,
    *,
    faults: tuple[Fault, ...] = FAULTS,
    sample: int | None = None,
    numbers: Collection[int] | None = None,
) -> Figures:
    """Fail every operation of a workload; the arguments are those of `error_points`."""
    figures = Figures()
    points = error_points(
        referee.play_on, seed=seed, faults=faults, sample=sample, numbers=numbers, start=referee.start
    )
    figures.errors = _judge_all(points, referee.judge_error, figures, referee.workload.name, None)
    return figures


def _judge_all(
    points: Iterable[Any], judge: Callable[[Any], None], figures: Figures, name: str, limit: int | None
) -> int:
    """Judge the points, note what is wrong with which, and count them."""
    seen, count = set(), 0
    iterator = iter(points)
    while limit is None or count < limit:
        try:
            point: CrashPoint | ErrorPoint | None = next(iterator, None)
            if point is None:
                break
            count += 1
            seen.add(point.number)
            if point.operation is not None:
                figures.kinds[point.operation.kind] += 1
            where = str(point)
            judge(point)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            notes = " ".join(getattr(error, "__notes__", []))
            figures.failures.append(f"{name}: {notes or where}: {type(error).__name__}: {error}")
    figures.operations = len(seen)
    return count
