"""Values to bytes and back: MessagePack, with extension types for what it lacks.

The encoding is canonical: a value has one byte string, sets are sorted by their encoded elements,
and two values are the same, type-strictly, exactly when their bytes are.

MessagePack: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

# ruff: noqa: SLF001 - live containers show their plain selves to the codec alone

from __future__ import annotations

import datetime as dt
import functools
from typing import TYPE_CHECKING, Any, Final

import msgpack

from eventstate.errors import CorruptJournalError, EventStateError, UnsupportedValueError
from eventstate.values.bounds import SMALL, CrowdedError, check_lengths, paired, refuse_alike, sparing
from eventstate.values.extensions import (
    BIG_INT,
    DUMPS,
    FROZENSET,
    LOADS,
    REGISTERED,
    SET,
    SURROGATES,
    TUPLE,
    UUID,
    load_uuid,
    rare,
)
from eventstate.values.paths import Path, show
from eventstate.values.registry import TypeRegistry, Unregistered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_DEPTH: Final = 200
"""How many containers may stand inside one another, the state itself being the first."""

SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})
"""Types whose values MessagePack holds by itself and that never change."""

_ATOMS: Final = SCALARS | {complex, dt.datetime, dt.date, dt.time, dt.timedelta}
SAFE_KEYS: Final = SCALARS - {float}
"""Types of which every value can be a key and be found again."""

# MessagePack takes these for something else, and asks nobody.
_IMPOSTORS: Final = frozenset({bytearray, memoryview, msgpack.ExtType, msgpack.Timestamp})

# Bytes at which something begins that has parts, is binary, extended, or a float. Text in ASCII has none.
_CONTAINER_HEADS: Final = bytes([*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])
_ODD_HEADS: Final = bytes([*range(0xC4, 0xCA), *range(0xD4, 0xD9)])
_FLOAT_HEAD: Final = b"\xcb"
_NO_HEADS: Final = bytes(set(range(256)) - set(_CONTAINER_HEADS + _ODD_HEADS + _FLOAT_HEAD))
_NAN_HEADS: Final = (b"\xcb\x7f", b"\xcb\xff")
_KEPT: Final = 1 << 20  # bytes up to which a packer is kept, as it keeps its buffer
_GUARDED: Final = 4  # extension types inside one another from which the depth is checked before going on
_SHOWN: Final = 16  # keys of a path that a message shows
_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} containers"
_PACKING: Final = (TypeError, ValueError, OverflowError, RecursionError)


class Live:
    """What live containers have in common for the codec: a plain, shallow copy of themselves."""

    __slots__ = ()

    def _plain(self) -> Any:
        raise NotImplementedError(type(self))


class Codec:
    """Encodes and decodes values, with the caller's own types in `types`."""

    def __init__(self, types: TypeRegistry | None = None) -> None:
        self.types = types if types is not None else TypeRegistry()
        self._packers: list[msgpack.Packer] = []
        """Those that are not in use: making one takes longer than packing a small value."""

    def encode(self, value: Any, path: Path = ()) -> bytes:
        """Give the canonical bytes of `value`.

        Args:
            value: anything storable.
            path: where the value stands, for the error's text.

        Raises:
            UnsupportedValueError: it holds something that would not come back exactly.
        """
        try:
            packer = self._packers.pop()
        except IndexError:
            packer = self._packer(self._extend)
        try:
            data: bytes = packer.pack(value)
        except _PACKING as error:
            data = self._packed_anew(value, path, error)
        if len(data) < _KEPT:
            self._packers.append(packer)
        return data

    def _packed_anew(self, value: Any, path: Path, error: Exception) -> bytes:
        """Pack what a packer refused, perhaps for a lone surrogate; that packer is not used again."""
        try:
            if isinstance(error, UnicodeEncodeError):
                return self._pack(value)
        except _PACKING as another:
            error = another
        raise self._explained(value, path, error) from error

    def encode_stored(self, value: Any, path: Path = ()) -> bytes:
        """Like `encode`, and also refuse what only a reader would stumble over.

        That is nesting deeper than `MAX_DEPTH`, dict keys that are NaN, which no look-up finds, and
        what would come back as another type, as a `bytearray` would.
        """
        kind = type(value)
        data = self.encode(value, path)
        if kind not in _ATOMS:
            heads = data.translate(None, _NO_HEADS)
            odd = heads.translate(None, _CONTAINER_HEADS)
            if (
                len(heads) + len(path) > MAX_DEPTH
                or odd.strip(_FLOAT_HEAD)
                or (odd and any(head in data for head in _NAN_HEADS))
            ):
                self._audit(value, path)
        return data

    def check_key(self, key: Any, path: Path) -> None:
        """Refuse `key`, about to be used in the container at `path`, unless it can be found again."""
        if type(key) not in SAFE_KEYS:
            self.encode_stored({key: None}, path)

    def decode(self, data: bytes) -> Any:
        """Give the value of canonical bytes; mutable parts are the caller's own.

        Raises:
            CorruptJournalError: the bytes are not such an encoding.
            UnsupportedValueError: a type is not registered here.
        """
        try:
            if len(data) <= SMALL:
                return msgpack.unpackb(data, ext_hook=self._restore, strict_map_key=False, timestamp=3)
            check_lengths(data)
            try:
                hook = sparing(self._restore, len(data))
                return msgpack.unpackb(data, ext_hook=hook, strict_map_key=False, timestamp=3)
            except CrowdedError:
                return msgpack.unpackb(
                    data,
                    ext_hook=self._restore,
                    object_pairs_hook=paired,
                    strict_map_key=False,
                    timestamp=3,
                )
        except EventStateError:
            raise
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, AttributeError) as error:
            raise CorruptJournalError(f"undecodable value of {len(data)} bytes: {error}") from error
        except msgpack.UnpackException as error:
            raise CorruptJournalError(f"undecodable value of {len(data)} bytes: {error!r}") from error

    def copy(self, value: Any) -> Any:
        """Copy `value` so deeply that nothing mutable is shared; live containers become plain.

        Raises:
            UnsupportedValueError: it holds something that can't be stored.
        """
        return value if type(value) in SCALARS else self.decode(self.encode(value))

    def same(self, one: Any, other: Any, path: Path = ()) -> bool:
        """Say whether two values are the same, type-strictly: `1` is neither `True` nor `1.0`.

        Args:
            one: a storable value.
            other: a value that perhaps is not.
            path: where `other` stands, for the error's text.

        Raises:
            UnsupportedValueError: one of them can't be stored.
        """
        if one is other:
            return True
        kind = type(one)
        if kind is type(other):
            if kind is str or kind is int or kind is bool or kind is bytes:
                return bool(one == other)
            if kind is float and one != other and one == one and other == other:  # noqa: PLR0124 - no NaN
                return False
        return self.encode(one) == self.encode(other, path)

    def is_mutable(self, value: Any) -> bool:
        """Say whether `value`, which is neither dict nor list, could change in place."""
        kind = type(value)
        if kind in _ATOMS:
            return False
        if kind is tuple or kind is frozenset:
            return any(isinstance(item, (dict, list)) or self.is_mutable(item) for item in value)
        entry = self.types.by_type.get(kind)
        return entry.mutable if entry is not None else rare(kind) is None

    def _pack(self, value: Any, level: int = 0) -> bytes:
        """Pack `value`, which stands inside `level` extension types."""
        if level == _GUARDED and self._is_too_deep(value):
            raise ValueError(_TOO_DEEP)  # packed below here, it could overflow the C stack
        packer = self._packer(functools.partial(self._extend, level=level) if level else self._extend)
        try:
            return packer.pack(value)  # type: ignore[no-any-return]
        except UnicodeEncodeError:
            packer.reset()
            return packer.pack(_escape(value))  # type: ignore[no-any-return]

    @staticmethod
    def _packer(extend: Callable[[Any], Any]) -> msgpack.Packer:
        return msgpack.Packer(default=extend, strict_types=True)

    def _extend(self, value: Any, level: int = 0) -> Any:
        kind = type(value)
        if issubclass(kind, Live):
            return value._plain()
        if kind is int:
            return msgpack.ExtType(BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        if kind is set or kind is frozenset:
            items = sorted(self._pack(item, level + 1) for item in value)
            head = msgpack.Packer().pack_array_header(len(items))
            return msgpack.ExtType(SET if kind is set else FROZENSET, head + b"".join(items))
        code, parts = self._parts(value)
        return msgpack.ExtType(code, parts if isinstance(parts, bytes) else self._pack(parts, level + 1))

    def _parts(self, value: Any) -> tuple[int, Any]:
        """Give the extension code of a value, and what is packed under it."""
        kind = type(value)
        if kind is tuple:
            return TUPLE, list(value)
        entry = self.types.by_type.get(kind)
        if entry is not None:
            return REGISTERED, [entry.name, entry.dumped(value)]
        if kind is Unregistered:
            return REGISTERED, [value.name, value.payload]
        dump = DUMPS.get(kind) or rare(kind)
        if dump is None:
            raise TypeError(f"{kind.__module__}.{kind.__qualname__} can't be stored; register the type")
        return dump(value)

    def _unpack(self, data: bytes, level: int) -> Any:
        check_lengths(data)
        restore = functools.partial(self._restore, level=level)
        try:
            value = _unpacked(data, ext_hook=sparing(restore, len(data)))
        except CrowdedError:
            value = _unpacked(data, ext_hook=restore, object_pairs_hook=paired)
        if level == _GUARDED and self._is_too_deep(value):
            raise ValueError(_TOO_DEEP)
        return value

    def _restore(self, code: int, data: bytes, level: int = 0) -> Any:
        if code == BIG_INT:
            return int.from_bytes(data, "big", signed=True)
        if code == SURROGATES:
            return data.decode("utf-8", "surrogatepass")
        if code == UUID:
            return load_uuid(data)
        if level == MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        parts = self._unpack(data, level + 1)
        load = LOADS.get(code)
        if load is not None:
            return load(parts)
        if code == REGISTERED:
            return self._restore_registered(*parts)
        raise ValueError(f"unknown extension type {code}")

    def _restore_registered(self, name: str, payload: Any) -> Any:
        entry = self.types.by_name.get(name)
        if entry is None:
            if self.types.unknown == "keep":
                return Unregistered(name, payload)
            raise UnsupportedValueError(
                f"the type {name!r} is not registered: open the store with types=TypeRegistry(...),"
                " or with TypeRegistry(unknown='keep') to see it as stored"
            )
        return entry.loaded(payload)

    def _explained(self, value: Any, path: Path, error: Exception) -> UnsupportedValueError:
        """Find the offender that made packing `value` fail."""
        where, node, above = path, value, list[Any]()
        while len(above) < MAX_DEPTH:
            above.append(node)
            found = self._first_failing(node, above)
            if found is None:
                return _unsupported(where, error)
            step, node, error = found
            where = (*where, step)
            if node is None:
                return _unsupported(where, error)
        return _unsupported(where, ValueError(_TOO_DEEP))

    def _first_failing(self, node: Any, above: list[Any]) -> tuple[Any, Any, Exception] | None:
        """Find the part of `node` that can't be packed; None for it if nothing inside it is to blame."""
        for key in node if isinstance(node, dict) else ():
            try:
                self._pack([key])
            except _PACKING as error:
                return key, None, TypeError(f"as a key: {error}")
        for step, child in self._children(node):
            if any(child is other for other in above):
                return step, None, ValueError("a cycle: the value contains itself")
            try:
                self._pack(child)
            except _PACKING as error:
                return step, child, error
        return None

    def _audit(self, value: Any, path: Path) -> None:
        """Refuse what can be packed, and yet would not come back or could not be found again."""
        for depth, level in enumerate(self._levels(value, path), len(path)):
            if depth >= MAX_DEPTH:
                raise _unsupported(next(iter(level.values()))[0], ValueError(_TOO_DEEP))
            for where, node in level.values():
                if type(node) in _IMPOSTORS:
                    raise _unsupported(where, TypeError(f"{type(node).__qualname__} can't be stored"))
                if isinstance(node, (dict, set, frozenset)):
                    self._check_alike(node, where)
                for key in node if isinstance(node, dict) else ():
                    if type(key) not in SAFE_KEYS:
                        back = self.copy(key)
                        if back != key or hash(back) != hash(key):
                            raise _unsupported((*where, key), TypeError("as a key: no look-up would find it"))

    def _check_alike(self, keys: Any, where: Path) -> None:
        try:
            refuse_alike(keys)
        except ValueError as error:
            raise _unsupported(where, error) from error

    def _is_too_deep(self, value: Any) -> bool:
        return any(depth >= MAX_DEPTH for depth, _ in enumerate(self._levels(value, ())))

    def _levels(self, value: Any, path: Path) -> Iterator[dict[int, tuple[Path, Any]]]:
        """Give what may have parts, with its path: first `value`, then its children, then theirs."""
        level = {id(value): (path, value)}
        while level:
            yield level
            level = {
                id(child): ((*where, step), child)
                for where, node in level.values()
                for step, child in (*self._children(node), *_odd_keys(node))
                if _may_have_parts(type(child))
            }

    def _children(self, node: Any) -> Iterator[tuple[Any, Any]]:
        kind = type(node)
        if isinstance(node, Live):
            node = node._plain()
        elif kind in self.types.by_type:
            node = self.types.by_type[kind].parts(node)
        elif kind is Unregistered:
            node = node.payload
        if isinstance(node, dict):
            yield from node.items()
        elif isinstance(node, (list, tuple)):
            yield from enumerate(node)
        elif isinstance(node, (set, frozenset)):
            yield from ((item, item) for item in node)


def _unpacked(data: bytes, **hooks: Any) -> Any:
    """Unpack what stands in an extension type."""
    # Not unpackb: it takes 40 KB of the C stack, and hostile bytes would nest it.
    # Timestamps are none of ours; as datetimes they are at least values that can be stored.
    unpacker = msgpack.Unpacker(strict_map_key=False, timestamp=3, max_buffer_size=len(data) or 1, **hooks)
    unpacker.feed(data)
    value = unpacker.unpack()
    if unpacker.tell() != len(data):
        raise ValueError("trailing bytes")
    return value


def _odd_keys(node: Any) -> list[tuple[Any, Any]]:
    return [(key, key) for key in node if _may_have_parts(type(key))] if isinstance(node, dict) else []


def _unsupported(path: Path, error: Exception) -> UnsupportedValueError:
    shown = show(path) if len(path) <= _SHOWN else show(path[:_SHOWN]) + "/..."
    return UnsupportedValueError(f"{shown}: {error or type(error).__name__}", path=path)


def _escape(value: Any) -> Any:
    """Replace the strings that UTF-8 can't hold, in containers that MessagePack packs by itself."""
    if isinstance(value, Live):
        value = value._plain()
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return msgpack.ExtType(SURROGATES, value.encode("utf-8", "surrogatepass"))
    elif type(value) is list:
        return [_escape(item) for item in value]
    elif type(value) is dict:
        return {_escape(key): _escape(item) for key, item in value.items()}
    return value


def _may_have_parts(kind: type) -> bool:
    return kind not in _ATOMS and rare(kind) is None
