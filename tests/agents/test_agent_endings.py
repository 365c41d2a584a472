"""How a reply of a bound agent ends, if not well: by errors, interrupts and cancellations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

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


def test_an_error_takes_the_changes_back_and_is_noted(kind: str, tmp_path: Path) -> None:
    async def script(self: Keeper) -> None:
        self.log.append("lost")
        raise LookupError("no model \udc80")

    async def check(agent: Keeper, session: Any) -> None:
        with pytest.raises(LookupError):
            await agent()
        assert agent.log == []
        assert kinds(session) == ["save"]
        assert notes(session)[1] == (
            "reply.failed",
            {"reply_id": "id-2", "error": "LookupError: no model \\udc80"},
        )

    bound(kind, tmp_path, check, script)


def test_an_error_may_keep_the_changes(kind: str, tmp_path: Path) -> None:
    async def script(self: Keeper) -> None:
        self.log.append("kept")
        raise LookupError("no model")

    async def check(agent: Keeper, session: Any) -> None:
        with pytest.raises(LookupError):
            await agent()
        assert agent.log == ["began", "kept"]
        assert kinds(session) == ["save", "failed"]
        assert plain(session).committed("id-2") is not None

    bound(kind, tmp_path, check, script, on_error="keep")


def test_an_interrupt_keeps_what_was_done_and_what_its_handling_does(kind: str, tmp_path: Path) -> None:
    async def script(self: Keeper) -> None:
        async with self.tool_call("slow", call_id="c"):
            await waiting()

    async def check(agent: Keeper, session: Any) -> None:
        task = asyncio.ensure_future(agent("hi"))
        await until(lambda: "tool.called" in names(session))
        await agent.interrupt()
        assert await task == said("stopped")
        assert agent.handled == [(("hi",), {})]
        assert plain(session).state() == {"log": ["began", "stopped"]}
        assert kinds(session) == ["save", "interrupted"]
        assert plain(session).committed("id-2") is not None
        assert notes(session)[2:] == [
            ("tool.interrupted", {"reply_id": "id-2", "call_id": "c", "name": "slow"}),
            ("reply.interrupted", {"reply_id": "id-2", "by": "interrupt"}),
        ]

    bound(kind, tmp_path, check, script)


def test_a_cancellation_is_handled_and_marked_and_goes_on(kind: str, tmp_path: Path) -> None:
    limit = asyncio.Timeout(None)

    async def script(_: Any) -> None:
        limit.reschedule(asyncio.get_running_loop().time())  # however long the beginning took
        await waiting()

    async def check(agent: Keeper, session: Any) -> None:
        with pytest.raises(TimeoutError):
            async with limit:
                await agent()
        assert plain(session).state() == {"log": ["began", "stopped"]}
        assert notes(session)[-1] == ("reply.interrupted", {"reply_id": "id-2", "by": "cancel"})
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    bound(kind, tmp_path, check, script)


def test_a_cancellation_that_something_inside_raises_counts_as_an_interrupt(
    kind: str, tmp_path: Path
) -> None:
    async def script(_: Any) -> None:
        raise asyncio.CancelledError

    async def check(agent: Keeper, session: Any) -> None:
        assert await agent() == said("stopped")
        assert notes(session)[-1] == ("reply.interrupted", {"reply_id": "id-2", "by": "inside"})

    bound(kind, tmp_path, check, script)


def test_a_second_interrupt_ends_the_handling_and_takes_the_changes_back(kind: str, tmp_path: Path) -> None:
    class Slow(Keeper):
        async def handle_interrupt(self, *_: Any, **__: Any) -> Any:
            self.log.append("handling")
            await waiting()

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Slow(lambda _: waiting())
            agent.bind(session)
            task = asyncio.ensure_future(agent())
            await until(lambda: agent.log[-1:] == ["began"])
            await turns()
            await agent.interrupt()
            await until(lambda: agent.log[-1:] == ["handling"])
            await agent.interrupt()
            await asyncio.wait({task})
            assert task.cancelled()
            assert in_step(agent)
            assert agent.log == []
            assert kinds(session) == ["save"]
            assert names(session) == ["reply.started", "reply.interrupted"]

    run(main())


@pytest.mark.parametrize("by", ["interrupt", "cancel"])
def test_a_handling_that_raises_makes_the_reply_fail(kind: str, by: str, tmp_path: Path) -> None:
    class Bad(Keeper):
        async def handle_interrupt(self, *_: Any, **__: Any) -> Any:
            self.log.append("handling")
            raise LookupError("no handling")

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Bad(lambda _: waiting())
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
                assert isinstance(task.exception(), LookupError)
            else:
                assert task.cancelled()
            assert in_step(agent)
            assert agent.log == []
            assert names(session) == ["reply.started", "reply.failed"]
            check_marks(session)

    run(main())


def test_a_cancellation_while_the_end_is_journaled_goes_on_after_it(kind: str, tmp_path: Path) -> None:
    async def check(agent: Keeper, session: Any) -> None:
        for delay in range(12):
            before = len(agent.log)
            task = asyncio.ensure_future(agent())
            while len(agent.log) == before and not task.done():
                await turns()
            await turns(delay)
            task.cancel()
            await asyncio.wait({task})
            assert in_step(agent)
            assert agent.log[-1] in ("began", "stopped")
        check_marks(session)
        assert set(kinds(session)) <= {"save", "reply", "interrupted"}
        assert kinds(session).count("reply") > 0

    bound(kind, tmp_path, check)
