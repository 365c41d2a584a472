"""The codec: what goes in comes out, bytes are canonical, and neither values nor bytes can do harm."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import http
import math
import random
import struct
import subprocess
import sys
import threading
import time
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, PrivateAttr

from eventstate.errors import CorruptJournalError, UnsupportedValueError
from eventstate.values.codec import MAX_DEPTH, Codec
from eventstate.values.registry import TypeRegistry, Unregistered
from tests.strategies import exact, keys, states, values

if TYPE_CHECKING:
    from collections.abc import Callable

CODEC = Codec()


def restart(value: Any, codec: Codec = CODEC) -> Any:
    return codec.decode(codec.encode_stored(value))


# What goes in comes out


@given(states | values)
def test_every_value_comes_back_exactly(value: Any) -> None:
    data = CODEC.encode_stored(value)
    assert exact(CODEC.decode(data)) == exact(value)
    assert CODEC.encode(CODEC.decode(data)) == data


@given(values, values)
def test_two_values_are_the_same_exactly_when_their_bytes_are(one: Any, other: Any) -> None:
    assert (
        CODEC.same(one, other) == (exact(one) == exact(other)) == (CODEC.encode(one) == CODEC.encode(other))
    )
    assert CODEC.same(one, CODEC.copy(one))


@given(st.lists(keys, max_size=8), st.randoms(use_true_random=False))
def test_sets_built_in_another_order_have_the_same_bytes(items: list[Any], shuffler: random.Random) -> None:
    distinct = list(set(items))  # of keys that are equal but not the same, either set must take the same one
    shuffled = shuffler.sample(distinct, len(distinct))
    for kind in (set, frozenset):
        assert CODEC.encode(kind(distinct)) == CODEC.encode(kind(shuffled))


def test_types_that_are_equal_are_told_apart() -> None:
    equal: list[Any] = [1, True, 1.0, 1 + 0j, decimal.Decimal(1), decimal.Decimal("1.0")]
    zeros: list[Any] = [0, False, 0.0, -0.0, 0j, -0j, decimal.Decimal("-0")]
    others: list[Any] = [
        (),
        [],
        {},
        set(),
        frozenset(),
        "",
        b"",
        None,
        "1",
        b"1",
        {1},
        frozenset({1}),
        (1,),
        [1],
    ]
    everything = equal + zeros + others
    assert len({CODEC.encode(value) for value in everything}) == len(everything)
    for i, one in enumerate(everything):
        for j, other in enumerate(everything):
            assert CODEC.same(one, other) == (i == j)


def test_the_order_of_keys_is_part_of_a_dict() -> None:
    assert not CODEC.same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert list(restart({"b": 1, "a": 2, 1: 3, None: 4})) == ["b", "a", 1, None]


@pytest.mark.parametrize("bits", [0x7FF8000000000000, 0x7FF8000000000001, 0xFFF8000000000000])
def test_a_nan_keeps_its_bits(bits: int) -> None:
    nan = struct.unpack(">d", struct.pack(">Q", bits))[0]
    assert struct.unpack(">Q", struct.pack(">d", restart([nan])[0]))[0] == bits


def test_the_second_of_two_equal_hours_comes_back_as_the_second() -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    first, second = (dt.datetime(2024, 10, 27, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1))
    assert [restart(moment).utcoffset() for moment in (first, second)] == [
        dt.timedelta(hours=2),
        dt.timedelta(hours=1),
    ]
    assert restart(dt.time(2, 30, fold=1)).fold == 1
    assert restart(first).tzinfo is berlin


def test_lone_surrogates_come_back_wherever_they_stand() -> None:
    text = "\ud800 and \udfff"
    value = {text: [text, (text, {text}), {1: text}], "ok": text}
    assert exact(restart(value)) == exact(value)
    assert restart("\ud83d\ude00") != "\U0001f600"


def test_a_copy_shares_nothing_that_can_change() -> None:
    value: dict[str, Any] = {"a": [{"b": {1}}], "t": ([],)}
    copy = CODEC.copy(value)
    copy["a"][0]["b"].add(2)
    copy["t"][0].append(1)
    assert value == {"a": [{"b": {1}}], "t": ([],)}


def test_small_messages_are_encoded_fast() -> None:
    message = {"role": "user", "content": "What is the weather in Berlin?", "tool_calls": None, "at": 1.5}
    best = min(timed(lambda: CODEC.encode_stored(message)) for _ in range(50))
    assert best < 20e-6  # it takes one; what must not come back is a walk over every value


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(100):
        work()
    return (time.perf_counter() - start) / 100


# What can't come back is refused, with its path


class MyStr(str):
    __slots__ = ()


class MyInt(int):
    pass


class MyDict(dict[Any, Any]):
    pass


class Point(NamedTuple):
    x: Any
    y: Any


class Plain:
    def __init__(self) -> None:
        self.inner = object()


BAD = object()
CYCLE: list[Any] = [1]
CYCLE.append({"again": CYCLE})
CYCLIC_DICT: dict[str, Any] = {"a": {}}
CYCLIC_DICT["a"]["b"] = (1, CYCLIC_DICT)


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        (BAD, (), "state: builtins.object can't be stored; register the type"),
        ({"a": [1, {"b": BAD}]}, ("a", 1, "b"), "/a/1/b: builtins.object can't be stored; register the type"),
        ({"a": (1, (BAD,))}, ("a", 1, 0), "/a/1/0: builtins.object can't be stored"),
        ({"a": {1, Plain}}, ("a", Plain), "builtins.type can't be stored"),
        ({"a": frozenset({(BAD,)})}, ("a", (BAD,), 0), "builtins.object can't be stored"),
        ({"a": Plain()}, ("a",), "Plain can't be stored; register the type"),
        ({"a": Point(1, 2)}, ("a",), "Point can't be stored; register the type"),
        ([http.HTTPStatus.OK], (0,), "/0: http.HTTPStatus can't be stored; register the type"),
        ({"s": MyStr("x")}, ("s",), "MyStr can't be stored"),
        ({"s": MyInt(1)}, ("s",), "MyInt can't be stored"),
        ({"s": MyDict()}, ("s",), "MyDict can't be stored"),
        ({"s": collections.OrderedDict()}, ("s",), "OrderedDict can't be stored"),
        ({MyStr("k"): 1}, ("k",), "as a key: .*MyStr can't be stored"),
        ({"a": {BAD: 1}}, ("a", BAD), "as a key: builtins.object can't be stored"),
        ({"a": {(1, BAD): 1}}, ("a", (1, BAD)), "as a key: builtins.object can't be stored"),
        (
            {"a": {http.HTTPStatus.OK: 1}},
            ("a", http.HTTPStatus.OK),
            "as a key: http.HTTPStatus can't be stored",
        ),
        (CYCLE, (1, "again"), "/1/again: a cycle: the value contains itself"),
        (CYCLIC_DICT, ("a", "b", 1), "/a/b/1: a cycle: the value contains itself"),
        ({"a": bytearray(b"x")}, ("a",), "/a: bytearray can't be stored"),
        (bytearray(b"x"), (), "state: bytearray can't be stored"),
        ({"a": [{1: memoryview(b"x")}]}, ("a", 0, 1), "memoryview can't be stored"),
        ({"a": (msgpack.ExtType(3, b"\x90"),)}, ("a", 0), "ExtType can't be stored"),
        ({"a": msgpack.Timestamp(1)}, ("a",), "Timestamp can't be stored"),
        ({memoryview(b"x"): 1}, None, "as a key: no look-up would find it"),
        ({"z": dt.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo.no_cache("UTC"))}, None, None),
        ({"z": dt.time(tzinfo=type("Zone", (dt.tzinfo,), {})())}, ("z",), "the time zone .* can't be stored"),
    ],
)
def test_what_cannot_come_back_is_refused_with_its_path(value: Any, path: Any, message: str | None) -> None:
    if message is None:
        assert restart(value) == value
        return
    with pytest.raises(UnsupportedValueError, match=message) as caught:
        CODEC.encode_stored(value)
    if path is not None:
        assert caught.value.path == path
        with pytest.raises(UnsupportedValueError) as caught:
            CODEC.encode_stored(value, ("top", 0))
        assert caught.value.path == ("top", 0, *path)


def test_a_time_zone_that_is_not_everywhere_is_refused() -> None:
    with open(next(iter(zone_files())), "rb") as file:
        zone = zoneinfo.ZoneInfo.from_file(file, key="My/Own")
    with pytest.raises(UnsupportedValueError, match="the time zone"):
        CODEC.encode(dt.datetime(2024, 1, 1, tzinfo=zone))


def zone_files() -> list[str]:
    from importlib import resources

    return [str(resources.files("tzdata.zoneinfo") / "UTC")]


@pytest.mark.parametrize(
    "key",
    [math.nan, -math.nan, decimal.Decimal("NaN"), complex(math.nan, 0), (1, math.nan), frozenset({math.nan})],
)
def test_a_key_that_no_lookup_would_find_is_refused(key: Any) -> None:
    for where, value in [((), {key: 1}), (("a", 1), {"a": [0, {key: 1}]}), ((0,), ({key: 1},))]:
        with pytest.raises(UnsupportedValueError, match="as a key: no look-up would find it") as caught:
            CODEC.encode_stored(value)
        assert caught.value.path[:-1] == where
        assert caught.value.path[-1] is key
    with pytest.raises(UnsupportedValueError) as caught:
        CODEC.check_key(key, ("d",))
    assert caught.value.path[0] == "d"
    assert caught.value.path[1] is key


@given(keys)
def test_a_key_that_can_be_found_again_is_taken(key: Any) -> None:
    CODEC.check_key(key, ())
    assert key in restart({key: 1})


def nested(depth: int, kind: Callable[[Any], Any], core: Any) -> Any:
    for _ in range(depth):
        core = kind(core)
    return core


def as_dict(value: Any) -> Any:
    return {"k": value}


def as_list(value: Any) -> Any:
    return [value]


def as_tuple(value: Any) -> Any:
    return (value,)


@pytest.mark.parametrize("kind", [as_dict, as_list, as_tuple])
def test_values_may_be_nested_to_the_limit_and_no_deeper(kind: Callable[[Any], Any]) -> None:
    deepest = nested(MAX_DEPTH, kind, 1)
    assert CODEC.encode(CODEC.decode(CODEC.encode_stored(deepest))) == CODEC.encode(deepest)
    CODEC.encode_stored(nested(MAX_DEPTH - 2, kind, 1), ("a", "b"))
    for value, path in [(nested(MAX_DEPTH + 1, kind, 1), ()), (nested(MAX_DEPTH - 1, kind, 1), ("a", "b"))]:
        with pytest.raises(UnsupportedValueError, match="nested deeper than 200 containers") as caught:
            CODEC.encode_stored(value, path)
        assert len(caught.value.path) == MAX_DEPTH
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "kind", [as_dict, as_list, as_tuple, lambda value: [as_tuple(nested(400, as_list, value))]]
)
def test_values_nested_absurdly_deep_are_refused(kind: Callable[[Any], Any]) -> None:
    value = nested(10_000 if kind in (as_dict, as_list, as_tuple) else 100, kind, 1)
    with pytest.raises(UnsupportedValueError, match="nested deeper than 200 containers") as caught:
        CODEC.encode(value)
    assert len(caught.value.path) <= MAX_DEPTH
    while value != 1:  # taken apart by hand: freeing it at once recurses, too
        value = value["k"] if isinstance(value, dict) else value[0]


def test_what_is_shared_but_no_cycle_is_stored() -> None:
    shared = [1]
    assert restart({"a": [shared, shared], "b": shared}) == {"a": [[1], [1]], "b": [1]}


# Registered types


class Color(enum.Enum):
    RED = "r"
    GREEN = ("g", 2)


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Plan:
    steps: list[Any]
    at: int = 0
    tags: set[str] = dataclasses.field(default_factory=set)

    @functools.cached_property
    def size(self) -> int:
        return len(self.steps)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    parts: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.name == "made anew":
            raise AssertionError


class Person(BaseModel, extra="allow"):
    name: str
    age: int = 0
    _secret: list[int] = PrivateAttr(default_factory=list)

    @functools.cached_property
    def initial(self) -> str:
        return self.name[0]


class Money:
    def __init__(self, amount: Any) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return type(other) is Money and other.amount == self.amount

    __hash__ = None  # type: ignore[assignment]


REGISTRY = TypeRegistry(Color, Rights, Level, Plan, Frozen, Person, Point)
REGISTRY.register(Money, name="money", dump=lambda money: money.amount, load=Money)
TYPED = Codec(REGISTRY)


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
    return msgpack.packb(
        msgpack.ExtType(13, msgpack.packb([f"{cls.__module__}.{cls.__qualname__}", payload]))
    )


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
    registry.register(Money, dump=lambda money: 1 / money.amount, load=lambda amount: {}[amount])
    codec = Codec(registry)
    with pytest.raises(UnsupportedValueError, match="Money can't be dumped: ZeroDivisionError") as caught:
        codec.encode([Money(0)])
    assert caught.value.path == (0,)
    with pytest.raises(CorruptJournalError, match="Money can't be loaded: KeyError"):
        codec.decode(codec.encode(Money(1)))


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
    with pytest.raises(UnsupportedValueError, match="'tests.values.test_codec.Color' is not registered"):
        CODEC.decode(data)
    keeping = Codec(TypeRegistry(unknown="keep"))
    kept = keeping.decode(data)
    plan = kept["p"][0]
    assert type(plan) is Unregistered
    assert plan.name == "tests.values.test_codec.Plan"
    assert plan.payload["steps"] == [Unregistered("tests.values.test_codec.Color", "RED")]
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


# Hostile bytes


def decodes_or_is_refused(data: bytes, codec: Codec = TYPED) -> None:
    try:
        value = codec.decode(data)
    except (CorruptJournalError, UnsupportedValueError):
        return
    try:
        codec.encode_stored(value)
    except UnsupportedValueError:
        pass


_messagepack = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.one_of(
        st.lists(inner, max_size=9),
        st.dictionaries(st.integers() | st.text(max_size=2), inner, max_size=2),
        st.builds(lambda code, parts: msgpack.ExtType(code, packed(parts)), st.integers(0, 15), inner),
    ),
)


def packed(value: Any) -> bytes:
    try:
        return msgpack.packb(value)  # type: ignore[no-any-return]
    except OverflowError:
        return b"\xc0"


@given(st.binary(max_size=200))
def test_random_bytes_are_a_value_or_damage(data: bytes) -> None:
    decodes_or_is_refused(data)


@given(_messagepack, st.sampled_from(sorted(REGISTRY.by_name)))
def test_well_formed_nonsense_is_a_value_or_damage(value: Any, name: str) -> None:
    decodes_or_is_refused(packed(value))
    decodes_or_is_refused(packed(msgpack.ExtType(13, packed([name, value]))))


@given(states, st.data())
def test_bytes_cut_short_changed_or_with_a_tail_are_a_value_or_damage(
    state: dict[Any, Any], data: Any
) -> None:
    good = CODEC.encode(state)
    cut = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(CorruptJournalError):
        CODEC.decode(good[:cut])
    with pytest.raises(CorruptJournalError):
        CODEC.decode(good + b"\xc0")
    flipped = bytearray(good)
    flipped[cut] ^= 1 << data.draw(st.integers(0, 7))
    decodes_or_is_refused(bytes(flipped))


def ext(code: int, payload: bytes) -> bytes:
    return b"\xc9" + struct.pack(">Ib", len(payload), code) + payload


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x92\x01",
        b"\xa1\xff",
        b"\x81\x90\x01",
        b"\x81\x80\x01",
        ext(3, b"\x90\x90"),
        ext(3, b""),
        ext(3, b"\xc0"),
        ext(4, b"\x91\x90"),
        ext(6, b"\x91\xc0"),
        ext(7, b"\xa1x"),
        ext(8, b"\x90"),
        ext(9, b"\x93\x01\x0d\x01"),
        ext(11, b"\x93\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"),
        ext(12, b"short"),
        ext(13, b"\x90"),
        ext(13, b"\x92\x90\xc0"),
        ext(14, b"\xc0"),
        ext(-1, b"bad"),
        ext(10, msgpack.packb([1, 1, 1, 1, 0, [10**15]])),
        ext(10, msgpack.packb([1, 1, 1, 1, 0, "../../etc/passwd"])),
        ext(10, msgpack.packb([1, 1, 1, 1, 0, "localtime"])),
    ],
)
def test_bytes_that_are_no_value_are_damage(data: bytes) -> None:
    with pytest.raises(CorruptJournalError, match="undecodable value"):
        CODEC.decode(data)


def test_bytes_that_nest_do_not_exhaust_the_stack() -> None:
    data = msgpack.packb([])
    for _ in range(5000):
        data = b"\x91" + ext(3, b"\x91" + data)
    deep_lists = b"\x91" * 1000 + b"\x90"
    mixed = deep_lists
    for _ in range(MAX_DEPTH - 5):
        mixed = b"\x91" * 900 + ext(3, b"\x91" + mixed)
    outcomes: list[bool] = []

    def decode() -> None:
        for hostile in (data, mixed):
            try:
                CODEC.decode(hostile)
            except CorruptJournalError:
                outcomes.append(True)

    size = threading.stack_size(1024 * 1024)
    try:
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert outcomes == [True, True]


def test_bytes_that_promise_too_much_are_refused_before_anything_is_built() -> None:
    size = 4_000_000
    data = (b"\xdd" + struct.pack(">I", size - 6000)) * 1000 + b"\xc0" * (size - 5000)
    start = time.perf_counter()
    with pytest.raises(CorruptJournalError):
        CODEC.decode(data)
    assert time.perf_counter() - start < 1
