"""The contract of printing, message queues and streams, row by row."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.faces.agents import Echo, Waiting, untyped
from tests.faces.face import (
    Agent,
    awaited,
    by_face,
    differs,
    message,
    stream_printing_messages,
)


class Talker(Agent):
    """Prints its words one after another, the whole text so far each time, as models stream it."""

    def __init__(self, name: str = "talker", *, console: bool = False) -> None:
        super().__init__()
        self.name = name
        self.set_console_output_enabled(console)

    async def reply(self, *args: str, speech: Any = None) -> Any:
        said = message("", self.name)
        for number, _ in enumerate(args):
            said.content = " ".join(args[: number + 1])
            await self.print(said, last=number + 1 == len(args), speech=speech)
        return said

    async def handle_interrupt(self, *args: Any, **kwargs: Any) -> Any:
        return message(f"{len(args) + len(kwargs)}", self.name)


# The console.


@awaited
async def test_a_message_is_printed_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    await Talker(console=True).print(message("hello", "bot"))
    assert capsys.readouterr().out == "bot: hello\n"


@awaited
async def test_of_a_message_that_grows_only_what_is_new_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    agent = Talker(console=True)
    said = message("one", "bot")
    await agent.print(said, last=False)
    first = capsys.readouterr().out
    said.content = "one two"
    await agent.print(said, last=False)
    second = capsys.readouterr().out
    await agent.print(said, last=True)
    assert (first, second, capsys.readouterr().out) == ("bot: one", " two", "\n")


@awaited
async def test_a_list_of_blocks_is_printed_by_its_texts(capsys: pytest.CaptureFixture[str]) -> None:
    await Talker(console=True).print(message([{"type": "text", "text": "hello"}], "bot"))
    assert capsys.readouterr().out == "bot: hello\n"


@awaited
async def test_a_console_that_is_off_stays_silent(capsys: pytest.CaptureFixture[str]) -> None:
    agent = Talker(console=True)
    agent.set_console_output_enabled(False)
    await agent.print(message("hello"))
    assert capsys.readouterr().out == ""
    agent.set_console_output_enabled(True)
    await agent.print(message("again", "bot"))
    assert capsys.readouterr().out == "bot: again\n"


# The queue.


@awaited
async def test_there_is_no_queue_until_it_is_enabled() -> None:
    agent = untyped(Talker())
    before = agent.msg_queue
    await agent.print(message("a"))
    agent.set_msg_queue_enabled(enabled=True)
    queue = agent.msg_queue
    assert before is None
    assert isinstance(queue, asyncio.Queue)
    assert (queue.maxsize, queue.qsize()) == (100, 0)


@awaited
async def test_what_is_printed_is_put_into_the_queue_as_it_was_then() -> None:
    agent = untyped(Talker())
    agent.set_msg_queue_enabled(enabled=True)
    said = message([{"type": "text", "text": "one"}])
    await agent.print(said, last=False)
    said.content[0]["text"] = "two"
    await agent.print(said, speech=[])
    first, second = agent.msg_queue.get_nowait(), agent.msg_queue.get_nowait()
    assert (first[0].content[0]["text"], *first[1:]) == ("one", False, None)
    assert (second[0].content[0]["text"], *second[1:]) == ("two", True, [])
    assert first[0].id == second[0].id == said.id


@awaited
async def test_a_given_queue_is_used_and_a_disabled_one_is_let_go() -> None:
    agent = untyped(Talker())
    queue: asyncio.Queue[Any] = asyncio.Queue()
    agent.set_msg_queue_enabled(enabled=True, queue=queue)
    used = agent.msg_queue
    await agent.print(message("a"))
    agent.set_msg_queue_enabled(enabled=False)
    left = agent.msg_queue
    await agent.print(message("b"))
    assert used is queue
    assert left is None
    assert queue.qsize() == 1


@awaited
async def test_enabling_again_keeps_the_queue() -> None:
    agent = untyped(Talker())
    agent.set_msg_queue_enabled(enabled=True)
    queue = agent.msg_queue
    await agent.print(message("a"))
    agent.set_msg_queue_enabled(enabled=True)
    assert agent.msg_queue is queue
    assert queue.qsize() == 1


@awaited
async def test_printing_lets_the_consumer_have_its_turn() -> None:
    agent = untyped(Talker())
    agent.set_msg_queue_enabled(enabled=True)
    order: list[str] = []

    async def consume() -> None:
        for _ in range(2):
            msg, _, _ = await agent.msg_queue.get()
            order.append("got " + msg.content)

    consumer = asyncio.create_task(consume())
    await asyncio.sleep(0)
    for text in "ab":
        await agent.print(message(text))
        order.append("printed " + text)
    await consumer
    assert order.index("got a") < order.index("printed b")


@awaited
async def test_a_queue_that_nobody_reads_makes_printing_wait_and_drops_nothing() -> None:
    agent = untyped(Talker())
    queue: asyncio.Queue[Any] = asyncio.Queue(1)
    agent.set_msg_queue_enabled(enabled=True, queue=queue)
    running = asyncio.create_task(agent("a", "b", "c"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert (queue.qsize(), running.done()) == (1, False)
    heard = [(await queue.get())[0].content for _ in range(3)]
    await running
    assert heard == ["a", "a b", "a b c"]


@awaited
async def test_an_interrupt_ends_the_wait_for_a_queue_that_nobody_reads() -> None:
    agent = untyped(Talker())
    agent.set_msg_queue_enabled(enabled=True, queue=asyncio.Queue(1))
    running = asyncio.create_task(agent("a", "b", "c"))
    for _ in range(20):
        await asyncio.sleep(0)
    await agent.interrupt()
    assert (await running).content == "3"


@differs("who waits for the queue waits for ever", "a consumer that goes away must not hang the agent")
@awaited
async def test_disabling_the_queue_lets_waiting_prints_go_on() -> None:
    agent = untyped(Talker())
    agent.set_msg_queue_enabled(enabled=True, queue=asyncio.Queue(1))
    running = asyncio.create_task(agent("a", "b", "c"))
    for _ in range(20):
        await asyncio.sleep(0)
    agent.set_msg_queue_enabled(enabled=False)
    for _ in range(50):
        await asyncio.sleep(0)
    assert running.done() == by_face(ours=True, original=False)
    running.cancel()
    await asyncio.wait([running])


# Streams.


@awaited
async def test_a_stream_gives_what_is_printed_and_says_which_chunk_is_the_last_one() -> None:
    agent = untyped(Talker())
    heard = [
        (msg.content, last) async for msg, last in stream_printing_messages([agent], agent("one", "two"))
    ]
    assert heard == [("one", False), ("one two", True)]


@awaited
async def test_several_agents_come_in_one_stream() -> None:
    agents = [Talker("a"), Talker("b")]

    async def talk() -> None:
        await agents[0]("one", "two")
        await agents[1]("three")
        await agents[0]("four")

    heard = [(msg.name, msg.content, last) async for msg, last in stream_printing_messages(agents, talk())]
    assert heard == [
        ("a", "one", False),
        ("a", "one two", True),
        ("b", "three", True),
        ("a", "four", True),
    ]


@awaited
async def test_agents_that_talk_at_once_keep_each_its_own_order() -> None:
    agents = [Talker("a"), Talker("b")]

    async def talk() -> None:
        await asyncio.gather(agents[0]("one", "two", "three"), agents[1]("four", "five"))

    heard = [(msg.name, msg.content) async for msg, _ in stream_printing_messages(agents, talk())]
    assert [text for name, text in heard if name == "a"] == ["one", "one two", "one two three"]
    assert [text for name, text in heard if name == "b"] == ["four", "four five"]
    assert len(heard) == 5


@awaited
async def test_a_stream_of_more_messages_than_a_queue_holds_is_whole() -> None:
    agent = Talker()
    words = [str(number) for number in range(250)]
    heard = [msg.content async for msg, _ in stream_printing_messages([agent], agent(*words))]
    assert [len(text.split()) for text in heard] == list(range(1, 251))


@awaited
async def test_a_stream_gives_speech_when_it_is_asked_for() -> None:
    agent = untyped(Talker())
    stream = stream_printing_messages([agent], agent("one", speech=[]), yield_speech=True)
    assert [(msg.content, last, speech) async for msg, last, speech in stream] == [("one", True, [])]


@awaited
async def test_a_stream_in_which_nothing_is_printed_ends() -> None:
    agent = Echo()
    assert [each async for each in stream_printing_messages([agent], agent("a"))] == []


@awaited
async def test_an_error_of_the_task_comes_after_all_that_was_printed() -> None:
    agent = untyped(Talker())

    async def talk() -> None:
        await agent("one")
        raise LookupError("mine")

    heard: list[str] = []
    with pytest.raises(LookupError, match="mine"):
        async for msg, _ in stream_printing_messages([agent], talk()):
            heard.append(msg.content)
    assert heard == ["one"]


@awaited
async def test_a_given_queue_carries_the_stream() -> None:
    agent = untyped(Talker())
    queue: asyncio.Queue[Any] = asyncio.Queue(10)
    stream = stream_printing_messages([agent], agent("one", "two"), queue)
    first = await anext(stream)
    assert agent.msg_queue is queue
    assert [first[0].content, *[msg.content async for msg, _ in stream]] == ["one", "one two"]


@differs("the queue stays enabled after the stream", "an agent that prints later must not wait for it")
@awaited
async def test_after_a_stream_the_queue_is_as_it_was() -> None:
    agent = untyped(Talker())
    assert len([each async for each in stream_printing_messages([agent], agent("one"))]) == 1
    assert (agent.msg_queue is None) == by_face(ours=True, original=False)


@differs("the task runs on when the stream is closed", "no task is left behind")
@awaited
async def test_a_stream_closed_early_ends_its_task() -> None:
    agent = Waiting()

    async def talk() -> Any:
        await agent.print(message("first"))
        return await agent("a")

    before = asyncio.all_tasks()
    stream = stream_printing_messages([agent], talk())
    await anext(stream)
    await agent.started.wait()
    await stream.aclose()
    left = asyncio.all_tasks() - before
    assert len(left) == by_face(ours=0, original=1)
    agent.go_on.set()
    assert [(await task).content for task in left] == by_face(ours=[], original=["a"])
