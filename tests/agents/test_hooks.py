"""Hooks of agents: when they are called, with what, and what comes of what they give."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventstate.agents.agent import Agent
from eventstate.agents.hooks import HOOK_TYPES
from tests.agents.agents import Scripted, said, turns
from tests.aio.loops import run


class Echo(Agent):
    """Replies with what it gets."""

    async def reply(self, msg: Any, *rest: Any, tone: str = "flat", **named: Any) -> Any:
        return {"msg": msg, "rest": rest, "tone": tone, "named": named}

    async def observe(self, msg: Any) -> Any:
        return msg

    async def handle_interrupt(self, *_: Any, **__: Any) -> Any:
        return "stopped"


def test_hooks_see_the_arguments_by_name_and_may_change_them() -> None:
    async def main() -> None:
        agent, seen = Echo(), []

        def louder(self: Agent, kwargs: dict[str, Any]) -> dict[str, Any]:
            assert self is agent
            seen.append(kwargs)
            return {**kwargs, "tone": "loud", "rest": (*kwargs["rest"], 3)}

        agent.register_instance_hook("pre_reply", "louder", louder)
        assert await agent("a", 1, 2, x=9) == {
            "msg": "a",
            "rest": (1, 2, 3),
            "tone": "loud",
            "named": {"x": 9},
        }
        assert seen == [{"msg": "a", "rest": (1, 2), "tone": "flat", "named": {"x": 9}}]

    run(main())


def test_hooks_may_be_coroutine_functions_and_what_they_leave_as_it_is_stays() -> None:
    async def main() -> None:
        agent = Echo()

        async def pre(_: Agent, kwargs: dict[str, Any]) -> None:
            await asyncio.sleep(0)
            kwargs["msg"] = "changed in a copy"

        async def post(_: Agent, kwargs: dict[str, Any], output: Any) -> Any:
            await asyncio.sleep(0)
            return [kwargs["msg"], output["msg"]]

        agent.register_instance_hook("pre_reply", "pre", pre)
        agent.register_instance_hook("post_reply", "post", post)
        assert await agent("a") == ["a", "a"]

    run(main())


def test_a_pre_hook_that_gives_something_else_than_arguments_is_refused() -> None:
    agent = Echo()
    agent.register_instance_hook("pre_reply", "odd", lambda *_: ["no", "dict"])
    with pytest.raises(TypeError, match="dict of arguments"):
        run(agent("a"))


def test_post_hooks_get_copies_and_each_gets_what_the_one_before_gave() -> None:
    async def main() -> None:
        agent = Echo()
        outputs: list[Any] = []

        def spoil(_: Agent, __: Any, output: Any) -> None:
            outputs.append(output)
            output.clear()

        agent.register_instance_hook("post_reply", "one", spoil)
        agent.register_instance_hook("post_reply", "two", lambda *told: {**told[2], "two": 2})
        agent.register_instance_hook("post_reply", "three", lambda *told: {**told[2], "three": 3})
        told = await agent("a")
        assert told == {"msg": "a", "rest": (), "tone": "flat", "named": {}, "two": 2, "three": 3}
        assert outputs == [{}]

    run(main())


def test_hooks_of_the_instance_come_before_those_of_its_class_and_these_before_its_bases() -> None:
    class Base(Echo):
        pass

    class Derived(Base):
        pass

    class Sibling(Base):
        pass

    async def main() -> None:
        calls: list[str] = []

        def hook(name: str) -> Any:
            return lambda *_: calls.append(name)

        agent = Derived()
        Base.register_class_hook("pre_reply", "base", hook("base"))
        Derived.register_class_hook("pre_reply", "derived", hook("derived"))
        Sibling.register_class_hook("pre_reply", "sibling", hook("sibling"))
        agent.register_instance_hook("pre_reply", "instance", hook("instance"))
        await agent("a")
        assert calls == ["instance", "derived", "base"]
        calls.clear()
        await Sibling()("a")
        assert calls == ["sibling", "base"]
        calls.clear()
        await Echo()("a")
        assert calls == []

    run(main())


def test_a_hook_of_the_same_name_takes_the_place_of_another() -> None:
    class Own(Echo):
        pass

    class More(Own):
        pass

    async def main() -> None:
        calls: list[str] = []
        agent = More()
        for name in ("first", "second"):
            agent.register_instance_hook("pre_reply", "same", lambda *_, name=name: calls.append(name))
            Own.register_class_hook("pre_reply", "same", lambda *_, name=name: calls.append(f"own {name}"))
        More.register_class_hook("pre_reply", "same", lambda *_: calls.append("more"))
        await agent("a")
        assert calls == ["second", "more"]
        await Own()("a")
        assert calls == ["second", "more", "own second"]

    run(main())


def test_hooks_are_removed_by_name_and_cleared_by_type() -> None:
    class Own(Echo):
        pass

    async def main() -> None:
        calls: list[str] = []
        agent = Own()

        def again() -> None:
            for kind in ("pre_reply", "post_reply"):
                agent.register_instance_hook(kind, "i", lambda *_: calls.append("i"))
                Own.register_class_hook(kind, "c", lambda *_: calls.append("c"))

        async def count() -> int:
            calls.clear()
            await agent("a")
            return len(calls)

        again()
        assert await count() == 4
        agent.remove_instance_hook("pre_reply", "i")
        Own.remove_class_hook("post_reply", "c")
        assert await count() == 2
        again()
        agent.clear_instance_hooks("pre_reply")
        assert await count() == 3
        Own.clear_class_hooks()
        assert await count() == 1
        agent.clear_instance_hooks()
        Own.clear_class_hooks("pre_reply")
        assert await count() == 0

    run(main())


@pytest.mark.parametrize("change", ["register", "remove", "clear"])
@pytest.mark.parametrize("whose", ["instance", "class"])
def test_an_unknown_type_of_hook_is_refused(change: str, whose: str) -> None:
    agent = Echo()
    arguments = {"register": ("n", print), "remove": ("n",), "clear": ()}[change]
    method = getattr(agent, f"{change}_{whose}_hook{'s' if change == 'clear' else ''}")
    with pytest.raises(ValueError, match="pre_think"):
        method("pre_think", *arguments)


def test_an_unknown_hook_can_not_be_removed_nor_what_is_no_function_be_one() -> None:
    agent = Echo()
    Agent.register_class_hook("pre_reply", "mine", print)
    try:
        with pytest.raises(ValueError, match="mine"):
            agent.remove_instance_hook("pre_reply", "mine")
        with pytest.raises(ValueError, match="mine"):
            Echo.remove_class_hook("pre_reply", "mine")
    finally:
        Agent.clear_class_hooks()
    with pytest.raises(TypeError, match="mine"):
        agent.register_instance_hook("pre_reply", "mine", "no function")  # type: ignore[arg-type]


def test_an_overriding_that_calls_what_it_overrides_is_hooked_once() -> None:
    class Louder(Scripted):
        async def reply(self, *args: Any, **kwargs: Any) -> Any:
            return await super().reply(*args, **kwargs)

        async def print(self, msg: Any, last: bool = True, speech: Any = None) -> None:  # noqa: FBT001, FBT002 - as is
            await super().print(msg, last, speech)

        async def observe(self, msg: Any) -> None:
            await super().observe(msg)

    async def main() -> None:
        agent, calls = Louder(lambda self: self.print(said("hi"))), []
        for kind in HOOK_TYPES:
            agent.register_instance_hook(kind, "count", lambda *_, kind=kind: calls.append(kind))
        await agent()
        assert calls == [
            *("pre_reply", "pre_print", "post_print", "finally_print", "post_reply", "finally_reply")
        ]
        calls.clear()
        await agent.observe(said("hm"))
        assert calls == ["pre_observe", "post_observe", "finally_observe"]
        assert agent.heard == [said("hm")]

    run(main())


def test_a_method_that_comes_from_a_class_that_is_no_agent_is_hooked_too() -> None:
    class Mixin:
        async def reply(self, *args: Any) -> Any:
            return ["mixed", await super().reply(*args)]  # type: ignore[misc]

    class Mixed(Mixin, Scripted):
        pass

    async def main() -> None:
        agent, calls = Mixed(), []
        agent.register_instance_hook("pre_reply", "count", lambda *_: calls.append(1))
        assert await agent("a") == ["mixed", (("a",), {})]
        assert calls == [1]

    run(main())


def test_two_prints_at_once_are_both_hooked_and_so_are_direct_calls() -> None:
    async def main() -> None:
        calls: list[str] = []

        async def both(self: Scripted) -> None:
            await asyncio.gather(self.print(said("a", "1")), self.print(said("b", "2")))

        async def slow(_: Any, kwargs: dict[str, Any]) -> None:
            await turns(3)
            calls.append(kwargs["msg"]["id"])

        agent = Scripted(both)
        agent.register_instance_hook("pre_print", "slow", slow)
        await agent.reply()
        assert sorted(calls) == ["1", "2"]

    run(main())


def test_a_call_on_another_agent_of_the_class_inside_a_call_is_hooked_for_itself() -> None:
    async def main() -> None:
        calls: list[str] = []
        other = Scripted()
        agent = Scripted(lambda _: other("x"))
        for name, each in (("outer", agent), ("inner", other)):
            each.register_instance_hook("pre_reply", "h", lambda *_, name=name: calls.append(name))
        await agent()
        assert calls == ["outer", "inner"]

    run(main())


def test_arguments_that_do_not_fit_are_a_type_error_as_ever() -> None:
    with pytest.raises(TypeError, match="msg"):
        run(Echo()())


def test_nothing_is_copied_where_there_are_no_hooks() -> None:
    async def main() -> None:
        class Single:
            def __deepcopy__(self, _: Any) -> Any:
                raise AssertionError("copied")

        single = Single()
        assert (await Echo()(single))["msg"] is single

    run(main())


def test_the_types_of_hooks_are_told_by_the_class_as_the_original_does() -> None:
    agent = Echo()
    original = {f"{when}_{what}" for when in ("pre", "post") for what in ("reply", "print", "observe")}
    assert original <= set(Agent.supported_hook_types)
    for hook_type in Agent.supported_hook_types:
        agent.register_instance_hook(hook_type, "h", print)
