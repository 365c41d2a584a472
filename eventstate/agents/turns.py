"""Whose turn it is: one at a time, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple


class Turn(NamedTuple):
    """The right to be the only one, until it is given back."""

    loop: asyncio.AbstractEventLoop


class Turns:
    """Lets one task after the other have its turn.

    Unlike `asyncio.Lock`, it serves any event loop: whoever was in one that is closed has no turn any more.
    """

    def __init__(self) -> None:
        self._taken: Turn | None = None
        self._waiting: deque[asyncio.Future[Turn]] = deque()

    @property
    def free(self) -> bool:
        """Whether nobody has a turn."""
        return self._taken is None or self._taken.loop.is_closed()

    async def take(self) -> Turn:
        """Wait for a turn; a cancelled task gets none."""
        loop = asyncio.get_running_loop()
        if self.free:
            self._taken = Turn(loop)
            return self._taken
        waiter: asyncio.Future[Turn] = loop.create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.done() and not waiter.cancelled():
                self.give(waiter.result())
            raise

    def give(self, turn: Turn) -> None:
        """Give a turn back; one that somebody else has meanwhile is not taken away."""
        if self._taken is not turn:
            return
        self._taken = None
        while self._waiting:
            waiter = self._waiting.popleft()
            loop = waiter.get_loop()
            if not waiter.done() and not loop.is_closed():
                self._taken = Turn(loop)
                waiter.set_result(self._taken)
                return
