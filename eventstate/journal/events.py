"""Edits to event rows and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack

from eventstate.errors import CorruptJournalError, UnsupportedValueError
from eventstate.journal.records import Event
from eventstate.values.codec import SCALARS
from eventstate.values.delta import Edit, Op
from eventstate.values.paths import Path, show

if TYPE_CHECKING:
    from eventstate.values.codec import Codec

ROW_WEIGHT: Final = 32
"""What a row costs beside its path and value, about, in bytes; it makes many small events count."""

BARE_WEIGHT: Final = ROW_WEIGHT - len(Event(Op.SET, b"", None).body)
"""What an event weighs beside its body."""

_CACHED_PATHS: Final = 4096
_OPS: Final = {int(op): op for op in Op}


class EventCodec:
    """Encodes edits as event rows; paths, which repeat, are remembered.

    A path is the bytes of its keys one after the other. MessagePack is prefix-free, so the paths
    below an attribute are exactly those that begin with its bytes.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._paths: dict[bytes, Path] = {}
        self._names: dict[str, bytes] = {}

    def forget(self) -> None:
        """Forget the paths that were seen."""
        self._paths.clear()
        self._names.clear()

    def encode(self, edit: Edit) -> Event:
        """Give the row of `edit`.

        Raises:
            UnsupportedValueError: its value or a key can't be stored; the error has the full path.
        """
        path, op, value = edit
        codec = self.codec
        if op == Op.DELETE:
            data = None
        elif type(value) in SCALARS:
            data = codec.encode(value, path)
        else:
            try:
                data = codec.encode_stored(value, path)
            except UnsupportedValueError as error:
                raise _relocated(edit, error) from error
        known = self._names.get(path[0]) if len(path) == 1 and type(path[0]) is str else None
        return Event(op, self.path_bytes(path) if known is None else known, data)

    def decode(self, event: Event) -> Edit:
        """Give the edit of a row; its value is the caller's own.

        Raises:
            CorruptJournalError: the row is damaged.
        """
        op, path, value = event
        return Edit(self.path(path), self.op(op), None if value is None else self.codec.decode(value))

    def note(self, event: Event) -> tuple[str, Any]:
        """Give the name and the data of a note's row.

        Raises:
            CorruptJournalError: the row is damaged.
        """
        value = self.decode(event).value
        if type(value) is not list or len(value) != 2 or type(value[0]) is not str:  # noqa: PLR2004 - name and data
            raise CorruptJournalError("no note: it has no name and data")
        return value[0], value[1]

    def op(self, number: int) -> Op:
        """Give the operation of a row.

        Raises:
            CorruptJournalError: there is none of that number.
        """
        op = _OPS.get(number)
        if op is None:
            raise CorruptJournalError(f"unknown operation {number}")
        return op

    def path_bytes(self, path: Path) -> bytes:
        """Give the bytes of a path."""
        for depth, key in enumerate(path):
            if type(key) is not str:
                self.codec.check_key(key, path[:depth])
        data = b"".join(self.codec.encode(key, path) for key in path)
        if len(path) == 1 and type(path[0]) is str and len(self._names) < _CACHED_PATHS:
            self._names[path[0]] = data
        return data

    def path(self, data: bytes) -> Path:
        """Give the path of its bytes.

        Raises:
            CorruptJournalError: they are no path.
        """
        path = self._paths.get(data)
        if path is None:
            path = self._read_path(data)
            if len(self._paths) < _CACHED_PATHS:
                self._paths[data] = path
        return path

    def _read_path(self, data: bytes) -> Path:
        unpacker = msgpack.Unpacker(max_buffer_size=max(len(data), 1))
        unpacker.feed(data)
        keys: list[Any] = []
        at = 0
        try:
            while at < len(data):
                unpacker.skip()
                end = unpacker.tell()
                keys.append(self.codec.decode(data[at:end]))
                at = end
            hash(tuple(keys))
        except (msgpack.UnpackException, ValueError, TypeError) as error:
            raise CorruptJournalError(f"undecodable path of {len(data)} bytes: {error!r}") from error
        return tuple(keys)


def weight(event: Event) -> int:
    """Tell about how many bytes the row of `event` takes."""
    return ROW_WEIGHT + len(event.path) + (0 if event.value is None else len(event.value))


def _relocated(edit: Edit, error: UnsupportedValueError) -> UnsupportedValueError:
    """Turn a path into the edit's value into a path into the state."""
    path, op, value = edit.path, edit.op, edit.value
    rest = error.path[len(path) :]
    if op == Op.WITHIN and rest[:1] == (2,):
        path, op, value = (*path, *value[0]), Op(value[1]), value[2]
        rest = rest[1:]
    if op == Op.SPLICE and len(rest) > 1:
        rest = (value[0] + rest[1], *rest[2:])
    where = (*path, *rest)
    reason = str(error).partition(": ")[2]
    return UnsupportedValueError(f"{show(where)}: {reason}", path=where)
