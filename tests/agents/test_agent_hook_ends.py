"""Hooks that are called in any case, and hooks that raise or call again what they hook."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from eventstate.agents.hooks import HOOK_TYPES, Outcome
from eventstate.errors import AgentBusyError
from tests.agents.agents import Scripted, said, turns
from tests.aio.loops import run

if TYPE_CHECKING:
    from eventstate.agents.agent import Agent


def test_a_finally_hook_is_told_the_result_or_the_error() -> None:
    async def fail(_: Any) -> Any:
        raise LookupError("no model")

    async def main() -> None:
        told: list[tuple[Any, Outcome]] = []
        good, bad = Scripted(), Scripted(fail)
        for agent in (good, bad):
            agent.register_instance_hook("finally_reply", "tell", lambda _, *rest: told.append(rest))
        good.register_instance_hook("post_reply", "other", lambda *_: "other")
        await good("a")
        with pytest.raises(LookupError) as caught:
            await bad("b")
        assert told == [
            ({"args": ("a",), "kwargs": {}}, Outcome("finished", "other")),
            ({"args": ("b",), "kwargs": {}}, Outcome("failed", error=caught.value)),
        ]

    run(main())


@pytest.mark.parametrize("hook_type", ["pre_reply", "post_reply"])
def test_a_hook_that_never_ends_is_interrupted_with_its_reply(hook_type: str) -> None:
    async def main() -> None:
        agent, ended = Scripted(), list[str]()

        async def never(*_: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(hook_type)

        agent.register_instance_hook(hook_type, "never", never)
        task = asyncio.create_task(agent("a"))
        await turns(5)
        await agent.interrupt()
        assert await task == said("stopped")
        assert ended == [hook_type]
        agent.remove_instance_hook(hook_type, "never")
        assert await agent("b") == (("b",), {})

    run(main())


def test_a_finally_hook_sees_an_interrupt_and_a_cancellation() -> None:
    async def main() -> None:
        told: list[str] = []

        async def tell(_: Any, __: Any, outcome: Outcome) -> None:
            await asyncio.sleep(0)
            assert isinstance(outcome.error, asyncio.CancelledError)
            told.append(outcome.status)

        agent = Scripted(lambda _: asyncio.Event().wait())
        agent.register_instance_hook("finally_reply", "tell", tell)
        task = asyncio.ensure_future(agent())
        await turns(2)
        await agent.interrupt()
        assert await task == said("stopped")
        task = asyncio.ensure_future(agent())
        await turns(2)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert told == ["interrupted", "cancelled"]

    run(main())


def test_all_finally_hooks_are_called_and_the_first_that_raises_makes_the_call_fail() -> None:
    async def main() -> None:
        calls: list[int] = []

        def hook(number: int) -> Any:
            def raising(*_: Any) -> None:
                calls.append(number)
                raise ValueError(number)

            return raising

        agent = Scripted()
        for number in (1, 2):
            agent.register_instance_hook("finally_reply", str(number), hook(number))
        with pytest.raises(ValueError, match="1"):
            await agent()
        assert calls == [1, 2]
        assert agent._reply_task is None

    run(main())


def test_the_error_of_a_call_goes_before_that_of_its_finally_hook(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def fail(_: Any) -> Any:
            raise LookupError("no model")

        def raising(*_: Any) -> None:
            raise ValueError("in the hook")

        agent = Scripted(fail)
        agent.register_instance_hook("finally_reply", "bad", raising)
        with pytest.raises(LookupError):
            await agent()

    run(main())
    assert "in the hook" in caplog.text


@pytest.mark.parametrize("kind", [kind for kind in HOOK_TYPES if not kind.endswith("observe")])
def test_a_hook_that_raises_makes_the_reply_fail(kind: str) -> None:
    async def main() -> None:
        def raising(*_: Any) -> None:
            raise ValueError("in the hook")

        agent = Scripted(lambda self: self.print(said("hi")))
        agent.register_instance_hook(kind, "bad", raising)
        with pytest.raises(ValueError, match="in the hook"):
            await agent()
        agent.remove_instance_hook(kind, "bad")
        await agent()

    run(main())


@pytest.mark.parametrize("kind", HOOK_TYPES)
def test_a_hook_that_calls_again_what_it_hooks_is_refused(kind: str) -> None:
    async def main() -> None:
        agent = Scripted()
        method = kind.partition("_")[2]

        async def again(*_: Any) -> None:
            await getattr(agent, method)(said("again"))

        agent.register_instance_hook(kind, "again", again)
        with pytest.raises(AgentBusyError, match=f"hook of {method}"):
            await getattr(agent, method)(said("once"))

    run(main())


def test_a_hook_of_a_reply_may_not_call_the_agent() -> None:
    async def main() -> None:
        for mode in ("refuse", "queue"):
            agent = Scripted(concurrent_replies=mode)

            async def again(self: Agent, *_: Any) -> None:
                await self("again")

            agent.register_instance_hook("post_reply", "again", again)
            with pytest.raises(AgentBusyError, match="its own agent"):
                await agent("once")

    run(main())
