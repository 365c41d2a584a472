"""AgentScope's face: its StateModule, AgentBase and sessions, in an environment that has the package."""

from __future__ import annotations

import importlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.faces.face import BACKEND

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

StateModule = importlib.import_module("agentscope.module").StateModule
Agent = importlib.import_module("agentscope.agent").AgentBase
stream_printing_messages = importlib.import_module("agentscope.pipeline").stream_printing_messages
_Message = importlib.import_module("agentscope.message").Msg
_servers: dict[Path, Any] = {}


def message(content: Any, name: str = "bot") -> Any:
    """Make a message: its content is text, or a list of blocks."""
    return _Message(name, content, "assistant")


@asynccontextmanager
async def sessions(folder: Path) -> AsyncIterator[Any]:
    """Open what holds the sessions of a folder: the folder itself, or a server that is only pretended."""
    package = importlib.import_module("agentscope.session")
    if BACKEND == "json":
        yield package.JSONSession(str(folder))
        return
    fake = importlib.import_module("fakeredis")
    server = _servers.setdefault(folder, fake.FakeServer())
    async with package.RedisSession() as held:
        await held.get_client().aclose()
        held._client = fake.FakeAsyncRedis(server=server, decode_responses=True)
        yield held
