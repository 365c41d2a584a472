"""Modules that are bound to nothing: what is state, how it is loaded, refused and told."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import AttributeNotFoundError, InvalidStateError, TypeRegistry, UnsupportedValueError
from eventstate.agents.module import StateModule
from tests.agents.modules import Counter, Memory, Open, Team, Worker
from tests.stores import packed
from tests.strategies import states, values


class Late(StateModule):
    """Forgets its base's constructor until it is called."""

    def __init__(self) -> None:
        self.plain = 1


class Plain(Open):
    """Registers what it is given."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)
            if not isinstance(value, StateModule):
                self.register_state(name)


# What is state


@pytest.mark.parametrize("value", [Worker(), [Worker()], {"a": Worker()}])
def test_a_module_in_a_module_that_forgot_its_base_is_refused(value: Any) -> None:
    late = Late()
    with pytest.raises(AttributeError, match=r"super\(\).__init__"):
        late.child = value
    with pytest.raises(AttributeError, match=r"super\(\).__init__"):
        late.register_state("plain")


def test_the_base_constructor_may_be_called_twice() -> None:
    worker = Worker(3)
    StateModule.__init__(worker)
    assert worker.state_dict() == {"count": 3}


def test_nested_modules_come_first_then_attributes_each_in_the_order_of_their_coming() -> None:
    module = Plain(a=1)
    module.second = Worker(2)
    module.b = 3
    module.register_state("b")
    module.third = [Worker(4)]
    module.second = Worker(5)
    assert list(module.state_dict().items()) == [
        ("second", {"count": 5}),
        ("third", [{"count": 4}]),
        ("a", 1),
        ("b", 3),
    ]


def test_a_state_shares_nothing_with_its_module() -> None:
    module = Team()
    state = module.state_dict()
    before = packed(state)
    module.notes[1]["a"].append(3)
    module.members[0].count = 9
    module.memory.content[0]["role"] = "changed"
    module.tags.add("new")
    assert packed(state) == before
    state["facts"]["k"]["x"] = 2
    assert module.facts == {"k": {"x": 1}}


def test_modules_are_found_in_lists_and_dicts_of_nothing_else() -> None:
    module = Open()
    module.some = [Worker(1), Worker(2)]
    module.named = {1: Worker(3)}
    module.empty = []
    module.numbers = [1, 2]
    module.pair = (Worker(4), Worker(5))
    assert module.state_dict() == {"some": [{"count": 1}, {"count": 2}], "named": {1: {"count": 3}}}


def test_modules_that_come_into_a_list_later_are_found() -> None:
    module = Open()
    module.some = []
    module.some.append(Worker(1))
    assert module.state_dict() == {"some": [{"count": 1}]}


def test_a_registered_container_mixes_modules_and_values_at_any_depth() -> None:
    module = Plain(mixed=[])
    module.mixed = [Worker(1), 2, {"a": [Worker(3), [4]]}]
    assert module.state_dict() == {"mixed": [{"count": 1}, 2, {"a": [{"count": 3}, [4]]}]}


def test_a_registered_tuple_is_not_looked_into() -> None:
    module = Plain(pair=())
    module.pair = (Worker(),)
    with pytest.raises(UnsupportedValueError, match=r"/pair/0: .*Worker can't be stored"):
        module.state_dict()


@pytest.mark.parametrize("value", [[Worker(), 1], {"a": 1, "b": Worker()}])
def test_an_unregistered_mixture_is_refused_by_name(value: Any) -> None:
    module = Open()
    module.mixture = value
    with pytest.raises(TypeError, match="mixture: modules are mixed"):
        module.state_dict()


def test_a_module_that_contains_itself_is_refused_with_its_path() -> None:
    module = Open()
    module.some = [Worker()]
    module.some[0].owner = module
    with pytest.raises(ValueError, match="/some/0/owner: the module contains itself"):
        module.state_dict()


def test_the_same_module_at_two_places_is_saved_at_both_and_loaded_if_both_agree() -> None:
    module = Open()
    module.one = module.two = Worker(1)
    assert module.state_dict() == {"one": {"count": 1}, "two": {"count": 1}}
    module.load_state_dict({"one": {"count": 2}, "two": {"count": 2}})
    assert module.two.count == 2
    with pytest.raises(ValueError, match="/two: the same module as at /one"):
        module.load_state_dict({"one": {"count": 3}, "two": {"count": 4}})
    assert module.one.count == 2


def test_a_deleted_attribute_is_state_no_more() -> None:
    module = Team()
    del module.memory
    del module.facts
    assert "memory" not in module.state_dict()
    assert "facts" not in module.state_dict()
    with pytest.raises(AttributeError):
        del module.facts


def test_a_nested_module_replaced_by_something_else_is_state_no_more() -> None:
    module = Open()
    module.child = Worker()
    module.child = None
    assert module.state_dict() == {}
    module.child = Worker(1)
    assert module.state_dict() == {"child": {"count": 1}}


def test_the_librarys_own_attribute_cannot_be_taken() -> None:
    module = Worker()
    with pytest.raises(AttributeError, match="_eventstate"):
        module._eventstate = 1
    module._state_version = 1
    with pytest.raises(ValueError, match="_state_version"):
        module.register_state("_state_version")


def test_attributes_may_have_the_names_of_methods() -> None:
    module = Open()
    module.history = [1]  # type: ignore[assignment, method-assign]
    module.metadata = {"a": 1}  # type: ignore[assignment, method-assign]
    module.register_state("history")
    module.register_state("metadata")
    assert module.state_dict() == {"history": [1], "metadata": {"a": 1}}


# Registering


def test_only_what_is_there_can_be_registered() -> None:
    with pytest.raises(AttributeError, match="absent"):
        Worker().register_state("absent")


def test_what_cannot_be_stored_is_refused_at_once_with_its_path() -> None:
    module = Open()
    module.thing = {"a": [Counter()]}
    with pytest.raises(UnsupportedValueError, match=r"/thing/a/0: .*Counter can't be stored"):
        module.register_state("thing")
    assert module.state_dict() == {}


def test_a_nested_module_cannot_be_registered() -> None:
    module = Open()
    module.child = Worker()
    with pytest.raises(ValueError, match="child: is a nested module"):
        module.register_state("child")


def test_registering_again_replaces_the_functions() -> None:
    module = Worker(3)
    module.register_state("count", str, int, lambda value: value < 5)
    assert module.state_dict() == {"count": "3"}
    module.load_state_dict({"count": "4"})
    assert module.count == 4
    with pytest.raises(InvalidStateError):
        module.count = 5
    module.register_state("count")
    module.count = 5
    assert module.state_dict() == {"count": 5}


@dataclasses.dataclass
class Card:
    number: int


def test_a_class_may_have_types_of_its_own() -> None:
    class Wallet(StateModule):
        types: ClassVar[TypeRegistry | None] = TypeRegistry(Card)

        def __init__(self) -> None:
            super().__init__()
            self.card = Card(1)
            self.register_state("card")

    class Person(StateModule):
        def __init__(self) -> None:
            super().__init__()
            self.wallet = Wallet()

    person = Person()
    state = person.state_dict()
    assert state == {"wallet": {"card": Card(1)}}
    assert state["wallet"]["card"] is not person.wallet.card
    state["wallet"]["card"].number = 2
    person.load_state_dict(state)
    assert person.wallet.card == Card(2)
    assert person.wallet.card is not state["wallet"]["card"]


def test_a_state_dict_of_the_classs_own_is_used_where_it_is_nested() -> None:
    class Own(StateModule):
        def __init__(self) -> None:
            super().__init__()
            self.n = 1

        def state_dict(self) -> dict[str, Any]:
            return {"own": self.n}

        def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - the base's
            self.n = state_dict["own"]

    module = Plain(number=1)
    module.own = Own()
    assert module.state_dict() == {"own": {"own": 1}, "number": 1}
    module.load_state_dict({"own": {"own": 5}, "number": 2})
    assert (module.own.n, module.number) == (5, 2)
    with pytest.raises(KeyError):
        module.load_state_dict({"own": {"other": 5}, "number": 3})
    assert (module.own.n, module.number) == (5, 2)


# Loading


def test_what_is_loaded_is_copied_in() -> None:
    module = Memory()
    state = {"content": [{"a": 1}]}
    module.load_state_dict(state)
    state["content"][0]["a"] = 2
    assert module.content == [{"a": 1}]


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


# Copies


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])  # noqa: S301 - our own bytes
def test_a_copy_is_a_module_of_its_own(copied: Any) -> None:
    module = Plain(a=[1])
    module.child = Worker(2)
    other = copied(module)
    other.a.append(3)
    other.child.count = 4
    other.b = 5
    other.register_state("b")
    assert module.state_dict() == {"child": {"count": 2}, "a": [1]}
    assert other.state_dict() == {"child": {"count": 4}, "a": [1, 3], "b": 5}


def test_a_shallow_copy_registers_for_itself() -> None:
    module = Plain(a=[1])
    other = copy.copy(module)
    other.b = 1
    other.register_state("b")
    assert list(module.state_dict()) == ["a"]
    assert other.a is module.a


def test_modules_are_there_without_pydantic() -> None:
    code = "import sys, eventstate.agents.module; assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
