"""An agent bound to a session: one reply is one round, and what happens is noted at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import InvalidStateError
from eventstate.agents.agent import Agent
from eventstate.agents.module import StateModule
from eventstate.errors import AgentBusyError
from tests.agents.agents import said, turns
from tests.agents.sessions import (
    KINDS,
    Keeper,
    bound,
    check_marks,
    in_step,
    kinds,
    names,
    notes,
    opened,
    plain,
    until,
    waiting,
)
from tests.aio.loops import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.parametrize("kind", KINDS)


def test_a_reply_is_one_round_with_its_notes_before_it(kind: str, tmp_path: Path) -> None:
    async def script(self: Keeper) -> str:
        self.log.append("one")
        await self.note("thought", [1])
        assert names(self.bound)[-1] == "thought"
        assert plain(self.bound).state() == {"log": []}
        async with self.tool_call("search", {"q": "x"}, "call") as call:
            assert notes(self.bound)[-1] == (
                "tool.called",
                {"reply_id": "id-2", "call_id": "call", "name": "search", "arguments": {"q": "x"}},
            )
            call.result = ["found"]
            self.log.append("two")
        return "done"

    async def check(agent: Keeper, session: Any) -> None:
        assert await agent("hi") == "done"
        own = {"reply_id": "id-2"}
        tool = {**own, "call_id": "call", "name": "search"}
        assert notes(session) == [
            ("reply.started", own),
            ("thought", {**own, "data": [1]}),
            ("tool.called", {**tool, "arguments": {"q": "x"}}),
            ("tool.returned", {**tool, "result": ["found"]}),
        ]
        assert kinds(session) == ["save", "reply"]
        turn = plain(session).latest
        assert turn is not None
        assert (turn.actor, turn.metadata) == ("keeper", own)
        assert plain(session).committed("id-2") == turn
        assert plain(session).state() == {"log": ["began", "one", "two"]}

    bound(kind, tmp_path, check, script)


def test_a_reply_without_changes_is_a_round_too(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:

            class Quiet(Agent):
                async def reply(self) -> None:
                    pass

            agent = Quiet()
            agent.bind(session)
            await agent()
            await agent()
            assert kinds(session) == ["save", "reply", "reply"]
            assert check_marks(session) == (2, 0)

    run(main())


def test_outside_a_reply_assignments_are_rounds_of_their_own(kind: str, tmp_path: Path) -> None:
    async def check(agent: Keeper, session: Any) -> None:
        agent.log = ["set"]
        await agent()
        agent.log.append("more")
        assert kinds(session) == ["save", "assign", "reply", "assign"]

    bound(kind, tmp_path, check)


def test_a_tool_that_nobody_waits_for_is_marked_when_the_reply_ends(kind: str, tmp_path: Path) -> None:
    left: list[asyncio.Task[None]] = []

    async def tool(self: Keeper) -> None:
        async with self.tool_call("slow"):
            await waiting()

    async def script(self: Keeper) -> None:
        left.append(asyncio.create_task(tool(self)))
        await until(lambda: "tool.called" in names(self.bound))

    async def check(agent: Keeper, session: Any) -> None:
        await agent()
        assert names(session) == ["reply.started", "tool.called", "tool.unfinished"]
        agent.script = None
        await agent()
        left[0].cancel()
        await asyncio.wait(left)
        assert notes(session)[-1][0] == "tool.interrupted"
        assert notes(session)[-1][1]["reply_id"] == notes(session)[0][1]["reply_id"]

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Keeper(script)
            agent.bind(session)
            await check(agent, session)

    run(main())


def test_notes_and_tools_outside_a_reply_belong_to_none_and_unbound_ones_are_nowhere(
    kind: str, tmp_path: Path
) -> None:
    async def check(agent: Keeper, session: Any) -> None:
        await agent()
        await agent.note("fact", 1)
        async with agent.tool_call("t", call_id="c"):
            pass
        assert notes(session)[1] == ("fact", {"reply_id": None, "data": 1})
        assert [data["reply_id"] for _, data in notes(session)[1:]] == [None] * 3
        with pytest.raises(ValueError, match=r"reply\.failed"):
            await agent.note("reply.failed")
        other = Keeper()
        await other.note("fact", object())
        async with other.tool_call("t", object()) as call:
            call.result = object()

    bound(kind, tmp_path, check)


def test_what_is_observed_is_a_round_of_its_own_or_part_of_the_reply(kind: str, tmp_path: Path) -> None:
    async def script(self: Keeper) -> None:
        await self.observe("inside")

    async def check(agent: Keeper, session: Any) -> None:
        await asyncio.gather(agent.observe("one"), agent.observe("two"))
        await agent()
        assert kinds(session) == ["save", "observe", "observe", "reply"]
        assert plain(session).state(at=3) == {"log": ["one", "two"]}
        assert agent.log == ["one", "two", "began", "inside"]

    bound(kind, tmp_path, check, script)


def test_an_observation_that_fails_or_changes_nothing_leaves_no_round(kind: str, tmp_path: Path) -> None:
    class Odd(Keeper):
        async def observe(self, msg: Any) -> None:
            if msg == "nothing":
                return
            await super().observe(msg)
            if msg == "wait":
                await waiting()
            raise LookupError(msg)

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Odd()
            agent.bind(session)
            await agent.observe("nothing")
            with pytest.raises(LookupError):
                await agent.observe("x")
            task = asyncio.ensure_future(agent.observe("wait"))
            await turns(2)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            assert agent.log == []
            assert in_step(agent)
            assert kinds(session) == ["save"]

    run(main())


def test_an_agent_that_observes_may_not_be_called_for_a_reply_by_that(kind: str, tmp_path: Path) -> None:
    class Eager(Keeper):
        async def observe(self, msg: Any) -> None:
            await super().observe(msg)
            await self(msg)

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Eager()
            agent.bind(session)
            with pytest.raises(AgentBusyError, match="while it observes"):
                await agent.observe("x")
            assert in_step(agent)
            await agent()

    run(main())


def test_agents_with_sessions_of_their_own_talk_to_each_other(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as one, opened(tmp_path / "b.db", kind) as two:
            first, second = Keeper(), Keeper(lambda _: first("again"))
            first.bind(one)
            second.bind(two)
            first.reset_subscribers("hub", [first, second])
            second.reset_subscribers("hub", [first, second])
            await second()
            assert kinds(one) == ["save", "reply", "observe"]
            # What is told to an agent while it replies is part of its reply.
            assert kinds(two) == ["save", "reply"]
            assert in_step(first)
            assert in_step(second)

    run(main())


def test_who_is_told_a_reply_may_tell_its_author_something(kind: str, tmp_path: Path) -> None:
    class Echo(Keeper):
        async def observe(self, msg: Any) -> None:
            await agent.observe(["echo", msg])

    agent = Keeper()

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent.bind(session)
            agent.reset_subscribers("hub", [Echo()])
            await agent()
            assert kinds(session) == ["save", "reply", "observe"]
            assert agent.log == ["began", ["echo", ((), {})]]

    run(main())


def test_a_message_out_of_the_state_is_printed_and_told_as_a_copy(kind: str, tmp_path: Path) -> None:
    async def script(self: Keeper) -> Any:
        self.log.append(said("hi"))
        await self.print(self.log[-1])
        return self.log[-1]

    async def check(agent: Keeper, _: Any) -> None:
        other = Keeper()
        agent.reset_subscribers("hub", [other])
        agent.set_msg_queue_enabled(enabled=True)
        agent.register_instance_hook("post_reply", "look", lambda *_: None)
        assert await agent() == said("hi")
        assert agent.msg_queue is not None
        queued, _, _ = agent.msg_queue.get_nowait()
        assert other.log == [queued] == [said("hi")]
        queued["content"] = other.log[0]["content"] = "changed"
        assert agent.log == ["began", said("hi")]

    bound(kind, tmp_path, check, script)


def test_an_agent_inside_a_bound_module_journals_into_the_modules_session(kind: str, tmp_path: Path) -> None:
    class Team(StateModule):
        def __init__(self) -> None:
            super().__init__()
            self.agents = [Keeper(), Keeper()]

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            team = Team()
            team.bind(session)
            one, two = team.agents
            one.reset_subscribers("hub", [two])
            await one("hi")
            assert kinds(session) == ["save", "reply", "observe"]
            assert plain(session).state() == team.state_dict()
            assert two.log == [(("hi",), {})]

    run(main())


def test_a_reply_inside_an_open_round_is_refused_and_the_round_goes_on(kind: str, tmp_path: Path) -> None:
    async def check(agent: Keeper, session: Any) -> None:
        with agent.round():
            agent.log.append("mine")
            with pytest.raises(InvalidStateError, match="open already"):
                await agent()
            with pytest.raises(InvalidStateError, match="open already"):
                await agent.observe("x")
        assert agent.log == ["mine"]
        assert kinds(session) == ["save", "round"]
        assert names(session) == []

    bound(kind, tmp_path, check)
