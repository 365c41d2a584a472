"""Live dicts and lists: they record their own changes, so that a round costs what changed in it.

They wrap the folded state lazily: a child is wrapped when it is first looked at, and nothing that
can be reached through them shares anything mutable with that state. A state is a tree:

- What is assigned is copied in; later changes of the caller's own object are not seen.
- A live container has one place. One that was taken out (`pop`, `del`, replaced) may be put in
  again and is then part of the state as it is; while it has no place, its changes are not recorded.
  One that still has a place is copied when it is assigned to a second.
- Values that are mutable but neither dict nor list (sets, dataclasses, containers inside tuples)
  are the caller's to change; they are compared again when the round ends.

C code that reads a builtin list or dict behind its class, as pydantic and orjson do, finds `UNREAD` in
place of what was not read yet: give it a `copy.deepcopy`. C code that writes so, as `heapq` does, goes
unseen. `bisect`, `json`, `copy` and `pickle` do neither.
"""
# ruff: noqa: D102 - their methods do what those of the builtins do
# ruff: noqa: SLF001 - the live objects of one round reach into each other

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from eventstate.errors import UnsupportedValueError
from eventstate.values.codec import SAFE_KEYS, SCALARS, Codec
from eventstate.values.delta import MISSING, Differ, Edit, Op, Place
from eventstate.values.tracking import ROOT, UNREAD, Node, Probe, Recorder, common_start, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self, SupportsIndex


class LiveState:
    """A state that records what is done to it.

    Args:
        source: the state as it was folded; it is never changed, and must not change before `close`.
        codec: says what may be stored.

    Attributes:
        root: the state to be changed.
    """

    def __init__(self, source: dict[Any, Any], codec: Codec) -> None:
        self._recorder = Recorder(codec)
        self.root = LiveDict._of(source, self._recorder, None, ROOT)

    def edits(self) -> list[Edit]:
        """Give the edits that lead from the source to the state as it is now.

        Their values may hold live objects: encode them before anything else is changed.

        Raises:
            UnsupportedValueError: a value that was changed in place can't be stored any more.
        """
        out: list[Edit] = []
        self.root._emit(Place(()), Differ(self._recorder.codec, out))
        return out

    def close(self) -> None:
        """End the round: its live objects can still be read, but refuse to be changed."""
        self._recorder.open = False


