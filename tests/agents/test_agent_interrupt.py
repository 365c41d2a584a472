"""What an interrupt is, and what is none: by example, without a session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.agents.agents import Scripted, said, turns
from tests.aio.loops import run


def here() -> asyncio.Task[Any]:
    """Give the task of the test."""
    task = asyncio.current_task()
    assert task is not None
    return task


def test_without_a_reply_there_is_nothing_to_interrupt() -> None:
    async def main() -> None:
        agent = Scripted()
        await agent.interrupt()
        assert await agent() == ((), {})
        await agent.interrupt()
        await turns()
        assert here().cancelling() == 0
        assert agent.handled == []

    run(main())


def test_an_interrupt_says_what_it_was_told_and_its_handling_is_the_reply_that_subscribers_hear() -> None:
    async def main() -> None:
        said_to: list[Any] = []

        async def script(_: Any) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                said_to.extend(error.args)
                raise

        agent, other = Scripted(script), Scripted()
        agent.reset_subscribers("hub", [other])
        task = asyncio.create_task(agent(1, b=2))
        await turns(2)
        await agent.interrupt("enough")
        assert await task == said("stopped")
        assert said_to == ["enough"]
        assert agent.handled == [((1,), {"b": 2})]
        assert other.heard == [said("stopped")]
        assert task.cancelling() == 0

    run(main())


def test_the_handling_of_an_interrupt_runs_in_a_task_that_is_not_being_cancelled_any_more() -> None:
    class Grouping(Scripted):
        async def handle_interrupt(self, *_: Any, **__: Any) -> Any:
            assert here().cancelling() == 0
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    group.create_task(asyncio.Event().wait())
            return "handled"

    async def fail() -> None:
        raise LookupError

    async def main() -> None:
        agent = Grouping(lambda _: asyncio.Event().wait())
        task = asyncio.create_task(agent())
        await turns(2)
        await agent.interrupt()
        assert await task == "handled"

    run(main())


def test_only_the_running_reply_is_interrupted_and_those_that_wait_are_given() -> None:
    async def main() -> None:
        agent = Scripted(lambda _: asyncio.Event().wait(), concurrent_replies="queue")
        tasks = [asyncio.create_task(agent()) for _ in range(3)]
        await turns(3)
        await agent.interrupt()
        assert await tasks[0] == said("stopped")
        agent.script = None
        await agent.interrupt()
        assert await tasks[1] == said("stopped")
        assert await tasks[2] == ((), {})

    run(main())


def test_an_interrupt_in_the_last_moment_counts_and_one_that_is_caught_inside_does_not() -> None:
    async def main() -> None:
        async def late(self: Scripted) -> str:
            await self.interrupt()
            return "done"

        async def catching(self: Scripted) -> str:
            await self.interrupt()
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                return "caught"
            return "not interrupted"

        agent = Scripted(late)
        assert await agent() == said("stopped")
        agent.script = catching
        assert await agent() == "caught"
        await turns()
        assert here().cancelling() == 0

    run(main())


def test_an_interrupt_that_comes_with_an_error_does_not_hide_it() -> None:
    async def main() -> None:
        async def script(self: Scripted) -> None:
            await self.interrupt()
            raise LookupError("no model")

        agent = Scripted(script)
        with pytest.raises(LookupError):
            await agent()
        await turns()
        assert here().cancelling() == 0
        assert agent.handled == []

    run(main())


def test_an_interrupt_after_the_reply_while_subscribers_are_told_does_nothing() -> None:
    class Interrupting(Scripted):
        async def observe(self, msg: Any) -> None:
            await agent.interrupt()
            await turns()
            await super().observe(msg)

    agent, other = Scripted(), Interrupting()

    async def main() -> None:
        agent.reset_subscribers("hub", [other])
        assert await agent() == ((), {})
        assert other.heard == [((), {})]

    run(main())


def test_timeouts_and_task_groups_inside_a_reply_are_its_own_affair() -> None:
    async def main() -> None:
        async def script(self: Scripted) -> str:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.observe(fail(LookupError())))
                    group.create_task(asyncio.Event().wait())
            return "done"

        def fail(error: Exception) -> Any:
            return error

        class Raising(Scripted):
            async def observe(self, msg: Any) -> None:
                raise msg

        agent = Raising(script)
        assert await agent() == "done"
        assert agent.handled == []
        agent.script = lambda _: _grouped()
        task = asyncio.create_task(agent())
        await turns(3)
        await agent.interrupt()
        assert await task == said("stopped")

    async def _grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())

    run(main())


def test_an_interrupt_and_a_cancellation_together_are_a_cancellation() -> None:
    async def main() -> None:
        agent = Scripted(lambda _: asyncio.Event().wait())
        for order in (0, 1):
            task = asyncio.create_task(agent())
            await turns(2)
            if order:
                task.cancel()
            await agent.interrupt()
            if not order:
                task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            assert task.cancelling() == 1
        assert len(agent.handled) == 2

    run(main())


def test_a_reply_in_a_task_that_is_being_cancelled_can_be_interrupted_too() -> None:
    async def main() -> None:
        agent = Scripted(lambda _: asyncio.Event().wait())

        async def cleaning() -> Any:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return await agent("goodbye")

        task = asyncio.create_task(cleaning())
        await turns()
        task.cancel()
        await turns(2)
        await agent.interrupt()
        assert await task == said("stopped")
        assert task.cancelling() == 1

    run(main())


def test_a_cancelled_reply_is_not_told_to_subscribers() -> None:
    async def main() -> None:
        agent, other = Scripted(lambda _: asyncio.Event().wait()), Scripted()
        agent.reset_subscribers("hub", [other])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await agent()
        assert len(agent.handled) == 1
        assert other.heard == []
        assert here().cancelling() == 0

    run(main())


def test_the_handling_of_a_cancellation_may_be_cancelled_again() -> None:
    class Stubborn(Scripted):
        async def handle_interrupt(self, *args: Any, **kwargs: Any) -> Any:
            await super().handle_interrupt(*args, **kwargs)
            await asyncio.Event().wait()

    async def main() -> None:
        agent = Stubborn(lambda _: asyncio.Event().wait())
        task = asyncio.create_task(agent())
        for _ in range(2):
            await turns(2)
            task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert len(agent.handled) == 1
        assert agent._reply_task is None

    run(main())
