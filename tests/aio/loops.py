"""What tests of the async store share: a loop that leaves nothing behind, and tasks at work at one time."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from eventstate import aio

PATIENCE = 60
"""Seconds after which something hangs; nothing here takes a tenth of it."""


def stores_threads() -> list[threading.Thread]:
    """Give the threads of stores that run."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("eventstate")]


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in a loop, and see that it leaves no task and no thread behind, and the loop is content."""
    complaints: list[dict[str, Any]] = []

    async def bounded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(PATIENCE):
            await test
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    before = stores_threads()
    asyncio.run(bounded())
    assert not complaints, complaints
    for thread in set(stores_threads()) - set(before):
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the store's thread goes on"


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine function."""

    @functools.wraps(test)
    def wrapper(*arguments: Any, **named: Any) -> None:
        run(test(*arguments, **named))

    return wrapper


class Gate:
    """Keeps the store's thread busy, so that what is asked for meanwhile is made at one time.

    Within `async with Gate(store):` the thread waits; `started` tasks come before it goes on.
    """

    def __init__(self, store: aio.StateStore) -> None:
        self._store = store
        self._open = threading.Event()
        self._closed = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def wait(_: object) -> None:
            loop.call_soon_threadsafe(self._closed.set)
            assert self._open.wait(PATIENCE)

        self._task = asyncio.create_task(self._store.run(wait))
        await self._closed.wait()
        return self

    def open(self) -> None:
        """Let the thread go on."""
        self._open.set()

    async def __aexit__(self, *_: object) -> None:
        self.open()
        assert self._task is not None
        await self._task


async def until(holds: Callable[[], bool]) -> None:
    """Let all run until something holds."""
    while not holds():  # noqa: ASYNC110 - what is waited for happens in the library, which sets no event
        await asyncio.sleep(0)


async def settle() -> None:
    """Let all tasks run as far as they can without the store's thread."""
    for _ in range(10):
        await asyncio.sleep(0)
