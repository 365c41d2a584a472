"""States one after the other: what was read for one is where the next goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventstate.journal.branches import Branches, Point
    from eventstate.journal.read import Reader


class Ahead:
    """Rows of events that were read before they were asked for.

    Attributes:
        after: the key after which they come.
        rows: the rows, in order.
        reads: how often any were read.
    """

    def __init__(self) -> None:
        self.after = 0
        self.rows: list[Any] = []
        self.reads = 0

    def keep(self, after: int, rows: list[Any]) -> None:
        """Keep rows that were read."""
        self.after, self.rows = after, rows
        self.reads += 1

    def take(self, count: int) -> list[Any]:
        """Give the first ones, at most so many."""
        rows, self.rows = self.rows[:count], self.rows[count:]
        self.after += len(rows)
        return rows


class Walk:
    """A state that goes along with points; from one to the next of a branch only what is new is folded."""

    def __init__(self, reader: Reader, branches: Branches) -> None:
        self._reader = reader
        self._branches = branches
        self._state: dict[Any, Any] = {}
        self._at: Point | None = None
        self._epoch = -1
        self._floor = 0
        self._ahead = Ahead()

    def to(self, point: Point) -> dict[Any, Any]:
        """Give the state at a point; it stays the walk's own, which goes on from it.

        Raises:
            RoundNotFoundError: the version was pruned.
        """
        epoch, at, ahead = self._branches.epoch(), self._at, self._ahead
        self._at = None  # in case of an error
        new = at is None or at.branch.id != point.branch.id or epoch != self._epoch
        if new:
            ahead.keep(0, [])
            self._floor, _ = self._branches.pruned(point.branch)
        if at is None or new or not self._floor <= at.version <= point.version:
            self._state = self._reader.state(point, epoch)
        else:
            reads = ahead.reads
            self._reader.advance(self._state, point.branch, at.version, point.version, ahead)
            # What was read may be of before and after a removal.
            if ahead.reads != reads and self._branches.epoch() != epoch:
                self._state = self._reader.state(point)
        self._at, self._epoch = point, epoch
        return self._state
