"""A bound agent in trouble: conflicts, sessions that are gone, killed processes and closed loops."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import (
    ConflictError,
    InvalidStateError,
    SessionDeletedError,
    StateStore,
    UnsupportedValueError,
    aio,
)
from eventstate.errors import AgentBusyError
from tests.agents.agents import turns
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


def test_a_tool_that_raises_is_marked_and_so_is_a_result_that_can_not_be_stored(
    kind: str, tmp_path: Path
) -> None:
    async def script(self: Keeper) -> None:
        with pytest.raises(LookupError):
            async with self.tool_call("bad"):
                raise LookupError("nothing found")
        with pytest.raises(UnsupportedValueError):
            async with self.tool_call("odd") as call:
                call.result = object()
        with pytest.raises(UnsupportedValueError):
            async with self.tool_call("odd", object()):
                pytest.fail("the tool was called all the same")
        async with self.tool_call("silent", call_id="same"):
            with pytest.raises(ValueError, match="'same'"):
                async with self.tool_call("silent", call_id="same"):
                    pytest.fail("two calls have the same id")

    async def check(agent: Keeper, session: Any) -> None:
        await agent()
        told = [(name, data.get("error", data.get("result"))) for name, data in notes(session)]
        assert told[1] == ("tool.called", None)
        assert told[2] == ("tool.failed", "LookupError: nothing found")
        assert told[4][0] == "tool.failed"
        assert "object" in told[4][1]
        assert told[5:] == [("tool.called", None), ("tool.returned", None)]
        assert "result" not in notes(session)[-1][1]

    bound(kind, tmp_path, check, script)


def test_a_conflict_fails_the_reply_and_the_agent_takes_what_is_there(kind: str, tmp_path: Path) -> None:
    async def script(_: Keeper) -> None:
        with StateStore(tmp_path / "a.db") as other:
            other.session("u", "s").save({"log": ["other"]})

    async def check(agent: Keeper, session: Any) -> None:
        with pytest.raises(ConflictError):
            await agent()
        assert agent.log == ["other"]
        assert names(session) == ["reply.started", "reply.failed"]
        agent.script = None
        await agent()
        assert agent.log == ["other", "began"]

    bound(kind, tmp_path, check, script)


def test_changes_that_can_not_be_stored_fail_the_reply_and_are_taken_back(kind: str, tmp_path: Path) -> None:
    async def script(self: Keeper) -> None:
        self.log.append("fine")
        self.log.append({"bad": {1: object()}})

    async def check(agent: Keeper, session: Any) -> None:
        with pytest.raises(UnsupportedValueError):
            await agent()
        assert agent.log == []
        assert names(session) == ["reply.started", "reply.failed"]

    bound(kind, tmp_path, check, script)


def test_an_id_that_was_there_before_is_refused(kind: str, tmp_path: Path) -> None:
    async def check(agent: Keeper, session: Any) -> None:
        await agent("a")
        with pytest.raises(ValueError, match="'same'"):
            await agent("b")
        assert agent.log == ["began"]
        assert names(session) == ["reply.started"]

    bound(kind, tmp_path, check, new_id=lambda: "same")


def test_binding_and_unbinding_while_the_agent_replies_is_refused(kind: str, tmp_path: Path) -> None:
    async def script(self: Keeper) -> None:
        with pytest.raises(AgentBusyError, match="unbound"):
            self.unbind()
        with pytest.raises(AgentBusyError, match="bound"):
            self.bind(plain(self.bound))

    async def check(agent: Keeper, session: Any) -> None:
        await agent()
        agent.unbind()
        await agent()
        assert kinds(session) == ["save", "reply"]
        agent.bind(session)
        assert agent.log == ["began"]
        with pytest.raises(InvalidStateError, match="already"):
            agent.bind(session)

    bound(kind, tmp_path, check, script)


def test_a_session_deleted_while_the_agent_replies_is_a_clear_error(kind: str, tmp_path: Path) -> None:
    async def script(self: Keeper) -> None:
        plain(self.bound).delete()

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Keeper(script)
            agent.bind(session)
            with pytest.raises(SessionDeletedError):
                await agent()
            assert agent.log == []
            with pytest.raises(SessionDeletedError):
                await agent()
            assert agent._reply_task is None
            plain(session).restore()
            agent.script = None
            await agent()
            assert in_step(agent)

    run(main())


def test_what_a_killed_process_left_is_marked_once(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Keeper()
            agent.bind(session)
            await agent()
            agent.unbind()
            # What a process leaves that is killed in the middle of its second tool.
            own = {"reply_id": "r"}
            first, second = ({**own, "call_id": key, "name": "t"} for key in "ab")
            left = plain(session)
            left.note("reply.started", own)
            left.note("tool.called", {**first, "arguments": None})
            left.note("tool.returned", first)
            left.note("tool.called", {**second, "arguments": None})
            left.note("other", "not the agent's")
            before = len(names(session))
            agent = Keeper()
            agent.bind(session)
            assert agent.log == ["began"]
            assert notes(session)[before:] == [("tool.unfinished", second), ("reply.unfinished", own)]
            [unfinished] = agent.unfinished()
            assert unfinished.reply_id == "r"
            assert [note.name for note in unfinished.notes] == [
                *("reply.started", "tool.called", "tool.returned", "tool.called"),
                *("tool.unfinished", "reply.unfinished"),
            ]
            agent.unbind()
            agent.bind(session)
            assert len(names(session)) == before + 2
            assert len(agent.unfinished()) == 1
            agent._life.new_id = lambda: "next"
            agent.script = _nothing_unfinished_but_r
            await agent()
            assert agent.unfinished() == []
            agent.unbind()
            assert agent.unfinished() == []
            check_marks(session)

    async def _nothing_unfinished_but_r(self: Keeper) -> None:
        assert [left.reply_id for left in self.unfinished()] == ["r"]

    run(main())


@pytest.mark.parametrize("then", ["reply", "observe"])
def test_a_loop_closed_in_the_middle_of_a_reply_leaves_the_session_as_it_was(
    kind: str, then: str, tmp_path: Path
) -> None:
    async def script(self: Keeper) -> None:
        self.log.append("half")
        async with self.tool_call("slow", call_id="c"):
            await waiting()

    with StateStore(tmp_path / "a.db") as store:
        over = aio.StateStore.over(store)
        session = (store if kind == "plain" else over).session("u", "s")
        agent = Keeper(script)
        agent.bind(session)

        async def main() -> None:
            task = asyncio.create_task(agent())
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            await until(lambda: "tool.called" in names(session))
            await turns(5)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        assert names(session) == ["reply.started", "tool.called"]
        agent.script = None
        run(agent() if then == "reply" else agent.observe("heard"))
        assert agent.log == ["began" if then == "reply" else "heard"]
        assert in_step(agent)
        assert kinds(session) == ["save", then]
        gc.collect()
        run(agent())
        assert names(session)[2:4] == ["tool.unfinished", "reply.unfinished"]
        assert check_marks(session)[1] == 1
        asyncio.run(over.close())


def test_a_loop_that_ends_while_an_agent_replies_leaves_it_marked(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Keeper(script)
            agent.bind(session)
            await agent()

    async def script(_: Keeper) -> None:
        begun.set()
        await waiting()

    async def half() -> None:
        task = asyncio.ensure_future(main())
        await begun.wait()
        assert not task.done()

    begun = asyncio.Event()
    asyncio.run(half())
    with StateStore(tmp_path / "a.db") as store:
        session = store.session("u", "s")
        assert session.state() == {"log": ["began", "stopped"]}
        assert check_marks(session) == (1, 0)


@pytest.mark.parametrize("by", ["interrupt", "cancel"])
def test_an_interrupt_whose_outcome_can_not_be_journaled_is_an_error(
    kind: str, by: str, tmp_path: Path
) -> None:
    class Odd(Keeper):
        async def handle_interrupt(self, *_: Any, **__: Any) -> Any:
            self.log.append("bad")

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Odd(lambda _: waiting())
            agent.add_validator("log", lambda log: "bad" not in log)
            agent.bind(session)
            task = asyncio.ensure_future(agent())
            await until(lambda: agent.log)
            await turns()
            if by == "interrupt":
                await agent.interrupt()
            else:
                task.cancel()
            await asyncio.wait({task})
            if by == "interrupt":
                assert isinstance(task.exception(), InvalidStateError)
            else:
                assert task.cancelled()
            assert agent.log == []
            assert in_step(agent)
            assert names(session) == ["reply.started", "reply.interrupted", "reply.failed"]

    run(main())


@pytest.mark.parametrize("by", ["interrupt", "error"])
def test_a_session_that_takes_nothing_any_more_leaves_the_agent_as_it_was(
    kind: str, by: str, tmp_path: Path
) -> None:
    async def script(self: Keeper) -> None:
        self.log.append("half")
        plain(self.bound).delete()
        if by == "interrupt":
            await self.interrupt()
            await turns()
        raise LookupError("no model")

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Keeper(script)
            agent.bind(session)
            with pytest.raises(SessionDeletedError if by == "interrupt" else LookupError) as caught:
                await agent()
            if by == "error":
                assert "could not be marked" in caught.value.__notes__[0]
            assert agent.log == []
            plain(session).restore()
            assert in_step(agent)
            agent.unbind()
            agent.bind(session)
            assert [left.reply_id for left in agent.unfinished()] == ["id-2"]
            check_marks(session)

    run(main())


def test_changes_that_should_be_kept_after_an_error_but_can_not_be_are_taken_back(
    kind: str, tmp_path: Path
) -> None:
    async def script(self: Keeper) -> None:
        self.log.append("bad")
        raise LookupError("no model")

    async def check(agent: Keeper, session: Any) -> None:
        agent.add_validator("log", lambda log: "bad" not in log)
        with pytest.raises(LookupError) as caught:
            await agent()
        assert "could not be kept" in caught.value.__notes__[0]
        assert agent.log == []
        assert names(session) == ["reply.started", "reply.failed"]

    bound(kind, tmp_path, check, script, on_error="keep")


def test_a_reply_that_is_thrown_away_with_its_loop_and_its_agent_leaves_no_noise(
    kind: str, tmp_path: Path
) -> None:
    class Agents(Keeper):
        async def handle_interrupt(self, *_: Any, **__: Any) -> Any:
            pytest.fail("nothing can be handled any more")

    with StateStore(tmp_path / "a.db") as store:
        over = aio.StateStore.over(store)
        session = (store if kind == "plain" else over).session("u", "s")

        async def script(self: Keeper) -> None:
            async with self.tool_call("slow"):
                await waiting()

        async def main() -> None:
            agent = Agents(script)
            agent.bind(session)
            task = asyncio.create_task(agent())
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            await until(lambda: "tool.called" in names(session))
            await turns(5)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        gc.collect()
        agent = Keeper()
        agent.bind(session)
        assert [left.reply_id for left in agent.unfinished()] == ["id-2"]
        assert in_step(agent)
        check_marks(session)
        asyncio.run(over.close())
