"""The one thread in which a store does what blocks, and the way back to the event loop."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from eventstate.errors import StoreClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from eventstate.journal.connection import Connection

T = TypeVar("T")


class Worker:
    """Does one thing after the other in a thread of its own, which begins with the first.

    A loop that was closed meanwhile gets nothing; what was begun is done to its end all the same.

    Args:
        path: of the store, for messages.

    Attributes:
        connection: is asked first whether the store can be used, in this process too; `None` before.
    """

    def __init__(self, path: object) -> None:
        self._path = path
        self.connection: Connection | None = None
        self._threads: set[int] = set()
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(
            1, thread_name_prefix="eventstate", initializer=functools.partial(_enroll, self._threads)
        )

    def check(self) -> None:
        """Raise unless there can be asked for something.

        Raises:
            StoreClosedError: the store is closed, or was opened by the parent of this process.
            RuntimeError: it is asked for in the store's own thread, which would wait for itself.
        """
        if self.connection is not None:
            self.connection.check_usable()
        if self._thread is None:
            raise StoreClosedError(f"{self._path}: the store is closed")
        if threading.get_ident() in self._threads:
            raise RuntimeError(f"{self._path}: the store's own thread can't wait for the store")

    def submit(self, work: Callable[[], object]) -> None:
        """Have `work`, which raises nothing, done after all that was asked for before.

        Raises:
            StoreClosedError: as `check` does.
            RuntimeError: the same.
        """
        self.check()
        if self._thread is not None:
            self._thread.submit(work)

    async def call(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """Give what `work` gives; if the caller is cancelled before it has begun, it is not done.

        Args:
            work: what blocks.
            undo: gets the result if the caller was cancelled and never will.
        """
        self.check()  # before a forked child is asked for its loop
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def land(error: BaseException | None, result: T) -> None:
            if future.cancelled():
                if error is None:
                    self._take_back(undo, result)
            elif error is not None:
                fail(future, error)
            else:
                future.set_result(result)

        def run() -> None:
            if future.cancelled():
                return
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001 - it is raised where it is awaited
                error = raised
            unwanted = future.cancelled() or not post(loop, land, error, result)
            if unwanted and error is None and undo is not None:
                undo(result)

        self.submit(run)
        try:
            return await future
        except BaseException:
            # Cancelled when the result was there, but not yet in the caller's hand.
            if future.done() and not future.cancelled() and future.exception() is None:
                self._take_back(undo, future.result())
            raise

    def _take_back(self, undo: Callable[[T], object] | None, result: T) -> None:
        if undo is not None:
            try:
                self.submit(functools.partial(undo, result))
            except RuntimeError:  # the store is closed, or the whole program ends
                undo(result)

    async def walk(self, start: Callable[[], Iterator[T]], page: int = 64) -> AsyncIterator[T]:
        """Give what an iterator gives that blocks, reading `page` things at once."""
        iterator = await self.call(start)
        more = True
        while more:
            items, error = await self.call(functools.partial(_some, iterator, page))
            for item in items:
                yield item
            if error is not None:
                raise error
            more = len(items) == page

    def close(self, *, wait: bool = True) -> None:
        """End the thread, once it has done what it was asked for."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=wait)


def _enroll(threads: set[int]) -> None:
    threads.add(threading.get_ident())


def _some(iterator: Iterator[T], count: int) -> tuple[list[T], Exception | None]:
    """Take up to so many things, and the error that came after them."""
    items: list[T] = []
    try:
        items.extend(itertools.islice(iterator, count))
    except Exception as error:  # noqa: BLE001 - it is raised once the items before it were seen
        return items, error
    return items, None


def fail(future: asyncio.Future[Any], error: BaseException) -> None:
    """Give a future the error that it ends with."""
    if isinstance(error, StopIteration):  # no future can hold one
        error = RuntimeError(f"{error!r} was raised")
    future.set_exception(error)


def post(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *values: Any) -> bool:
    """Have `callback` called by the loop; `False` if it was closed, so that nobody waits in it."""
    try:
        loop.call_soon_threadsafe(callback, *values)
    except RuntimeError:
        return False
    return True
