"""A disk that writes down what is asked of it, that fails when it is told to, and whose power can be cut."""

from __future__ import annotations

import copy
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, get_args

import apsw

from eventstate.testing.faults import Fault, Faults, How
from eventstate.testing.platter import Kept, Kind, Operation, Platter, sectors

if TYPE_CHECKING:
    import os
    from collections.abc import Collection
    from types import TracebackType

KINDS: Final[frozenset[Kind]] = frozenset(get_args(Kind))

# SQLite syncs their folder too, with the first fsync of each handle.
_JOURNALS: Final = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL

_numbers: Final = itertools.count(1)


class FaultyDisk(apsw.VFS):
    """A disk for tests, to be given to a store as `StateStore(path, vfs=disk.name)`.

    It passes everything on to the system's files, but logs it, and fails, fills up or lies as it is
    told to. Fsyncs are logged only: they would be slow, and a process that goes on needs none. What is on
    the disk after a power cut is worked out from the log; see `eventstate.testing.platter.Platter` for
    what is modelled. A file that is there when it is first opened counts as safe as it is; what others
    write into files past this disk is not seen.

    Operations of several threads are logged as they come: for a run that can be repeated, use one.

    Args:
        seed: decides which sectors of torn writes arrive.
        lies: fsyncs are said to be done, but nothing is ever safe: a check of power cuts that finds nothing
            wrong with such a disk checks nothing.

    Attributes:
        name: the VFS's name.

    Example:
        ```python
        with FaultyDisk() as disk, StateStore("agent.db", vfs=disk.name) as store:
            store.session("alice").save({"n": 1})
            disk.fail(1, kinds={"sync"})
            with pytest.raises(StorageError):
                store.session("alice").save({"n": 2})
        ```
    """

    def __init__(self, *, seed: int = 0, lies: bool = False) -> None:
        self.name = f"faulty-disk-{next(_numbers)}"
        self._faults = Faults(seed, lies=lies)
        self._past = Platter()
        super().__init__(self.name, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()

    @property
    def log(self) -> list[Operation]:
        """What was asked, in order."""
        return self._faults.log

    @property
    def failures(self) -> int:
        """How many operations were made to fail since `fail` or `fill`."""
        return self._faults.failures

    def fail(
        self,
        nth: int,
        code: int | None = None,
        *,
        kinds: Collection[Kind] = KINDS,
        how: How = "fail",
        lasting: bool = False,
    ) -> None:
        """Fail the n-th operation from now on, counted from 1.

        Args:
            nth: which.
            code: SQLite's error code, such as `apsw.SQLITE_FULL`; by default the one that fits.
            kinds: the operations that count.
            how: `"fail"`: nothing is done; `"shorten"`: only the first part of a write is done, and a read
                gives only the first part, without an error; `"tear"`: of a write only some
                sectors of 512 bytes arrive.
            lasting: fail all that follow too, until `heal`.
        """
        self._faults.plan(Fault(nth, code, frozenset(kinds), how, lasting))
        self._faults.failures = 0

    def fill(self, room: int = 0) -> None:
        """Let files grow by `room` bytes in total from now on; then the disk is full, until `heal`."""
        self._faults.room = room
        self._faults.failures = 0

    def heal(self) -> None:
        """Fail no more, and have room again."""
        self._faults.plan(None)
        self._faults.room = None

    def forget(self) -> None:
        """Empty the log; power cuts go on to know what stood in it."""
        self._past = self._platter(None)
        self.log.clear()

    def count(self, kind: Kind, file: str | None = None) -> int:
        """Count the logged operations of a kind, on one of the files or on all; `"."` is the folder."""
        return sum(1 for seen in self.log if seen.kind == kind and file in {None, seen.file})

    @property
    def fsyncs(self) -> Counter[str]:
        """The fsyncs in the log, by the file's name; `fsyncs.total()` are all."""
        return Counter(seen.file for seen in self.log if seen.kind == "sync")

    def written(self, file: str | None = None) -> int:
        """Count the bytes that were to be written, to one of the files or to all."""
        return sum(seen.size for seen in self.log if seen.kind == "write" and file in {None, seen.file})

    def image(
        self, at: int | None = None, kept: Kept = "nothing", *, seed: int = 0, folder: str | None = None
    ) -> dict[str, bytes]:
        """Give the files, by name, that are there if the power is cut after the first `at` logged operations.

        Args:
            at: a length of the log; by default all of it.
            kept: what there is of operations that no fsync has made safe: `"nothing"`, `"everything"`,
                `"ordered"` (all up to some moment), `"some"` (any sectors) or `"garbled"` (any sectors,
                some of them garbage).
            seed: decides what the last three keep.
            folder: whose files; by default those of the folder that was met first.

        Raises:
            ValueError: the log is not as long.
        """
        if at is not None and not 0 <= at <= len(self.log):
            raise ValueError(f"at is 0 to {len(self.log)}, the length of the log, not {at}")
        platter = self._platter(at)
        chosen = folder if folder is not None else next(iter(platter.folders), "")
        return platter.image(chosen, kept, random.Random(seed))  # noqa: S311 - tests need no secrets

    def cut(
        self,
        target: str | os.PathLike[str],
        at: int | None = None,
        kept: Kept = "nothing",
        *,
        seed: int = 0,
        folder: str | None = None,
    ) -> list[Path]:
        """Write what `image` gives into the folder `target`, and give the files' paths."""
        files = self.image(at, kept, seed=seed, folder=folder)
        for name, data in files.items():
            Path(target, name).write_bytes(data)
        return [Path(target, name) for name in files]

    def _platter(self, at: int | None) -> Platter:
        platter = copy.deepcopy(self._past)
        platter.expect(self.log)
        for operation in self.log[:at]:
            platter.take(operation)
        return platter

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        """Keep still about failures that SQLite passes over; they are made on purpose."""
        return self.failures > 0 or super().excepthook(etype, evalue, etraceback)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - apsw's signature
        """Delete a file, and perhaps sync its folder; SQLite calls it."""
        folder, name = _place(filename)
        operation = Operation("delete", name, folder=folder)
        if not Path(filename).exists():  # nothing for the disk to do; SQLite knows its error
            super().xDelete(filename, False)  # noqa: FBT003 - apsw takes it by position
            return
        if self._faults.ask("delete") is not None:
            raise self._faults.failed(operation)
        self._faults.grow(-Path(filename).stat().st_size)
        super().xDelete(filename, False)  # noqa: FBT003 - apsw takes it by position
        self._faults.known.discard(filename)
        self.log.append(operation)
        if syncdir and not self._faults.sync_folder(folder):
            raise apsw.exception_for(apsw.SQLITE_IOERR_DIR_FSYNC)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file; SQLite calls it."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        kept = None if flags[0] & apsw.SQLITE_OPEN_DELETEONCLOSE else path
        return _Handle(self._faults, name, kept, flags)


class _Handle(apsw.VFSFile):
    """An open file."""

    def __init__(
        self, faults: Faults, name: str | apsw.URIFilename | None, path: str | None, flags: list[int]
    ) -> None:
        self._faults = faults
        self._folder, self._name = ("", "") if path is None else _place(path)
        self._journal = bool(flags[0] & _JOURNALS) and bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        new = path is not None and not Path(path).exists()
        operation = self._operation("create" if new else "open")
        if faults.ask(operation.kind) is not None:
            raise faults.failed(operation)
        super().__init__("", name, flags)
        if path is not None and path not in faults.known:
            faults.known.add(path)
            size = 0 if new else super().xFileSize()
            # Not with open(): closing it would take the process's locks on the file away.
            operation = operation._replace(size=size, data=super().xRead(size, 0) if size else b"")
        faults.log.append(operation)

    def _operation(self, kind: Kind, offset: int = 0, size: int = 0) -> Operation:
        return Operation(kind, self._name, offset, size, folder=self._folder)

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        return self._faults.failures > 0 or super().excepthook(etype, evalue, etraceback)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        operation = self._operation("read", offset, amount)
        how = self._faults.ask("read")
        if how is not None and how != "shorten":
            raise self._faults.failed(operation)
        self._faults.log.append(operation._replace(done=how is None))
        data = super().xRead(amount, offset)
        return data if how is None else data[: amount // 2]

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        data = bytes(data)
        operation = self._operation("write", offset, len(data))
        how = self._faults.ask("write")
        growth = max(offset + len(data) - max(super().xFileSize(), offset), 0)
        lacking = growth - self._faults.grow(growth) if how is None else 0
        if how is None and not lacking:
            super().xWrite(data, offset)
            self._faults.log.append(operation._replace(data=data))
            return
        if lacking:
            data = data[:-lacking]
        elif how == "tear":
            data = self._torn(data, offset)
        else:
            data = data[: len(data) // 2 if how == "shorten" else 0]
        if data:
            super().xWrite(data, offset)
        raise self._faults.failed(operation, data, apsw.SQLITE_FULL if lacking else None)

    def _torn(self, data: bytes, offset: int) -> bytes:
        """Give what stands where `data` was to be written after only some of its sectors came."""
        size = max(min(super().xFileSize() - offset, len(data)), 0)
        found = bytearray(super().xRead(size, offset) if size else b"")
        for start, end in sectors(offset, len(data)):
            if self._faults.rng.random() < 1 / 2:
                found.extend(bytes(max(start - len(found), 0)))
                found[start:end] = data[start:end]
        return bytes(found)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802
        operation = self._operation("sync")
        if self._faults.ask("sync") is not None:
            raise self._faults.failed(operation)
        self._faults.log.append(operation._replace(done=not self._faults.lies))
        if self._journal:  # SQLite takes no notice when this fails, but it will not try again either
            self._journal = False
            self._faults.sync_folder(self._folder)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        operation = self._operation("truncate", newsize)
        if self._faults.ask("truncate") is not None:
            raise self._faults.failed(operation)
        self._faults.grow(newsize - super().xFileSize())
        super().xTruncate(newsize)
        self._faults.log.append(operation)


def _place(path: str) -> tuple[str, str]:
    """Divide a path into its folder and its name."""
    whole = Path(path)
    return str(whole.parent), whole.name
