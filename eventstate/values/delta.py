"""The difference between two states: how it is found, applied and taken back.

A difference is a list of edits, to be applied in order. Paths hold dict keys only; what changes
inside a list is a `WITHIN` edit of the attribute that holds the list.
"""

# ruff: noqa: SLF001 - live containers show their plain selves here, too

from __future__ import annotations

import bisect
import enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.errors import CorruptJournalError
from eventstate.values.codec import Codec, Live
from eventstate.values.paths import Path, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Op(enum.IntEnum):
    """What an edit does; the numbers stand in the file."""

    SET = 1
    """Give the attribute this value; a new key comes last in its dict."""
    DELETE = 2
    """Take the key out of its dict."""
    SPLICE = 3
    """`[index, removed, inserted]`: replace a run of a list, string or bytes."""
    WITHIN = 4
    """`[steps, op, value]`: do `op` where `steps` (indexes and keys) lead from the attribute."""
    ORDER = 5
    """The keys of a dict in their new order."""
    NOTE = 6
    """`[name, data]`: a fact, without a change of state."""
    GONE = 7
    """What is left of an event that was erased: nothing."""
    ERASE = 8
    """What an erasure put in the place of events."""
    PRUNE = 9
    """Which states a pruned past was folded to."""
    CIPHER = 10
    """An event of any kind, encrypted."""


# As they stand in rows: comparing members of an enumeration takes longer than what they ask for.
_SET, _DELETE, _SPLICE, _WITHIN, _ORDER = map(int, (Op.SET, Op.DELETE, Op.SPLICE, Op.WITHIN, Op.ORDER))
_NOTE, _PRUNE = int(Op.NOTE), int(Op.PRUNE)


class Edit(NamedTuple):
    """One change of a state: what an event holds beside its number."""

    path: Path
    op: Op
    value: Any


class Missing(enum.Enum):
    """The type of `MISSING`."""

    MISSING = enum.auto()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING
"""Stands for the value of an attribute that is not there; `None` is a value."""

_MIN_SHARED: Final = 16  # characters that a splice must spare before it is worth its own bytes
_EDIT: Final = 16  # bytes that an edit costs beside its value, roughly
_MAX_MATCHES: Final = 100_000  # pairs of equal elements up to which two runs are aligned one by one
_CHUNK: Final = 64
_SHORT_LIST: Final = 0xDC  # how the encoding of a list begins, from 16 elements on


class Place(NamedTuple):
    """Where a value stands: the attribute's path, then indexes and keys from there."""

    path: Path
    steps: Path = ()

    def key(self, key: Any) -> Place:
        """Go on to a key of the dict that stands here."""
        return Place(self.path, (*self.steps, key)) if self.steps else Place((*self.path, key))

    def index(self, index: int) -> Place:  # type: ignore[override] # a place is no sequence
        """Go on to an element of the list that stands here."""
        return Place(self.path, (*self.steps, index))

    def edit(self, op: Op, value: Any = None) -> Edit:
        """Make the edit that does `op` here."""
        if self.steps:
            return Edit(self.path, Op.WITHIN, [list(self.steps), int(op), value])
        return Edit(self.path, op, value)


def diff(old: dict[Any, Any], new: dict[Any, Any], codec: Codec) -> list[Edit]:
    """Find edits that turn the state `old` into `new`, type-strictly and with the keys in their order."""
    out: list[Edit] = []
    Differ(codec, out).dicts(Place(()), old, new)
    return out


