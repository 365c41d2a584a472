"""A file whose header is read as eventstate writes it, whatever became of it."""

from __future__ import annotations

import itertools
from typing import Final

import apsw

from eventstate.journal.schema import PAGE_SIZE

_numbers: Final = itertools.count(1)

# https://www.sqlite.org/fileformat2.html, 1.3. Without a count of pages SQLite goes by the file's size, so
# that of a file that was cut off the rest can be read.
_FIELDS: Final = (
    (0, b"SQLite format 3\0" + PAGE_SIZE.to_bytes(2, "big") + bytes((2, 2, 0, 64, 32, 32))),
    (28, bytes(4)),
    (44, (4).to_bytes(4, "big")),
    (56, (1).to_bytes(4, "big")),
)


class MendedDisk(apsw.VFS):
    """The system's files, but with headers of databases as they should be; nothing is written to them.

    Attributes:
        name: of the VFS.
    """

    def __init__(self) -> None:
        self.name = f"mended-{next(_numbers)}"
        super().__init__(self.name, "")

    def xOpen(  # noqa: N802 - apsw's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        """Open a file."""
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _File("", name, flags)
        return apsw.VFSFile("", name, flags)


class _File(apsw.VFSFile):
    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - apsw's name
        data = super().xRead(amount, offset)
        for at, field in _FIELDS:
            start, stop = max(at, offset), min(at + len(field), offset + len(data))
            if start < stop:
                data = data[: start - offset] + field[start - at : stop - at] + data[stop - offset :]
        return data
