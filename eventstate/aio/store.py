"""The store, with `await`."""
# ruff: noqa: SLF001 - it is the same store

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from eventstate.aio.committer import Committer
from eventstate.aio.session import Session
from eventstate.aio.worker import Worker
from eventstate.errors import StoreClosedError
from eventstate.journal.append import MAIN
from eventstate.store import StateStore as PlainStore

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from sqlite_utils import Database

    from eventstate.history import Commit
    from eventstate.inventory import SessionInfo, StoreStats
    from eventstate.repair.rebuild import Rebuilt
    from eventstate.verify import VerifyReport
    from eventstate.verify.seal import Seal

MAX_WAITING: Final = 1024
T = TypeVar("T")


class StateStore:
    """An event-sourced state store in one SQLite file, for the tasks of one event loop at a time.

    It is opened by `async with`, or by `open`; making it does nothing yet. Once no commit of one loop waits
    any more, or that loop was closed, another one may use it.

    Args:
        path: the file, made if it is not there; or `":memory:"`.
        max_waiting: how many commits may wait for their transaction; a task that comes later waits for a
            place first.
        **options: as `eventstate.StateStore` takes them.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, max_waiting: int = MAX_WAITING, **options: Any
    ) -> None:
        if type(max_waiting) is not int or max_waiting < 1:
            raise ValueError(f"max_waiting is an integer of at least 1, not {max_waiting!r}")
        self._path = path
        self._options = options
        self._max_waiting = max_waiting
        self._plain: PlainStore | None = None
        self._owns = True
        self._worker: Worker | None = None
        self._committer: Committer | None = None
        self._opening = asyncio.Lock()

    @classmethod
    def over(cls, store: PlainStore, *, max_waiting: int = MAX_WAITING) -> Self:
        """Give one that stands on an open plain store, which stays open when this one is closed."""
        if not isinstance(store, PlainStore):
            raise TypeError(f"a StateStore is expected, not {type(store).__name__}")
        made = cls(store._journal.connection.path, max_waiting=max_waiting)
        made._owns = False
        made._stand_on(store, Worker(made._path))
        return made

    def _stand_on(self, store: PlainStore, worker: Worker) -> None:
        worker.connection = store._journal.connection
        self._plain, self._worker = store, worker
        self._committer = Committer(store._journal, worker, self._max_waiting)

    async def open(self) -> None:
        """Open the file; a second time does nothing.

        Raises:
            EventStateError: as `eventstate.StateStore` does.
            StoreClosedError: it stood on another store, and was closed.
        """
        async with self._opening:
            if self._plain is not None:
                return
            if not self._owns:
                raise StoreClosedError(f"{self._path}: closed; take another one with `over`")
            worker = Worker(self._path)
            try:
                plain = await worker.call(partial(PlainStore, self._path, **self._options), PlainStore.close)
            except BaseException:
                worker.close(wait=False)  # a caller who was cancelled does not wait
                raise
            self._stand_on(plain, worker)

    async def close(self) -> None:
        """Let the commits that wait be made, then close the file; a second time does nothing.

        Commits that would share a transaction are refused meanwhile. If it is cancelled before those that
        wait are made, the store stays open. In a forked child it is only forgotten.
        """
        plain, worker, committer = self._plain, self._worker, self._committer
        if plain is None or worker is None or committer is None:
            return
        if plain._journal.connection.inherited:
            self._plain = self._worker = self._committer = None
            return
        if not plain.closed:
            await committer.drain()
        try:
            if self._owns and not plain.closed:
                await worker.call(plain.close)
        finally:
            worker.close()
            if self._owns:
                plain.close()  # a second time does nothing; and a caller who was cancelled closes it here
            self._plain = self._worker = self._committer = None
            self._opening = asyncio.Lock()  # the one before may be of another loop

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<aio.StateStore {self._path!r}{' (closed)' if self.closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether the store was closed, or not opened yet."""
        return self._plain is None or self._plain.closed

    @property
    def plain(self) -> PlainStore:
        """The store that this one stands on.

        Raises:
            StoreClosedError: there is none yet, or not any more.
        """
        if self._plain is None:
            raise StoreClosedError(f"{self._path}: not open; use `async with`, or await open()")
        return self._plain

    def session(
        self,
        user_id: str,
        session_id: str = "default",
        branch: str = MAIN,
        model: type[Any] | None = None,
    ) -> Session:
        """Give a session; it comes into being with its first commit, and this writes nothing."""
        plain = self.plain.session(user_id, session_id, branch, model)
        worker, committer = self._parts()
        return Session(plain, worker, committer)

    def _parts(self) -> tuple[Worker, Committer]:
        if self._worker is None or self._committer is None:
            raise StoreClosedError(f"{self._path}: not open; use `async with`, or await open()")
        return self._worker, self._committer

    def sessions(self, user_id: str | None = None, *, deleted: bool = False) -> AsyncIterator[SessionInfo]:
        """Walk the sessions, of one user or of all, in the order of their names."""
        return self._parts()[0].walk(partial(self.plain.sessions, user_id, deleted=deleted))

    def commits(self, after: int = 0) -> AsyncIterator[Commit]:
        """Walk the commits of all sessions by position, from the one after `after`."""
        return self._parts()[0].walk(partial(self.plain.commits, after))

    async def verify(
        self, progress: Callable[[int, int], None] | None = None, *, seal: Seal | str | None = None
    ) -> VerifyReport:
        """Check the whole journal, in a thread beside the one in which commits are made.

        Args:
            progress: called there, now and then, with the number of commits checked and of all commits.
            seal: what `seal` gave at some time.
        """
        self._parts()[0].check()
        return await asyncio.to_thread(self.plain.verify, progress, seal=seal)

    async def seal(self) -> Seal:
        """Give the position and the chained hash of the last commit."""
        return await self._call(self.plain.seal)

    async def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the store, as of now, into a new file."""
        await self._call(partial(self.plain.backup, path))

    async def tables(self) -> Database:
        """Give all that happened as plain tables of an in-memory database, for SQL."""
        import sqlite_utils

        self._parts()[0].check()
        image = await asyncio.to_thread(_image, self.plain)
        database = sqlite_utils.Database(memory=True)  # only the thread that makes it can use it
        database.conn.deserialize(image)
        return database

    async def drop_snapshots(self) -> None:
        """Drop all snapshots and lists of events; they are derived."""
        await self._call(self.plain.drop_snapshots)

    async def rebuild(self, progress: Callable[[int, int], None] | None = None) -> Rebuilt:
        """Make anew what is derived: indexes, tags, deletions, snapshots and lists of events."""
        return await self._call(partial(self.plain.rebuild, progress))

    async def scrub(self) -> bool:
        """Clean free pages and the log after erasures and purges, and say whether nothing is left in them."""
        return await self._call(self.plain.scrub)

    async def stats(self) -> StoreStats:
        """Count what the store holds."""
        return await self._call(self.plain.stats)

    async def run(self, work: Callable[[PlainStore], T]) -> T:
        """Do something with the plain store in the thread in which commits are made, between two of them."""
        return await self._call(partial(work, self.plain))

    async def _call(self, work: Callable[[], T]) -> T:
        return await self._parts()[0].call(work)


def _image(store: PlainStore) -> bytes:
    database = store.tables()
    try:
        return bytes(database.conn.serialize())
    finally:
        database.conn.close()
