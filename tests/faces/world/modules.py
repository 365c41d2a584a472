"""AgentScope's real modules saved and restored by eventstate: memory, toolkit, a ReAct agent."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import StateStore
from eventstate.services.event_session import EventSession
from tests.faces.face import awaited
from tests.faces.world.life import SESSION
from tests.faces.world.scripted import Desk, InMemoryMemory, Message, ScriptedModel, make_agent, make_toolkit

if TYPE_CHECKING:
    from pathlib import Path


def blocks(memory: dict[str, Any], kind: str) -> list[Any]:
    """Tell the ids of a kind of block in a memory's state, in order."""
    contents = [entry["content"] for entry, _ in memory["content"] if isinstance(entry["content"], list)]
    return [block["id"] for content in contents for block in content if block["type"] == kind]


def live(path: Path, part: str) -> tuple[int, dict[str, Any]]:
    """Run a part of the agent's life in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faces.world.life", path, part],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return done.returncode, seen


@awaited
async def test_a_real_memory_comes_back_with_marks_and_summary(tmp_path: Path) -> None:
    memory = InMemoryMemory()
    await memory.add(Message("alice", "hello", "user"))
    await memory.add(Message("bot", [{"type": "text", "text": "hi"}], "assistant"), marks=["hint", "kept"])
    await memory.update_compressed_summary("they greeted")
    other = InMemoryMemory()
    async with EventSession(tmp_path / "sessions.db") as held:
        await held.save_session_state("s", "u", memory=memory)
        await held.load_session_state("s", "u", memory=other)
        assert other.state_dict() == memory.state_dict()
        await other.add(Message("alice", "more", "user"), marks="hint")
        await other.update_messages_mark(new_mark="old", old_mark="hint")
        third = InMemoryMemory()
        await held.load_session_state("s", "u", memory=third)
    assert third.state_dict() == memory.state_dict()
    assert [msg.content for msg in await third.get_memory("kept", prepend_summary=False)] == [
        [{"type": "text", "text": "hi"}]
    ]


@awaited
async def test_a_real_toolkit_comes_back_with_its_active_groups(tmp_path: Path) -> None:
    toolkit, other = make_toolkit(Desk()), make_toolkit(Desk())
    toolkit.update_tool_groups(["boats"], active=True)
    toolkit.update_tool_groups(["maps"], active=False)
    async with EventSession(tmp_path / "sessions.db") as held:
        await held.save_session_state("s", toolkit=toolkit)
        await held.load_session_state("s", toolkit=other)
    assert other.state_dict() == {"active_groups": ["boats"]}


@awaited
async def test_a_real_memory_is_put_back_when_a_toolkit_refuses_its_part(tmp_path: Path) -> None:
    memory, toolkit = InMemoryMemory(), make_toolkit(Desk())
    await memory.add(Message("alice", "saved", "user"))
    async with EventSession(tmp_path / "sessions.db") as held:
        await held.save_session_state("s", memory=memory, toolkit=memory)  # no toolkit loads such a state
        await memory.add(Message("alice", "not saved", "user"), marks="mark")
        before = memory.state_dict()
        with pytest.raises(ValueError, match="toolkit"):
            await held.load_session_state("s", memory=memory, toolkit=toolkit)
        assert memory.state_dict() == before
        assert toolkit.state_dict() == {"active_groups": ["maps"]}


@awaited
async def test_a_turn_of_a_real_agent_is_journaled_as_the_messages_that_came(tmp_path: Path) -> None:
    agent = make_agent(ScriptedModel([[{"type": "text", "text": "yes"}]] * 30), make_toolkit(Desk()))
    path = tmp_path / "sessions.db"
    async with EventSession(path) as held:
        for number in range(30):
            await agent(Message("alice", f"{number}", "user"))
            await held.save_session_state("s", agent=agent)
    with StateStore(path) as store:
        changes = list(store.session("", "s").history("agent"))
        assert {change.path for change in changes[1:]} == {("agent", "memory", "content")}
        assert {change.op for change in changes[1:]} == {"splice"}
        assert [len(change.after) for change in changes[1:]] == list(range(4, 61, 2))


def test_a_real_agent_interrupted_mid_tool_and_killed_continues_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    code, first = live(path, "interrupted")
    assert code == -signal.SIGKILL
    assert first["answer"]["metadata"] == {"_is_interrupted": True}
    # The memory is whole: each call has its result, the interrupted one too.
    memory = first["agent"]["memory"]
    assert blocks(memory, "tool_use") == blocks(memory, "tool_result") == ["c1", "c2"]

    code, second = live(path, "after")
    assert code == 0
    assert second["loaded"] == {"agent": first["agent"], "toolkit": first["toolkit"]}
    assert first["toolkit"] == {"active_groups": ["maps", "boats"]}
    assert second["answer"]["content"] == [{"type": "text", "text": "Found it."}]
    # What the model is asked in the new process begins with all that happened in the old one.
    remembered = [entry for entry, _ in memory["content"]]
    assert len(remembered) == 6
    assert second["asked"][0][1:7] == remembered
    assert second["asked"][0][7]["content"] == "Go on"
    grown = second["agent"]["memory"]
    assert grown["content"][:6] == memory["content"]
    assert blocks(grown, "tool_use") == blocks(grown, "tool_result") == ["c1", "c2", "c3"]

    with StateStore(path) as store:
        session = store.session(SESSION[1], SESSION[0])
        assert session.state(at=1) == {"agent": first["agent"], "toolkit": first["toolkit"]}
        latest = session.state()
        assert latest is not None
        assert latest["agent"] == second["agent"]
        assert store.verify().ok


def test_a_real_agent_killed_mid_tool_continues_from_its_last_save_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    code, first = live(path, "killed")
    assert code == -signal.SIGKILL
    code, second = live(path, "after")
    assert code == 0
    assert second["loaded"] == first
    memory = second["agent"]["memory"]
    assert memory["content"][:2] == first["agent"]["memory"]["content"]
    assert blocks(memory, "tool_use") == blocks(memory, "tool_result") == ["c3"]


@awaited
async def test_a_real_agent_comes_back_the_same_from_files_and_from_the_journal(tmp_path: Path) -> None:
    files = importlib.import_module("agentscope.session").JSONSession(str(tmp_path))
    agent = make_agent(ScriptedModel([[{"type": "text", "text": "yes"}]] * 2), make_toolkit(Desk()))
    await agent(Message("alice", "Are you there?", "user"))
    one, other = (make_agent(ScriptedModel([]), make_toolkit(Desk())) for _ in range(2))
    async with EventSession(tmp_path / "sessions.db") as held:
        for sessions, restored in ((files, one), (held, other)):
            await sessions.save_session_state("s", "u", agent=agent)
            await sessions.load_session_state("s", "u", allow_not_exist=False, agent=restored)
    assert one.state_dict() == other.state_dict() == agent.state_dict()
