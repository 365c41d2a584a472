"""Registered types: instances come back as they were, and nothing in a file says how."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import math
import subprocess
import sys
from typing import Any, Generic, NamedTuple, TypeVar

import msgpack
import pytest
from pydantic import BaseModel, PrivateAttr, RootModel

from eventstate.errors import CorruptJournalError, UnsupportedValueError
from eventstate.values.codec import Codec
from eventstate.values.registry import TypeRegistry, Unregistered
from tests.values.typed import (
    BAD,
    CODEC,
    TYPED,
    Color,
    Frozen,
    Level,
    Money,
    Person,
    Plain,
    Plan,
    Point,
    Rights,
    nested,
    restart,
)


@pytest.mark.parametrize(
    "value",
    [
        Color.GREEN,
        Rights.READ | Rights.WRITE,
        Rights(0),
        Level.LOW,
        Plan([1, {"a": Color.RED}], 2, {"x"}),
        Frozen("a", (Frozen("b"), [1])),
        Point(1, [Point(2, None)]),
        Money(decimal.Decimal("1.50")),
        {"deep": [{"er": (Color.RED, {Frozen("k"): Rights.READ})}]},
    ],
)
def test_registered_values_come_back_as_they_were(value: Any) -> None:
    back = restart(value, TYPED)
    assert back == value
    assert type(back) is type(value)
    assert TYPED.encode(back) == TYPED.encode(value)


def test_enum_members_come_back_as_themselves_and_not_as_their_values() -> None:
    assert restart([Color.RED, Level.LOW], TYPED)[0] is Color.RED
    assert restart([Color.RED, Level.LOW], TYPED)[1] is Level.LOW
    assert not TYPED.same(Level.LOW, 1)


class Text(str, enum.Enum):  # noqa: UP042 - not the same
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796 - an alias


class Strings(enum.StrEnum):
    A = "a"


class Bytes(bytes, enum.Enum):
    A = b"a"


class Pair(tuple[int, int], enum.Enum):  # noqa: SLOT001 - enums have none
    A = (1, 2)


class Ints(int, enum.Enum):
    A = 1


class Bits(enum.IntFlag):
    A = 1
    B = 2
    ALSO_A = 1


class Shown(enum.Enum):
    A = "a"

    @property
    def name(self) -> str:
        return "shown as this"


ENUMS: list[Any] = [Text, Strings, Bytes, Pair, Ints, Bits, Shown, Level]


@pytest.mark.parametrize("cls", ENUMS)
def test_an_enum_comes_back_whatever_is_mixed_in(cls: Any) -> None:
    codec = Codec(TypeRegistry(cls))
    for member in cls.__members__.values():
        assert restart([member], codec)[0] is member
        assert restart({member: 1}, codec).keys() == {member}
        assert not codec.same(member, member.value)
    assert restart([Bits.A | Bits.B, Bits(8)], Codec(TypeRegistry(Bits))) == [3, 8]


T = TypeVar("T")


class Numbers(RootModel[list[int]]):
    pass


class Secretive(RootModel[dict[str, Any]]):
    _seen: list[int] = PrivateAttr(default_factory=list)


class Box(BaseModel, Generic[T]):
    content: T


@pytest.mark.parametrize(
    "value",
    [
        Numbers([1, 2]),
        Secretive({"a": [1]}),
        Box[int](content=1),
        Box[list[int]](content=[1]),
        Box(content="x"),
    ],
)
def test_root_and_generic_models_come_back_again_and_again(value: BaseModel) -> None:
    codec = Codec(TypeRegistry(type(value)))
    back = restart(restart(value, codec), codec)
    assert back == value
    assert type(back) is type(value)
    assert vars(back) == vars(value)
    assert back.model_dump() == value.model_dump()
    assert back.model_fields_set == value.model_fields_set
    assert codec.encode(back) == codec.encode(value)


def test_a_root_model_keeps_its_private_attributes() -> None:
    value = Secretive({"a": 1})
    value._seen.append(7)
    codec = Codec(TypeRegistry(Secretive))
    assert restart(value, codec)._seen == [7]
    value._seen.append(BAD)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedValueError) as caught:
        codec.encode([value])
    assert caught.value.path == (0, "_seen", 1)


def test_a_model_comes_back_with_extras_private_attributes_and_the_fields_that_were_set() -> None:
    person = Person(name="Ada", town="London")  # type: ignore[call-arg]
    person._secret.append(7)
    back = restart(person, TYPED)
    assert back == person
    assert back.__pydantic_extra__ == {"town": "London"}
    assert back.__pydantic_private__ == {"_secret": [7]}
    assert back.model_fields_set == {"name", "town"}
    back._secret.append(8)
    assert person._secret == [7]


def test_what_was_computed_once_is_computed_again() -> None:
    plan, person = Plan([1, 2]), Person(name="Ada")
    assert (plan.size, person.initial) == (2, "A")
    assert (restart(plan, TYPED).size, restart(person, TYPED).initial) == (2, "A")


def test_instances_are_not_made_anew() -> None:
    frozen = Frozen("was fine")
    object.__setattr__(frozen, "name", "made anew")
    assert restart(frozen, TYPED).name == "made anew"


def stored_as(cls: type, payload: Any) -> bytes:
    inner = msgpack.packb([f"{cls.__module__}.{cls.__qualname__}", payload])
    return msgpack.packb(msgpack.ExtType(13, inner))  # type: ignore[no-any-return]


def test_a_field_that_came_later_has_its_default() -> None:
    assert TYPED.decode(stored_as(Plan, {"steps": [1]})) == Plan([1])
    assert (
        TYPED.decode(stored_as(Plan, {"steps": [1]})).tags
        is not TYPED.decode(stored_as(Plan, {"steps": []})).tags
    )
    person = TYPED.decode(stored_as(Person, [{"name": "Ada"}, {}, [], {"_secret": []}]))
    assert person.age == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (stored_as(Plan, {"at": 1}), "needs the field 'steps'"),
        (stored_as(Plan, {"steps": [], "gone": 1}), "no field 'gone'"),
        (stored_as(Plan, 5), "can't be loaded"),
        (stored_as(Person, [{"age": 1}, {}, [], {}]), "needs the field 'name'"),
        (stored_as(Person, [{"name": "A", "gone": 1}, {}, [], {}]), "no field 'gone'"),
        (stored_as(Color, "BLUE"), "can't be loaded"),
        (stored_as(Rights, "x"), "can't be loaded"),
        (stored_as(Point, [1]), "can't be loaded"),
    ],
)
def test_what_does_not_fit_its_type_any_more_is_damage(data: bytes, message: str) -> None:
    with pytest.raises(CorruptJournalError, match=message):
        TYPED.decode(data)


def test_an_attribute_that_is_no_field_is_refused() -> None:
    plan = Plan([])
    plan.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedValueError, match="the attribute 'extra' is no field") as caught:
        TYPED.encode({"p": [plan]})
    assert caught.value.path == ("p", 0)


class Pixel(NamedTuple):
    x: int


class Noted(Pixel):
    @functools.cached_property
    def double(self) -> int:
        return self.x * 2


class Slotted:
    __slots__ = ("__hidden", "note")


@dataclasses.dataclass(slots=True)
class Record(Slotted):
    x: int

    def hide(self) -> None:
        self._Slotted__hidden = 1  # type: ignore[misc]


class SlottedModel(BaseModel):
    __slots__ = ("note",)
    x: int


def test_what_a_dump_would_lose_is_refused_with_its_place() -> None:
    codec = Codec(TypeRegistry(Noted, Record, SlottedModel))
    noted, record, hiding, model = Noted(1), Record(1), Record(1), SlottedModel(x=1)
    assert noted.double == 2
    everything = {"v": [noted, record, hiding, model]}
    assert restart(everything, codec) == everything
    noted.note = 1  # type: ignore[attr-defined]
    record.note = 1  # type: ignore[attr-defined]
    hiding.hide()
    object.__setattr__(model, "note", 1)
    for value, name in ((noted, "note"), (record, "note"), (hiding, "_Slotted__hidden"), (model, "note")):
        with pytest.raises(UnsupportedValueError, match=f"the attribute '{name}' is no field") as caught:
            codec.encode({"v": [1, value]})
        assert caught.value.path == ("v", 1)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Plan([1, BAD]), ("steps", 1)),
        (Frozen("a", (BAD,)), ("parts", 0)),
        (Point(1, {"a": BAD}), ("y_is_1", "a")),
        (Person(name="x", town=BAD), ("town",)),  # type: ignore[call-arg]
        (Money([BAD]), (0,)),
        (Money(BAD), ()),
    ],
)
def test_an_offender_inside_a_registered_value_has_a_path(value: Any, path: tuple[Any, ...]) -> None:
    path = tuple(1 if step == "y_is_1" else step for step in path)
    with pytest.raises(UnsupportedValueError, match="object can't be stored") as caught:
        TYPED.encode({"v": value})
    assert caught.value.path == ("v", *path)


def test_cycles_and_depth_are_seen_through_registered_values() -> None:
    plan = Plan([])
    plan.steps.append(plan)
    with pytest.raises(UnsupportedValueError, match="a cycle") as caught:
        TYPED.encode({"p": plan})
    assert caught.value.path == ("p", "steps", 0)
    with pytest.raises(UnsupportedValueError, match="nested deeper"):
        TYPED.encode_stored(nested(150, lambda value: Plan([value]), 1))
    with pytest.raises(UnsupportedValueError, match="as a key: no look-up"):
        TYPED.encode_stored(Frozen("x", ({math.nan: 1},)))


def test_a_failing_dump_or_load_is_told_as_such() -> None:
    registry = TypeRegistry()
    registry.register(Money, dump=lambda money: [0][money.amount], load=lambda amount: {}[amount])
    codec = Codec(registry)
    with pytest.raises(UnsupportedValueError, match="Money can't be dumped: IndexError") as caught:
        codec.encode([Money(1)])
    assert caught.value.path == (0,)
    with pytest.raises(CorruptJournalError, match="Money can't be loaded: KeyError"):
        codec.decode(codec.encode(Money(0)))


def test_only_types_that_can_come_back_can_be_registered() -> None:
    registry = TypeRegistry()
    for cls in (dict, str, int, list, tuple, set, bytearray, type(None), object):
        with pytest.raises(TypeError, match="can't be registered"):
            registry.register(cls, dump=str, load=str)

    @dataclasses.dataclass
    class Odd(dict):  # type: ignore[type-arg]
        x: int = 0

    for wrong in (Plain, Odd):
        with pytest.raises(TypeError):
            registry.register(wrong)
    with pytest.raises(TypeError, match="only classes"):
        registry.register("Plain")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="go together"):
        registry.register(Plain, dump=str)
    with pytest.raises(ValueError, match="'error' or 'keep'"):
        TypeRegistry(unknown="drop")  # type: ignore[arg-type]


def test_a_name_belongs_to_one_class() -> None:
    registry = TypeRegistry()
    registry.register(Color, name="c")
    registry.register(Color, name="c")
    with pytest.raises(ValueError, match="the name 'c' is taken"):
        registry.register(Rights, name="c")


def test_a_registered_class_may_be_decorated() -> None:
    registry = TypeRegistry()

    @registry.register
    @dataclasses.dataclass
    class Local:
        x: int

    assert restart(Local(1), Codec(registry)) == Local(1)


def test_a_value_of_an_unknown_type_is_refused_or_kept_as_it_is_stored() -> None:
    data = TYPED.encode({"p": [Plan([Color.RED])]})
    with pytest.raises(UnsupportedValueError, match="Color' is not registered"):
        CODEC.decode(data)
    keeping = Codec(TypeRegistry(unknown="keep"))
    kept = keeping.decode(data)
    plan = kept["p"][0]
    assert type(plan) is Unregistered
    assert plan.name == "tests.values.typed.Plan"
    assert plan.payload["steps"] == [Unregistered("tests.values.typed.Color", "RED")]
    assert keeping.encode_stored(kept) == data
    assert TYPED.decode(keeping.encode(keeping.copy(kept))) == {"p": [Plan([Color.RED])]}
    assert keeping.is_mutable(plan)


def test_decoding_imports_nothing() -> None:
    names = ["this.that", "antigravity.fly", "os.system"]
    code = f"""
import sys
from eventstate.values.codec import Codec
from eventstate.errors import EventStateError
import msgpack
codec = Codec()
before = set(sys.modules)
for name in {names!r}:
    for code, payload in [(13, [name, []]), (8, [2024, 1, 1, 0, 0, 0, 0, 0, name.replace('.', '/')])]:
        try:
            codec.decode(msgpack.packb(msgpack.ExtType(code, msgpack.packb(payload))))
        except EventStateError:
            pass
        else:
            raise AssertionError(name)
assert not {{"this", "antigravity"}} & (set(sys.modules) - before)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("value", "mutable"),
    [
        (1, False),
        ("x", False),
        (dt.date(2024, 1, 1), False),
        ((1, (2, frozenset({3}))), False),
        ((1, [2]), True),
        ((1, ({},)), True),
        ({1}, True),
        (Plan([]), True),
        ((Plan([]),), True),
        (Color.RED, False),
        (Rights.READ, False),
        (Money(1), True),
        (Person(name="x"), True),
    ],
)
def test_it_is_known_what_could_change_in_place(value: Any, mutable: bool) -> None:  # noqa: FBT001
    assert TYPED.is_mutable(value) is mutable
