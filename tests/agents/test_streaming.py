"""The queue of printed messages, and the stream that comes out of it."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from eventstate.agents.streaming import stream_printing_messages
from tests.agents.agents import Scripted, said, turns
from tests.aio.loops import run


def talk(*texts: str) -> Any:
    """Give a script that prints."""

    async def script(self: Scripted) -> str:
        for text in texts:
            await self.print(said(text, text), speech=[text])
        return "done"

    return script


def test_printed_messages_go_into_the_queue_as_copies() -> None:
    async def main() -> None:
        agent = Scripted()
        agent.set_msg_queue_enabled(enabled=True)
        queue = agent.msg_queue
        assert queue is not None
        assert queue.maxsize == 100
        agent.set_msg_queue_enabled(enabled=True)
        assert agent.msg_queue is queue
        message = said("hi")
        await agent.print(message, last=False, speech="sound")
        message["content"] = "changed"
        assert queue.get_nowait() == (said("hi"), False, "sound")
        own: asyncio.Queue[Any] = asyncio.Queue()
        agent.set_msg_queue_enabled(enabled=True, queue=own)
        await agent.print(message)
        assert own.get_nowait() == (said("changed"), True, None)
        agent.set_msg_queue_enabled(enabled=False)
        await agent.print(message)
        assert own.empty()

    run(main())


def test_who_prints_into_a_full_queue_waits_and_nothing_is_dropped() -> None:
    async def main() -> None:
        agent = Scripted(talk(*"abcde"))
        queue: asyncio.Queue[Any] = asyncio.Queue(2)
        agent.set_msg_queue_enabled(enabled=True, queue=queue)
        task = asyncio.ensure_future(agent())
        await turns(20)
        assert not task.done()
        assert queue.qsize() == 2
        got = []
        for _ in range(5):
            message, _, _ = await queue.get()
            got.append(message["content"])
            assert queue.qsize() <= 2
        assert got == [*"abcde"]
        assert await task == "done"

    run(main())


def test_disabling_the_queue_lets_waiting_prints_go_on() -> None:
    async def main() -> None:
        agent = Scripted(talk(*"abc"))
        agent.set_msg_queue_enabled(enabled=True, queue=asyncio.Queue(1))
        task = asyncio.ensure_future(agent())
        await turns(5)
        assert not task.done()
        agent.set_msg_queue_enabled(enabled=False)
        assert await task == "done"
        assert agent.screen.getvalue().count("\n") == 3

    run(main())


def test_waiting_prints_go_into_the_queue_that_takes_the_place_of_another() -> None:
    async def main() -> None:
        agent = Scripted(talk(*"abc"))
        full, other = asyncio.Queue[Any](1), asyncio.Queue[Any](5)
        agent.set_msg_queue_enabled(enabled=True, queue=full)
        task = asyncio.ensure_future(agent())
        await turns(5)
        agent.set_msg_queue_enabled(enabled=True, queue=other)
        assert await task == "done"
        assert [message["content"] for message, _, _ in other._queue] == ["b", "c"]  # type: ignore[attr-defined]

    run(main())


def test_an_interrupt_and_a_cancellation_end_the_wait_for_a_reader() -> None:
    async def main() -> None:
        agent = Scripted(talk(*"abc"))
        agent.set_msg_queue_enabled(enabled=True, queue=asyncio.Queue(1))
        task = asyncio.ensure_future(agent())
        await turns(5)
        await agent.interrupt()
        assert await task == said("stopped")
        task = asyncio.ensure_future(agent())
        await turns(5)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert agent._voice.outlet._waiting == {}

    run(main())


def test_each_print_gives_a_reader_a_turn() -> None:
    async def main() -> None:
        agent = Scripted()
        queue: asyncio.Queue[Any] = asyncio.Queue()
        agent.set_msg_queue_enabled(enabled=True, queue=queue)
        read: list[str] = []

        async def reader() -> None:
            while True:
                message, _, _ = await queue.get()
                read.append(message["content"])

        task = asyncio.create_task(reader())
        await turns()
        for count, text in enumerate("abc", 1):
            await agent.print(said(text))
            assert len(read) == count
        task.cancel()
        await asyncio.wait({task})

    run(main())


def test_a_queue_whose_put_fails_makes_the_print_fail() -> None:
    class Broken(asyncio.Queue[Any]):
        async def put(self, _: Any) -> None:
            raise TimeoutError("too slow")

    async def main() -> None:
        agent = Scripted()
        agent.set_msg_queue_enabled(enabled=True, queue=Broken())
        with pytest.raises(TimeoutError, match="too slow"):
            await agent.print(said("a"))

    run(main())


def test_the_messages_of_several_agents_come_in_one_stream() -> None:
    async def main() -> None:
        one, two = Scripted(talk("a", "b")), Scripted(talk("c"))

        async def both() -> None:
            await one()
            await two()

        got = [item async for item in stream_printing_messages([one, two], both())]
        assert got == [(said(text, text), True) for text in "abc"]
        assert one.msg_queue is two.msg_queue is None
        spoken = [item async for item in stream_printing_messages([two], two(), yield_speech=True)]
        assert spoken == [(said("c", "c"), True, ["c"])]

    run(main())


def test_a_stream_takes_a_queue_and_gives_back_the_one_that_was_there() -> None:
    async def main() -> None:
        agent = Scripted(talk("a"))
        before, own = asyncio.Queue[Any](), asyncio.Queue[Any](1)
        agent.set_msg_queue_enabled(enabled=True, queue=before)
        stream = stream_printing_messages([agent], agent(), own)
        async for _ in stream:
            assert agent.msg_queue is own
        assert agent.msg_queue is before
        assert before.empty()

    run(main())


def test_more_messages_than_the_queue_has_room_for_all_come() -> None:
    async def main() -> None:
        agent = Scripted(talk(*map(str, range(300))))
        got = [message["content"] async for message, _ in stream_printing_messages([agent], agent())]
        assert got == [*map(str, range(300))]

    run(main())


def test_a_task_may_end_in_the_moment_of_its_last_message(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def last() -> None:
            await turns(3)
            queue.put_nowait((said("last"), True, None))

        assert [item async for item in stream_printing_messages([], last(), queue)] == [(said("last"), True)]
        await turns(3)

    run(main())
    assert not caplog.records


def test_the_error_of_what_is_streamed_comes_after_its_messages() -> None:
    async def main() -> None:
        async def fail(self: Scripted) -> None:
            await self.print(said("a"))
            raise LookupError("no model")

        agent, got = Scripted(fail), []
        with pytest.raises(LookupError):
            async for item in stream_printing_messages([agent], agent()):
                got.append(item)  # noqa: PERF401 - they are to be there when the error comes
        assert got == [(said("a"), True)]
        assert agent.msg_queue is None

    run(main())


@pytest.mark.parametrize("way", ["aclose", "break", "error", "cancel"])
def test_a_stream_that_is_closed_early_cancels_what_it_does_and_waits_for_that(way: str) -> None:
    async def main() -> None:
        agent = Scripted(talk(*map(str, range(300))))
        stream = stream_printing_messages([agent], agent())

        async def consume() -> None:
            async for _ in stream:
                if way == "break":
                    break
                if way == "error":
                    raise LookupError("consumer")
                if way == "cancel":
                    await asyncio.Event().wait()
                else:
                    await stream.aclose()

        task = asyncio.ensure_future(consume())
        if way == "cancel":
            await turns(5)
            task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or isinstance(task.exception(), LookupError) == (way == "error")
        del task
        assert (way == "aclose") == (agent.handled != [])
        stream = None  # type: ignore[assignment]
        gc.collect()
        await turns(10)
        assert len(agent.handled) == 1
        assert agent._reply_task is None
        assert agent.msg_queue is None

    run(main())


def test_a_consumer_that_is_cancelled_while_it_waits_takes_the_task_with_it() -> None:
    async def main() -> None:
        agent = Scripted(lambda _: asyncio.Event().wait())

        async def consume() -> None:
            async for _ in stream_printing_messages([agent], agent()):
                pass

        task = asyncio.ensure_future(consume())
        await turns(5)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert len(agent.handled) == 1
        assert agent._reply_task is None

    run(main())


def test_a_task_that_fails_as_it_is_cancelled_does_not_hide_the_consumers_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async def stubborn(self: Scripted) -> None:
            try:
                for _ in range(300):
                    await self.print(said("a"))
            finally:
                raise ValueError("stubborn")

        agent = Scripted(stubborn)
        stream = stream_printing_messages([agent], agent())
        async for _ in stream:
            break
        await stream.aclose()
        assert agent.msg_queue is None

    run(main())
    assert "stubborn" in caplog.text


def test_a_task_that_failed_before_its_stream_was_closed_is_not_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async def fail(self: Scripted) -> None:
            await self.print(said("a"))
            raise ValueError("no model")

        agent = Scripted(fail)
        stream = stream_printing_messages([agent], agent())
        async for _ in stream:
            await turns(5)
            break
        await stream.aclose()

    run(main())
    assert "no model" in caplog.text


def test_an_interrupted_reply_streams_what_its_handling_prints() -> None:
    class Polite(Scripted):
        async def handle_interrupt(self, *_: Any, **__: Any) -> Any:
            await self.print(said("sorry"))
            return said("sorry")

    async def main() -> None:
        async def script(self: Scripted) -> None:
            await self.print(said("working"))
            await asyncio.Event().wait()

        agent, got = Polite(script), []
        async for message, _ in stream_printing_messages([agent], agent()):
            got.append(message["content"])
            if len(got) == 1:
                await agent.interrupt()
        assert got == ["working", "sorry"]

    run(main())


def test_a_stream_takes_the_originals_arguments_in_their_order_and_ends_at_its_signal() -> None:
    async def main() -> None:
        queue: asyncio.Queue[Any] = asyncio.Queue(10)

        async def script(agent: Any) -> None:
            await agent.print(said("hello"))
            await queue.put("over")
            await asyncio.Event().wait()

        agent = Scripted(script)
        heard = [item async for item in stream_printing_messages([agent], agent(), queue, "over", True)]  # noqa: FBT003 - as the original is called
        assert heard == [(said("hello"), True, None)]
        assert (len(agent.handled), agent.msg_queue) == (1, None)

    run(main())


def test_a_queue_that_was_set_while_messages_streamed_stays() -> None:
    async def main() -> None:
        agent, other = Scripted(talk("one")), asyncio.Queue[Any]()
        async for _ in stream_printing_messages([agent], agent()):
            agent.set_msg_queue_enabled(True, other)  # noqa: FBT003 - as the original has it
        assert agent.msg_queue is other

    run(main())
