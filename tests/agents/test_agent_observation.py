"""What agents of one bound tree observe inside each other's observations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from eventstate.agents.module import StateModule
from eventstate.errors import AgentBusyError
from tests.agents.agents import turns
from tests.agents.sessions import KINDS, Keeper, in_step, kinds, names, notes, opened
from tests.aio.loops import run

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.parametrize("kind", KINDS)


class Relay(Keeper):
    """Does with what it observes what a function says."""

    async def observe(self, msg: Any) -> None:
        await super().observe(msg)
        if self.script is not None:
            await self.script(msg)

    async def reply(self, *args: Any, **kwargs: Any) -> Any:
        self.log.append("replied")
        return args, kwargs


class Pair(StateModule):
    """Two agents."""

    def __init__(self) -> None:
        super().__init__()
        self.one = Relay()
        self.two = Relay(new_id=iter(f"two-{n}" for n in range(100)).__next__)


def paired(kind: str, check: Callable[[Pair, Any], Any]) -> None:
    """Run a test with two agents that are bound as parts of one module."""

    async def main() -> None:
        async with opened(":memory:", kind) as session:
            pair = Pair()
            pair.bind(session)
            await check(pair, session)
            assert in_step(pair)

    run(main())


def test_what_an_agent_observes_inside_anothers_observation_is_a_part_of_its_round(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        async def on(msg: Any) -> None:
            await pair.two.observe(msg)
            await asyncio.gather(pair.two.observe("again"))
            assert kinds(session) == ["save"]

        pair.one.script = on
        await pair.one.observe("seen")
        assert kinds(session) == ["save", "observe"]
        assert (pair.one.log, pair.two.log) == (["seen"], ["seen", "again"])

        async def fail(msg: Any) -> None:
            await pair.two.observe(msg)
            raise LookupError

        pair.one.script = fail
        with pytest.raises(LookupError):
            await pair.one.observe("lost")
        assert (pair.one.log, pair.two.log) == (["seen"], ["seen", "again"])

    paired(kind, check)


def test_a_reply_inside_an_observation_of_the_tree_is_refused(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        pair.one.script = pair.two.__call__
        with pytest.raises(AgentBusyError):
            await pair.one.observe("seen")
        assert names(session) == []
        assert kinds(session) == ["save"]
        await pair.two()
        assert kinds(session) == ["save", "reply"]

    paired(kind, check)


def test_a_reply_that_is_part_of_anothers_may_be_called_by_what_it_observes(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        lead = Keeper(lambda _: pair.one.observe("listen"), new_id=iter(("lead", "lead-1")).__next__)
        pair.lead = lead
        pair.one.script = pair.two.__call__
        await lead()
        assert kinds(session)[-1] == "reply"
        assert pair.two.log == ["replied"]

    paired(kind, check)


def test_two_observations_at_once_have_rounds_of_their_own_one_after_the_other(kind: str) -> None:
    async def check(pair: Pair, session: Any) -> None:
        left: list[asyncio.Task[None]] = []

        async def on(msg: Any) -> None:
            if msg == "leave":
                left.append(asyncio.create_task(late()))
            await turns(3)

        async def late() -> None:
            await turns(50)
            await pair.two.observe("late")

        pair.one.script = on
        await asyncio.gather(pair.one.observe("leave"), pair.one.observe("b"), pair.two.observe("c"))
        await asyncio.gather(*left)
        assert kinds(session) == ["save", "observe", "observe", "observe", "observe"]
        assert (pair.one.log, pair.two.log) == (["leave", "b"], ["c", "late"])

    paired(kind, check)


def test_a_module_whose_agent_replies_is_not_bound_nor_is_the_agent_taken_in(kind: str) -> None:
    async def main() -> None:
        async with opened(":memory:", kind) as session:
            pair, outer = Pair(), StateModule()
            outer.pair = pair

            async def script(_: Any) -> None:
                pair.one.log.append("on")
                for module in (pair, outer):
                    with pytest.raises(AgentBusyError):
                        module.bind(session)
                    assert module.bound is None
                with pytest.raises(AgentBusyError):
                    host.guest = pair.one

            host = StateModule()
            host.bind(session)
            keeper = Keeper(script)
            pair.one = keeper  # type: ignore[assignment]
            await pair.one()
            assert keeper.log == ["began", "on"]
            assert (keeper.bound, hasattr(host, "guest")) == (None, False)
            assert (notes(session), kinds(session)) == ([], ["save"])
            host.guest = keeper
            assert in_step(host)

    run(main())


def test_a_bind_looks_for_unfinished_replies_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with opened(":memory:", kind) as session:
            told = getattr(session, "plain", session)
            told.note("reply.started", {"reply_id": "lost"})
            scans: list[Any] = []
            rounds = type(told).notes

            def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
                scans.append(args)
                return rounds(self, *args, **kwargs)

            monkeypatch.setattr(type(told), "notes", counted)
            outer = StateModule()
            outer.agents = [Keeper() for _ in range(5)]
            outer.bind(session)
            assert len(scans) == 1
            assert names(session) == ["reply.started", "reply.unfinished"]

    run(main())
