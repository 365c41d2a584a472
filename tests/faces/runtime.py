"""The runtime's face: its two state services, in an environment that has agentscope-runtime."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tests.faces.face import BACKEND

if TYPE_CHECKING:
    from pathlib import Path

_services = importlib.import_module("agentscope_runtime.engine.services.agent_state")


def state_service(folder: Path) -> Any:
    """Make a service that was not started yet."""
    del folder  # neither keeps files
    if BACKEND == "memory":
        return _services.InMemoryStateService()
    fake = importlib.import_module("fakeredis")
    server = fake.FakeServer()
    service = _services.RedisStateService()

    async def start() -> None:
        if service._redis is None:
            service._redis = fake.FakeAsyncRedis(server=server, decode_responses=True)

    service.start = start  # the server is only pretended; all but the connection is the original's
    return service


async def lifetime(service: Any, user_id: str) -> int | None:
    """Seconds after which the user's default session is forgotten; None for never."""
    if BACKEND == "memory":
        return None
    seconds: int = await service._redis.ttl(service._session_key(user_id, "default"))
    return seconds if seconds >= 0 else None