class LiveDict(dict[Any, Any], Node):
    """A dict that records its changes. Its class, when called, makes a plain dict."""

    __slots__ = ("__weakref__", "_above", "_bare", "_items", "_recorder", "_slot", "_source", "_trail")

    def __new__(cls, *args: Any, **kwargs: Any) -> dict[Any, Any]:  # type: ignore[misc]
        return dict(*args, **kwargs)  # so that `type(live)(...)`, as dataclasses.asdict has it, works

    @classmethod
    def _empty(cls) -> Any:
        return dict.__new__(cls)

    def _fill(self) -> None:
        self._bare = not SCALARS.issuperset(map(type, self._items.values()))
        dict.update(self, dict.fromkeys(self._items, UNREAD) if self._bare else self._items)

    def _dress(self) -> None:
        if self._bare:
            for key, value in self._items.items():
                self._hand(key, value)
            dict.update(self, self._items)
            self._bare = False

    __eq__ = reading(dict.__eq__)
    __ne__ = reading(dict.__ne__)
    __hash__ = None  # type: ignore[assignment]
    __repr__ = reading(dict.__repr__)

    def __getitem__(self, key: Any) -> Any:
        value = self._items[key]
        return value if type(value) in SCALARS else self._hand(key, value)

    def get(self, key: Any, default: Any = None) -> Any:
        value = self._items.get(key, MISSING)
        return default if value is MISSING else self._hand(key, value)

    def __iter__(self) -> Iterator[Any]:  # overridden, it makes C code ask __getitem__ for the values
        return dict.__iter__(self)

    def values(self) -> Any:
        self._dress()
        return dict.values(self)

    def items(self) -> Any:
        self._dress()
        return dict.items(self)

    def copy(self) -> Any:
        self._dress()
        return self._plain()

    def __setitem__(self, key: Any, value: Any) -> None:
        self._assign({key: value})

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self._assign({key: default})
        return self[key]

    def update(self, /, *args: Any, **kwargs: Any) -> None:
        self._assign(dict(*args, **kwargs))

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self._assign(dict(other))
        return self

    def _assign(self, values: dict[Any, Any]) -> None:
        self._recorder.check_open()
        items = self._items
        values = {key: value for key, value in values.items() if items.get(key, MISSING) is not value}
        for key in values:
            if type(key) not in SAFE_KEYS and key not in items:
                self._recorder.codec.check_key(key, self._path())
        leaving = [items.get(key) for key in values]
        coming = self._exchange(values, list(values.values()), leaving)
        trail = self._trail or self._begin()
        for key, item in zip(values, coming, strict=True):
            if key not in items:
                trail.added[key] = None
            elif key not in trail.added and key not in trail.touched:
                trail.touched[self._key_of(key)] = None
            items[key] = item
            dict.__setitem__(self, key, item)

    def __delitem__(self, key: Any) -> None:
        self._recorder.check_open()
        self._exchange((), (), [self._items[key]])
        trail = self._trail or self._begin()
        if key in trail.added:
            del trail.added[key]
        elif key not in trail.touched:
            trail.touched[self._key_of(key)] = None
        del self._items[key]
        dict.__delitem__(self, key)

    def pop(self, key: Any, *default: Any) -> Any:
        self._recorder.check_open()
        if key not in self._items or len(default) > 1:
            return dict.pop(self, key, *default)
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[Any, Any]:
        self._recorder.check_open()
        if not self:
            return dict.popitem(self)
        key = next(reversed(self._items))
        return key, self.pop(key)

    def clear(self) -> None:
        self._recorder.check_open()
        self._exchange((), (), self._items.values())
        trail = self._trail or self._begin()
        trail.touched.update((key, None) for key in self._items if key not in trail.added)
        trail.added.clear()
        self._items.clear()
        dict.clear(self)

    def _key_of(self, key: Any) -> Any:
        """Give the key that stands here for `key`, as `1` may for `True`."""
        probe = Probe(key)
        return probe.found if probe in self._items else key

    def _slot_of(self, child: Any, slot: Any) -> Any:  # noqa: ARG002 - for lists it matters
        return self._key_of(slot)

    def _emit(self, place: Place, differ: Differ) -> None:
        trail, source, items = self._trail, self._source, self._items
        if trail is None:
            return
        back = [key for key in trail.added if key in trail.touched]
        stay = self._stay_in_order(back)
        gone = [key for key in trail.touched if key not in items or (key in trail.added and not stay)]
        differ.out.extend(place.key(key).edit(Op.DELETE) for key in gone)
        for key in trail.touched:
            if key in items and (stay or key not in trail.added):
                differ.values(place.key(key), source[key], items[key])
        for slot, child in trail.parts():
            if slot in trail.touched or slot in trail.added or items.get(slot) is not child:
                continue  # its place was told already, or it is not there any more
            here = place.key(self._key_of(slot))
            if isinstance(child, Node):
                child._emit(here, differ)
            else:
                differ.values(here, source[slot], child)
        for key in trail.added:
            if not (stay and key in trail.touched):
                differ.out.append(place.key(key).edit(Op.SET, items[key]))

    def _stay_in_order(self, back: list[Any]) -> bool:
        """Say whether the keys that came `back` stand where they would if they had never left.

        So it is after `clear` and `update`; the cost is bound by the number of keys deleted.
        """
        first = [key for key, _ in zip(self._trail.added, back, strict=False)]  # type: ignore[union-attr]
        last = (key for key in reversed(self._source) if key in self._items)
        return first == back and all(
            self._recorder.codec.same(old, new) for old, new in zip(last, reversed(back), strict=False)
        )


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
        list.extend(self, [UNREAD] * self._length if self._bare else self._source)

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
        list.__setitem__(self, index, items)

    def __delitem__(self, index: Any) -> None:
        if not isinstance(index, slice):
            place = self._index(index)
            self._splice(place, place + 1, [])
        elif places := range(len(self._items))[index]:
            self._recorder.check_open()
            self._exchange((), (), self._items[index])
            self._widen(min(places), max(places) + 1)
            del self._items[index]
            list.__delitem__(self, index)

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
        list.reverse(self)

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        self._recorder.check_open()
        self._dress()
        self._widen(0, len(self._items))
        try:
            list.sort(self, key=key, reverse=reverse)
        finally:  # a sort that fails may have moved things
            self._items[:] = list.copy(self)

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
        items = self._exchange(range(end, end + len(items)), items, ())
        trail = self._trail or self._begin()
        if items:
            trail.lo, trail.hi = min(trail.lo, end), 0
        self._tail.extend(items)
        list.extend(self, items)

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
            list.__setitem__(self, slice(start, stop), items)

    def _widen(self, start: int, stop: int) -> None:
        """Note that the run from `start` to `stop` is about to be replaced."""
        trail = self._trail or self._begin()
        trail.lo = min(trail.lo, start)
        trail.hi = min(trail.hi, len(self._items) - stop)

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


Node.kinds.update({dict: LiveDict, list: LiveList})
