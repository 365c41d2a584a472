"""Edits without what is to be erased: what each has to become so that the whole still folds.

An edit is erased by its provenance: what it put in place is absent until a later edit puts something
there, and later edits, which count what is absent, are told anew. So the states hold exactly what
edits that were not erased put in place, except what stands inside a list element that was erased.
In a dict, a key that was absent and is set again comes last, as any new key does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from eventstate.errors import CorruptJournalError
from eventstate.values.delta import Edit, Op, apply, copied
from eventstate.values.holes import Holes, Parts
from eventstate.values.paths import Path, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.values.codec import Codec


@dataclass(slots=True)
class _Fields:
    """A dict of which a part was erased; `fields` has a mask for each value that is not whole."""

    there: bool
    fields: dict[Any, _Mask] = field(default_factory=dict)

    def copy(self) -> _Fields:
        return _Fields(self.there, {key: mask.copy() for key, mask in self.fields.items()})


@dataclass(slots=True)
class _Sequence:
    """A list, string or bytes (`kind`) of which a part was erased; `parts` has masks of list elements."""

    there: bool
    kind: type
    holes: Holes
    parts: Parts = field(default_factory=Parts)

    def copy(self) -> _Sequence:
        parts = self.parts.copy(lambda mask: mask.copy())
        return _Sequence(self.there, self.kind, self.holes.copy(), parts)

    def splice(self, index: int, removed: int, inserted: Any, *, erased: bool) -> tuple[int, int]:
        """Put `inserted` here and give where the run is, and how long, in what is left."""
        size = len(inserted)
        if type(inserted) is not self.kind:
            raise TypeError(f"no {self.kind.__name__}")
        place = self.holes.splice(index, removed, size, hidden=erased)
        self.parts.splice(index, removed, size)
        return place


@dataclass(slots=True)
class _Leaf:
    """A value without parts that was erased."""

    there: bool = False

    def copy(self) -> _Leaf:
        return self


_Mask: TypeAlias = _Fields | _Sequence | _Leaf
"""What is known of a value that is not whole; without one it is. `there` says if the state has it."""

_LEAF: Final = _Leaf()
_KINDS: Final = (list, str, bytes)
_STATED: Final = frozenset({Op.SET, Op.DELETE, Op.SPLICE, Op.WITHIN, Op.ORDER})
_Told: TypeAlias = tuple[Path, int, Any]
"""Where something is to be done, what, and its value."""


def _mask(value: Any, *, there: bool) -> _Mask:
    """Make the mask of a value that is whole, or of one that was erased whole."""
    for kind in _KINDS:
        if isinstance(value, kind):
            return _Sequence(there, kind, Holes(len(value), hidden=not there))
    if there:
        return _Fields(there)
    if isinstance(value, dict):
        return _Fields(there, {key: _mask(item, there=there) for key, item in value.items()})
    return _LEAF


class _Spot(NamedTuple):
    """A place in the state: the way there, and the masks on it, the state's own first."""

    way: Path
    masks: list[_Mask]
    mask: _Mask | None  # of what stands here; None if it is whole

    def put(self, value: Any, *keys: Any) -> _Told:
        """Tell that `value` is set here, under `keys`; the dicts that are missing come into being."""
        way = (*self.way, *keys)
        missing = next((i for i, mask in enumerate(self.masks) if not mask.there), len(way))
        for mask in self.masks[missing:]:
            mask.there = True
        for key in reversed(way[missing:]):
            value = {key: value}
        return way[:missing], Op.SET, value


