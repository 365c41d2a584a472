"""Agents nested in a module, or in another agent, that is bound to a session."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from eventstate import InvalidStateError, ReadOnlyError, StateStore, aio
from eventstate.agents.module import StateModule
from eventstate.errors import AgentBusyError
from tests.agents.agents import turns
from tests.agents.sessions import (
    KINDS,
    Keeper,
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
from tests.aio.loops import PATIENCE, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.parametrize("kind", KINDS)


class Pair(StateModule):
    """Two agents, of which the first may call the second."""

    def __init__(self, script: Any = None, **options: Any) -> None:
        super().__init__()
        self.one = Keeper(script, new_id=_numbered("one"), **options)
        self.members = [Keeper(new_id=_numbered("two"))]
        self.n = 0
        self.register_state("n")

    @property
    def two(self) -> Keeper:
        return self.members[0]


def _numbered(name: str) -> Callable[[], str]:
    numbers = iter(range(1000))
    return lambda: f"{name}-{next(numbers)}"


def paired(kind: str, check: Callable[[Pair, Any], Any], script: Any = None) -> None:
    """Run a test with two agents that are bound as parts of one module."""

    async def main() -> None:
        async with opened(":memory:", kind) as session:
            pair = Pair(script)
            pair.bind(session)
            await check(pair, session)
            assert in_step(pair)
            assert plain(session).state() == pair.state_dict()

    run(main())


def test_two_agents_of_a_tree_reply_one_after_the_other(kind: str) -> None:
    async def slow(self: Keeper) -> str:
        await turns(5)
        self.log.append("done")
        return "one"

    async def check(pair: Pair, session: Any) -> None:
        pair.two.script = slow
        await asyncio.gather(pair.one(), pair.two(), pair.two.observe("seen"))
        assert kinds(session) == ["save", "reply", "reply", "observe"]
        assert pair.one.log == ["began", "done"]
        assert pair.two.log == ["began", "done", "seen"]
        check_marks(session)

    paired(kind, check, slow)


def test_what_an_agent_observes_before_its_reply_is_noted_is_no_change_by_itself(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        await asyncio.gather(pair.one(), pair.one.observe("seen"))
        assert "assign" not in kinds(session)
        assert sorted(pair.one.log) == ["began", "seen"]

    paired(kind, check)


def test_what_an_agent_does_that_another_ones_reply_calls_is_a_part_of_its_round(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        async def lead(self: Keeper) -> str:
            await pair.two.observe("listen")
            await asyncio.gather(pair.two())
            async with pair.two.tool_call("late"):
                pass
            self.log.append("led")
            return "done"

        pair.one.script = lead
        assert await pair.one() == "done"
        assert kinds(session) == ["save", "reply"]
        assert (pair.one.log, pair.two.log) == (["began", "led"], ["listen", "began"])
        inner = {"reply_id": "two-1", "within": "one-1"}
        assert notes(session)[:3] == [
            ("reply.started", {"reply_id": "one-1"}),
            ("reply.started", inner),
            ("reply.returned", inner),
        ]
        assert pair.one.unfinished() == []
        check_marks(session)

    paired(kind, check)


@pytest.mark.parametrize("caught", [False, True])
def test_an_inner_reply_that_fails_is_noted_and_its_changes_go_the_way_of_the_outer_ones(
    kind: str, *, caught: bool
) -> None:
    async def check(pair: Pair, session: Any) -> None:
        async def fail(_: Keeper) -> None:
            raise LookupError("nothing")

        async def lead(self: Keeper) -> str:
            self.log.append("leads")
            try:
                await pair.two()
            except LookupError:
                if not caught:
                    raise
            return "done"

        pair.one.script, pair.two.script = lead, fail
        if caught:
            await pair.one()
            assert (pair.one.log, pair.two.log) == (["began", "leads"], ["began"])
            assert names(session) == ["reply.started", "reply.started", "reply.failed"]
        else:
            with pytest.raises(LookupError):
                await pair.one()
            assert (pair.one.log, pair.two.log) == ([], [])
            assert names(session) == ["reply.started", "reply.started", "reply.failed", "reply.failed"]
        assert pair.one.unfinished() == []
        await pair.two.observe("and on")
        check_marks(session)

    paired(kind, check)


def test_an_agent_of_another_tree_has_rounds_of_its_own(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        async with opened(":memory:", kind) as elsewhere:
            other = Keeper()
            other.bind(elsewhere)

            async def lead(_: Keeper) -> None:
                await other.observe("listen")
                await other()
                assert kinds(elsewhere) == ["save", "observe", "reply"]

            pair.one.script = lead
            await pair.one()
            assert in_step(other)
        assert kinds(session) == ["save", "reply"]

    paired(kind, check)


def test_a_tree_whose_unfinished_replies_cannot_be_marked_is_not_bound(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            Pair().bind(session)
            plain(session).note("reply.started", {"reply_id": "lost"})
        async with opened(tmp_path / "a.db", kind, read_only=True) as session:
            pair = Pair()
            with pytest.raises(ReadOnlyError):
                pair.bind(session)
            assert (pair.bound, pair.one.bound) == (None, None)
            pair.n = 1

    run(main())


def test_an_inner_reply_is_interrupted_alone(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        async def wait(_: Keeper) -> None:
            await pair.two.interrupt()
            await asyncio.Event().wait()

        async def lead(_: Keeper) -> Any:
            return (await pair.two())["content"]

        pair.one.script, pair.two.script = lead, wait
        assert await pair.one() == "stopped"
        assert kinds(session) == ["save", "reply"]
        assert names(session) == ["reply.started", "reply.started", "reply.interrupted"]
        assert pair.two.log == ["began", "stopped"]

    paired(kind, check)


def test_an_inner_reply_that_calls_the_outer_agent_is_refused(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        async def back(_: Keeper) -> None:
            await pair.one()

        async def lead(_: Keeper) -> None:
            await pair.two()

        pair.one.script, pair.two.script = lead, back
        with pytest.raises(AgentBusyError):
            await pair.one()
        assert kinds(session) == ["save"]

    paired(kind, check)


def test_subscribers_in_one_tree_observe_after_the_reply_and_in_rounds_of_their_own(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        for agent in (pair.one, pair.two):
            agent.reset_subscribers("hub", [pair.one, pair.two])
        await asyncio.gather(pair.one("a"), pair.two("b"))
        assert kinds(session).count("reply") == kinds(session).count("observe") == 2
        assert (len(pair.one.log), len(pair.two.log)) == (2, 2)

    paired(kind, check)


def test_a_tree_is_not_let_go_while_one_of_its_agents_replies(kind: str) -> None:
    async def check(pair: Pair, _: Any) -> None:
        async def script(_: Keeper) -> None:
            with pytest.raises(InvalidStateError):
                pair.unbind()
            with pytest.raises(InvalidStateError), pair.round():
                pass
            assert pair.two.unfinished() == []
            pair.n += 1

        pair.one.script = script
        await pair.one()
        assert pair.n == 1

    paired(kind, check)


def test_unfinished_replies_are_marked_when_the_tree_is_bound_again(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            Pair().bind(session)
            told = plain(session)
            told.note("reply.started", {"reply_id": "lost"})
            told.note("reply.started", {"reply_id": "inner", "within": "lost"})
            told.note("reply.started", {"reply_id": "done", "within": "lost"})
            told.note("reply.returned", {"reply_id": "done", "within": "lost"})
            told.note("tool.called", {"reply_id": "inner", "call_id": "c", "name": "t", "arguments": None})
        async with opened(tmp_path / "a.db", kind) as session:
            for _ in range(2):
                pair = Pair()
                pair.bind(session)
                assert names(session)[5:] == ["reply.unfinished", "tool.unfinished", "reply.unfinished"]
                assert [left.reply_id for left in pair.two.unfinished()] == ["lost", "inner"]
                pair.unbind()
            check_marks(session)

    run(main())


def test_an_observation_whose_loop_was_closed_in_the_middle_of_its_commit_is_caught_up_with(
    kind: str,
) -> None:
    begun, gate, waits = threading.Event(), threading.Event(), list[bool]()
    with StateStore(":memory:") as store:
        over = aio.StateStore.over(store)
        worker: Any = over._worker
        session = over.session("u")
        pair = Pair()
        pair.bind(session if kind == "aio" else store.session("u"))

        def hold() -> None:
            begun.set()
            waits.append(gate.wait(PATIENCE))

        async def main() -> None:
            worker.submit(hold)
            task = asyncio.create_task(pair.one.observe("seen"))
            await until(begun.is_set)
            await turns(5)
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            for each in asyncio.all_tasks():
                each._log_destroy_pending = False  # type: ignore[attr-defined]

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        gc.collect()
        gate.set()
        run(pair.one("on"))
        assert pair.one.log == ["seen", "began"]
        assert pair.state_dict() == store.session("u").state()
        asyncio.run(over.close())
        assert waits == [True]


def test_an_agent_that_is_dropped_with_its_loop_in_the_middle_of_a_commit_says_nothing(kind: str) -> None:
    begun = threading.Event()
    with StateStore(":memory:") as store:
        over = aio.StateStore.over(store)
        session = over.session("u")

        async def held(*_: Any, **__: Any) -> None:
            begun.set()
            await waiting()

        async def main() -> None:
            pair = Pair()
            pair.bind(session)
            asyncio.create_task(pair.one())  # noqa: RUF006 - it is dropped
            await until(begun.is_set)
            for each in asyncio.all_tasks():
                each._log_destroy_pending = False  # type: ignore[attr-defined]

        with mock.patch.object(session, "attempt", held):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
            loop.close()
            gc.collect()
        pair = Pair()
        pair.bind(store.session("u") if kind == "plain" else session)
        assert names(session) == ["reply.started", "reply.unfinished"]
        asyncio.run(over.close())
