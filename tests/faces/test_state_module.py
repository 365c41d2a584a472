"""The contract of modules with a state, row by row."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.faces.face import StateModule, by_face, differs, outcome
from tests.faces.modules import Counter, Empty, Team

# What a state is made of.


def test_a_state_holds_the_registered_attributes_and_nothing_else() -> None:
    assert Counter(3).state_dict() == {"count": 3, "items": []}


def test_a_module_without_anything_registered_has_an_empty_state() -> None:
    module: Any = Empty()
    assert module.state_dict() == {}
    module.load_state_dict({})


def test_a_state_shows_the_values_of_this_moment() -> None:
    counter = Counter()
    counter.count += 5
    counter.items.append("x")
    assert counter.state_dict() == {"count": 5, "items": ["x"]}


def test_nested_modules_come_first_then_attributes_each_in_the_order_of_their_coming() -> None:
    state = Team().state_dict()
    assert list(state) == ["left", "right", "title", "size"]
    assert state["right"] == {"count": 2, "items": []}


def test_modules_nest_to_any_depth() -> None:
    top: Any = Empty()
    top.team = Team()
    top.team.left.deeper = Counter(7)
    assert list(top.state_dict()["team"]["left"]) == ["deeper", "count", "items"]
    assert top.state_dict()["team"]["left"]["deeper"]["count"] == 7


def test_an_attribute_may_hold_any_value_of_json() -> None:
    module: Any = Empty()
    module.value = {"text": "é", "deep": [{"n": None}, True, 1, 1.5, {}]}
    module.register_state("value")
    assert module.state_dict() == {"value": {"text": "é", "deep": [{"n": None}, True, 1, 1.5, {}]}}


def test_a_deleted_attribute_or_module_is_no_longer_of_the_state() -> None:
    team = Team()
    del team.title
    del team.left
    assert list(team.state_dict()) == ["right", "size"]


def test_a_module_in_anothers_place_is_the_one_that_counts() -> None:
    team = Team()
    team.left = Counter(9)
    assert team.state_dict()["left"]["count"] == 9
    team.load_state_dict(Team().state_dict())
    assert team.left.count == 1


def test_a_module_at_two_places_is_in_the_state_twice() -> None:
    module: Any = Empty()
    module.one = module.other = Counter(4)
    assert module.state_dict() == {
        "one": {"count": 4, "items": []},
        "other": {"count": 4, "items": []},
    }
    module.load_state_dict(module.state_dict())
    assert module.one is module.other


class Memory(StateModule):
    """Says itself what its state is, as AgentScope's own memory does."""

    def __init__(self) -> None:
        super().__init__()
        self.summary = ""
        self.content: list[Any] = []
        self.register_state("summary")

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "content": [[entry, []] for entry in self.content]}

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:  # noqa: FBT001, FBT002 - the original's
        super().load_state_dict({"summary": state_dict["summary"]}, strict)
        self.content = [entry for entry, _ in state_dict["content"]]


def test_a_nested_module_may_say_itself_what_its_state_is() -> None:
    module: Any = Empty()
    module.memory = Memory()
    module.memory.content.append("a")
    state = module.state_dict()
    assert state == {"memory": {"summary": "", "content": [["a", []]]}}
    module.memory.content.append("b")
    module.memory.summary = "changed"
    module.load_state_dict(state)
    assert (module.memory.content, module.memory.summary) == (["a"], "")


def test_a_property_and_an_attribute_of_the_class_can_be_registered() -> None:
    class Shaped(Empty):
        limit = 5

        def __init__(self) -> None:
            super().__init__()
            self._width = 1
            self.register_state("limit")
            self.register_state("width")
            self.register_state("_width")

        @property
        def width(self) -> int:
            return self._width * 10

        @width.setter
        def width(self, value: int) -> None:
            self._width = value // 10

    module = Shaped()
    assert module.state_dict() == {"limit": 5, "width": 10, "_width": 1}
    module.load_state_dict({"limit": 6, "width": 70, "_width": 7})
    assert (module.limit, module.width, Shaped.limit) == (6, 70, 5)


def test_a_deep_copy_of_a_module_has_a_state_of_its_own() -> None:
    team = Team()
    copy = deepcopy(team)
    copy.left.count, copy.title = 70, "copy"
    copy.left.items.append(1)
    assert copy.state_dict()["left"] == {"count": 70, "items": [1]}
    assert team.state_dict() == Team().state_dict()


@differs("a state holds the attributes' own objects", "a state that changes after it was taken is none")
def test_a_state_stays_what_it_was_when_it_was_taken() -> None:
    counter = Counter()
    counter.items.append({"n": 1})
    state = counter.state_dict()
    counter.items[0]["n"] = 2
    counter.items.append("more")
    assert state["items"] == by_face(ours=[{"n": 1}], original=[{"n": 2}, "more"])


