"""The one connection of a store: how it is opened, locked and closed, and what its errors are called."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

import apsw

from eventstate.errors import (
    CorruptJournalError,
    EventStateError,
    ReadOnlyError,
    StorageError,
    StoreBusyError,
    StoreClosedError,
)
from eventstate.journal import statements as sql
from eventstate.journal.columns import Columns
from eventstate.journal.files import check_openable, immutable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

_OPEN: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE

_SAFE: Final = (
    (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0),
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
)
"""A file may come from anybody, and what runs by itself in it is none of ours."""

_LIMITS: Final = (
    (apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 64),  # its cost is exponential in the pattern's wildcards
    (apsw.SQLITE_LIMIT_SQL_LENGTH, 1 << 17),  # of a statement, and of each in the file's schema
    (apsw.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
)


class TransactionLostError(StorageError):
    """A transaction that SQLite has ended by itself, so that nothing of it was written."""


class Transaction:
    """A write, for the `with` statement; see `Connection.write`."""

    __slots__ = ("_connection", "_timeout")

    def __init__(self, connection: Connection, timeout: float | None) -> None:
        self._connection = connection
        self._timeout = timeout

    def __enter__(self) -> None:
        self._connection.begin(self._timeout)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.end(keep=error is None)


class Connection:
    """A serialised apsw connection; each call is whole, and a write is one transaction.

    Args:
        path: the file, or `":memory:"`.
        read_only: open without the right to write.
        durability: `"full"` or `"normal"`.
        timeout: seconds to wait for another process's write lock.
        vfs: the name of a registered SQLite VFS; `None` for the system's.
    """

    def __init__(
        self, path: str, *, read_only: bool, durability: str, timeout: float, vfs: str | None = None
    ) -> None:
        self.path = path
        self.in_memory = path == ":memory:"
        self.read_only = read_only
        self._vfs = vfs
        self.timeout = self._patience = timeout
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._db: apsw.Connection | None = None
        self._columns = Columns(path)
        if not self.in_memory:
            check_openable(path, read_only=read_only)
        try:
            self._db = self._open(vfs)
            # Else SQLite prepares a statement anew for each value, as a partial index might fit that one.
            self._db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
            for option, value in _SAFE:
                self._db.config(option, value)
            for limit, highest in _LIMITS:
                self._db.limit(limit, highest)
            self._db.drop_modules(())  # virtual tables: full text and the like, with tables of their own
            self._db.set_busy_timeout(int(timeout * 1000))
            self._db.pragma("synchronous", "FULL" if durability == "full" else "NORMAL")
            self._db.pragma("foreign_keys", value=True)
            self._db.pragma("trusted_schema", value=False)
            self._db.pragma("cell_size_check", value=True)
        except apsw.Error as error:
            self.close()
            self._fail(error)

    def _open(self, vfs: str | None) -> apsw.Connection:
        if not self.read_only:
            return apsw.Connection(self.path, flags=_OPEN, vfs=vfs)
        if os.access(self.path, os.W_OK) and not os.path.exists(self.path + "-wal"):
            # A connection that may write takes the files away again that it had to make beside this one.
            db = apsw.Connection(self.path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
            db.pragma("query_only", value=True)
            return db
        db = apsw.Connection(self.path, flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
        try:
            db.pragma("user_version")
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            # A folder that can't hold the shared-memory file. With no WAL beside it, and nobody
            # able to write one, the file alone is the whole journal.
            db.close()
            if os.path.exists(self.path + "-wal") or vfs is not None:
                raise
            db = apsw.Connection(immutable(self.path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        return db

    @property
    def inherited(self) -> bool:
        """Whether it was opened by another process, of which this one is a fork."""
        return self._pid != os.getpid()

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._db is None

    def close(self) -> None:
        """Close the connection; a second time does nothing, and in a forked child it is only forgotten."""
        if self.inherited:
            return
        with self._lock:
            db, self._db = self._db, None
            if db is not None:
                try:
                    db.close(force=True)
                except apsw.Error as error:  # of the last checkpoint: it is closed, and its log is kept
                    self._fail(error)

    def run(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Run `statement`, of which no rows are wanted."""
        db = self._db if self._pid == os.getpid() else None
        with self._lock:
            try:
                (db or self._usable()).execute(statement, values)
            except (apsw.Error, OverflowError) as error:
                self._fail(error)

    def all(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run `statement` and give its rows."""
        db = self._usable()
        with self._lock:
            try:
                cursor = db.execute(statement, values)
                if statement not in self._columns.names:
                    self._columns.learn(statement, cursor)
                rows = cursor.fetchall()
            except (apsw.Error, UnicodeDecodeError, OverflowError, RecursionError) as error:
                self._fail(error)
            if rows:
                self._columns.check(statement, rows)
            return rows

    def one(self, statement: str, values: Sequence[Any] = ()) -> Any | None:
        """Run `statement` and give its first row, or `None`."""
        db = self._usable()
        with self._lock:
            try:
                cursor = db.execute(statement, values)
                if statement not in self._columns.names:
                    self._columns.learn(statement, cursor)
                row = cursor.fetchone()
            except (apsw.Error, UnicodeDecodeError, OverflowError) as error:
                self._fail(error)
            if row is not None:
                self._columns.check_one(statement, row)
            return row

    def stamp(self) -> int | None:
        """Give a number that changes with every commit, of this connection and of any other.

        Returns:
            `None` within a transaction: what is read there may never be committed.
        """
        db = self._usable()
        with self._lock:
            try:
                if db.in_transaction:
                    return None
                db.execute(sql.LOOK).fetchone()  # SQLite notices others' commits when it begins to read
                return db.data_version()
            except apsw.Error as error:
                self._fail(error)

    def held_stamp(self) -> int:
        """Give the same number to who holds the write lock, or `exclusive`; its own commits raise it."""
        db = self._db
        return (db or self._usable()).data_version()

    def exclusive(self) -> contextlib.AbstractContextManager[Any]:
        """Keep the other threads from using the connection while the body runs."""
        return self._lock

    def many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run `statement` once for each of `rows`."""
        db = self._usable()
        with self._lock:
            try:
                db.executemany(statement, rows)
            except (apsw.Error, OverflowError) as error:
                self._fail(error)

    def write(self, timeout: float | None = None) -> Transaction:
        """Hold the write lock for the body, which is committed whole or not at all.

        Args:
            timeout: seconds to wait for it; as long as the store's if `None`.

        Raises:
            ReadOnlyError: the store was opened read-only.
            StoreBusyError: another process holds the lock for longer than the time-out.
        """
        if self.read_only:
            raise ReadOnlyError(f"{self.path}: opened read-only")
        return Transaction(self, timeout)

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Within a write, take back what the body did if it fails, and nothing else.

        When SQLite has ended the transaction itself, as on a full disk, nothing of it is left to go on with;
        nor is it to be gone on with when what the body did can't be taken back.

        Raises:
            TransactionLostError: so it was.
        """
        db, begun = self._usable(), False
        try:
            self.run(sql.SAVEPOINT)
            begun = True
            yield
            self.run(sql.RELEASE)
        except BaseException as error:
            whole = begun and db.in_transaction
            if whole:
                try:
                    self.run(sql.ROLLBACK_TO)
                    self.run(sql.RELEASE)
                except EventStateError:
                    whole = False
            if not whole:
                raise TransactionLostError(f"{self.path}: the transaction was ended: {error}") from error
            raise

    def begin(self, timeout: float | None) -> None:
        """Take the write lock, for this thread too; see `write`, which ends what this begins."""
        self._usable()
        self._lock.acquire()
        try:
            if timeout is None:
                self.run(sql.BEGIN)
            else:
                with self.hurry(timeout):
                    self.run(sql.BEGIN)
        except BaseException:
            self._lock.release()
            raise

    def end(self, *, keep: bool) -> None:
        """Commit what was written since `begin`, or roll it back, and let go of the lock."""
        try:
            if keep:
                try:
                    self.run(sql.COMMIT)
                except BaseException:
                    self._roll_back()
                    raise
            else:
                self._roll_back()
        finally:
            self._lock.release()

    def _roll_back(self) -> None:
        db = self._db
        if db is None or not db.in_transaction:  # SQLite has already done so, as after a full disk
            return
        try:
            db.execute(sql.ROLLBACK)
        except apsw.Error as error:
            # A transaction that can be neither ended nor continued: better closed than half.
            with contextlib.suppress(EventStateError):
                self.close()
            self._fail(error)

    def migrate(self, statement: str) -> None:
        """Run a script of several statements."""
        self.all(statement)

    def pragma(self, name: str, value: Any = None) -> Any:
        """Read or set a pragma, waiting for other processes as long as the time-out allows."""
        db = self._usable()
        deadline = time.monotonic() + self.timeout
        while True:
            with self._lock:
                try:
                    return db.pragma(name) if value is None else db.pragma(name, value)
                except (
                    apsw.BusyError
                ) as error:  # SQLite does not wait by itself when the journal's mode changes
                    if time.monotonic() > deadline:
                        self._fail(error)
                except apsw.Error as error:
                    self._fail(error)
            time.sleep(0.005)

    def truncate_log(self, timeout: float) -> bool:
        """Bring the write-ahead log into the file and cut it to nothing; `False` if a reader needs it.

        Args:
            timeout: seconds to wait for readers.
        """
        with self.hurry(timeout):
            [(busy, _, _)] = self.all(sql.TRUNCATE_LOG)
        return not busy

    @contextlib.contextmanager
    def hurry(self, timeout: float) -> Iterator[None]:
        """Wait for other processes no longer than so many seconds while the body runs."""
        db = self._usable()
        with self._lock:
            before, self._patience = self._patience, timeout
            db.set_busy_timeout(int(timeout * 1000))
            try:
                yield
            finally:
                self._patience = before
                if not self.closed:
                    db.set_busy_timeout(int(before * 1000))

    def size(self) -> int:
        """Give the bytes of the database's pages."""
        return int(self.pragma("page_count")) * int(self.pragma("page_size"))

    def backup(self, target: str) -> None:
        """Copy the whole database, as of now, into the new file `target`."""
        db = self._usable()
        with self._lock:
            try:
                copy = apsw.Connection(target, vfs=self._vfs)
                try:
                    # Else the journal, deleted at the end, may be back after a power cut, and undo the copy.
                    copy.pragma("synchronous", "EXTRA")
                    with copy.backup("main", db, "main") as backup:
                        backup.step(-1)
                finally:
                    copy.close(force=True)
            # apsw has a SystemError for a disk, made in Python as in tests, that goes on failing.
            except (apsw.Error, SystemError) as error:
                for name in (target, target + "-journal"):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name)
                raise StorageError(f"{target}: {error}") from error

    def check_usable(self) -> None:
        """Raise unless the connection is open, and this process's own.

        Raises:
            StoreClosedError: it is not.
        """
        self._usable()

    def _usable(self) -> apsw.Connection:
        if self._pid != os.getpid():
            raise StoreClosedError(
                f"{self.path}: opened by process {self._pid}; open the store again in this one"
            )
        if self._db is None:
            raise StoreClosedError(f"{self.path}: the store is closed")
        return self._db

    def _fail(self, error: Exception) -> NoReturn:
        """Raise the library's error for one of apsw's."""
        text = f"{self.path}: {error}"
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            raise StoreBusyError(
                f"{self.path}: another process kept the write lock for {self.timeout} s"
            ) from error
        if isinstance(error, apsw.NotADBError):
            raise CorruptJournalError(f"{self.path}: not a database") from error
        # Numbers of rows are made of numbers in rows: too large a one comes of damage.
        if isinstance(error, (apsw.CorruptError, UnicodeDecodeError, OverflowError, apsw.FormatError)):
            raise CorruptJournalError(text) from error
        if isinstance(error, (apsw.ReadOnlyError, apsw.PermissionsError)):
            raise ReadOnlyError(text) from error
        if isinstance(error, (apsw.ConnectionClosedError, apsw.ThreadingViolationError)):
            raise StoreClosedError(text) from error
        if isinstance(error, apsw.TooBigError):
            raise StorageError(f"{self.path}: a value is larger than SQLite can hold: {error}") from error
        raise StorageError(text) from error
