"""Our face: eventstate's own classes."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventstate.agents.agent import Agent
from eventstate.agents.module import StateModule
from eventstate.agents.streaming import stream_printing_messages
from eventstate.services.event_session import EventSession
from eventstate.services.state_service import StateService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = [
    "Agent",
    "StateModule",
    "lifetime",
    "message",
    "sessions",
    "state_service",
    "stream_printing_messages",
]


@dataclass
class Message:
    """A message as agents hand it around: any object with these attributes will do."""

    name: str
    content: Any
    role: str = "assistant"
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


def message(content: Any, name: str = "bot") -> Any:
    """Make a message: its content is text, or a list of blocks."""
    return Message(name, content)


def state_service(folder: Path) -> Any:
    """Make a service that was not started yet."""
    return StateService(str(folder / "states.db"))


async def lifetime(service: Any, user_id: str) -> int | None:
    """Seconds after which the user's default session is forgotten; None for never."""
    assert await service.export_state(user_id) is not None
    return None


@asynccontextmanager
async def sessions(folder: Path) -> AsyncIterator[Any]:
    """Open what holds the sessions of a folder."""
    async with EventSession(folder / "sessions.db") as held:
        yield held
