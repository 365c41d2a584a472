"""Loading states into modules, and validators: all or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import AttributeNotFoundError, InvalidStateError, UnsupportedValueError
from eventstate.agents.module import StateModule
from tests.agents.modules import Memory, Open, Plain, Team, Worker
from tests.stores import packed
from tests.strategies import states, values


def test_what_is_loaded_is_copied_in() -> None:
    module = Memory()
    state = {"content": [{"a": 1}]}
    module.load_state_dict(state)
    state["content"][0]["a"] = 2
    assert module.content == [{"a": 1}]


def test_none_may_be_a_key_beside_a_module() -> None:
    module = Plain(mixed={None: 1, "m": Worker(2)})
    state = module.state_dict()
    state["mixed"][None] = 3
    module.load_state_dict(state)
    assert module.mixed[None] == 3
    assert module.state_dict() == {"mixed": {None: 3, "m": {"count": 2}}}


def test_keys_beyond_the_modules_are_left_out() -> None:
    module = Worker()
    module.load_state_dict({"count": 2, "else": 3})
    assert module.count == 2
    assert not hasattr(module, "else")


@pytest.mark.parametrize(
    ("change", "error", "path"),
    [
        (lambda state: state.pop("facts"), AttributeNotFoundError, "/facts"),
        (lambda state: state["members"][1].pop("notes"), AttributeNotFoundError, "/members/1/notes"),
        (lambda state: state.pop("members"), AttributeNotFoundError, "/members"),
        (lambda state: state.update(memory=[1]), InvalidStateError, "/memory: a module's state is a dict"),
        (lambda state: state["mixed"][2]["inner"].__setitem__(0, 1), InvalidStateError, "/mixed/2/inner/0"),
        (lambda state: state.update(members={"0": {}}), InvalidStateError, "/members: a list with modules"),
        (lambda state: state["members"].pop(), InvalidStateError, "/members: has 2 elements"),
        (lambda state: state["members"].append({}), InvalidStateError, "/members: has 2 elements"),
        (lambda state: state["named"].update(two={}), InvalidStateError, "/named: has the keys"),
        (lambda state: state.update(label="bad"), InvalidStateError, "/label: refused by its validator"),
        (lambda state: state["counter"].pop("n"), KeyError, "n"),
        (lambda state: state.update(facts=object()), UnsupportedValueError, "/facts"),
    ],
)
def test_a_load_that_fails_names_the_place_and_changes_nothing(
    change: Any, error: type[Exception], path: str
) -> None:
    module = Team()
    state = module.state_dict()
    state["label"] = "other"
    state["members"][0]["count"] = 77
    state["memory"]["content"] = []
    change(state)
    before = packed(module.state_dict())
    with pytest.raises(error, match=path):
        module.load_state_dict(state)
    assert packed(module.state_dict()) == before


def test_something_that_is_no_dict_is_no_state() -> None:
    with pytest.raises(InvalidStateError, match="state: a module's state is a dict, not list"):
        Worker().load_state_dict([])  # type: ignore[arg-type]


def test_not_strict_leaves_what_is_missing_and_loads_what_lists_have_in_common() -> None:
    module = Team()
    module.load_state_dict(
        {
            "label": "other",
            "members": [{"count": 5}],
            "named": {"two": {"count": 1}, "one": {"count": 6}},
            "mixed": [{}, [9]],
        },
        strict=False,
    )
    assert module.label == "other"
    assert [member.count for member in module.members[:1]] == [5]
    assert module.named["one"].count == 6
    assert list(module.named) == ["one"]
    assert module.mixed[1] == [9]
    assert module.facts == {"k": {"x": 1}}


def test_a_setter_that_raises_puts_all_back() -> None:
    class Picky(StateModule):
        def __init__(self) -> None:
            super().__init__()
            self.before = 1
            self._value = 1
            self.child = Worker(1)
            self.register_state("before")
            self.register_state("value")

        @property
        def value(self) -> int:
            return self._value

        @value.setter
        def value(self, value: int) -> None:
            if value > 5:
                raise OverflowError(value)
            self._value = value

    module = Picky()
    module.load_state_dict({"child": {"count": 2}, "before": 2, "value": 2})
    assert module.state_dict() == {"child": {"count": 2}, "before": 2, "value": 2}
    with pytest.raises(OverflowError):
        module.load_state_dict({"child": {"count": 6}, "before": 6, "value": 6})
    assert module.state_dict() == {"child": {"count": 2}, "before": 2, "value": 2}


def grown(state: dict[Any, Any], lists: list[Any], depth: int) -> StateModule:
    """Make a tree of modules of any shape that holds these values."""
    module = Plain(state=state, lists=lists)
    if depth:
        module.child = grown(state, lists, depth - 1)
        module.some = [Memory(lists), Worker(depth)]
        module.named = {key: Memory([value]) for key, value in state.items()}
        module.mixed = [*lists, {"deep": [grown(state, lists, 0), depth]}]
        module.register_state("mixed")
    return module


@given(states, st.lists(values, max_size=3), states, st.lists(values, max_size=3), st.integers(0, 2))
def test_what_is_saved_of_a_tree_is_loaded_into_another_of_its_shape(
    state: dict[Any, Any], lists: list[Any], other: dict[Any, Any], more: list[Any], depth: int
) -> None:
    one = grown(state, lists, depth)
    two = grown(dict.fromkeys(state, 0), [0] * len(lists), depth)
    saved = one.state_dict()
    assert packed(grown(other, more, depth).state_dict()) == packed(grown(other, more, depth).state_dict())
    two.load_state_dict(saved)
    assert packed(two.state_dict()) == packed(saved) == packed(one.state_dict())


@given(states, st.lists(values, min_size=1, max_size=3), st.integers(1, 2), st.randoms(use_true_random=False))
def test_a_load_with_something_missing_anywhere_changes_nothing(
    state: dict[Any, Any], lists: list[Any], depth: int, random: Any
) -> None:
    module, other = grown(state, lists, depth), grown(state, [*lists[:-1], "other"], depth)
    broken = other.state_dict()
    places = [broken]
    while "child" in places[-1]:
        places.append(places[-1]["child"])
    place = random.choice(places)
    del place[random.choice(list(place))]
    before = packed(module.state_dict())
    with pytest.raises(AttributeNotFoundError):
        module.load_state_dict(broken)
    assert packed(module.state_dict()) == before


# Validators


@pytest.mark.parametrize("validator", [lambda value: value < 5, lambda value: 1 / (value < 5)])
def test_a_value_that_a_validator_refuses_is_not_assigned_loaded_or_saved(validator: Any) -> None:
    outer = Open()
    outer.inner = Worker(1)
    outer.inner.add_validator("count", validator)
    with pytest.raises(InvalidStateError, match="/count: refused by its validator"):
        outer.inner.count = 5
    with pytest.raises(InvalidStateError, match="/inner/count: refused by its validator"):
        outer.load_state_dict({"inner": {"count": 5}})
    assert outer.inner.count == 1
    outer.inner.__dict__["count"] = 9
    with pytest.raises(InvalidStateError, match="/inner/count: refused"):
        outer.state_dict()


def test_the_error_of_a_validator_is_the_cause() -> None:
    module = Worker()
    module.add_validator("count", lambda value: int(value) > -1)
    with pytest.raises(InvalidStateError) as caught:
        module.count = "no number"  # type: ignore[assignment]
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_validator_is_of_something_registered_and_takes_what_is_there() -> None:
    module = Worker(3)
    with pytest.raises(AttributeError, match="'other' is not registered"):
        module.add_validator("other", bool)
    with pytest.raises(InvalidStateError):
        module.add_validator("count", lambda value: value < 3)
    module.count = 5
    assert module.count == 5


def test_a_nested_module_may_have_a_validator_too() -> None:
    module = Open()
    module.child = Worker(1)
    module.add_validator("child", lambda child: isinstance(child, Worker))
    with pytest.raises(InvalidStateError, match="/child: refused"):
        module.child = Memory()
    module.child = Worker(2)
    assert module.child.count == 2
