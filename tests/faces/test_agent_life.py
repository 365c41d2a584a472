"""The contract of an agent's life, row by row: calls, interrupts, its state."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.faces.agents import Echo, Waiting, untyped
from tests.faces.face import Agent, awaited, by_face, differs, message, outcome, outcome_of

# Calls.


@awaited
async def test_a_call_runs_reply_with_its_arguments_and_gives_its_message() -> None:
    agent = Echo()
    assert (await agent("a")).content == "a"
    assert (await agent("b", times=2)).content == "bb"
    assert (await agent(times=3, text="c")).content == "ccc"
    assert agent.calls == [("a", 1), ("b", 2), ("c", 3)]


@awaited
async def test_each_agent_has_an_id_of_its_own_and_a_state_without_what_belongs_to_its_life() -> None:
    one, other = Echo(), Echo()
    assert isinstance(one.id, str)
    assert one.id
    assert one.id != other.id
    assert one.state_dict() == {}
    assert Waiting().state_dict() == {"count": 0}


@awaited
async def test_each_call_makes_a_reply_id_of_its_own() -> None:
    class Seen(Echo):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            seen.append(self._reply_id)
            return await super().reply(text, times)

    seen: list[Any] = []
    agent = Seen()
    assert agent._reply_id is None
    await agent("a")
    await agent("b")
    assert all(isinstance(reply, str) and reply for reply in seen)
    assert len(set(seen)) == 2


@awaited
async def test_the_task_of_the_reply_is_known_while_it_runs_alone() -> None:
    agent = untyped(Waiting())
    tasks = [agent._reply_task]
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    tasks.append(agent._reply_task)
    agent.go_on.set()
    assert (await running).content == "a"
    assert [*tasks, agent._reply_task] == [None, running, None]


@awaited
async def test_an_error_of_the_reply_goes_on_and_nobody_hears_of_a_message() -> None:
    class Failing(Echo):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            raise LookupError(text * times)

    agent, listener = Failing(), Echo()
    agent.reset_subscribers("hub", [listener])
    with pytest.raises(LookupError, match="mine"):
        await agent("mine")
    assert agent._reply_task is None
    assert listener.observed == []
    assert (await Echo()("after")).content == "after"


@awaited
async def test_what_a_subclass_does_not_define_is_not_implemented() -> None:
    agent = Agent()
    for call in (lambda: agent("a"), lambda: agent.observe(message("a")), agent.handle_interrupt):
        with pytest.raises(NotImplementedError):
            await call()


@differs("a second call runs beside the first", "two replies at a time would mix their state")
@awaited
async def test_a_second_call_while_a_reply_runs_is_refused() -> None:
    agent = Waiting()
    first = asyncio.create_task(agent("first"))
    await agent.started.wait()
    second = asyncio.create_task(outcome_of(agent("second")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    agent.go_on.set()
    answers = [await first, await second]
    assert answers[0].content == "first"
    assert getattr(answers[1], "content", answers[1]) == by_face(ours="RuntimeError", original="second")
    assert agent.count == by_face(ours=1, original=2)


# Interrupts.


@awaited
async def test_an_interrupt_without_a_reply_does_nothing() -> None:
    agent = Waiting()
    await agent.interrupt()
    agent.go_on.set()
    assert (await agent("a")).content == "a"
    await agent.interrupt(message("too late"))
    assert agent.handled == []


@awaited
async def test_an_interrupted_call_gives_what_handle_interrupt_makes_of_the_same_arguments() -> None:
    agent = Waiting()
    running = asyncio.create_task(agent("a", times=2))
    await agent.started.wait()
    await agent.interrupt(message("stop"))
    assert (await running).content == "interrupted"
    assert agent.handled == [(("a",), {"times": 2})]
    assert agent._reply_task is None
    assert not running.cancelled()


@awaited
async def test_after_an_interrupt_the_agent_can_be_called_and_its_state_goes_on() -> None:
    agent = Waiting()
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    await agent.interrupt()
    await running
    agent.go_on.set()
    assert (await agent("b")).content == "b"
    assert agent.state_dict() == {"count": 2}


@awaited
async def test_the_message_of_an_interrupt_is_told_to_the_subscribers() -> None:
    agent, listener = Waiting(), Echo()
    agent.reset_subscribers("hub", [listener])
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    await agent.interrupt()
    await running
    assert [msg.content for msg in listener.observed] == ["interrupted"]


@awaited
async def test_a_cancelled_error_of_a_tool_is_an_interrupt() -> None:
    class Tool(Waiting):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            del text, times
            raise asyncio.CancelledError

    assert (await Tool()("a")).content == "interrupted"


@awaited
async def test_an_error_of_handle_interrupt_goes_on() -> None:
    class Failing(Waiting):
        async def handle_interrupt(self, *args: Any, **kwargs: Any) -> Any:
            raise LookupError(args, kwargs)

    agent = Failing()
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    await agent.interrupt()
    with pytest.raises(LookupError):
        await running
    assert agent._reply_task is None


@awaited
async def test_an_interrupt_of_an_agent_that_does_not_handle_it_is_not_implemented() -> None:
    class Plain(Waiting):
        handle_interrupt = Agent.handle_interrupt

    agent = Plain()
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    await agent.interrupt()
    with pytest.raises(NotImplementedError):
        await running


@awaited
async def test_a_reply_may_interrupt_its_own_agent() -> None:
    class Doubting(Waiting):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            await self.interrupt()
            return await super().reply(text, times)

    assert (await Doubting()("a")).content == "interrupted"


@differs("it cancels whatever the caller does next", "an interrupt is for the reply alone")
@awaited
async def test_an_interrupt_in_the_last_moment_of_a_reply_is_not_left_to_the_caller() -> None:
    class Late(Waiting):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            await self.interrupt()
            return message(text * times)

    async def caller() -> Any:
        answer = await Late()("a")
        await asyncio.sleep(0)
        return answer

    calling = asyncio.create_task(caller())
    await asyncio.wait([calling])
    assert calling.cancelled() == by_face(ours=False, original=True)


@awaited
async def test_a_reply_that_catches_the_interrupt_gives_its_own_answer() -> None:
    class Steady(Waiting):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            try:
                return await super().reply(text, times)
            except asyncio.CancelledError:
                return message("caught")

    agent = Steady()
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    await agent.interrupt()
    assert (await running).content == "caught"
    assert agent.handled == []


@awaited
async def test_an_interrupt_that_is_handled_without_a_message_is_told_to_nobody() -> None:
    class Quiet(Waiting):
        async def handle_interrupt(self, *args: Any, **kwargs: Any) -> Any:
            self.handled.append((args, kwargs))

    agent, listener = Quiet(), Echo()
    agent.reset_subscribers("hub", [listener])
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    await agent.interrupt()
    assert await running is None
    assert (len(agent.handled), listener.observed) == (1, [])


@awaited
async def test_a_second_interrupt_ends_the_handling_of_the_first() -> None:
    class Slow(Waiting):
        async def handle_interrupt(self, *args: Any, **kwargs: Any) -> Any:
            self.handled.append((args, kwargs))
            self.started.set()
            await asyncio.Event().wait()

    agent = Slow()
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    agent.started.clear()
    await agent.interrupt()
    await agent.started.wait()
    await agent.interrupt()
    await asyncio.wait([running])
    assert running.cancelled()
    assert agent._reply_task is None


@differs("the inner call runs, and takes the outer one's task away", "it would wait for itself")
@awaited
async def test_a_reply_that_calls_its_own_agent_is_refused() -> None:
    class Recursive(Echo):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            return await (self(text + "!") if len(text) < 3 else super().reply(text, times))

    answer = await outcome_of(Recursive()("a"))
    assert getattr(answer, "content", answer) == by_face(ours="RuntimeError", original="a!!")


@differs("the cancellation is swallowed", "timeouts and groups rely on it that what they cancel ends so")
@awaited
async def test_a_cancellation_from_outside_is_handled_and_goes_on() -> None:
    agent = Waiting()
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled() == by_face(ours=True, original=False)
    assert agent.handled == [(("a",), {})]
    assert agent._reply_task is None


@differs("the timeout is swallowed", "the same")
@awaited
async def test_a_timeout_around_a_call_is_a_timeout() -> None:
    agent = Waiting()
    answer = await outcome_of(asyncio.wait_for(agent("a"), 0.01))
    assert getattr(answer, "content", answer) == by_face(ours="TimeoutError", original="interrupted")
    assert agent.handled == [(("a",), {})]


# Its state.


@awaited
async def test_agents_and_modules_nest_in_an_agent() -> None:
    class Boss(Waiting):
        def __init__(self) -> None:
            super().__init__()
            self.worker = Waiting()

    boss = Boss()
    boss.worker.go_on.set()
    await boss.worker("a")
    assert boss.state_dict() == {"worker": {"count": 1}, "count": 0}
    boss.load_state_dict({"worker": {"count": 5}, "count": 6})
    assert (boss.worker.count, boss.count) == (5, 6)


def test_a_module_set_before_the_bases_constructor_is_an_error_that_says_so() -> None:
    class Forgetful(Agent):
        def __init__(self) -> None:
            self.inner = Echo()

    assert outcome(Forgetful) == "AttributeError"
