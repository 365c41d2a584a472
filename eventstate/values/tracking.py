"""What live dicts and lists have in common: how a round follows the changes in its containers."""
# ruff: noqa: SLF001 - the live objects of one round reach into each other

from __future__ import annotations

import functools
import sys
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Final

from eventstate.errors import InvalidStateError, UnsupportedValueError
from eventstate.values.codec import SCALARS, Codec, Live
from eventstate.values.paths import Path, show

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import SupportsIndex

    from eventstate.values.delta import Differ, Place

ROOT: Final = object()
"""The slot of the one live object that needs no parent."""


class Unread:
    """The type of `UNREAD`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<unread: pass a copy.deepcopy of the container>"

    def __reduce__(self) -> str:
        raise TypeError(f"{self!r} can't be pickled")


UNREAD: Final = Unread()
"""What C code finds in a live container that it reads behind its class.

The children themselves would be part of the source, and changes of them the end of the journal.
"""


_NAMES: Final = frozenset({str})

OVER: Final = "the round is over: this part of its state can't be changed any more"


class Recorder:
    """What the live objects of one round share."""

    __slots__ = ("codec", "loose", "on_change", "open", "over", "plain_names", "watches")

    def __init__(self, codec: Codec, on_change: Callable[[], None] | None = None) -> None:
        self.codec = codec
        self.on_change = on_change
        self.open = True
        self.over = OVER  # why it is not open, once it is not
        self.loose: dict[int, Any] = {}  # watched values that were taken out, by their id
        self.watches = False  # whether there is or was something that may be changed unseen
        self.plain_names = not codec.types.texts  # whether nothing but a string equals a string

    def check_open(self) -> None:
        """Refuse a change that comes after the round."""
        if not self.open:
            raise InvalidStateError(self.over)

    def changed(self) -> None:
        """Tell who wants to know that something was changed just now."""
        if self.on_change is not None:
            self.on_change()


class Trail:
    """What is known of a container's changes; it begins with the first of them."""

    __slots__ = ("added", "arranged", "changed", "hi", "lo", "touched", "watched")

    def __init__(self) -> None:
        self.changed: dict[int, Node] = {}  # the children that have a trail, by their id
        self.watched: dict[int, tuple[Any, Any]] = {}  # slot and value of what may change unseen, by its id
        # Of a dict: its source's keys that were set or deleted, and the keys that came in, in their order.
        self.touched: dict[Any, None] = {}
        self.added: dict[Any, None] = {}
        self.arranged = False  # whether its keys were put in another order
        # Of a list: how many elements at its start and at its end were left alone.
        self.lo = self.hi = sys.maxsize

    def parts(self) -> Iterator[tuple[Any, Any]]:
        """Give the children that may have changed in place, each with the slot that it had."""
        yield from ((child._slot, child) for child in self.changed.values())
        yield from self.watched.values()