@differs("modules in lists and dicts are not looked for", "they are as much of the agent as the others")
def test_modules_in_lists_and_dicts_are_of_the_state() -> None:
    module: Any = Empty()
    module.workers = [Counter(1), Counter(2)]
    module.named = {"a": Counter(3)}
    state = module.state_dict()
    workers = [{"count": 1, "items": []}, {"count": 2, "items": []}]
    assert state == by_face(
        ours={"workers": workers, "named": {"a": {"count": 3, "items": []}}},
        original={},
    )


@differs("it recurses until Python stops it", "a clear error")
def test_a_module_that_contains_itself_is_refused() -> None:
    module: Any = Empty()
    module.inner = Empty()
    module.inner.outer = module
    assert outcome(module.state_dict) == by_face(ours="ValueError", original="RecursionError")


@differs("a module that gave its place to a plain value is asked for at load", "its own state must load")
def test_a_module_whose_place_a_plain_value_took_loads_its_own_state() -> None:
    team: Any = Team()
    team.left = None
    state = team.state_dict()
    assert list(state) == ["right", "title", "size"]
    assert outcome(team.load_state_dict, state) == by_face(ours=None, original="KeyError")


# Registering.


def test_registering_what_is_not_there_is_an_attribute_error() -> None:
    module: Any = Empty()
    with pytest.raises(AttributeError):
        module.register_state("nothing")


def test_registering_again_replaces_the_functions() -> None:
    counter = Counter(3)
    counter.register_state("count", lambda count: f"<{count}>", lambda text: int(text[1:-1]))
    assert counter.state_dict()["count"] == "<3>"
    counter.register_state("count")
    assert counter.state_dict()["count"] == 3


def test_registering_a_module_with_functions_of_its_own_is_a_value_error() -> None:
    team = Team()
    with pytest.raises(ValueError, match="left"):
        team.register_state("left", lambda module: module.count, lambda count: count)


@differs("without functions it is a TypeError: a module is no JSON", "its name is what is wrong")
def test_registering_a_module_is_a_value_error() -> None:
    assert outcome(Team().register_state, "left") == by_face(ours="ValueError", original="TypeError")


def test_registering_a_value_that_cannot_be_stored_is_a_type_error() -> None:
    module: Any = Empty()
    module.handle = object()
    with pytest.raises(TypeError, match="handle"):
        module.register_state("handle")
    assert module.state_dict() == {}


def test_a_value_that_cannot_be_stored_goes_by_functions() -> None:
    module: Any = Empty()
    module.point = complex(1, 2)
    module.register_state("point", lambda it: [it.real, it.imag], lambda pair: complex(*pair))
    assert module.state_dict() == {"point": [1.0, 2.0]}
    other: Any = Empty()
    other.point = None
    other.register_state("point", lambda it: it, lambda pair: complex(*pair))
    other.load_state_dict({"point": [3.0, 4.0]})
    assert other.point == complex(3, 4)


def test_one_function_may_do_without_the_other() -> None:
    module: Any = Empty()
    module.up, module.down = "a", "b"
    module.register_state("up", custom_to_json=str.upper)
    module.register_state("down", custom_from_json=str.title)
    assert module.state_dict() == {"up": "A", "down": "b"}
    module.load_state_dict({"up": "x", "down": "y"})
    assert (module.up, module.down) == ("x", "Y")


@differs("only what JSON says without functions", "the store keeps sets, bytes and times exactly")
def test_values_that_the_store_keeps_need_no_functions() -> None:
    module: Any = Empty()
    module.seen = {1, 2}
    assert outcome(module.register_state, "seen") == by_face(ours=None, original="TypeError")
    assert module.state_dict() == by_face(ours={"seen": {1, 2}}, original={})


@differs("a value is looked at when it is registered, and never again", "a state that is told can be stored")
def test_a_value_that_can_no_longer_be_stored_is_refused_when_the_state_is_taken() -> None:
    counter = Counter()
    bad = object()
    counter.items.append(bad)
    assert outcome(counter.state_dict) == by_face(ours="TypeError", original={"count": 0, "items": [bad]})


# A constructor that forgets its base.


class Forgetful(StateModule):
    """Sets what it is told to, without its base's constructor."""

    def __init__(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)


def test_a_module_set_before_the_bases_constructor_is_an_error_that_says_so() -> None:
    with pytest.raises(AttributeError, match="__init__"):
        Forgetful(inner=Counter())


def test_a_plain_value_may_be_set_before_the_bases_constructor() -> None:
    module: Any = Forgetful(plain=1)
    assert module.plain == 1


def test_registering_without_the_bases_constructor_is_an_attribute_error() -> None:
    module = Forgetful(plain=1)
    with pytest.raises(AttributeError):
        module.register_state("plain")
