"""The way of printed messages to who wants to read them while an agent replies: a bounded queue."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import TYPE_CHECKING, Any, Final

from eventstate.ending import ended

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Sequence

    from eventstate.agents.agent import Agent

_LOG: Final = logging.getLogger("eventstate.agents")

QUEUE_SIZE: Final = 100
"""Messages that wait for a reader, at most; who prints more waits."""


class Outlet:
    """Puts messages into a queue, and waits while that is full, for as long as it is the queue."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] | None = None
        self._waiting: dict[asyncio.Timeout, asyncio.AbstractEventLoop] = {}

    def turn(self, queue: asyncio.Queue[Any] | None) -> None:
        """Put into another queue, or into none, from now on; those who wait go on there."""
        if queue is self.queue:
            return
        self.queue = queue
        waiting, self._waiting = self._waiting, {}
        for wait, loop in waiting.items():
            if not loop.is_closed():
                wait.reschedule(loop.time())

    async def put(self, message: Any, last: bool, speech: Any) -> None:  # noqa: FBT001 - as the queue has them
        """Put a copy of a message into the queue, if there is one, when it has room."""
        if self.queue is None:
            return
        item = copy.deepcopy(message), last, speech
        loop = asyncio.get_running_loop()
        while (queue := self.queue) is not None:
            # A wait without a limit, which `turn` can end, and for which no task of its own is needed.
            wait = asyncio.timeout(None)
            try:
                async with wait:
                    self._waiting[wait] = loop
                    try:
                        await queue.put(item)
                    finally:
                        self._waiting.pop(wait, None)
            except TimeoutError:
                if not wait.expired():
                    raise
            else:
                await asyncio.sleep(0)  # who reads gets a turn
                return


async def stream_printing_messages(
    agents: Sequence[Agent],
    coroutine_task: Coroutine[Any, Any, Any],
    queue: asyncio.Queue[Any] | None = None,
    end_signal: str = "[END]",
    yield_speech: bool = False,  # noqa: FBT001, FBT002 - the original's
) -> AsyncGenerator[tuple[Any, ...], None]:
    """Do something, and give what agents print meanwhile, in the order of printing.

    When it is closed early, or its consumer is cancelled, what it does is cancelled and awaited. The
    agents' queues are then what they were before.

    Args:
        agents: whose messages.
        coroutine_task: what to do, such as `agent(message)`.
        queue: through which the messages come; one with room for 100 if `None`.
        end_signal: a text that closes the stream early when somebody puts it into the queue.
        yield_speech: whether to give the speech too.

    Yields:
        `(message, last)` or `(message, last, speech)`; `last` says that it was the last part of a message.

    Raises:
        Exception: what the task raised, after all its messages.
    """
    source: asyncio.Queue[Any] = asyncio.Queue(QUEUE_SIZE) if queue is None else queue
    before = [(agent, agent.msg_queue) for agent in agents]
    for agent in agents:
        agent.set_msg_queue_enabled(enabled=True, queue=source)
    task = asyncio.ensure_future(coroutine_task)
    whole = False
    try:
        while (printed := await _next(source, task)) is not None:
            if isinstance(printed, str) and printed == end_signal:
                return
            yield tuple(printed if yield_speech else printed[:2])
        whole = True
    finally:
        for agent, earlier in before:
            if agent.msg_queue is source:
                agent.set_msg_queue_enabled(enabled=earlier is not None, queue=earlier)
        task.cancel()
        held = await ended(task)
        if not whole and not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("what was streamed failed, and nobody was there to be told", exc_info=error)
        if held is not None:
            raise held
    task.result()


async def _next(queue: asyncio.Queue[Any], task: asyncio.Future[Any]) -> Any:
    """Take the next message from a queue; `None` when the task is done and nothing is left."""
    loop = asyncio.get_running_loop()
    while queue.empty():
        if task.done():
            return None
        wait = asyncio.timeout(None)
        waiting = [wait]

        def wake(_: object, waiting: list[asyncio.Timeout] = waiting) -> None:
            for wait in waiting:
                wait.reschedule(loop.time())

        try:
            async with wait:
                task.add_done_callback(wake)
                try:
                    return await queue.get()
                finally:
                    task.remove_done_callback(wake)
                    waiting.clear()  # it may be about to be called all the same
        except TimeoutError:
            if not wait.expired():
                raise
    return queue.get_nowait()