class Node(Live):
    """A live container: a shallow copy of a plain one, whose children are wrapped when looked at.

    The copy is `_items`. As the builtin that it also is, a dict has `UNREAD` under each of its keys, and a
    list one `UNREAD` for all that it has, until all children are asked for at once; then they stand there.
    """

    __slots__ = ()
    kinds: ClassVar[dict[type, type[Node]]] = {}
    """The live class of each builtin one."""

    _recorder: Recorder
    _source: Any  # the plain container of which this began as a copy
    _items: Any  # that copy, in which children are wrapped; all that is recorded is decided by it
    _above: weakref.ref[Node] | None  # where it stands; weak, so that a round is freed at once
    _slot: Any  # its key there; in a list the index that it had at some time
    _bare: bool  # some children may not be wrapped yet; as a builtin it shows none of them
    _trail: Trail | None

    copy: Callable[[], Any]  # as the builtins have it

    @classmethod
    def _of(cls, source: Any, recorder: Recorder, parent: Node | None, slot: Any) -> Any:
        """Make the live container of a plain one."""
        node = cls._empty()
        node._source, node._recorder, node._trail = source, recorder, None
        node._start(source)
        node._above, node._slot = None if parent is None else weakref.ref(parent), slot
        node._fill()
        return node

    def _start(self, source: Any) -> None:
        """Begin with a copy of `source`."""
        self._items = source.copy()

    @classmethod
    def _empty(cls) -> Any:
        raise NotImplementedError

    def _fill(self) -> None:
        """Take the elements in as a builtin: as they are if all are scalars, else as `UNREAD`."""
        raise NotImplementedError

    def _plain(self) -> Any:
        return self._items.copy()

    def _dress(self) -> None:
        """Wrap all children, so that C code may read them."""
        raise NotImplementedError

    def _slot_of(self, child: Any, slot: Any) -> Any:
        """Give the key or index at which a child stands that once stood at `slot`."""
        raise NotImplementedError

    def _emit(self, place: Place, differ: Differ) -> None:
        """Give the edits of this container, which stands at `place`, to the differ's list."""
        raise NotImplementedError

    def _settle(self, undo: list[Callable[[], None]] | None) -> None:
        """Make the present the source; what was changed since is forgotten, or all if the round is over.

        Args:
            undo: gets what makes the sources again what they were, the last one first.
        """
        trail = self._trail
        if trail is None:
            return
        for child in trail.changed.values():
            child._settle(undo)
        if undo is not None:
            undo.append(functools.partial(self._restore, self._source, self._source.copy()))
        self._accept(trail)
        if not self._recorder.open:  # nothing will be told from here on
            return
        fresh = Trail()
        for slot, value in trail.watched.values():
            here = self._slot_of(value, slot)
            self._source[here] = self._recorder.codec.copy(value)
            fresh.watched[id(value)] = here, value
        fresh.changed = {key: child for key, child in trail.changed.items() if child._trail is not None}
        self._trail = fresh if fresh.watched or fresh.changed else None  # type: ignore[misc] # as in _begin

    def _accept(self, trail: Trail) -> None:
        """Bring to the source what was set or taken out in this container itself."""
        raise NotImplementedError

    @staticmethod
    def _restore(source: Any, content: Any) -> None:
        source.clear()
        source += content

    def _parent(self) -> Node | None:
        return None if self._above is None else self._above()

    def _begin(self) -> Trail:
        self._trail = trail = Trail()  # type: ignore[misc] # the subclasses have the slots
        parent = self._parent()
        if parent is not None:
            (parent._trail or parent._begin()).changed[id(self)] = self
        return trail

    def _path(self) -> Path:
        path: list[Any] = []
        node = self
        while (parent := node._parent()) is not None:
            path.append(parent._slot_of(node, node._slot))
            node = parent
        return tuple(reversed(path))

    def _is_inside(self, other: Node) -> bool:
        node: Node | None = self
        while node is not None and node is not other:
            node = node._parent()
        return node is not None

    def _hand(self, slot: Any, value: Any) -> Any:
        """Give what the caller may hold of `value`, which stands at `slot`, and let it stand there."""
        if type(value) in SCALARS or isinstance(value, Node):
            return value
        kind = self.kinds.get(type(value))
        if kind is not None:
            child = kind._of(value, self._recorder, self, slot)
        elif (self._trail and id(value) in self._trail.watched) or not self._recorder.codec.is_mutable(value):
            return value
        else:
            child = self._recorder.codec.copy(value)
            self._recorder.watches = True
            (self._trail or self._begin()).watched[id(child)] = slot, child
        self._items[slot] = child
        return child

    def _exchange(self, slots: Iterable[Any], values: Collection[Any], leaving: Iterable[Any]) -> list[Any]:
        """Give what is to stand at `slots` for `values`, and let go of what is `leaving`.

        What was handed out and has no place, or is leaving one here, comes in as it is; anything else
        is copied. When a value is refused, nothing has changed.
        """
        recorder, trail = self._recorder, self._trail or self._begin()
        going = {id(item): item for item in leaving if isinstance(item, Node) or id(item) in trail.watched}
        free = going.copy()
        for slot, value in zip(slots, values, strict=True):
            if isinstance(value, Node) and value._recorder is recorder:
                if self._is_inside(value):
                    path = (*self._path(), slot)
                    message = f"{show(path)}: a cycle: the value contains itself"
                    raise UnsupportedValueError(message, path=path)
                if value._parent() is None and value._slot is not ROOT:
                    free[id(value)] = value
            elif id(value) in recorder.loose:
                free[id(value)] = value
        coming = []
        for slot, value in zip(slots, values, strict=True):
            if type(value) in SCALARS or id(value) in free:
                free.pop(id(value), None)  # what comes in twice is copied the second time
                coming.append(value)
            else:
                coming.append(self._wrapped(self._copied(slot, value)))
        for item in going.values():
            self._let_go(item, trail)
        for slot, item in zip(slots, coming, strict=True):
            self._take(slot, item, trail)
        return coming

    def _let_go(self, item: Any, trail: Trail) -> None:
        if isinstance(item, Node):
            item._above = None  # type: ignore[misc] # the same
            trail.changed.pop(id(item), None)
        else:
            del trail.watched[id(item)]
            self._recorder.loose[id(item)] = item

    def _take(self, slot: Any, item: Any, trail: Trail) -> None:
        if isinstance(item, Node):
            item._above, item._slot = weakref.ref(self), slot  # type: ignore[misc] # the same
            if item._trail:
                trail.changed[id(item)] = item
        elif (
            type(item) not in SCALARS
            and type(item) not in self.kinds
            and self._recorder.codec.is_mutable(item)
        ):
            self._recorder.loose.pop(id(item), None)
            self._recorder.watches = True
            trail.watched[id(item)] = slot, item

    def _copied(self, slot: Any, value: Any) -> Any:
        if (
            type(value) is dict
            and SCALARS.issuperset(map(type, value.values()))
            and _NAMES.issuperset(map(type, value))
        ):
            return value.copy()  # what is that flat can always be stored
        codec = self._recorder.codec
        try:
            copy = codec.decode(codec.encode_stored(value))
        except UnsupportedValueError:
            codec.encode_stored(value, (*self._path(), slot))  # the same error, with the whole path
            raise
        return copy

    def _wrapped(self, copy: Any) -> Any:
        """Give what is to stand here for a copy: a container is wrapped later if none here is shown yet."""
        kind = None if self._bare else self.kinds.get(type(copy))
        return copy if kind is None else kind._of(copy, self._recorder, None, None)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._recorder.codec.copy(self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        plain = self._recorder.codec.copy(self)
        return type(plain), (plain,)


def reading(method: Any) -> Any:
    """Make of a builtin's method, which reads its operands as C code does, one for live containers."""

    @functools.wraps(method)
    def read(*operands: Any) -> Any:
        for operand in operands:
            if isinstance(operand, Node):
                operand._dress()
        return method(*operands)

    return read


def common_start(one: list[Any], other: list[Any]) -> int:
    """Count the elements at the start that are the very same objects."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (old, new) in pairs if old is not new), min(len(one), len(other)))


def settled(item: Any) -> Any:
    """Give what stands in a source for an item whose own changes are settled."""
    return item._source if isinstance(item, Node) else item


class Probe:
    """Equal to what equals `key`, and keeps it: a dict does not say which key it holds."""

    __slots__ = ("found", "key")

    def __init__(self, key: Any) -> None:
        self.key = self.found = key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        self.found = other
        return bool(self.key == other)
