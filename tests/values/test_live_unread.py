"""What C code finds that reads a live container behind its class, and that no other code finds it."""

from __future__ import annotations

import copy
import datetime as dt
import json
import operator
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

from eventstate.errors import UnsupportedValueError
from eventstate.values.live import LiveState
from eventstate.values.tracking import UNREAD
from tests.calls import calls
from tests.strategies import exact
from tests.values.rounds import CODEC, Task, after, as_c_reads, check_unshared, mutables, source, spoil

if TYPE_CHECKING:
    from collections.abc import Callable


class Typed(BaseModel):
    messages: list[dict[str, Any]]


class Loose(BaseModel):
    messages: list[Any]


class Whole(BaseModel):
    state: dict[str, Any]


class Looser(BaseModel):
    messages: list  # type: ignore[type-arg]


def spoil_model(model: BaseModel) -> None:
    for value in vars(model).values():
        spoil(value)


@pytest.mark.parametrize("cls", [Typed, Loose, Looser])
@pytest.mark.parametrize(
    "read", [len, iter, lambda live: live[1]["parts"], repr, lambda live: live.insert(2, {"new": [1]})]
)
def test_what_pydantic_takes_is_not_part_of_the_source(cls: type[BaseModel], read: Any) -> None:
    before = source()
    was = CODEC.encode(before)
    state = LiveState(before, CODEC)
    read(state.root["messages"])
    try:
        spoil_model(cls(messages=state.root["messages"]))
    except ValidationError as error:
        assert "<unread: pass a copy.deepcopy of the container>" in str(error)  # noqa: PT017 - or none
    assert CODEC.encode(before) == was
    assert after(state.edits(), source()) == exact(CODEC.encode(state.root))
    given = cls(messages=copy.deepcopy(state.root["messages"]))
    assert given.messages == state.root["messages"]  # type: ignore[attr-defined]


def test_what_pydantic_takes_of_a_dict_is_not_part_of_the_source() -> None:
    before = source()
    spoil_model(Whole(state=LiveState(before, CODEC).root))
    assert exact(CODEC.encode(before)) == exact(CODEC.encode(source()))


def test_containers_of_scalars_are_read_by_anyone() -> None:
    before = {"names": ["a", "b"], "sizes": {"a": 1, "b": None}, "empty": []}
    root = LiveState(before, CODEC).root
    for key, plain in before.items():
        assert as_c_reads(root[key]) == as_c_reads(plain)
    assert as_c_reads(root) == [UNREAD] * 3


def test_a_list_of_which_nothing_is_left_shows_nothing() -> None:
    empties: list[Callable[[Any], object]] = [
        lambda items: items.clear(),
        lambda items: operator.delitem(items, slice(None)),
    ]
    for empty in empties:
        root = LiveState({"messages": [{"a": 1}, {"b": 2}]}, CODEC).root
        empty(root["messages"])
        assert as_c_reads(root["messages"]) == []
        root["messages"].append({"c": 3})
        assert list(root["messages"]) == [{"c": 3}]


def test_what_was_not_read_cannot_be_stored_or_pickled() -> None:
    root = LiveState(source(), CODEC).root
    with pytest.raises(UnsupportedValueError, match="Unread can't be stored"):
        root["copy"] = operator.concat([], root["messages"])
    with pytest.raises(TypeError, match="unread: pass a copy"):
        pickle.dumps(UNREAD)
    with pytest.raises(TypeError):
        json.dumps(dict.get(root, "messages"))


def test_nothing_of_the_source_is_found_however_much_was_read() -> None:
    before = source()
    root, shared = LiveState(before, CODEC).root, mutables(before)
    assert len(shared) == 28
    for read in (len, lambda r: r["messages"][1:3], lambda r: r["messages"].reverse(), repr, spoil):
        check_unshared(root, shared)
        read(root)
        check_unshared(root, shared)


NESTED = {
    "d": {"x": [1, {"y": (2, [3])}], "z": {}},
    "l": [[1, 2], [0, [3]], dt.date(2024, 1, 1), "t"],
    "n": 1,
}


