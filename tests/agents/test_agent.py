"""The life of an agent without a session: replies one at a time, subscribers, and what it prints."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest

from eventstate.agents.agent import Agent
from eventstate.errors import AgentBusyError
from tests.agents.agents import Message, Scripted, said, turns
from tests.aio.loops import run


def test_a_call_gives_the_reply_with_its_arguments_under_an_id_and_in_the_callers_task() -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def look(self: Scripted) -> str:
            seen.append((self._reply_id, self._reply_task))
            return "done"

        agent = Scripted(look)
        assert agent.id == "id-1"
        assert (agent._reply_id, agent._reply_task) == (None, None)
        assert await agent() == "done"
        assert seen == [("id-2", asyncio.current_task())]
        assert agent._reply_task is None
        assert await agent() == "done"
        assert seen[1][0] == "id-3"
        assert await Scripted()("a", b=1) == (("a",), {"b": 1})

    run(main())


def test_agents_have_ids_of_their_own() -> None:
    assert len({Agent().id for _ in range(3)}) == 3


def test_what_a_subclass_does_not_say_is_not_implemented() -> None:
    async def main() -> None:
        agent = Agent()
        for call in (agent(), agent.observe(None), agent.handle_interrupt()):
            with pytest.raises(NotImplementedError, match="Agent has no"):
                await call
        assert agent._reply_task is None

    run(main())


@pytest.mark.parametrize("option", [{"concurrent_replies": "both"}, {"on_error": "ignore"}])
def test_options_that_make_no_sense_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        Agent(**option)


def test_a_second_reply_at_once_is_refused() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        agent = Scripted(lambda _: gate.wait())
        first = asyncio.ensure_future(agent())
        await turns()
        with pytest.raises(AgentBusyError, match="id-2"):
            await agent()
        assert agent._reply_task is first
        gate.set()
        assert await first is True
        assert await agent() is True

    run(main())


def test_replies_that_wait_are_given_in_the_order_of_their_coming() -> None:
    async def main() -> None:
        order: list[Any] = []

        class Queued(Scripted):
            async def reply(self, *args: Any, **_: Any) -> Any:
                order.append(("begin", *args))
                await turns(3)
                order.append(("end", *args))

        agent = Queued(concurrent_replies="queue")
        await asyncio.gather(*(agent(number) for number in range(4)))
        assert order == [(what, number) for number in range(4) for what in ("begin", "end")]

    run(main())


def test_who_waits_may_be_cancelled_and_the_others_get_their_turns() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        agent = Scripted(lambda _: gate.wait(), concurrent_replies="queue")
        tasks = [asyncio.ensure_future(agent()) for _ in range(4)]
        await turns()
        tasks[1].cancel()
        gate.set()
        await turns()  # the first is done, and hands over to the third
        tasks[2].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert done[0] is done[3] is True
        assert isinstance(done[1], asyncio.CancelledError)
        assert isinstance(done[2], asyncio.CancelledError) or done[2] is True
        assert len(agent.handled) in (0, 1)
        assert await agent() is True

    run(main())


def test_who_is_cancelled_as_its_turn_comes_hands_it_on() -> None:
    async def main() -> None:
        agent = Scripted(concurrent_replies="queue")
        turn = await agent._life.turns.take()
        tasks = [asyncio.ensure_future(agent(number)) for number in range(2)]
        await turns()
        agent._life.turns.give(turn)
        tasks[0].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert done[1] == ((1,), {})

    run(main())


@pytest.mark.parametrize("mode", ["refuse", "queue"])
def test_a_reply_that_calls_its_own_agent_is_refused_also_by_way_of_others(mode: Any) -> None:
    async def main() -> None:
        agent = Scripted(lambda self: self(), concurrent_replies=mode)
        with pytest.raises(AgentBusyError, match="its own agent"):
            await agent()
        one = Scripted(lambda _: other(), concurrent_replies=mode)
        other = Scripted(lambda _: asyncio.ensure_future(one()), concurrent_replies=mode)
        with pytest.raises(AgentBusyError, match="its own agent"):
            await one()

    run(main())


@pytest.mark.parametrize("mode", ["refuse", "queue"])
def test_a_subscriber_that_calls_back_who_tells_it_is_refused(mode: Any) -> None:
    class Answering(Scripted):
        async def observe(self, msg: Any) -> None:
            self.heard.append(await agent(msg))

    agent = Scripted(concurrent_replies=mode)

    async def main() -> None:
        agent.reset_subscribers("hub", [Answering()])
        with pytest.raises(AgentBusyError, match="its own agent"):
            await agent()

    run(main())


def test_a_constructor_that_forgets_that_of_the_agent_is_told_so() -> None:
    class Forgetful(Agent):
        def __init__(self) -> None:
            pass

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        run(Forgetful()())
    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Forgetful().register_instance_hook("pre_reply", "h", print)


def test_a_task_that_a_reply_leaves_behind_may_call_the_agent_later() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        left: list[asyncio.Task[Any]] = []

        async def later(self: Scripted) -> Any:
            await gate.wait()
            self.script = None
            return await self("later")

        async def leave(self: Scripted) -> None:
            left.append(asyncio.create_task(later(self)))
            await turns()

        agent = Scripted(leave)
        await agent()
        gate.set()
        assert await left[0] == (("later",), {})

    run(main())


def test_subscribers_are_told_each_a_copy_without_what_was_thought() -> None:
    thought = {"type": "thinking", "thinking": "hm"}
    spoken = {"type": "text", "text": "hi"}

    async def main() -> None:
        message: Any = None

        async def give(_: Any) -> Any:
            return message

        agent, others = Scripted(give), [Scripted(), Scripted()]
        agent.reset_subscribers("hub", [agent, *others])
        message = {"id": "1", "name": "robot", "content": [thought, spoken]}
        await agent()
        for other in others:
            assert other.heard == [{"id": "1", "name": "robot", "content": [spoken]}]
        assert others[0].heard[0] is not others[1].heard[0]
        others[0].heard[0]["content"][0]["text"] = "changed"
        assert spoken["text"] == "hi"
        assert len(message["content"]) == 2
        assert agent.heard == []

        message = Message("2", "robot", [thought, spoken])
        await agent()
        assert others[1].heard[1] == Message("2", "robot", [spoken])
        assert message.content == [thought, spoken]
        message = [said("a"), Message("3", "robot", [thought])]
        await agent()
        assert others[1].heard[2] == [said("a"), Message("3", "robot", [])]
        message = None
        await agent()
        assert len(others[1].heard) == 3

    run(main())


def test_hubs_are_reset_and_removed_by_name(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        agent, one, two = Scripted(), Scripted(), Scripted()
        agent.reset_subscribers("a", [one])
        agent.reset_subscribers("b", [two])
        agent.reset_subscribers("a", [two])
        await agent()
        assert (len(one.heard), len(two.heard)) == (0, 2)
        agent.remove_subscribers("a")
        await agent()
        assert len(two.heard) == 3
        with caplog.at_level(logging.WARNING):
            agent.remove_subscribers("a")
        assert "'a'" in caplog.text

    run(main())


def test_all_subscribers_are_told_even_if_some_raise_and_their_errors_come_out() -> None:
    class Deaf(Scripted):
        async def observe(self, msg: Any) -> None:
            raise LookupError(self.id, msg)

    async def main() -> None:
        agent, one, two, good = Scripted(), Deaf(), Deaf(), Scripted()
        agent.reset_subscribers("hub", [one, good])
        with pytest.raises(LookupError):
            await agent()
        agent.reset_subscribers("hub", [one, two, good])
        with pytest.raises(ExceptionGroup) as caught:
            await agent()
        assert [type(error) for error in caught.value.exceptions] == [LookupError, LookupError]
        assert len(good.heard) == 2
        assert agent._reply_task is None

    run(main())


def test_only_what_is_new_of_a_message_is_printed() -> None:
    async def main() -> None:
        agent = Scripted()
        for text in ("Hel", "Hello", "Hello", "Hello wor"):
            await agent.print(said(text), last=False)
        await agent.print(said("Hello world"))
        assert agent.screen.getvalue() == "robot: Hello world\n"
        await agent.print(said("again"))
        assert agent.screen.getvalue().splitlines() == ["robot: Hello world", "robot: again"]

    run(main())


def test_blocks_are_printed_each_in_its_line_and_a_tool_call_with_the_last_part() -> None:
    async def main() -> None:
        agent = Scripted()
        thought, text = {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}
        tool = {"type": "tool_use", "name": "search", "input": {"q": "ä"}}
        image = {"type": "image", "source": "..."}
        await agent.print(Message("1", "robot", [thought]), last=False)
        await agent.print(Message("1", "robot", [thought, text, tool]), last=False)
        await agent.print(Message("1", "robot", [thought, text, tool, image]), last=True)
        assert agent.screen.getvalue().splitlines() == [
            "robot(thinking): hm",
            "robot: hi",
            'robot: {"type": "tool_use", "name": "search", "input": {"q": "ä"}}',
        ]

    run(main())


def test_messages_at_once_do_not_share_a_line_and_one_that_was_reworded_is_printed_anew() -> None:
    async def main() -> None:
        agent = Scripted()
        await agent.print(said("one", "1"), last=False)
        await agent.print(said("two", "2"), last=False)
        await agent.print(said("two!", "2"))
        await agent.print(said("one more", "1"), last=False)
        await agent.print(said("once more", "1"))
        lines = agent.screen.getvalue().splitlines()
        assert lines == ["robot: one", "robot: two!", " more", "robot: once more"]

    run(main())


def test_messages_that_never_end_are_not_remembered_for_ever() -> None:
    async def main() -> None:
        agent = Scripted()
        for number in range(1000):
            await agent.print(said("x", str(number)), last=False)
        assert len(agent._voice.console._printed) < 100

    run(main())


def test_the_console_may_be_turned_off_and_is_standard_output_by_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main() -> None:
        agent = Agent()
        await agent.print(said("shown"))
        agent.set_console_output_enabled(False)
        await agent.print(said("hidden"))
        agent.set_console_output_enabled(True)
        await agent.print(said("shown again"))

    run(main())
    assert capsys.readouterr().out.splitlines() == ["robot: shown", "robot: shown again"]


def test_an_event_loop_closed_in_the_middle_of_a_reply_leaves_an_agent_that_replies_again() -> None:
    agent = Scripted(lambda _: asyncio.Event().wait(), concurrent_replies="queue")
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(agent()) for _ in range(2)]
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(turns(2))
    loop.close()
    agent.script = None
    asyncio.run(agent.interrupt())  # there is nobody to interrupt
    run(agent("while the old task is known"))
    del tasks, task
    gc.collect()
    run(agent("after it is gone"))
    assert agent._reply_task is None
    assert agent.handled == []


def test_a_loop_that_ends_while_an_agent_replies_cancels_the_reply() -> None:
    agent = Scripted(lambda _: asyncio.Event().wait())

    async def main() -> None:
        task = asyncio.ensure_future(agent("a"))
        await turns(2)
        assert not task.done()

    asyncio.run(main())
    assert agent.handled == [(("a",), {})]
    assert agent._reply_task is None
