"""Our agents among real ones: in AgentScope's hubs, pipelines and streams, and its agents in our streams."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import StateStore
from eventstate.agents.agent import Agent
from eventstate.agents.streaming import stream_printing_messages
from tests.faces.face import awaited
from tests.faces.world.scripted import Desk, Message, ScriptedModel, make_agent, make_toolkit, say, use

if TYPE_CHECKING:
    from pathlib import Path

_pipeline = importlib.import_module("agentscope.pipeline")


class Guide(Agent):
    """One of ours that speaks with AgentScope's messages and remembers what it heard."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.set_console_output_enabled(enabled=False)
        self.name = name
        self.heard: list[str] = []
        self.register_state("heard")

    async def reply(self, msg: Any = None) -> Any:
        answer = Message(self.name, [{"type": "thinking", "thinking": "hm"}, say("This way")], "assistant")
        if msg is not None:
            self.heard.append(msg.get_text_content())
        await self.print(answer, last=False)
        answer.content[1]["text"] += "!"
        await self.print(answer)
        return answer

    async def observe(self, msg: Any) -> None:
        for each in msg if isinstance(msg, list) else [msg]:
            self.heard.append(each.get_text_content())


def scout(*script: list[dict[str, Any]]) -> Any:
    """Make a real agent that plays a script."""
    return make_agent(ScriptedModel(list(script)), make_toolkit(Desk()))


@awaited
async def test_ours_and_real_agents_hear_one_another_in_a_real_hub(tmp_path: Path) -> None:
    real, one, other = scout([say("I follow.")]), Guide("one"), Guide("other")
    with StateStore(tmp_path / "agents.db") as store:
        other.bind(store.session("other"))
        async with _pipeline.MsgHub([real, one, other], announcement=Message("hub", "Go", "system")):
            await one()
            await real()
        await one()
        assert store.session("other").state() == {"heard": ["Go", "This way!", "I follow."]}
        other.unbind()
    assert one.heard == ["Go", "I follow."]
    texts = [msg.get_text_content() for msg in await real.memory.get_memory()]
    assert texts == ["Go", "This way!", "I follow."]
    assert "thinking" not in str(real.memory.state_dict())


@awaited
async def test_ours_take_part_in_real_pipelines() -> None:
    one, other = Guide("one"), Guide("other")
    answer = await _pipeline.sequential_pipeline([one, other], Message("alice", "Where?", "user"))
    assert (answer.name, one.heard, other.heard) == ("other", ["Where?"], ["This way!"])
    both = await _pipeline.fanout_pipeline([one, other], Message("alice", "And now?", "user"))
    assert [msg.name for msg in both] == ["one", "other"]


@awaited
async def test_a_real_stream_carries_what_ours_print() -> None:
    one = Guide("one")
    stream = _pipeline.stream_printing_messages([one], one())
    assert [(msg.get_text_content(), last) async for msg, last in stream] == [
        ("This way", False),
        ("This way!", True),
    ]


@awaited
async def test_our_stream_carries_what_real_agents_print_and_leaves_nothing_running() -> None:
    real = scout([use("c1", "look_up", key="cave")], [say("Found.")])
    stream = stream_printing_messages([real, Guide("one")], real(Message("alice", "Look", "user")))
    kinds = [msg.content[0]["type"] async for msg, last in stream if last]
    assert kinds == ["tool_use", "tool_result", "text"]
    assert real.msg_queue is None
    before = asyncio.all_tasks()
    waiting = scout([use("c2", "dig", depth=1)])
    early = stream_printing_messages([waiting], waiting(Message("alice", "Dig", "user")))
    await anext(early)
    await early.aclose()
    assert asyncio.all_tasks() == before
    assert waiting.msg_queue is None


@awaited
async def test_our_hooks_take_real_messages() -> None:
    one = Guide("one")
    one.register_instance_hook("post_reply", "name", lambda *_: Message("hook", "changed", "assistant"))
    assert (await one()).name == "hook"
    with pytest.raises(TypeError):
        await one(unknown=1)