def given(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


READERS: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "==": lambda s: [
        compare(*two) for compare in (operator.eq, operator.ne) for two in ((s, NESTED), (NESTED, s), (s, {}))
    ],
    "== list": lambda s: (s["l"] == NESTED["l"], NESTED["l"] == s["l"], s["l"] != NESTED["l"], s["l"] == []),
    "== itself": lambda s: (s == s, s["l"] == s["l"], s["l"] != s["l"]),  # noqa: PLR0124 - it is asked
    "== another": lambda s: (
        s == LiveState(NESTED, CODEC).root,
        s["l"] == LiveState(NESTED, CODEC).root["l"],
    ),
    "<": lambda s: [
        compare(one, other)
        for compare in (operator.lt, operator.le, operator.gt, operator.ge)
        for one, other in ((s["l"], [[1, 3]]), ([[1, 3]], s["l"]), (s["l"], s["l"]))
    ],
    "in": lambda s: ([0, [3]] in s["l"], [5] in s["l"], "t" in s["l"], [1, 2] in s.values(), 1 in s.values()),
    "index": lambda s: (s["l"].index([0, [3]]), s["l"].index("t", 1), s["l"].count([1, 2]), s["l"].count(5)),
    "values": lambda s: (list(s.values()), list(s.items()), list(reversed(s.values())), list(s)),
    "reversed": lambda s: (list(reversed(s["l"])), list(reversed(s))),
    "slices": lambda s: (s["l"][1:], s["l"][::-1], s["l"][-1:], [*s["l"]], s["l"] + [1], 2 * s["l"]),
    "|": lambda s: (s | {"n": 2}, {"n": 2} | s, {**s}, dict(s), dict.copy(s), s.copy()),
    "get": lambda s: (s.get("n"), s.get("l"), s["n"], s["l"][2], s["l"][-1], s.setdefault("l")),
    "json": lambda s: json.dumps(s["d"]) + json.dumps(s["d"], indent=1) + json.dumps(s["l"][:2]),
    "json list": lambda s: json.dumps([s["l"][0], s["l"][1]]) + json.dumps(s["l"][1], indent=1),
    "pickle": lambda s: pickle.loads(pickle.dumps(s)),  # noqa: S301 - our own
    "copy": lambda s: (copy.copy(s), copy.deepcopy(s), copy.copy(s["l"])),
    "sort": lambda s: s["l"][:2].sort() or s["l"][1].reverse() or s["l"],
    "sort lists": lambda s: s["l"].__delitem__(slice(2, None)) or s["l"].sort() or s["l"],
    "pop": lambda s: (s["l"].pop(), s["l"].pop(0), s.pop("d"), s.popitem()),
    "remove": lambda s: s["l"].remove([0, [3]]) or s["l"],
    "percent": lambda s: "%(n)s %(d)s" % s,  # noqa: UP031 - it is C code
    "unpack": lambda s: given(*s["l"], **s),
}


@pytest.mark.parametrize("name", READERS)
def test_whatever_reads_by_the_class_sees_what_a_builtin_would_show(name: str) -> None:
    assert READERS[name](LiveState(CODEC.copy(NESTED), CODEC).root) == READERS[name](CODEC.copy(NESTED))


def turn(size: int, change: Callable[[Any], object]) -> int:
    before = {"messages": [{"parts": [n]} for n in range(size)], "tasks": [Task("one")]}
    state = LiveState(before, CODEC)

    def run() -> None:
        change(state.root["messages"])
        state.edits()

    return calls(run)


@pytest.mark.parametrize(
    "change",
    [
        lambda items: items.append({"parts": [1]}),
        lambda items: items[-1]["parts"].append(1),
        lambda items: items.pop(),
        lambda items: items.insert(3, 1),
        lambda items: items.append(items[0]["parts"]),
    ],
)
def test_a_turn_costs_what_it_changes_and_not_what_the_list_holds(change: Callable[[Any], object]) -> None:
    assert turn(10_000, change) == turn(10, change) < 200
