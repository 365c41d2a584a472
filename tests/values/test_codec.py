"""The codec: what goes in comes out, and what would not is refused with its path."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import http
import io
import math
import struct
import zoneinfo
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.errors import UnsupportedValueError
from eventstate.values.codec import MAX_DEPTH
from tests.calls import calls
from tests.strategies import exact, keys, states, values
from tests.values.typed import BAD, CODEC, Plain, Point, nested, restart

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.promises import Proofs


@given(states | values)
def test_every_value_comes_back_exactly(proved: Proofs, value: Any) -> None:
    proved("exact")
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


def test_small_values_are_encoded_without_a_walk_over_them() -> None:
    message = {"role": "user", "content": "What is the weather in Berlin?", "tool_calls": None, "at": 1.5}
    few, many = [message], [message] * 90
    assert calls(lambda: CODEC.encode_stored(few)) == calls(lambda: CODEC.encode_stored(many))


class MyStr(str):
    __slots__ = ()


class MyInt(int):
    pass


class MyDict(dict[Any, Any]):
    pass


VIEW = memoryview(b"x")
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
        ({VIEW: 1}, (VIEW,), "memoryview can't be stored"),
        ({"a": {(1, VIEW): 1}}, ("a", (1, VIEW), 1), "memoryview can't be stored"),
        ({"z": dt.time(tzinfo=type("Zone", (dt.tzinfo,), {})())}, ("z",), "the time zone .* can't be stored"),
    ],
)
def test_what_cannot_come_back_is_refused_with_its_path(
    proved: Proofs, value: Any, path: Any, message: str
) -> None:
    proved("exact")
    with pytest.raises(UnsupportedValueError, match=message) as caught:
        CODEC.encode_stored(value)
    assert caught.value.path == path
    with pytest.raises(UnsupportedValueError) as caught:
        CODEC.encode_stored(value, ("top", 0))
    assert caught.value.path == ("top", 0, *path)


def test_a_time_zone_that_is_not_everywhere_is_refused() -> None:
    content = b"TZif" + bytes(32) + struct.pack(">II", 1, 4) + bytes(6) + b"OWN\0"
    zone = zoneinfo.ZoneInfo.from_file(io.BytesIO(content), key="My/Own")
    with pytest.raises(UnsupportedValueError, match="the time zone"):
        CODEC.encode(dt.datetime(2024, 1, 1, tzinfo=zone))


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
