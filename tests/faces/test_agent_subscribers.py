"""The contract of an agent's subscribers, row by row."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tests.faces.agents import Echo, Listener
from tests.faces.face import LOGGER, awaited, by_face, differs, message, outcome_of

if TYPE_CHECKING:
    import pytest


@awaited
async def test_a_reply_is_observed_by_the_subscribers_and_not_by_the_agent_itself() -> None:
    agent, one, other = Echo(), Echo(), Echo()
    agent.reset_subscribers("hub", [agent, one, other])
    await agent("a")
    await agent("b")
    assert [[msg.content for msg in each.observed] for each in (agent, one, other)] == [
        [],
        ["a", "b"],
        ["a", "b"],
    ]


@awaited
async def test_a_hub_set_again_is_replaced_and_a_removed_one_hears_nothing() -> None:
    agent, one, other = Echo(), Echo(), Echo()
    agent.reset_subscribers("hub", [one])
    agent.reset_subscribers("hub", [other])
    await agent("a")
    agent.remove_subscribers("hub")
    await agent("b")
    assert (len(one.observed), [msg.content for msg in other.observed]) == (0, ["a"])


@awaited
async def test_hubs_are_told_each_for_itself() -> None:
    agent, listener = Echo(), Echo()
    agent.reset_subscribers("hub", [listener])
    agent.reset_subscribers("other hub", [listener])
    await agent("a")
    assert len(listener.observed) == 2
    agent.remove_subscribers("hub")
    await agent("b")
    assert len(listener.observed) == 3


def test_removing_an_unknown_hub_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(LOGGER)
    logger.addHandler(caplog.handler)
    Echo().remove_subscribers("no such hub")
    logger.removeHandler(caplog.handler)
    told = [record for record in caplog.records if "no such hub" in record.getMessage()]
    assert {record.levelname for record in told} == {"WARNING"}


@awaited
async def test_a_reply_without_a_message_is_told_to_nobody() -> None:
    class Silent(Echo):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            self.calls.append((text, times))

    agent, listener = Silent(), Echo()
    agent.reset_subscribers("hub", [listener])
    assert await agent("a") is None
    assert (agent.calls, listener.observed) == ([("a", 1)], [])


@awaited
async def test_thinking_is_not_told_to_others() -> None:
    class Thinking(Echo):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            del times
            return message([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}])

    agent, listener = Thinking(), Echo()
    agent.reset_subscribers("hub", [listener])
    answer = await agent("a")
    assert [block["type"] for block in answer.content] == ["thinking", "text"]
    (heard,) = listener.observed
    assert heard.content == [{"type": "text", "text": "a"}]
    assert (heard.id, heard.name) == (answer.id, answer.name)


@awaited
async def test_a_reply_of_several_messages_is_told_as_one_list_without_thinking() -> None:
    class Several(Echo):
        async def reply(self, text: str = "", times: int = 1) -> Any:
            thought = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}]
            return [message(thought), *[message(text) for _ in range(times)]]

    agent, listener = Several(), Echo()
    agent.reset_subscribers("hub", [listener])
    answer = await agent("a")
    (heard,) = listener.observed
    assert [msg.content for msg in heard] == [[{"type": "text", "text": "a"}], "a"]
    assert [msg.id for msg in heard] == [msg.id for msg in answer]
    assert len(answer[0].content) == 2


@differs("all get the same object, the caller's too", "who changes it must not change the others'")
@awaited
async def test_each_subscriber_gets_a_message_of_its_own() -> None:
    agent, one, other = Echo(), Echo(), Echo()
    agent.reset_subscribers("hub", [one, other])
    answer = await agent("a")
    different = len({id(each) for each in (answer, one.observed[0], other.observed[0])})
    assert different == by_face(ours=3, original=1)


@differs("the rest hear nothing, and the task stays as if it ran", "all are told, then the error comes")
@awaited
async def test_a_subscriber_that_raises_keeps_nobody_from_hearing() -> None:
    agent, deaf, listener = Echo(), Listener(LookupError("deaf")), Listener()
    agent.reset_subscribers("hub", [deaf, listener])
    assert await outcome_of(agent("a")) == "LookupError"
    assert len(listener.observed) == by_face(ours=1, original=0)
    assert (agent._reply_task is None) == by_face(ours=True, original=False)
