"""Agents that the cases share."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.faces.face import Agent, message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Echo(Agent):
    """Answers with what it was told, and remembers its calls and what it observed."""

    def __init__(self) -> None:
        super().__init__()
        self.set_console_output_enabled(False)
        self.calls: list[Any] = []
        self.observed: list[Any] = []

    async def reply(self, text: str = "nothing", times: int = 1) -> Any:
        self.calls.append((text, times))
        return message(text * times)

    async def observe(self, msg: Any) -> None:
        self.observed.append(msg)


class Waiting(Agent):
    """Waits until it is interrupted, or told to go on, and says what happened."""

    def __init__(self) -> None:
        super().__init__()
        self.set_console_output_enabled(False)
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.handled: list[Any] = []
        self.count = 0
        self.register_state("count")

    async def reply(self, text: str = "nothing", times: int = 1) -> Any:
        self.count += 1
        self.started.set()
        await self.go_on.wait()
        return message(text * times)

    async def handle_interrupt(self, *args: Any, **kwargs: Any) -> Any:
        self.handled.append((args, kwargs))
        return message("interrupted")


class Listener(Echo):
    """Refuses what it is to observe, if it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error

    async def observe(self, msg: Any) -> None:
        if self.error is not None:
            raise self.error
        self.observed.append(msg)


class Base(Echo):
    """Others are derived from it."""


class Derived(Base):
    """Overrides a method and calls what it overrides."""

    async def reply(self, text: str = "nothing", times: int = 1) -> Any:
        return await super().reply(f"<{text}>", times)

    async def print(self, msg: Any, last: bool = True, speech: Any = None) -> None:  # noqa: FBT001, FBT002 - the original's signature
        await super().print(msg, last, speech)


class Sibling(Base):
    """Has the same base."""


def untyped(agent: Agent) -> Any:
    """Hide an agent's type: its attributes change between two looks at them, which mypy does not expect."""
    return agent


@contextmanager
def class_hook(owner: Any, kind: str, name: str, hook: Callable[..., Any]) -> Iterator[None]:
    """Hook a class, and take the hook away at the end: an original's classes live as long as the process."""
    owner.register_class_hook(kind, name, hook)
    try:
        yield
    finally:
        owner.clear_class_hooks(kind)
