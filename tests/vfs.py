"""A disk that writes down what is asked of it, and that fails when it is told to."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self

import apsw

if TYPE_CHECKING:
    from types import TracebackType

Kind = Literal["read", "write", "sync", "truncate", "delete"]

CODES: Final[dict[Kind, int]] = {
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
}
"""What SQLite calls it when one of these fails."""

_numbers: Final = itertools.count(1)


class Operation(NamedTuple):
    """Something that SQLite asked of the disk."""

    kind: Kind
    file: str
    """What follows the store's name in the file's: `""`, `"-wal"`, `"-journal"`; `"?"` if it has no name."""
    offset: int = 0
    """Of a truncation, the new size."""
    size: int = 0
    data: bytes = b""
    """What was to be written."""


class Disk(apsw.VFS):
    """A registered VFS over the system's.

    Nothing is really synced: killing a process does not lose what the system has, and fsyncs are slow.
    The syncs of folders, which SQLite makes by itself when it makes a file, are not seen.

    Attributes:
        name: what `StateStore(vfs=...)` takes.
        log: what was asked, in order.
        failures: how many operations were made to fail.
    """

    def __init__(self) -> None:
        self.name = f"disk-{next(_numbers)}"
        self.log: list[Operation] = []
        self.failures = 0
        self._countdown: int | None = None
        self._code: int | None = None
        self._kinds: frozenset[Kind] = frozenset(CODES)
        self._lasting = False
        super().__init__(self.name, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()

    def fail(
        self,
        nth: int,
        code: int | None = None,
        *,
        kinds: frozenset[Kind] = frozenset(CODES),
        lasting: bool = False,
    ) -> None:
        """Fail the n-th operation from now on, counted from 1; a write then is half done.

        Args:
            nth: which.
            code: SQLite's error code; by default the one that fits the operation.
            kinds: the operations that count.
            lasting: fail all that follow too, until `heal`.
        """
        self._countdown, self._code, self._kinds, self._lasting = nth, code, kinds, lasting
        self.failures = 0

    def heal(self) -> None:
        """Fail no more."""
        self._countdown = None

    def count(self, kind: Kind, file: str | None = None) -> int:
        """Count the operations of a kind, on one of the files or on all."""
        return sum(1 for seen in self.log if seen.kind == kind and file in {None, seen.file})

    def written(self, file: str) -> int:
        """Count the bytes written to one of the files."""
        return sum(seen.size for seen in self.log if seen.kind == "write" and seen.file == file)

    def ask(self, operation: Operation) -> Exception | None:
        """Log an operation, and give the error that it shall fail with."""
        self.log.append(operation)
        if self._countdown is None or operation.kind not in self._kinds:
            return None
        self._countdown -= 1
        if self._countdown > 0 or (self._countdown < 0 and not self._lasting):
            return None
        self.failures += 1
        code = self._code if self._code is not None else CODES[operation.kind]
        error = apsw.exception_for(code)
        error.args = ("database or disk is full" if code == apsw.SQLITE_FULL else "disk I/O error",)
        return error

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        """Keep still about failures that SQLite passes over; they are made on purpose."""
        return self.failures > 0 or super().excepthook(etype, evalue, etraceback)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - apsw's signature
        error = self.ask(Operation("delete", _part(filename)))
        if error is not None:
            raise error
        super().xDelete(filename, syncdir)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._part = _part(name.filename() if isinstance(name, apsw.URIFilename) else name)
        super().__init__("", name, flags)

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        return self._disk.excepthook(etype, evalue, etraceback)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        error = self._disk.ask(Operation("read", self._part, offset, amount))
        if error is not None:
            raise error
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        error = self._disk.ask(Operation("write", self._part, offset, len(data), bytes(data)))
        if error is not None:
            super().xWrite(bytes(data)[: len(data) // 2], offset)
            raise error
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802
        error = self._disk.ask(Operation("sync", self._part))
        if error is not None:
            raise error

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        error = self._disk.ask(Operation("truncate", self._part, newsize))
        if error is not None:
            raise error
        super().xTruncate(newsize)


def _part(name: str | None) -> str:
    if name is None:
        return "?"
    return next((suffix for suffix in ("-wal", "-journal") if name.endswith(suffix)), "")
