"""Sequences of which a part was erased: which positions, as later edits count them, hold nothing any more."""

from __future__ import annotations

import bisect
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_start: Callable[[tuple[int, int, int]], int] = operator.itemgetter(0)
_stop: Callable[[tuple[int, int, int]], int] = operator.itemgetter(1)


class Holes:
    """The hidden positions of a sequence of `length` positions, as runs in their order.

    An edit costs the logarithm of the number of runs, and as much again as there are runs after it.

    Args:
        length: of the sequence with its holes.
        hidden: are all of these positions holes, or none?
    """

    __slots__ = ("_runs", "length")

    def __init__(self, length: int, *, hidden: bool) -> None:
        self.length = length
        # Where the run starts and stops, and how many positions before it are hidden.
        self._runs: list[tuple[int, int, int]] = [(0, length, 0)] if hidden and length else []

    def copy(self) -> Holes:
        """Give another such that does not follow the changes of this one."""
        other = Holes(self.length, hidden=False)
        other._runs = self._runs.copy()
        return other

    def hides(self, index: int) -> bool:
        """Say whether the position `index` is a hole.

        Raises:
            IndexError: there is no such position.
        """
        if not 0 <= index < self.length:
            raise IndexError(f"no index {index}")
        i = bisect.bisect_right(self._runs, index, key=_start) - 1
        return i >= 0 and index < self._runs[i][1]

    def visible(self, index: int) -> int:
        """Count the positions before `index` that are no holes: where it stands without them."""
        i = bisect.bisect_right(self._runs, index, key=_start) - 1
        if i < 0:
            return index
        start, stop, before = self._runs[i]
        return index - before - (min(index, stop) - start)

    def splice(self, index: int, removed: int, inserted: int, *, hidden: bool) -> tuple[int, int]:
        """Replace a run of positions by `inserted` others, which are holes if `hidden`.

        Returns:
            Where the run starts without the holes, and how many of it were no holes.

        Raises:
            ValueError: there is no such run.
        """
        end, shift = index + removed, inserted - removed
        if not 0 <= index <= end <= self.length:
            raise ValueError(f"no run of {removed} at {index}")
        at = self.visible(index)
        seen = self.visible(end) - at
        self.length += shift
        runs = self._runs
        low = bisect.bisect_left(runs, index, key=_stop)  # runs that touch this one become one with it
        high = bisect.bisect_right(runs, end, key=_start)
        if low == len(runs) and not hidden:
            return at, seen
        spans = []
        if low < high:
            spans += [(runs[low][0], index), (end + shift, runs[high - 1][1] + shift)]
        if hidden:
            spans.insert(1, (index, index + inserted))
        spans += [(start + shift, stop + shift) for start, stop, _ in runs[high:]]
        before = runs[low][2] if low < len(runs) else index - at
        del runs[low:]
        for start, stop in spans:
            if start >= stop:
                continue
            if len(runs) > low and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], stop, runs[-1][2])
            else:
                runs.append((start, stop, before))
            before += stop - start
        return at, seen


class Parts:
    """What is known of some elements of a sequence, by their positions."""

    __slots__ = ("_items", "_places")

    def __init__(self) -> None:
        self._places: list[int] = []
        self._items: list[Any] = []

    def copy(self, copied: Callable[[Any], Any]) -> Parts:
        """Give another such, with a copy of what is known of each."""
        other = Parts()
        other._places, other._items = self._places.copy(), [copied(item) for item in self._items]
        return other

    def get(self, index: int) -> Any:
        """Give what is known of the element at `index`, or None."""
        i = bisect.bisect_left(self._places, index)
        return self._items[i] if i < len(self._places) and self._places[i] == index else None

    def put(self, index: int, item: Any) -> None:
        """Note `item` of the element at `index`, of which nothing is known yet."""
        i = bisect.bisect_left(self._places, index)
        self._places.insert(i, index)
        self._items.insert(i, item)

    def splice(self, index: int, removed: int, inserted: int) -> None:
        """Forget a run of elements, and move those after it."""
        low = bisect.bisect_left(self._places, index)
        high = bisect.bisect_left(self._places, index + removed)
        self._items[low:high] = []
        self._places[low:] = [place + inserted - removed for place in self._places[high:]]
