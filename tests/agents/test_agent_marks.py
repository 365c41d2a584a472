"""What an agent that comes late finds: marks made half, and commits that were made and told as cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from eventstate import StateStore
from tests.agents.sessions import Keeper, bound, names

if TYPE_CHECKING:
    from pathlib import Path


def test_an_observation_that_was_committed_and_yet_cancelled_is_caught_up_with(tmp_path: Path) -> None:
    async def check(agent: Keeper, session: Any) -> None:
        attempt = session.attempt

        async def made(*arguments: Any, **named: Any) -> None:
            await attempt(*arguments, **named)
            raise asyncio.CancelledError

        with mock.patch.object(session, "attempt", made), pytest.raises(asyncio.CancelledError):
            await agent.observe("heard")
        assert agent.log == ["heard"]

    bound("aio", tmp_path, check)


def test_a_kill_between_the_marks_marks_no_tool_twice() -> None:
    with StateStore(":memory:") as store:
        session, call = store.session("u"), {"reply_id": "r", "call_id": "c", "name": "slow"}
        session.note("reply.started", {"reply_id": "r"})
        session.note("tool.called", {**call, "arguments": None})
        session.note("tool.unfinished", call)
        Keeper().bind(session)
        assert names(session)[2:] == ["tool.unfinished", "reply.unfinished"]
