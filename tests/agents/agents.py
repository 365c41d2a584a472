"""What tests of agents share: an agent that does as it is told, and messages."""

from __future__ import annotations

import asyncio
import io
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventstate.agents.agent import Agent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass
class Message:
    """A message as an object; tests use dicts too."""

    id: str
    name: str
    content: Any


def said(text: str, key: str = "m") -> dict[str, Any]:
    """Give a message as a dict."""
    return {"id": key, "name": "robot", "content": text}


async def turns(count: int = 1) -> None:
    """Let the loop go around so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


class Scripted(Agent):
    """Replies with what a function gives, which gets the agent; remembers what it saw, heard and handled."""

    def __init__(self, script: Callable[[Any], Awaitable[Any]] | None = None, **options: Any) -> None:
        self.screen = io.StringIO()
        numbers = itertools.count(1)
        options.setdefault("new_id", lambda: f"id-{next(numbers)}")
        super().__init__(console=self.screen, **options)
        self.script = script
        self.heard: Any = []
        self.handled: Any = []

    async def reply(self, *args: Any, **kwargs: Any) -> Any:
        if self.script is None:
            return (args, kwargs)
        return await self.script(self)

    async def observe(self, msg: Any) -> None:
        self.heard.append(msg)

    async def handle_interrupt(self, *args: Any, **kwargs: Any) -> Any:
        self.handled.append((args, kwargs))
        return said("stopped")
