"""Modules that are bound to nothing: what is state, and what copies of them are."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any, ClassVar

import pytest

from eventstate import InvalidStateError, TypeRegistry, UnsupportedValueError
from eventstate.agents.module import StateModule
from eventstate.values.registry import Unregistered
from tests.agents.modules import Counter, Open, Plain, Team, Worker
from tests.stores import packed


class Late(StateModule):
    """Forgets its base's constructor until it is called."""

    def __init__(self) -> None:
        self.plain = 1


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


@dataclasses.dataclass
class Mark:
    text: str


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


class _Holder(Open):
    """May hold cards, and kept values of types that are not known."""

    types: ClassVar[TypeRegistry | None] = TypeRegistry(Card, unknown="keep")


class _Marked(Open):
    """May hold marks."""

    types: ClassVar[TypeRegistry | None] = TypeRegistry(Mark)


def test_a_module_may_hold_what_those_in_it_may_hold() -> None:
    outer = Plain(holder=_Holder(), marked=_Marked())
    outer.things = [Card(1), Mark("x"), Unregistered("lost", {"a": 1})]
    outer.register_state("things")
    assert outer.state_dict()["things"] == [Card(1), Mark("x"), Unregistered("lost", {"a": 1})]
    outer.marked.card = Card(2)
    outer.marked.register_state("card", lambda card: card)
    assert outer.state_dict()["marked"] == {"card": Card(2)}
    state = outer.state_dict()
    state["things"].reverse()
    outer.load_state_dict(state)
    assert outer.things[2] == Card(1)


def test_two_classes_of_one_name_in_a_module_are_refused() -> None:
    other = _Marked()
    registry = TypeRegistry()
    registry.register(Card, name=f"{Mark.__module__}.{Mark.__qualname__}")
    outer = Plain(one=other, two=type("Named", (Open,), {"types": registry})())
    with pytest.raises(ValueError, match=r"Mark' is taken by .*Mark"):
        outer.state_dict()


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
