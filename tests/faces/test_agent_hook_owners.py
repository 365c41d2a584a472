"""The contract of whose a hook is, row by row: an instance's or a class's; names, removal, kinds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.faces.agents import Base, Derived, Echo, Sibling, Waiting, class_hook
from tests.faces.face import awaited, by_face, differs, message, outcome


@awaited
async def test_an_instances_hook_is_its_own_and_a_classs_is_for_all() -> None:
    one, other = Echo(), Echo()
    heard: list[Any] = []
    one.register_instance_hook("pre_reply", "own", lambda who, _kwargs: heard.append(("own", who)))
    with class_hook(Echo, "pre_reply", "all", lambda who, _kwargs: heard.append(("all", who))):
        await one("a")
        await other("b")
    await other("c")
    assert heard == [("own", one), ("all", one), ("all", other)]


@awaited
async def test_a_hook_of_a_base_is_for_what_is_derived_from_it() -> None:
    heard: list[Any] = []
    agent = Derived()
    with class_hook(Base, "pre_reply", "base", lambda who, _kwargs: heard.append(who)):
        await agent("a")
    assert heard == [agent]


@differs("all classes share one table", "a class's hooks are for it and for what is derived from it")
@awaited
async def test_a_hook_of_a_class_is_not_for_its_siblings_nor_its_base() -> None:
    heard: list[Any] = []
    with class_hook(Derived, "pre_reply", "derived", lambda who, _kwargs: heard.append(type(who).__name__)):
        for kind in (Derived, Sibling, Base):
            await kind()("a")
    assert heard == by_face(ours=["Derived"], original=["Derived", "Sibling", "Base"])


@awaited
async def test_the_same_name_replaces_a_hook() -> None:
    agent = Echo()
    agent.register_instance_hook("pre_reply", "x", lambda _who, kwargs: {**kwargs, "text": "old"})
    agent.register_instance_hook("pre_reply", "x", lambda _who, kwargs: {**kwargs, "text": "new"})
    assert (await agent("a")).content == "new"


@awaited
async def test_a_removed_hook_is_gone_and_removing_an_unknown_one_is_a_value_error() -> None:
    agent = Echo()
    agent.register_instance_hook("pre_reply", "x", lambda _who, kwargs: {**kwargs, "text": "hooked"})
    agent.remove_instance_hook("pre_reply", "x")
    assert (await agent("a")).content == "a"
    with pytest.raises(ValueError, match="x"):
        agent.remove_instance_hook("pre_reply", "x")
    with class_hook(Echo, "post_reply", "y", lambda *_: message("hooked")):
        Echo.remove_class_hook("post_reply", "y")
        assert (await agent("a")).content == "a"
        with pytest.raises(ValueError, match="y"):
            Echo.remove_class_hook("post_reply", "y")


@awaited
async def test_clearing_takes_one_kind_or_all() -> None:
    agent = Echo()
    heard: list[str] = []
    for kind in ("pre_reply", "post_reply"):
        agent.register_instance_hook(kind, "x", lambda *_, kind=kind: heard.append(kind))
    agent.clear_instance_hooks("pre_reply")
    await agent("a")
    agent.clear_instance_hooks()
    await agent("b")
    assert heard == ["post_reply"]
    Echo.register_class_hook("pre_reply", "x", lambda *_: heard.append("class"))
    Echo.clear_class_hooks("post_reply")
    await agent("c")
    Echo.clear_class_hooks()
    await agent("d")
    assert heard == ["post_reply", "class"]


@differs("an AssertionError for classes, an AttributeError for instances", "a ValueError for both")
def test_an_unknown_kind_of_hook_is_refused() -> None:
    agent = Echo()
    asserted = by_face(ours="ValueError", original="AssertionError")
    assert outcome(Echo.register_class_hook, "pre_sleep", "x", print) == asserted
    assert outcome(Echo.remove_class_hook, "pre_sleep", "x") == asserted
    assert outcome(Echo.clear_class_hooks, "pre_sleep") == asserted
    assert outcome(agent.clear_instance_hooks, "pre_sleep") == asserted
    missing = by_face(ours="ValueError", original="AttributeError")
    assert outcome(agent.register_instance_hook, "pre_sleep", "x", print) == missing
    assert outcome(agent.remove_instance_hook, "pre_sleep", "x") == missing


@differs("no hook sees a reply that was interrupted", "a hook that journals must see every end")
@awaited
async def test_a_finally_hook_sees_every_end_of_a_reply() -> None:
    agent = Waiting()
    ends: list[Any] = []

    def hook(_who: Any, _kwargs: dict[str, Any], end: Any) -> None:
        ends.append(end.status)

    answer = outcome(agent.register_instance_hook, "finally_reply", "end", hook)
    assert answer == by_face(ours=None, original="AttributeError")
    running = asyncio.create_task(agent("a"))
    await agent.started.wait()
    await agent.interrupt()
    await running
    agent.go_on.set()
    await agent("b")
    assert ends == by_face(ours=["interrupted", "finished"], original=[])
