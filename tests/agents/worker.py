"""An agent that has much to do, to be disturbed at it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.agents.agents import said, turns
from tests.agents.sessions import Keeper


class Worker(Keeper):
    """An agent whose reply calls tools, several in a row and at once, notes, prints and changes its state."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.steps = 0
        self.started_from: Any = None
        self.done: dict[str, Any] = {}
        self.register_state("done")

    async def step(self) -> None:
        """Let an interrupt come here."""
        self.steps += 1
        await asyncio.sleep(0)

    async def tool(self, name: str) -> str:
        """Call a tool that takes a while."""
        async with self.tool_call(name, {"for": self._reply_id}) as call:
            await self.step()
            await turns(2)
            call.result = name
        return name

    async def reply(self, *_: Any, **__: Any) -> Any:
        self.started_from = self.state_dict()
        own: dict[str, Any] = {"tools": [], "whole": False}
        self.done[str(self._reply_id)] = own
        own = self.done[str(self._reply_id)]
        await self.step()
        for name in ("one", "two"):
            own["tools"].append(await self.tool(name))
            await self.print(said(name, name), last=False)
            await self.step()
        await self.note("thought", {"so far": list(own["tools"])})
        await self.step()
        own["tools"].extend(await asyncio.gather(*(self.tool(name) for name in ("three", "four", "five"))))
        await self.step()
        self.log.append(self._reply_id)
        await self.step()
        own["whole"] = True
        await self.print(said("done", "done"))
        await self.step()
        return said("done")

    async def handle_interrupt(self, *_: Any, **__: Any) -> Any:
        self.steps += 1
        self.done[str(self._reply_id)] = "stopped"
        await self.note("stopping")
        await turns(4)
        await self.print(said("stopping", "stopping"))
        return said("stopped")
