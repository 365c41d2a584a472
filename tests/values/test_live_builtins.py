"""Live dicts and lists pass for builtins, and nothing read from them is part of the source."""

# ruff: noqa: RUF005 - `+` is what is tested
# ruff: noqa: S301 - so is pickle

from __future__ import annotations

import bisect
import copy
import dataclasses
import gc
import json
import pickle
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from eventstate.values.delta import Edit, Op, fold
from eventstate.values.live import LiveDict, LiveList, LiveState
from tests.strategies import exact

if TYPE_CHECKING:
    from collections.abc import Callable


from tests.values.rounds import CODEC, Report, after, edits_of, source, spoil


def into(target: Any, change: Callable[[Any, Any], object]) -> Callable[[Any], Any]:
    def read(live: Any) -> Any:
        change(target, live)
        return target

    return read


def given_one_by_one(first: Any, *rest: Any) -> Any:
    return [first, rest]


def sorted_by_spoiling(live: Any) -> Any:
    seen: list[Any] = []

    def key(item: Any) -> int:
        seen.append(item)
        return 0

    live.sort(key=key)
    return seen


DICT_READERS: list[Callable[[Any], Any]] = [
    dict, list, dict.copy, copy.copy, copy.deepcopy, repr, spoil, CODEC.copy, json.dumps,
    lambda d: d["messages"],
    lambda d: d.get("messages"),
    lambda d: d.pop("messages"),
    lambda d: [d.popitem() for _ in range(len(d))],
    lambda d: d.setdefault("messages", 1),
    lambda d: list(d.values()),
    lambda d: list(d.items()),
    lambda d: list(reversed(d.values())),
    lambda d: d.copy(),
    lambda d: {**d},
    lambda d: d | {},
    lambda d: {} | d,
    lambda d: dict(**d),
    lambda d: pickle.loads(pickle.dumps(d)),
    lambda d: type(d)(d),
    into({}, lambda target, d: target.update(d)),
    into({}, lambda target, d: target.__ior__(d)),
    lambda d: [(key, value) for key, value in d.items()],
]  # fmt: skip
LIST_READERS: list[Callable[[Any], Any]] = [
    list, tuple, copy.copy, copy.deepcopy, repr, spoil, CODEC.copy, iter, reversed, enumerate,
    lambda x: x[0],
    lambda x: x[-1],
    lambda x: x[1:],
    lambda x: x[::-2],
    lambda x: x.pop(),
    lambda x: x.pop(0),
    lambda x: x.copy(),
    lambda x: [*x],
    lambda x: [*x[:1]],
    lambda x: [] + x,
    lambda x: x + [],
    lambda x: x + x,
    lambda x: x * 2,
    lambda x: 2 * x,
    lambda x: sorted(x, key=str),
    lambda x: max(x, key=str),
    lambda x: given_one_by_one(*x),
    lambda x: list(zip(x, x, strict=True)),
    lambda x: list(filter(None, x)),
    lambda x: pickle.loads(pickle.dumps(x)),
    lambda x: type(x)(x),
    sorted_by_spoiling,
    into([], lambda target, x: target.extend(x)),
    into([], lambda target, x: target.__iadd__(x)),
    into([], lambda target, x: target.__setitem__(slice(0, 0), x)),
]  # fmt: skip


@pytest.mark.parametrize("reader", range(len(DICT_READERS)))
def test_no_way_of_reading_a_dict_leaks_the_source(reader: int) -> None:
    if DICT_READERS[reader] is json.dumps:
        before: dict[str, Any] = {"messages": [{"a": [1]}]}
    else:
        before = source()
    was = CODEC.encode(before)
    spoil(DICT_READERS[reader](LiveState(before, CODEC).root))
    assert CODEC.encode(before) == was


@pytest.mark.parametrize("reader", range(len(LIST_READERS)))
@pytest.mark.parametrize("key", ["messages", "tasks"])
def test_no_way_of_reading_a_list_leaks_the_source(reader: int, key: str) -> None:
    before = source()
    was = CODEC.encode(before)
    state = LiveState(before, CODEC)
    spoil(LIST_READERS[reader](state.root[key]))
    assert CODEC.encode(before) == was


def test_matching_a_pattern_does_not_leak_the_source() -> None:
    before = source()
    was = CODEC.encode(before)
    match LiveState(before, CODEC).root:
        case {"messages": [{"parts": [_, *rest]}, *others], **more}:
            spoil([rest, others, more])
    assert CODEC.encode(before) == was


def test_the_edits_do_not_change_the_source() -> None:
    before = source()
    state = LiveState(before, CODEC)
    state.root["messages"][1:] = [1]
    fold(state.edits(), CODEC.copy(before))
    assert exact(CODEC.encode(before)) == exact(CODEC.encode(source()))


# Like the builtins


def test_live_objects_pass_for_builtins() -> None:
    before = {"d": {"l": [1, {"x": None}]}}
    root = LiveState(before, CODEC).root
    assert isinstance(root, dict)
    assert isinstance(root["d"]["l"], list)
    assert root == before
    assert repr(root) == repr(before)
    assert json.dumps(root) == json.dumps(before)
    assert json.dumps(root["d"]["l"]) == '[1, {"x": null}]'
    assert not LiveState({}, CODEC).root
    assert bool(root["d"]["l"])