class Redactor:
    """Folds a branch's edits without what is to be erased, and says what each edit has to become.

    Each of `keep`, `erase` and `erase_path` takes the next edit and gives what stands in its place:
    the same object if nothing need change, another edit, or None if nothing is left of it. Edits are
    never changed, and share nothing with the state.

    Args:
        codec: knows the types in the values.
        state: what the edits start from, which is copied.
        without: an attribute that is to be erased from that, too; the empty path for none. Later edits
            may still tell of what it held, so it is not enough to take it out beforehand.
    """

    state: dict[Any, Any]
    """Folded so far, without what was erased."""

    def __init__(self, codec: Codec, state: dict[Any, Any] | None = None, without: Path = ()) -> None:
        self._codec = codec
        found = self._split(state, without) if without else None
        rest, self._root = found or (state or {}, _Fields(there=True))
        self.state = codec.copy(rest)

    def copy(self) -> Redactor:
        """Give another that goes on from here by itself, as a fork does."""
        other = Redactor(self._codec, self.state)
        other._root = self._root.copy()
        return other

    def keep(self, edit: Edit) -> Edit | None:
        """Take an edit that is not to be erased.

        Raises:
            CorruptJournalError: it does not fit the state.
        """
        return self._take(edit, partial(self._tell, erased=False))

    def erase(self, edit: Edit) -> Edit | None:
        """Take an edit of which all is to be erased that it put in place; what it removed stays removed.

        Raises:
            CorruptJournalError: it does not fit the state.
        """
        return self._take(edit, partial(self._tell, erased=True))

    def erase_path(self, edit: Edit, path: Path) -> Edit | None:
        """Take an edit of which is to be erased what it says of one attribute, and of what is below.

        Args:
            edit: the edit.
            path: one or more dict keys; `1` is not `True`.

        Raises:
            CorruptJournalError: it does not fit the state.
        """
        return self._take(edit, partial(self._tell_without, path, len(edit.path)))

    def _take(self, edit: Edit, tell: Callable[[Path, int, Any], _Told | None]) -> Edit | None:
        where, op, value = edit
        try:
            if op == Op.WITHIN:
                steps, op, value = value
                where = (*where, *steps)
            told = tell(where, op, value)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CorruptJournalError(f"{show(where)}: event does not fit the state: {error!r}") from error
        if told is None:
            return None
        if told[0] != where or told[1] != op or told[2] is not value:
            edit = _edit(*told, len(edit.path))
        apply(self.state, copied(edit, self._codec))
        return edit

    def _tell(self, where: Path, op: int, value: Any, *, erased: bool) -> _Told | None:
        if op == Op.SET:
            return self._set(where, value, erased=erased)
        if op == Op.SPLICE:
            return self._splice(where, value, erased=erased)
        if op == Op.DELETE:
            return self._delete(where, value)
        if erased and op in (Op.ORDER, Op.NOTE):
            return None
        return self._order(where, value) if op == Op.ORDER else (where, op, value)

    def _tell_without(self, path: Path, start: int, where: Path, op: int, value: Any) -> _Told | None:
        """Tell an edit, of which the keys up to `start` lead through dicts for sure, without an attribute."""
        pairs = zip(where, path, strict=False)
        if not all(self._same(one, other) for one, other in pairs) or not all(
            self._is_dict(where[:i]) for i in range(start, min(len(where), len(path)))
        ):
            return self._tell(where, op, value, erased=False)
        if len(where) >= len(path):
            return self._tell(where, op, value, erased=True)
        found = self._split(value, path[len(where) :]) if op == Op.SET else None
        if found is None:
            return self._tell(where, op, value, erased=False)
        told = self._set(where, found[0], erased=False)
        spot = self._walk(where[:-1], make=True)
        if spot is not None:
            _fields(spot.mask)[where[-1]] = found[1]
        return told

    def _same(self, one: Any, other: Any) -> bool:
        return bool(one == other) and self._codec.same(one, other)

    def _split(self, value: Any, path: Path) -> tuple[Any, _Fields] | None:
        """Give a value without an attribute, and the mask of that; None if the attribute is not there."""
        key = path[0]
        if not isinstance(value, dict) or not any(self._same(own, key) for own in value):
            return None
        if len(path) == 1:
            rest = {own: item for own, item in value.items() if own != key}
            return rest, _Fields(there=True, fields={key: _mask(value[key], there=False)})
        found = self._split(value[key], path[1:])
        if found is None:
            return None
        return {**value, key: found[0]}, _Fields(there=True, fields={key: found[1]})

    def _set(self, where: Path, value: Any, *, erased: bool) -> _Told | None:
        last = where[-1]
        spot = self._walk(where[:-1], make=erased)
        if spot is None:
            return None
        mask, here = spot.mask, (*spot.way, last)
        if mask is None:
            return here, Op.SET, value
        if isinstance(mask, _Sequence):
            at, seen = mask.splice(last, 1, [value], erased=erased)
            if erased:
                return (spot.way, Op.SPLICE, [at, 1, []]) if seen else None
            return ((*spot.way, at), Op.SET, value) if seen else _insert(spot, mask, [at, 0, [value]])
        fields = _fields(mask)
        old = fields.pop(last, None)
        if not erased:
            return spot.put(value, last)
        fields[last] = _mask(value, there=False)
        gone = not old.there if old else not mask.there or last not in self._at(spot.way)
        return None if gone else (here, Op.DELETE, None)

    def _delete(self, where: Path, value: Any) -> _Told | None:
        last = where[-1]
        spot = self._walk(where[:-1])
        if spot is None:
            return None
        mask, here = spot.mask, (*spot.way, last)
        if mask is None:
            return here, Op.DELETE, value
        if isinstance(mask, _Sequence):
            at, seen = mask.splice(last, 1, [], erased=False)
            return ((*spot.way, at), Op.DELETE, value) if seen else None
        old = _fields(mask).pop(last, None)
        return None if old and not old.there else (here, Op.DELETE, value)

    def _splice(self, where: Path, value: Any, *, erased: bool) -> _Told | None:
        index, removed, items = value
        spot = self._walk(where, make=erased and len(items) > 0)
        if spot is None:
            return None
        mask = spot.mask
        if mask is None:
            return spot.way, Op.SPLICE, value
        if not isinstance(mask, _Sequence):
            raise TypeError("no sequence")
        at, seen = mask.splice(index, removed, items, erased=erased)
        if erased:
            items = items[:0]
        if (at, seen, len(items)) == (index, removed, len(value[2])) and mask.there:
            return spot.way, Op.SPLICE, value
        return _insert(spot, mask, [at, seen, items]) if seen or items else None

    def _order(self, where: Path, value: Any) -> _Told | None:
        spot = self._walk(where)
        if spot is None:
            return None
        mask = spot.mask
        if mask is None:
            return spot.way, Op.ORDER, value
        fields = _fields(mask)
        keys = [key for key in value if key not in fields or fields[key].there]
        if not mask.there or (len(keys) < len(value) and keys == list(self._at(spot.way))):
            return None
        return spot.way, Op.ORDER, value if len(keys) == len(value) else keys

    def _walk(self, where: Path, *, make: bool = False) -> _Spot | None:
        """Find where a place is in what is left; None if it is in an element or a leaf that was erased.

        Args:
            where: the way there, as edits have it.
            make: shall what is there get a mask, if it is whole?
        """
        way: Path = ()
        mask: _Mask = self._root
        masks = [mask]
        for depth, key in enumerate(where, 1):
            if isinstance(mask, _Sequence):
                if mask.holes.hides(key):
                    return None
                way = (*way, mask.holes.visible(key))
                child = mask.parts.get(key)
            else:
                way = (*way, key)
                child = _fields(mask).get(key)
            if child is None:
                if not make:
                    return _Spot((*way, *where[depth:]), masks, None)
                child = _mask(self._at(way), there=True)
                if isinstance(mask, _Sequence):
                    mask.parts.put(key, child)
                else:
                    _fields(mask)[key] = child
            if isinstance(child, _Leaf):
                return None
            mask = child
            masks.append(mask)
        return _Spot(way, masks, mask)

    def _at(self, way: Path) -> Any:
        node: Any = self.state
        for key in way:
            node = node[key]
        return node

    def _is_dict(self, where: Path) -> bool:
        spot = self._walk(where)
        if spot is None or (spot.mask is not None and not spot.mask.there):
            return spot is not None and isinstance(spot.mask, _Fields)
        return isinstance(self._at(spot.way), dict)


def _fields(mask: _Mask | None) -> dict[Any, _Mask]:
    if not isinstance(mask, _Fields):
        raise TypeError("no dict")
    return mask.fields


def _insert(spot: _Spot, mask: _Sequence, value: list[Any]) -> _Told:
    """Tell a splice of what is left of a sequence, which comes into being if it is missing."""
    return (spot.way, Op.SPLICE, value) if mask.there else spot.put(value[2])


def _edit(way: Path, op: int, value: Any, depth: int) -> Edit:
    """Make an edit of which the keys from `depth` on lead on from the attribute."""
    if len(way) > depth:
        return Edit(way[:depth], Op.WITHIN, [list(way[depth:]), int(op), value])
    return Edit(way, Op(op), value)
