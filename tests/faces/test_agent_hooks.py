"""The contract of hooks around reply, print and observe, row by row."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.faces.agents import Derived, Echo, class_hook, untyped
from tests.faces.face import Agent, awaited, by_face, differs, message, outcome_of

KINDS = ["pre_reply", "post_reply", "pre_print", "post_print", "pre_observe", "post_observe"]


# Reply.


@awaited
async def test_a_pre_hook_gets_the_arguments_by_name_and_may_replace_them() -> None:
    agent = Echo()
    seen: list[Any] = []

    def louder(who: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        seen.append((who, dict(kwargs)))
        return {**kwargs, "text": kwargs["text"].upper()}

    agent.register_instance_hook("pre_reply", "louder", louder)
    assert (await agent("a")).content == "A"
    assert seen == [(agent, {"text": "a", "times": 1})]


@awaited
async def test_a_pre_hook_that_gives_none_leaves_the_arguments() -> None:
    agent = Echo()

    def spoil(_who: Any, kwargs: dict[str, Any]) -> None:
        kwargs["text"] = "spoilt"

    agent.register_instance_hook("pre_reply", "spoil", spoil)
    assert (await agent("a")).content == "a"


@awaited
async def test_a_post_hook_gets_the_arguments_and_the_answer_and_may_replace_it() -> None:
    agent = Echo()
    seen: list[Any] = []

    def answer(_who: Any, kwargs: dict[str, Any], output: Any) -> Any:
        seen.append((kwargs, output.content))
        return message(output.content + "!")

    agent.register_instance_hook("pre_reply", "twice", lambda _who, kwargs: {**kwargs, "times": 2})
    agent.register_instance_hook("post_reply", "answer", answer)
    assert (await agent("a")).content == "aa!"
    assert seen == [({"text": "a", "times": 2}, "aa")]


@awaited
async def test_a_post_hook_that_gives_none_leaves_the_answer() -> None:
    agent = Echo()

    def spoil(_who: Any, _kwargs: dict[str, Any], output: Any) -> None:
        output.content = "spoilt"

    agent.register_instance_hook("post_reply", "spoil", spoil)
    assert (await agent("a")).content == "a"


@awaited
async def test_hooks_hand_on_to_one_another_in_the_order_of_their_coming() -> None:
    agent = Echo()
    for name in "abc":
        agent.register_instance_hook(
            "pre_reply", name, lambda _who, kwargs, name=name: {**kwargs, "text": kwargs["text"] + name}
        )
        agent.register_instance_hook(
            "post_reply", name, lambda _who, _kwargs, output, name=name: message(output.content + name)
        )
    assert (await agent("-")).content == "-abcabc"


@awaited
async def test_hooks_may_be_coroutine_functions() -> None:
    agent = Echo()

    async def before(_who: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {**kwargs, "text": "b" + kwargs["text"]}

    async def after(_who: Any, _kwargs: dict[str, Any], output: Any) -> Any:
        await asyncio.sleep(0)
        return message(output.content + "a")

    agent.register_instance_hook("pre_reply", "before", before)
    agent.register_instance_hook("post_reply", "after", after)
    assert (await agent("-")).content == "b-a"


@awaited
async def test_an_instances_hooks_run_before_its_classs() -> None:
    agent = Echo()
    order: list[str] = []
    with (
        class_hook(Echo, "pre_reply", "c", lambda *_: order.append("class pre")),
        class_hook(Echo, "post_reply", "c", lambda *_: order.append("class post")),
    ):
        agent.register_instance_hook("pre_reply", "i", lambda *_: order.append("instance pre"))
        agent.register_instance_hook("post_reply", "i", lambda *_: order.append("instance post"))
        await agent("a")
    assert order == ["instance pre", "class pre", "instance post", "class post"]


@awaited
async def test_a_direct_reply_is_hooked_too() -> None:
    agent = Echo()
    agent.register_instance_hook("pre_reply", "x", lambda _who, kwargs: {**kwargs, "text": "hooked"})
    assert (await agent.reply("a")).content == "hooked"


@awaited
async def test_a_method_that_calls_the_one_it_overrides_is_hooked_once() -> None:
    agent = Derived()
    count: list[str] = []
    for kind in KINDS:
        agent.register_instance_hook(kind, "count", lambda *_, kind=kind: count.append(kind))
    assert (await agent("a")).content == "<a>"
    await agent.print(message("p"))
    await agent.observe(message("o"))
    assert count == KINDS


@awaited
async def test_a_replys_own_stars_come_to_the_hooks_as_args_and_kwargs() -> None:
    class Stars(Agent):
        async def reply(self, *args: Any, **kwargs: Any) -> Any:
            return message(f"{args} {kwargs}")

    agent = Stars()
    seen: list[Any] = []

    def more(_who: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        seen.append(kwargs)
        return {"args": (*kwargs["args"], 2), "kwargs": {**kwargs["kwargs"], "b": 2}}

    agent.register_instance_hook("pre_reply", "more", more)
    assert (await agent(1, a=1)).content == "(1, 2) {'a': 1, 'b': 2}"
    assert seen == [{"args": (1,), "kwargs": {"a": 1}}]


@differs("under any name but `args` and `kwargs` they come as keywords", "a name is the author's business")
@awaited
async def test_a_replys_own_stars_may_have_any_name() -> None:
    class Stars(Agent):
        async def reply(self, *words: str, **marks: int) -> Any:
            return message(f"{words} {marks}")

    assert (await Stars()("a", "b", n=1)).content == by_face(
        ours="('a', 'b') {'n': 1}", original="() {'words': ('a', 'b'), 'marks': {'n': 1}}"
    )


@awaited
async def test_arguments_that_do_not_fit_are_a_type_error() -> None:
    agent = Echo()
    with pytest.raises(TypeError):
        await agent("a", unknown=1)
    assert agent.calls == []


@pytest.mark.parametrize("kind", ["pre_reply", "post_reply"])
@awaited
async def test_a_hook_that_raises_makes_the_call_fail(kind: str) -> None:
    def bad(*_: Any) -> None:
        raise LookupError("bad hook")

    agent = Echo()
    agent.register_instance_hook(kind, "bad", bad)
    with pytest.raises(LookupError, match="bad hook"):
        await agent("a")
    assert agent._reply_task is None
    agent.clear_instance_hooks()
    assert (await agent("b")).content == "b"


@differs("an AssertionError, which `python -O` drops", "a TypeError says the same always")
@awaited
async def test_a_pre_hook_that_gives_no_dict_is_refused() -> None:
    agent = Echo()
    agent.register_instance_hook("pre_reply", "bad", lambda *_: ["no dict"])
    assert await outcome_of(agent("a")) == by_face(ours="TypeError", original="AssertionError")
    assert agent.calls == []


@awaited
async def test_a_hook_may_make_its_agent_print_and_observe() -> None:
    agent = untyped(Echo())
    agent.set_msg_queue_enabled(enabled=True)

    async def tell(who: Any, _kwargs: dict[str, Any], output: Any = None) -> None:
        await who.observe(output)
        await who.print(output or message("before"))

    agent.register_instance_hook("pre_reply", "tell", tell)
    agent.register_instance_hook("post_reply", "tell", tell)
    await agent("a")
    told = [agent.msg_queue.get_nowait()[0].content for _ in range(2)]
    assert told == ["before", "a"]
    assert [msg and msg.content for msg in agent.observed] == [None, "a"]


@differs("it calls itself until Python stops it", "a clear error")
@awaited
async def test_a_hook_that_calls_its_agent_is_refused() -> None:
    agent = Echo()

    async def call(who: Any, _kwargs: dict[str, Any]) -> None:
        await who("again")

    agent.register_instance_hook("pre_reply", "call", call)
    assert await outcome_of(agent("a")) == by_face(ours="RuntimeError", original="RecursionError")
    assert agent.calls == []


@differs("it calls itself until Python stops it", "a clear error")
@pytest.mark.parametrize("method", ["reply", "print", "observe"])
@awaited
async def test_a_hook_that_calls_what_it_hooks_is_refused(method: str) -> None:
    agent = Echo()

    async def call(who: Any, kwargs: dict[str, Any]) -> None:
        await getattr(who, method)(*kwargs.values())

    agent.register_instance_hook(f"pre_{method}", "call", call)
    answer = await outcome_of(getattr(agent, method)(message("a")))
    assert answer == by_face(ours="RuntimeError", original="RecursionError")


# Print and observe.


@awaited
async def test_observing_is_hooked() -> None:
    agent = Echo()
    seen: list[Any] = []
    agent.register_instance_hook("pre_observe", "x", lambda _who, _kwargs: {"msg": message("changed")})
    agent.register_instance_hook(
        "post_observe", "x", lambda _who, kwargs, output: seen.append((kwargs["msg"].content, output))
    )
    await agent.observe(message("a"))
    assert [msg.content for msg in agent.observed] == ["changed"]
    assert seen == [("changed", None)]


@awaited
async def test_printing_is_hooked() -> None:
    agent = untyped(Echo())
    agent.set_msg_queue_enabled(True)
    seen: list[Any] = []
    agent.register_instance_hook("pre_print", "x", lambda _who, kwargs: {**kwargs, "msg": message("changed")})
    agent.register_instance_hook(
        "post_print", "x", lambda _who, kwargs, output: seen.append((kwargs["msg"].content, output))
    )
    await agent.print(message("a"), last=False)
    msg, last, speech = agent.msg_queue.get_nowait()
    assert (msg.content, last, speech) == ("changed", False, None)
    assert seen == [("changed", None)]


@pytest.mark.parametrize("kind", ["pre_print", "post_print", "pre_observe", "post_observe"])
@awaited
async def test_a_hook_that_raises_makes_printing_or_observing_fail(kind: str) -> None:
    def bad(*_: Any) -> None:
        raise LookupError("bad hook")

    agent = Echo()
    agent.register_instance_hook(kind, "bad", bad)
    with pytest.raises(LookupError, match="bad hook"):
        await (agent.print if kind.endswith("print") else agent.observe)(message("a"))


@differs("the second of two at once is not hooked", "every print is")
@awaited
async def test_two_prints_at_once_are_both_hooked() -> None:
    agent = Echo()
    agent.set_msg_queue_enabled(True)
    count: list[str] = []

    async def slow(_who: Any, kwargs: dict[str, Any]) -> None:
        count.append(kwargs["msg"].content)

    agent.register_instance_hook("pre_print", "slow", slow)
    await asyncio.gather(*(agent.print(message(text)) for text in "ab"))
    assert count == by_face(ours=["a", "b"], original=["a"])