def test_copies_and_pickles_are_plain() -> None:
    root = LiveState({"l": [{"x": (1, {2})}]}, CODEC).root
    for plain in (copy.deepcopy(root), pickle.loads(pickle.dumps(root)), CODEC.copy(root)):
        assert type(plain) is dict
        assert type(plain["l"]) is list
        assert type(plain["l"][0]) is dict
        assert plain == root
    assert type(copy.copy(root)) is type(root.copy()) is type(root | {}) is type({} | root) is dict
    assert (
        type(copy.copy(root["l"]))
        is type(root["l"] + [])
        is type([] + root["l"])
        is type(root["l"] * 2)
        is list
    )


def test_the_classes_make_plain_objects() -> None:
    assert type(LiveDict(a=1)) is dict
    assert type(LiveList((1, 2))) is list
    root = LiveState(source(), CODEC).root
    report = dataclasses.asdict(Report(root["messages"], root["plan"]))
    assert report == {"lines": source()["messages"], "totals": source()["plan"]}
    assert type(report["lines"]) is list


def test_a_plain_list_is_extended_in_place_by_a_live_one() -> None:
    plain: list[Any] = []
    alias = plain
    plain += LiveState(source(), CODEC).root["messages"]
    assert alias == source()["messages"]


def test_live_lists_can_be_kept_sorted() -> None:
    def change(state: Any) -> None:
        bisect.insort(state["numbers"], 2)

    assert edits_of(change, {"numbers": [1, 3]}) == [Edit(("numbers",), Op.SPLICE, [1, 0, [2]])]


def test_defaults_are_given_back_as_they_are() -> None:
    root, mine = LiveState(source(), CODEC).root, [1]
    assert root.get("no", mine) is root.pop("no", mine) is mine
    assert root.get("no") is None


def test_live_objects_cannot_be_hashed_and_have_no_attributes() -> None:
    root = LiveState(source(), CODEC).root
    for thing in (root, root["messages"]):
        with pytest.raises(TypeError, match="unhashable"):
            hash(thing)
        with pytest.raises(AttributeError):
            thing.note = 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda s: s["messages"].__setitem__(9, 1), IndexError),
        (lambda s: s["messages"].__setitem__("x", 1), TypeError),
        (lambda s: s["messages"].__setitem__(slice(None, None, 2), [1]), ValueError),
        (lambda s: s["messages"].__setitem__(slice(None, None, 0), [1]), ValueError),
        (lambda s: s["messages"].__setitem__(slice(0, 1), 5), TypeError),
        (lambda s: s["messages"].__delitem__(9), IndexError),
        (lambda s: s["messages"].pop(9), IndexError),
        (lambda s: s["messages"].pop("x"), TypeError),
        (lambda s: s["messages"].insert(None, 1), TypeError),
        (lambda s: s["messages"].extend(5), TypeError),
        (lambda s: s["messages"].remove("not there"), ValueError),
        (lambda s: s["messages"].__imul__("x"), TypeError),
        (lambda s: s["messages"] + 5, TypeError),
        (lambda s: (1,) + s["messages"], TypeError),
        (lambda s: s["messages"] * "x", TypeError),
        (lambda s: s["plan"]["steps"].clear() or s["plan"]["steps"].pop(), IndexError),
        (lambda s: s["plan"].__delitem__("no"), KeyError),
        (lambda s: s["plan"].pop("no"), KeyError),
        (lambda s: s["plan"].pop("no", 1, 2), TypeError),
        (lambda s: s["plan"].__setitem__([], 1), TypeError),
        (lambda s: s["plan"].update(5), TypeError),
        (lambda s: s["plan"].update([(1, 2, 3)]), ValueError),
        (lambda s: s["plan"].clear() or s["plan"].popitem(), KeyError),
        (lambda s: s["plan"] | 5, TypeError),
    ],
)
def test_errors_are_those_of_the_builtins(change: Callable[[Any], object], error: type[Exception]) -> None:
    state, plain = LiveState(source(), CODEC), source()
    with pytest.raises(error):
        change(plain)
    with pytest.raises(error):
        change(state.root)
    assert state.root == plain
    assert after(state.edits(), source()) == exact(CODEC.encode(plain))


def test_a_generator_that_breaks_off_adds_nothing() -> None:
    def broken() -> Any:
        yield 1
        raise ZeroDivisionError

    state = LiveState(source(), CODEC)
    for change in (
        state.root["messages"].extend,
        lambda items: state.root["messages"].__setitem__(slice(2), items),
    ):
        with pytest.raises(ZeroDivisionError):
            change(broken())
    assert state.edits() == []


def test_a_list_changed_while_it_is_sorted_is_refused_as_the_builtin_does() -> None:
    state = LiveState({"l": [3, 1, 2]}, CODEC)
    numbers = state.root["l"]
    with pytest.raises(ValueError, match="modified during sort"):
        numbers.sort(key=lambda n: numbers.append(n) or n)
    assert sorted(numbers) == [1, 2, 3]
    assert after(state.edits(), {"l": [3, 1, 2]}) == exact(CODEC.encode(state.root))


def test_a_round_is_freed_as_soon_as_it_is_dropped() -> None:
    gc.disable()
    try:
        state = LiveState(source(), CODEC)
        parts = state.root["messages"][0]["parts"]
        parts.append({"new": []})
        parts[-1]["new"].append(1)
        gone = [weakref.ref(thing) for thing in (state.root, state.root["messages"], parts, parts[-1])]
        del state, parts
        assert [ref() for ref in gone] == [None] * 4
    finally:
        gc.enable()
