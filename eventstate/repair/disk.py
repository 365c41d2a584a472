"""A file whose header is read as eventstate writes it, whatever became of it."""

from __future__ import annotations

import itertools
from typing import Final

import apsw

from eventstate.journal import statements as sql
from eventstate.journal.schema import PAGE_SIZE, migrations

_numbers: Final = itertools.count(1)

# https://www.sqlite.org/fileformat2.html, 1.3. Without a count of pages SQLite goes by the file's size, so
# that of a file that was cut off the rest can be read.
_FIELDS: Final = (
    (0, b"SQLite format 3\0" + PAGE_SIZE.to_bytes(2, "big") + bytes((2, 2, 0, 64, 32, 32))),
    (28, bytes(4)),
    (44, (4).to_bytes(4, "big")),
    (56, (1).to_bytes(4, "big")),
)


def layouts() -> list[bytes]:
    """Give the page that names the tables, of a new file and of a rebuilt one.

    SQLite keeps the first pages of tables and indexes together, in the order in which they were made: they
    are where they are in files of older formats too, whose texts have comments and take more pages.
    """
    database = apsw.Connection(":memory:")
    database.pragma("page_size", PAGE_SIZE)
    database.pragma("auto_vacuum", "INCREMENTAL")
    for script in migrations():
        database.execute(script)
    found = [database.serialize("main")[:PAGE_SIZE]]
    database.execute(sql.VACUUM)
    found.append(database.serialize("main")[:PAGE_SIZE])
    database.close()
    return found


class MendedDisk(apsw.VFS):
    """The system's files, but with beginnings of databases as they should be; nothing is written to them.

    Args:
        first: the page to be read instead of the first one.

    Attributes:
        name: of the VFS.
    """

    def __init__(self, first: bytes = b"") -> None:
        self.name = f"mended-{next(_numbers)}"
        self._fields = [(0, first), *_FIELDS]
        super().__init__(self.name, "")

    def xOpen(  # noqa: N802 - apsw's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        """Open a file."""
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _File(self._fields, name, flags)
        return apsw.VFSFile("", name, flags)


class _File(apsw.VFSFile):
    def __init__(
        self, fields: list[tuple[int, bytes]], name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._fields = fields
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - apsw's name
        data = super().xRead(amount, offset).ljust(amount, b"\0")
        for at, field in self._fields:
            start, stop = max(at, offset), min(at + len(field), offset + amount)
            if start < stop:
                data = data[: start - offset] + field[start - at : stop - at] + data[stop - offset :]
        return data

    def xFileSize(self) -> int:  # noqa: N802 - apsw's name
        return max(super().xFileSize(), *(at + len(field) for at, field in self._fields))
