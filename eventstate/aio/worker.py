"""The one thread in which a store does what blocks, and the way back to the event loop."""

from __future__ import annotations

import asyncio
import functools
import itertools
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
        connection: is asked first whether the store can be used, in this process too.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(1, thread_name_prefix="eventstate")

    def submit(self, work: Callable[[], object]) -> None:
        """Have `work`, which raises nothing, done after all that was asked for before.

        Raises:
            StoreClosedError: the store is closed, or was opened by the parent of this process.
        """
        self._connection.check_usable()
        if self._thread is None:
            raise StoreClosedError(f"{self._connection.path}: the store is closed")
        self._thread.submit(work)

    async def call(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """Give what `work` gives.

        Args:
            work: what blocks.
            undo: gets the result, in the thread, if the caller was cancelled and never will.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def land(error: BaseException | None, result: T) -> None:
            if future.cancelled():
                if error is None and undo is not None:
                    self.submit(functools.partial(undo, result))
            elif error is not None:
                fail(future, error)
            else:
                future.set_result(result)

        def run() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001 - it is raised where it is awaited
                error = raised
            if not post(loop, land, error, result) and error is None and undo is not None:
                undo(result)

        self.submit(run)
        return await future

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

    def close(self) -> None:
        """End the thread, once it has done what it was asked for."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()


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
