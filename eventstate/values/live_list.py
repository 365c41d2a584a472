"""The list that records its changes; see `eventstate.values.live`."""
# ruff: noqa: SLF001 - the live objects of one round reach into each other
# ruff: noqa: D102 - the methods do what those of the builtin do

from __future__ import annotations

import operator
import sys
from typing import TYPE_CHECKING, Any

from eventstate.errors import UnsupportedValueError
from eventstate.values.codec import SCALARS
from eventstate.values.delta import Differ, Op, Place
from eventstate.values.tracking import UNREAD, Node, Trail, common_start, reading, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self, SupportsIndex


class LiveList(list[Any], Node):
    """A list that records its changes. Its class, when called, makes a plain list."""

    __slots__ = (
        "__weakref__", "_above", "_bare", "_copied_items", "_length", "_recorder", "_slot", "_source",
        "_tail", "_trail",
    )  # fmt: skip

    def _start(self, source: list[Any]) -> None:
        # The copy is put off: a turn that only appends to a long list does without it.
        self._copied_items: list[Any] | None = None
        self._length = len(source)
        self._tail: list[Any] = []

    @property
    def _items(self) -> list[Any]:
        if self._copied_items is None:
            self._copied_items = [*self._source[: self._length], *self._tail]
        return self._copied_items

    def __new__(cls, *args: Any) -> list[Any]:  # type: ignore[misc]
        return list(*args)

    @classmethod
    def _empty(cls) -> Any:
        return list.__new__(cls)

    def _fill(self) -> None:
        self._bare = not SCALARS.issuperset(map(type, self._source))
        list.extend(self, (UNREAD,) if self._bare else self._source)

    def __len__(self) -> int:
        items = self._copied_items
        return self._length + len(self._tail) if items is None else len(items)

    def _dress(self) -> None:
        if self._bare:
            for index, value in enumerate(self._items):
                self._hand(index, value)
            list.__setitem__(self, slice(None), self._items)
            self._bare = False

    __eq__ = reading(list.__eq__)
    __ne__ = reading(list.__ne__)
    __hash__ = None  # type: ignore[assignment]
    __lt__ = reading(list.__lt__)
    __le__ = reading(list.__le__)
    __gt__ = reading(list.__gt__)
    __ge__ = reading(list.__ge__)
    __contains__ = reading(list.__contains__)
    __repr__ = reading(list.__repr__)
    index = reading(list.index)
    count = reading(list.count)

    def __getitem__(self, index: Any) -> Any:
        value = self._items[index]
        if type(value) in SCALARS:
            return value
        if isinstance(index, slice):
            return [self[i] for i in range(len(self._items))[index]] if self._bare else value
        return self._hand(range(len(self._items))[index], value)

    def __iter__(self) -> Iterator[Any]:
        self._dress()
        return list.__iter__(self)

    def __reversed__(self) -> Iterator[Any]:
        self._dress()
        return list.__reversed__(self)

    def copy(self) -> Any:
        self._dress()
        return self._plain()

    def __add__(self, other: Any) -> Any:
        return self.copy() + list(other) if isinstance(other, list) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        # The builtin does the rest: a result from here would make of a plain `a += live` a new list.
        self._dress()
        return NotImplemented

    def __mul__(self, times: SupportsIndex) -> Any:
        return self.copy() * times

    __rmul__ = __mul__

    def append(self, value: Any) -> None:
        self._extend([value])

    def insert(self, index: SupportsIndex, value: Any) -> None:
        start = slice(operator.index(index), None).indices(len(self._items))[0]
        self._splice(start, start, [value])

    def extend(self, values: Iterable[Any]) -> None:
        items = list(values)
        self._extend(items)

    def __iadd__(self, values: Iterable[Any]) -> Self:  # type: ignore[misc]
        self.extend(values)
        return self

    def __imul__(self, times: SupportsIndex) -> Self:
        items = self.copy() * times
        self._splice(len(self._items) if items else 0, len(self._items), items[len(self._items) :])
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(index, slice):
            place = self._index(index)
            self._splice(place, place + 1, [value])
            return
        items = list(value)
        places = range(len(self._items))[index]
        if places.step == 1:
            self._splice(places.start, max(places.start, places.stop), items)
            return
        if len(items) != len(places):
            raise ValueError(
                f"attempt to assign sequence of size {len(items)} to extended slice of size {len(places)}"
            )
        self._recorder.check_open()
        items = self._exchange(places, items, self._items[index])
        self._widen(min(places, default=len(self._items)), max(places, default=len(self._items) - 1) + 1)
        self._items[index] = items
        if not self._bare:
            list.__setitem__(self, index, items)
        self._recorder.changed()

    def __delitem__(self, index: Any) -> None:
        if not isinstance(index, slice):
            place = self._index(index)
            self._splice(place, place + 1, [])
        elif places := range(len(self._items))[index]:
            self._recorder.check_open()
            self._exchange((), (), self._items[index])
            self._widen(min(places), max(places) + 1)
            del self._items[index]
            if not self._bare:
                list.__delitem__(self, index)
            self._emptied()
            self._recorder.changed()

    def pop(self, index: SupportsIndex = -1) -> Any:
        if not self:
            raise IndexError("pop from empty list")
        place = self._index(operator.index(index))
        value = self[place]
        self._splice(place, place + 1, [])
        return value

    def remove(self, value: Any) -> None:
        place = self.index(value)
        self._splice(place, place + 1, [])

    def clear(self) -> None:
        self._splice(0, len(self._items), [])

    def reverse(self) -> None:
        self._recorder.check_open()
        self._widen(0, len(self._items))
        self._items.reverse()
        if not self._bare:
            list.reverse(self)
        self._recorder.changed()

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        self._recorder.check_open()
        self._dress()
        self._widen(0, len(self._items))
        try:
            list.sort(self, key=key, reverse=reverse)
        finally:  # a sort that fails may have moved things
            self._items[:] = list.copy(self)
            self._recorder.changed()

    def _index(self, index: Any) -> int:
        self._items[index]  # raises what the builtin raises
        place: int = range(len(self._items))[index]
        return place

    def _extend(self, items: list[Any]) -> None:
        end = len(self)
        if self._copied_items is not None:
            self._splice(end, end, items)
            return
        self._recorder.check_open()
        items = self._taken_in(end, items)
        trail = self._trail or self._begin()
        if items:
            trail.lo, trail.hi = min(trail.lo, end), 0
        self._tail.extend(items)
        if not self._bare:
            list.extend(self, items)
        self._recorder.changed()

    def _taken_in(self, end: int, items: list[Any]) -> list[Any]:
        """Give what is to stand at the end for `items`."""
        if not self._bare or not all(type(item) in SCALARS or type(item) in self.kinds for item in items):
            return self._exchange(range(end, end + len(items)), items, ())
        # The same for what is appended most often: none of it can have a place already, nor be held.
        return [
            item if type(item) in SCALARS else self._copied(slot, item)
            for slot, item in enumerate(items, end)
        ]

    def _splice(self, start: int, stop: int, items: list[Any]) -> None:
        """Put `items` in the place of the run from `start` to `stop`."""
        self._recorder.check_open()
        old = self._items[start:stop]
        items = self._exchange(range(start, start + len(items)), items, old)
        head = common_start(old, items)
        tail = common_start(old[head:][::-1], items[head:][::-1])
        if not head == len(old) == len(items):
            self._widen(start + head, stop - tail)
            self._items[start:stop] = items
            if not self._bare:
                list.__setitem__(self, slice(start, stop), items)
            self._emptied()
        self._recorder.changed()

    def _emptied(self) -> None:
        """Show nothing as a builtin, if nothing is left."""
        if self._bare and not self._items:
            list.clear(self)
            self._bare = False

    def _widen(self, start: int, stop: int) -> None:
        """Note that the run from `start` to `stop` is about to be replaced."""
        trail = self._trail or self._begin()
        trail.lo = min(trail.lo, start)
        trail.hi = min(trail.hi, len(self._items) - stop)

    def _accept(self, trail: Trail) -> None:
        if trail.lo == sys.maxsize:
            return
        if self._copied_items is None and not self._recorder.open:
            self._source.extend(map(settled, self._tail))
            return
        # Read before the source grows; and what was appended may be held by the caller, and stays live.
        items, source = self._items, self._source
        source[trail.lo : len(source) - trail.hi] = map(settled, items[trail.lo : len(items) - trail.hi])

    def _slot_of(self, child: Any, slot: Any) -> Any:
        if slot < len(self._items) and self._items[slot] is child:
            return slot
        return next((i for i, item in enumerate(self._items) if item is child), None)

    def _emit(self, place: Place, differ: Differ) -> None:
        trail, source = self._trail, self._source
        if trail is None:
            return
        if self._copied_items is None:  # nothing but appends
            if self._tail:
                differ.out.append(place.edit(Op.SPLICE, [self._length, 0, self._tail]))
            return
        items = self._items
        lo, old_end, end = trail.lo, len(source) - trail.hi, len(items) - trail.hi
        try:
            differ.lists(place, source[lo:old_end], items[lo:end], lo)
        except UnsupportedValueError:
            differ.codec.encode(items, (*place.path, *place.steps))  # the same error, with the true index
            raise
        places: dict[int, int] = {}
        for slot, child in trail.parts():
            index: int | None = slot
            if slot >= len(items) or items[slot] is not child:  # it was moved
                places = places or {id(item): i for i, item in enumerate(items)}
                index = places.get(id(child))
            if index is None or lo <= index < end:
                continue  # it is not there any more, or its place was told already
            if isinstance(child, Node):
                child._emit(place.index(index), differ)
            else:
                differ.values(place.index(index), source[index - (index >= end) * (end - old_end)], child)