class Differ:
    """Compares plain values and appends the edits that lead from one to the other to `out`."""

    def __init__(self, codec: Codec, out: list[Edit]) -> None:
        self.codec = codec
        self.out = out

    def values(self, place: Place, old: Any, new: Any) -> None:
        """Compare two values that stand at one place; the old one may be `MISSING`."""
        if old is new:
            return
        if old is MISSING:
            self.out.append(place.edit(Op.SET, new))
            return
        if isinstance(new, Live):
            new = new._plain()
        kind = type(new)
        if kind is not type(old):
            self.out.append(place.edit(Op.SET, new))
        elif kind is list:
            self.lists(place, old, new)
        elif kind is str or kind is bytes:
            if old != new:
                self._texts(place, old, new)
        elif not self.codec.same(old, new, (*place.path, *place.steps)):
            if kind is dict:
                self.dicts(place, old, new)
            else:
                self.out.append(place.edit(Op.SET, new))

    def at_key(self, place: Place, key: Any, old: Any, new: Any) -> None:
        """Compare two values that stand under one key of the dict at `place`."""
        kind = type(new)
        if (
            not place.steps
            and old is not new
            and (kind is int or kind is bool or new is None or (kind is str and len(new) < _MIN_SHARED))
            and (kind is not type(old) or old != new)
        ):
            self.out.append(Edit((*place.path, key), Op.SET, new))
        else:
            self.values(place.key(key), old, new)

    def dicts(self, place: Place, old: dict[Any, Any], new: dict[Any, Any]) -> None:
        """Compare two dicts key by key, then the order of their keys."""
        kept = old.keys() & new.keys() - self._changed_keys(old, new)
        for key in old:
            if key not in kept:
                self.out.append(place.key(key).edit(Op.DELETE))
        for key, value in new.items():
            self.at_key(place, key, old[key] if key in kept else MISSING, value)
        order = [key for key in old if key in kept]
        order += [key for key in new if key not in kept]
        if order != list(new):
            self.out.append(place.edit(Op.ORDER, list(new)))

    def _changed_keys(self, old: dict[Any, Any], new: dict[Any, Any]) -> set[Any]:
        """Find the keys that are equal but not the same, as `1` and `True` are."""
        exotic = {key for key in new if type(key) is not str and key in old}
        exotic.update(key for key in old if type(key) is not str and key in new)  # it may equal a string
        if not exotic:
            return set()
        present = {key: key for key in new if key in exotic}
        return {key for key in old if key in exotic and not self.codec.same(key, present[key])}

    def lists(self, place: Place, old: list[Any], new: list[Any], offset: int = 0) -> None:
        """Compare two lists, or two runs of one that begin at index `offset`."""
        start = self._shared(place, old, new)
        before, after = old[start:], new[start:]
        if before and after:
            end = self._shared(place, before[::-1], after[::-1])
            before, after = before[: len(before) - end], after[: len(after) - end]
        # From the end to the start, so that the indexes of what comes later still hold.
        for i, j, k, m in self._blocks(before, after):
            index = offset + start + i
            if j - i == m - k:
                self._pairs(place, index, before[i:j], after[k:m])
            else:
                self.out.append(place.edit(Op.SPLICE, [index, j - i, after[k:m]]))

    def _pairs(self, place: Place, index: int, before: list[Any], after: list[Any]) -> None:
        """Compare two runs one by one: what is changed little is told, the rest is put anew."""
        size = self._size
        start = end = gap = 0  # after[start:end] is put anew; so many bytes after it stay as they are
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            here, inner = place.index(index + i), Differ(self.codec, [])
            inner.values(here, old, new)
            joins = start < end and gap <= _EDIT
            if not inner.out:
                gap += size(new) if joins else 0
                continue
            told = sum(_EDIT + size(edit.value) for edit in inner.out)
            whole = inner.out[0].value[:2] == [list(here.steps), Op.SET]
            if not whole and told <= size(new) + (0 if joins else 2 * _EDIT):
                self._replace(place, index + start, after[start:end])
                self.out += inner.out
                start = end = gap = 0
                continue
            if not joins:
                self._replace(place, index + start, after[start:end])
                start = i
            end, gap = i + 1, 0
        self._replace(place, index + start, after[start:end])

    def _replace(self, place: Place, index: int, items: list[Any]) -> None:
        if items:
            self.out.append(place.edit(Op.SPLICE, [index, len(items), items]))

    def _size(self, value: Any) -> int:
        return len(self.codec.encode(value))

    def _blocks(self, before: list[Any], after: list[Any]) -> Iterator[tuple[int, int, int, int]]:
        """Align two runs: `before[i:j]` becomes `after[k:m]`; the last such block comes first.

        What stays is the longest common subsequence, found as by Hunt and Szymanski ("A Fast
        Algorithm for Computing Longest Common Subsequences", 1977), without the parts of it that
        are too short to be worth another edit.
        """
        j, m = len(before), len(after)
        for i, k, length in self._common_runs(before, after):
            yield i + length, j, k + length, m
            j, m = i, k
        if j or m:
            yield 0, j, 0, m

    def _common_runs(self, before: list[Any], after: list[Any]) -> Iterator[tuple[int, int, int]]:
        if not before or not after:
            return
        encode = self.codec.encode
        one, places = [encode(item) for item in before], dict[bytes, list[int]]()
        for k in reversed(range(len(after))):
            places.setdefault(encode(after[k]), []).append(k)
        if sum(len(places.get(item, ())) for item in one) > _MAX_MATCHES:
            return
        # Of each length, the chain of pairs that ends earliest in `after`, linked from its end.
        ends: list[int] = []
        chains: list[tuple[int, int, Any]] = []
        for i, item in enumerate(one):
            for k in places.get(item, ()):
                length = bisect.bisect_left(ends, k)
                ends[length : length + 1] = [k]
                chains[length : length + 1] = [(i, k, chains[length - 1] if length else None)]
        chain = chains[-1] if chains else None
        while chain is not None:
            i, k, chain = chain
            length = 1
            while chain is not None and chain[:2] == (i - 1, k - 1):
                i, k, chain = chain
                length += 1
            if sum(map(len, one[i : i + length])) > _EDIT:
                yield i, k, length

    def _shared(self, place: Place, old: list[Any], new: list[Any]) -> int:
        """Count the elements at the start that are the same."""
        if not old or not new:
            return 0
        encode = self.codec.encode
        one, other = _elements(encode(old)), _elements(encode(new, (*place.path, *place.steps)))
        if other.startswith(one):
            return len(old)
        # The first byte that differs lies in the first element that does.
        common, start, end = _common_prefix(one, other), 0, 0
        for size in (_CHUNK, 1):
            while (after := end + len(_elements(encode(old[start : start + size])))) <= common:
                start, end = start + size, after
        return start

    def _texts(self, place: Place, old: Any, new: Any) -> None:
        start = _common_prefix(old, new)
        end = _common_prefix(old[start:][::-1], new[start:][::-1])
        if start + end < _MIN_SHARED:
            self.out.append(place.edit(Op.SET, new))
        else:
            inserted = new[start : len(new) - end]
            self.out.append(place.edit(Op.SPLICE, [start, len(old) - end - start, inserted]))


