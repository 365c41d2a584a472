"""Reading bytes of a file from its start to its end, never more than it has, with errors that say where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from eventstate.errors import ImportFailedError
from eventstate.importers.crc64 import crc64

if TYPE_CHECKING:
    from typing import BinaryIO

_CHUNK: Final = 1 << 16


class Cursor:
    """A place in a run of bytes, which only goes forward.

    Args:
        stream: what is read.
        size: how many bytes it has.
        title: what errors call it.
        origin: for bytes that were packed in a file, where in the file; errors tell that place.
        checked: whether a checksum is computed of what is read.
    """

    def __init__(
        self, stream: BinaryIO, size: int, title: str, *, origin: int | None = None, checked: bool = False
    ) -> None:
        self.title = title
        self.position = 0
        self._stream = stream
        self._size = size
        self._origin = origin
        self._checked = checked
        self._crc = 0
        self._pending = bytearray()  # read, and not in the checksum yet

    @property
    def offset(self) -> int:
        """The place in the file."""
        return self.position if self._origin is None else self._origin

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return self._size - self.position

    def fail(self, message: str, offset: int | None = None) -> NoReturn:
        """Refuse the file.

        Raises:
            ImportFailedError: always.
        """
        raise ImportFailedError(f"{self.title}, byte {self.offset if offset is None else offset}: {message}")

    def take(self, count: int) -> bytes:
        """Read the next bytes.

        Raises:
            ImportFailedError: there are fewer.
        """
        if count > self.left:
            self.fail(f"cut off: {count} bytes should follow, and there are {self.left}")
        data = self._stream.read(count)
        if len(data) != count:
            self.fail(f"cut off while it was read: {count} bytes should follow, and there are {len(data)}")
        self.position += count
        if self._checked:
            self._pending += data
            if len(self._pending) >= _CHUNK:
                self._add()
        return data

    def skip(self, count: int) -> None:
        """Pass over the next bytes.

        Raises:
            ImportFailedError: there are fewer.
        """
        if count > self.left:
            self.fail(f"cut off: {count} bytes should follow, and there are {self.left}")
        while count > 0:
            count -= len(self.take(min(count, _CHUNK)))

    def byte(self) -> int:
        """Read the next byte."""
        return self.take(1)[0]

    def number(self, size: int, *, signed: bool = False) -> int:
        """Read an integer of so many bytes, the lowest first."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def checksum(self) -> int:
        """Give the checksum of what was read."""
        self._add()
        return self._crc

    def _add(self) -> None:
        self._crc = crc64(bytes(self._pending), self._crc)
        self._pending.clear()
