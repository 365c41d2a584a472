"""Where commits wait for each other: all that wait at one time are made at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.aio.worker import Worker, fail, post
from eventstate.errors import StoreClosedError
from eventstate.group import commit_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.group import Job
    from eventstate.journal.journal import Journal

_MAX_TOGETHER: Final = 1024
"""Commits in one transaction; other processes wait for as long as it takes."""


class _Entry(NamedTuple):
    job: Job
    future: asyncio.Future[Any]
    drop: Callable[[], object]


def _nothing() -> None:
    """Do nothing."""


class Committer:
    """Makes the commits of the tasks of one event loop at a time.

    A task waits until its commit stands. While one transaction is written, others gather for the next.
    A cancelled task's commit is not made, if that has not begun.

    Args:
        journal: where to.
        worker: in whose thread.
        max_waiting: how many commits may wait; a task that comes later waits for a place first.
    """

    def __init__(self, journal: Journal, worker: Worker, max_waiting: int) -> None:
        self._journal = journal
        self._worker = worker
        self._max_waiting = max_waiting
        self._queue: _Queue | None = None
        self._ending = False

    async def commit(self, job: Job, drop: Callable[[], object] = _nothing) -> Any:
        """Make a commit, and give its outcome.

        Args:
            job: the commit; from now on it is this committer's.
            drop: called once, when the commit was made or failed, or never will be.

        Raises:
            RuntimeError: commits wait in another loop, or it is asked for in the store's own thread.
            StoreClosedError: the store is closed, or about to be.
        """
        try:
            queue = self._enter()
        except BaseException:
            drop()
            raise
        return await queue.commit(job, drop)

    def _enter(self) -> _Queue:
        """Give the running loop's queue; what waited in one that was closed never happened."""
        self._worker.check()
        path = self._journal.connection.path
        if self._ending:
            raise StoreClosedError(f"{path}: the store is being closed")
        loop, queue = asyncio.get_running_loop(), self._queue
        if queue is None or queue.loop is not loop:
            if queue is not None:
                if not queue.loop.is_closed() and not queue.idle.is_set():
                    raise RuntimeError(f"{path}: the store is in use by another event loop")
                queue.abandon()
            queue = self._queue = _Queue(self._journal, self._worker, self._max_waiting, loop)
        return queue

    async def drain(self) -> None:
        """Take no more commits, and wait until those that were asked for are made."""
        queue = self._queue
        self._ending = True
        try:
            if queue is not None and queue.loop is asyncio.get_running_loop():
                await queue.idle.wait()
        except BaseException:
            self._ending = False
            raise


class _Queue:
    """The commits that wait in one event loop."""

    def __init__(
        self, journal: Journal, worker: Worker, max_waiting: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.loop = loop
        self.idle = asyncio.Event()
        """Whether nobody waits, and nothing is written."""
        self.idle.set()
        self._journal = journal
        self._worker = worker
        self._places = asyncio.Semaphore(max_waiting)
        self._waiting: deque[_Entry] = deque()
        self._inside = 0  # tasks that wait for a place, or for their commit
        self._busy = False  # a transaction is written, or about to be

    async def commit(self, job: Job, drop: Callable[[], object]) -> Any:
        entry = _Entry(job, self.loop.create_future(), drop)
        begun = False
        self._inside += 1
        self.idle.clear()
        try:
            await self._places.acquire()
            try:
                begun = True
                self._waiting.append(entry)
                self._wake()
                return await entry.future
            finally:
                if not self.loop.is_closed():
                    self._places.release()
        except BaseException:
            if not begun or self._withdraw(entry):
                drop()
            elif entry.future.done() and not entry.future.cancelled():
                entry.future.exception()  # cancelled with the outcome in its hand: it was looked at
            raise
        finally:
            self._inside -= 1
            self._rest()

    def _withdraw(self, entry: _Entry) -> bool:
        """Take an entry out, if its commit has not begun."""
        if entry not in self._waiting:
            return False
        self._waiting.remove(entry)
        return True

    def abandon(self) -> None:
        """Forget what waits: its loop was closed."""
        while self._waiting:
            self._waiting.popleft().drop()

    def _rest(self) -> None:
        if not self._inside and not self._busy and not self.loop.is_closed():
            self.idle.set()

    def _wake(self) -> None:
        if not self._busy:
            self._busy = True
            self.loop.call_soon(self._begin)  # after the tasks that can run now, which may commit too

    def _begin(self) -> None:
        """Hand over what waits."""
        entries: list[_Entry] = []
        while self._waiting and len(entries) < _MAX_TOGETHER:
            entry = self._waiting.popleft()
            if entry.future.cancelled():
                entry.drop()
            else:
                entries.append(entry)
        if not entries:
            self._busy = False
            self._rest()
            return

        def run() -> None:
            try:
                # The thread may have been busy, and somebody cancelled meanwhile.
                commit_all(self._journal, [job for job, future, _ in entries if not future.cancelled()])
            except BaseException as error:  # noqa: BLE001 - they all wait for an outcome
                for entry in entries:
                    if not entry.job.done:
                        entry.job.error = error
            for entry in entries:
                entry.drop()
            post(self.loop, self._land, entries)

        try:
            self._worker.submit(run)
        except BaseException as error:  # noqa: BLE001 - the same
            for entry in entries:
                entry.job.error = error
                entry.drop()
            self._land(entries)

    def _land(self, entries: list[_Entry]) -> None:
        """Tell the tasks, and go on with what has come meanwhile."""
        for job, future, _ in entries:
            if future.cancelled():
                continue
            try:
                future.set_result(job.outcome())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                fail(future, error)
        self._busy = False
        self._wake()