def _elements(data: bytes) -> bytes:
    """Cut off the head of an encoded list; what is left of two lists begins alike if their elements do."""
    return data[1 if data[0] < _SHORT_LIST else 3 if data[0] == _SHORT_LIST else 5 :]


def _common_prefix(one: Any, other: Any) -> int:
    """Count the equal characters at the start, by halving: each step compares slices at C speed."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def apply(state: dict[Any, Any], edit: tuple[Path, int, Any]) -> None:
    """Carry `edit` out on `state`, in place; the edit's value becomes part of the state.

    Raises:
        CorruptJournalError: the edit does not fit the state.
    """
    path, op, value = edit
    try:
        if op == _WITHIN:
            steps, op, value = value
            path = (*path, *steps)
        _apply(state, path, op, value)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CorruptJournalError(f"{show(path)}: event does not fit the state: {error!r}") from error


def _apply(state: dict[Any, Any], path: Path, op: int, value: Any) -> None:
    if _NOTE <= op <= _PRUNE:
        return
    if op == _ORDER:
        _reorder(_walk(state, path), value)
        return
    parent: Any = state
    for key in path[:-1]:
        parent = parent[key]
    last = path[-1]
    if isinstance(parent, list) and not 0 <= last < len(parent):
        raise IndexError(f"no index {last}")
    if op == _SET:
        parent[last] = value
    elif op == _SPLICE:
        parent[last] = _spliced(parent[last], *value)
    elif op == _DELETE:
        del parent[last]
    else:
        raise ValueError(f"unknown operation {op}")


def look(state: Mapping[Any, Any], path: Path) -> Any:
    """Give the value at a path of dict keys, or `MISSING`."""
    node: Any = state
    for key in path:
        if not isinstance(node, dict) or key not in node:
            return MISSING
        if type(key) is not str and type(next(own for own in node if own == key)) is not type(key):
            return MISSING  # `True` finds what is under `1`, but is another key
        node = node[key]
    return node


def copied(edit: Edit, codec: Codec) -> Edit:
    """Give an edit whose value shares nothing with this one's."""
    return Edit(edit.path, edit.op, codec.copy(edit.value))


def fold(edits: Iterable[Edit], state: dict[Any, Any] | None = None) -> dict[Any, Any]:
    """Apply all of `edits`, to the given state in place or to an empty one, and return it."""
    state = {} if state is None else state
    for edit in edits:
        apply(state, edit)
    return state


def _walk(node: Any, path: Iterable[Any]) -> Any:
    for key in path:
        node = node[key]
    return node


def _reorder(target: dict[Any, Any], keys: list[Any]) -> None:
    items = {key: target[key] for key in keys}
    if not isinstance(target, dict) or len(items) != len(target):
        raise ValueError(f"{len(items)} keys for a {type(target).__name__} of {len(target)}")
    target.clear()
    target.update(items)


def _spliced(target: Any, index: int, removed: int, inserted: Any) -> Any:
    if not 0 <= index <= index + removed <= len(target) or type(inserted) is not type(target):
        raise ValueError(f"no run of {removed} at {index}")
    if isinstance(target, list):
        target[index : index + removed] = inserted
        return target
    return target[:index] + inserted + target[index + removed :]
