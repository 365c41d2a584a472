"""Where commits wait for each other: all that wait at one time are made at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.aio.worker import Worker, fail, post
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
    drop: Callable[[], object] | None


class Committer:
    """Makes the commits of the tasks of one event loop.

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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start()

    def _start(self) -> None:
        self._places = asyncio.Semaphore(self._max_waiting)
        self._waiting: deque[_Entry] = deque()
        self._busy = False  # a transaction is written, or about to be
        self._idle = asyncio.Event()
        self._idle.set()

    async def commit(self, job: Job, drop: Callable[[], object] | None = None) -> Any:
        """Make a commit, and give its outcome.

        Args:
            job: the commit; from now on it is this committer's.
            drop: called once, in the thread, when the commit was made or failed, or never will be.
        """
        try:
            self._enter()
            await self._places.acquire()
        except BaseException:
            if drop is not None:
                drop()
            raise
        try:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(_Entry(job, future, drop))
            self._idle.clear()
            self._wake()
            return await future
        finally:
            self._places.release()

    def _enter(self) -> None:
        """Serve the running loop; what waited in one that was closed never happened.

        Raises:
            RuntimeError: commits wait in another loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed() and not self._idle.is_set():
            raise RuntimeError(f"{self._journal.connection.path}: the store is in use by another event loop")
        abandoned = self._waiting
        self._start()
        self._loop = loop
        for entry in abandoned:
            if entry.drop is not None:
                entry.drop()

    def _wake(self) -> None:
        if not self._busy and self._loop is not None:
            self._busy = True
            self._loop.call_soon(self._begin)  # after the tasks that can run now, which may commit too

    def _begin(self) -> None:
        """Hand over what waits."""
        entries: list[_Entry] = []
        while self._waiting and len(entries) < _MAX_TOGETHER:
            entry = self._waiting.popleft()
            if not entry.future.cancelled():
                entries.append(entry)
            elif entry.drop is not None:
                entry.drop()
        loop = self._loop
        if not entries or loop is None:
            self._busy = False
            self._idle.set()
            return

        def run() -> None:
            try:
                commit_all(self._journal, [entry.job for entry in entries])
            except BaseException as error:  # noqa: BLE001 - they all wait for an outcome
                for entry in entries:
                    if not entry.job.done:
                        entry.job.error = error
            for entry in entries:
                if entry.drop is not None:
                    entry.drop()
            post(loop, self._land, entries)

        try:
            self._worker.submit(run)
        except BaseException as error:  # noqa: BLE001 - the same
            for entry in entries:
                entry.job.error = error
                if entry.drop is not None:
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

    async def drain(self) -> None:
        """Wait until no commit waits, and those that were begun stand."""
        if self._loop is asyncio.get_running_loop():
            await self._idle.wait()
