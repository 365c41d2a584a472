"""The dict that records its changes; see `eventstate.values.live`."""
# ruff: noqa: SLF001 - the live objects of one round reach into each other
# ruff: noqa: D102 - the methods do what those of the builtin do

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventstate.values.codec import SAFE_KEYS, SCALARS
from eventstate.values.delta import MISSING, Differ, Op, Place
from eventstate.values.tracking import UNREAD, Node, Probe, Trail, reading, settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self


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
        items, recorder = self._items, self._recorder
        old = items.get(key, MISSING)
        if (
            type(value) not in SCALARS
            or type(key) is not str
            or (old is not MISSING and type(old) not in SCALARS)
            or not recorder.plain_names
        ):
            self._assign({key: value})
            return
        # The same for what is set most often, since nothing that somebody may hold comes in or leaves.
        if not recorder.open:
            recorder.check_open()
        trail = self._trail or self._begin()
        if old is not value:
            if old is MISSING:
                trail.added[key] = None
            elif key not in trail.added:
                trail.touched[key] = None
            items[key] = value
            dict.__setitem__(self, key, UNREAD if self._bare else value)
        if recorder.on_change is not None:
            recorder.on_change()

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
            dict.__setitem__(self, key, UNREAD if self._bare else item)
        self._recorder.changed()

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
        self._recorder.changed()

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
        self._recorder.changed()

    def _arrange(self, keys: list[Any]) -> None:
        """Put the keys, all of them, in this order."""
        if keys == list(self._items):
            return
        self._recorder.check_open()
        (self._trail or self._begin()).arranged = True
        self._items = {key: self._items[key] for key in keys}
        held = {key: dict.__getitem__(self, key) for key in keys}
        dict.clear(self)
        dict.update(self, held)
        self._recorder.changed()

    def _accept(self, trail: Trail) -> None:
        source, items = self._source, self._items
        for key in trail.touched:
            if key not in items or key in trail.added:
                del source[key]
            else:
                value = items[key]
                source[key] = value if type(value) in SCALARS else settled(value)
        for key in trail.added:
            source[key] = settled(items[key])
        if trail.arranged:
            ordered = {key: source[key] for key in items}
            source.clear()
            source.update(ordered)

    @staticmethod
    def _restore(source: Any, content: Any) -> None:
        source.clear()
        source.update(content)

    def _key_of(self, key: Any) -> Any:
        """Give the key that stands here for `key`, as `1` may for `True`."""
        if type(key) is str and self._recorder.plain_names:
            return key
        probe = Probe(key)
        return probe.found if probe in self._items else key

    def _slot_of(self, child: Any, slot: Any) -> Any:  # noqa: ARG002 - for lists it matters
        return self._key_of(slot)

    def _emit(self, place: Place, differ: Differ) -> None:
        trail, source, items = self._trail, self._source, self._items
        if trail is None:
            return
        back = [key for key in trail.added if key in trail.touched] if trail.added else []
        stay = not back or self._stay_in_order(back)
        gone = [key for key in trail.touched if key not in items or (key in trail.added and not stay)]
        differ.out.extend(place.key(key).edit(Op.DELETE) for key in gone)
        for key in trail.touched:
            if key in items and (stay or key not in trail.added):
                differ.at_key(place, key, source[key], items[key])
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
        if trail.arranged:
            left = set(gone)
            folded = [key for key in source if key not in left]
            folded += [key for key in trail.added if not (stay and key in trail.touched)]
            if folded != list(items):
                differ.out.append(place.edit(Op.ORDER, list(items)))

    def _stay_in_order(self, back: list[Any]) -> bool:
        """Say whether the keys that came `back` stand where they would if they had never left.

        So it is after `clear` and `update`; the cost is bound by the number of keys deleted.
        """
        first = [key for key, _ in zip(self._trail.added, back, strict=False)]  # type: ignore[union-attr]
        last = (key for key in reversed(self._source) if key in self._items)
        return first == back and all(
            self._recorder.codec.same(old, new) for old, new in zip(last, reversed(back), strict=False)
        )
