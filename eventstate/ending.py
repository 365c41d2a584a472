"""Work of asyncio that is brought to its end, whoever cancels those who wait for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class CutOff(asyncio.CancelledError):
    """Work that was not to be cancelled was, as its event loop ends: how far it came is not known."""


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end, even if this task is cancelled meanwhile, which goes on afterwards.

    Raises:
        CutOff: somebody who cancels all tasks has cancelled the work too.
        asyncio.CancelledError: the task was cancelled, and the work was done; an error of it goes first.
    """
    task = asyncio.ensure_future(work)
    held = await ended(task)
    if task.cancelled():
        raise CutOff
    result = task.result()
    if held is not None:
        raise held
    return result


async def ended(task: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until a task is done; give back the last cancellation of the waiting one that came meanwhile."""
    held: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            held = error
    return held
