"""Laws of live states: what is done to one is what would be done to a plain dict, and is recorded."""

# ruff: noqa: RUF005 - `+` is what is tested

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.values.codec import Codec, Live
from eventstate.values.delta import Edit, fold
from eventstate.values.live import LiveState
from tests.strategies import bushy_states, exact, plain_keys, states, values
from tests.values.rounds import check_unshared, mutables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.proves("replay")

CODEC = Codec()


class Step(NamedTuple):
    """One thing to be done: where, what, and what with."""

    where: int
    what: str
    key: Any
    i: int
    j: int
    values: list[Any]


class Interrupted(Exception):  # noqa: N818 - no error, a stand-in for one
    """Raised by the callbacks below, half-way."""


def fresh(value: Any) -> Any:
    return copy.deepcopy(value)


def broken(items: list[Any]) -> Iterator[Any]:
    yield from items
    raise Interrupted


def by_bytes(value: Any) -> bytes:
    return CODEC.encode(value)  # the same for equal sets, whose texts may differ


def failing_key(limit: int) -> Callable[[Any], bytes]:
    calls = iter(range(limit))

    def key(value: Any) -> bytes:
        if next(calls, None) is None:
            raise Interrupted
        return by_bytes(value)

    return key


def is_live(target: Any) -> bool:
    return isinstance(target, Live)


def unshared(items: list[Any], kept: int) -> list[Any]:
    """A live list has each child in one place, so the plain one must not repeat its own."""
    return items[:kept] + [fresh(item) for item in items[kept:]]


def repeat(target: Any, times: int) -> None:
    if is_live(target):
        target *= times
    else:
        target[:] = unshared(target * times, len(target))


def double(target: Any, _: Step) -> None:
    if is_live(target):
        target.extend(target)
    else:
        target[:] = unshared(target + target, len(target))


def add_in_place(target: Any, step: Step) -> None:
    target += fresh(step.values)


def merge_in_place(target: Any, step: Step) -> None:
    target |= {step.key: fresh(step.values)}


def set_slice(target: Any, step: Step) -> None:
    target[step.i : step.j] = fresh(step.values)


def set_extended(target: Any, step: Step) -> None:
    target[step.i :: step.j or 2] = fresh(step.values)


def delete_slice(target: Any, step: Step) -> None:
    del target[step.i : step.j]


def delete_extended(target: Any, step: Step) -> None:
    del target[step.i :: step.j or 2]


def keep_some(target: Any, step: Step) -> None:
    target[:] = [item for i, item in enumerate(target) if (i + step.i) % 3]


def turn_part(target: Any, step: Step) -> None:
    target[step.i : step.j] = list(target)[step.i : step.j][::-1]


def clear_and_update(target: Any, step: Step) -> None:
    items = dict(target)
    target.clear()
    target.update(items if step.i % 2 else {key: items[key] for key in reversed(items)})


def first_key(target: Any, step: Step) -> Any:
    return list(target)[step.i % len(target)] if target else step.key


LIST: dict[str, Callable[[Any, Step], Any]] = {
    "append": lambda t, s: t.append(fresh(s.values)),
    "insert": lambda t, s: t.insert(s.i, fresh(s.values)),
    "extend": lambda t, s: t.extend(fresh(s.values)),
    "extend, broken off": lambda t, s: t.extend(broken(fresh(s.values))) if is_live(t) else broken_off(),
    "extend by itself": double,
    "+=": add_in_place,
    "*=": lambda t, s: repeat(t, s.i),
    "set": lambda t, s: t.__setitem__(s.i, fresh(s.values)),
    "set scalar": lambda t, s: t.__setitem__(s.i, s.j),
    "set slice": set_slice,
    "set extended": set_extended,
    "del": lambda t, s: t.__delitem__(s.i),
    "del slice": delete_slice,
    "del extended": delete_extended,
    "pop": lambda t, s: t.pop(s.i),
    "pop last": lambda t, _: t.pop(),
    "remove": lambda t, s: t.remove(t[s.i]),
    "remove strange": lambda t, _: t.remove(object()),
    "clear": lambda t, _: t.clear(),
    "sort": lambda t, s: t.sort(key=by_bytes, reverse=bool(s.i % 2)),
    "sort plainly": lambda t, _: t.sort() if all(type(item) is int for item in t) else None,
    "sort, broken off": lambda t, s: t.sort(key=failing_key(abs(s.i))),
    "reverse": lambda t, _: t.reverse(),
    "keep some": keep_some,
    "turn part": turn_part,
    "read": lambda t, s: (t[s.i], t[s.i : s.j], list(t), t + [1], [1] + t, t * 2, list(reversed(t))),
    "wrong index": lambda t, _: t.__setitem__("x", 1),
}
DICT: dict[str, Callable[[Any, Step], Any]] = {
    "set": lambda t, s: t.__setitem__(s.key, fresh(s.values)),
    "set scalar": lambda t, s: t.__setitem__(s.key, s.i),
    "set present": lambda t, s: t.__setitem__(first_key(t, s), fresh(s.values)),
    "set itself": lambda t, s: t.__setitem__(first_key(t, s), t[first_key(t, s)]),
    "setdefault": lambda t, s: t.setdefault(s.key, fresh(s.values)),
    "update": lambda t, s: t.update({s.key: fresh(s.values), "u": s.i}, v=s.j),
    "update by pairs": lambda t, s: t.update([(s.key, fresh(s.values)), ("u", s.i)]),
    "update by itself": lambda t, _: t.update(t),
    "|=": merge_in_place,
    "del": lambda t, s: t.__delitem__(first_key(t, s)),
    "del perhaps": lambda t, s: t.__delitem__(s.key),
    "pop": lambda t, s: t.pop(first_key(t, s)),
    "pop perhaps": lambda t, s: t.pop(s.key, s.i),
    "popitem": lambda t, _: t.popitem(),
    "clear": lambda t, _: t.clear(),
    "clear and update": clear_and_update,
    "to the end": lambda t, s: t.__setitem__(first_key(t, s), t.pop(first_key(t, s))) if t else None,
    "read": lambda t, s: (
        t.get(s.key),
        list(t.values()),
        list(t.items()),
        dict(t),
        t | {1: 2},
        {1: 2} | t,
        {**t},
    ),
    "unhashable": lambda t, _: t.__setitem__([], 1),
}
SET: dict[str, Callable[[Any, Step], Any]] = {
    "add": lambda t, s: t.add(s.key),
    "discard": lambda t, s: t.discard(s.key),
}


def broken_off() -> None:
    raise Interrupted


def children(target: Any) -> list[Any]:
    if isinstance(target, dict):
        return list(target.values())
    return list(target) if isinstance(target, (list, tuple)) else []


def places(target: Any) -> Iterator[tuple[int, ...]]:
    """Give the way to each thing that can be changed, as positions among the children."""
    if isinstance(target, (dict, list, set)):
        yield ()
    for i, child in enumerate(children(target)):
        yield from ((i, *rest) for rest in places(child))


def at(target: Any, place: tuple[int, ...]) -> Any:
    for i in place:
        target = target[list(target)[i] if isinstance(target, dict) else i]
    return target


def recorded(edits: list[Edit]) -> list[Edit]:
    """Give the edits as a journal would give them back."""
    return [Edit(CODEC.copy(path), op, CODEC.copy(value)) for path, op, value in edits]


def outcome(operation: Callable[[Any, Step], Any], target: Any, step: Step) -> Any:
    try:
        return exact(operation(target, step))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other must raise it too
        return type(error)


def move(pair: list[Any], step: Step) -> list[Any] | None:
    """Take something out of one place and put it in at another, in each of the two states."""
    whole = pair[0]
    ways = [way for way in places(whole) if way]
    if not ways:
        return None
    way = ways[step.where % len(ways)]
    if isinstance(at(whole, way[:-1]), tuple):
        return None
    moved = []
    for state in pair:
        parent = at(state, way[:-1])
        moved.append(parent.pop(list(parent)[way[-1]] if isinstance(parent, dict) else way[-1]))
    goals = [way for way in places(whole) if not isinstance(at(whole, way), set)]
    goal = goals[step.i % len(goals)]
    for state, thing in zip(pair, moved, strict=True):
        target = at(state, goal)
        if isinstance(target, dict):
            target[step.key] = thing
        else:
            target.insert(step.j, thing)
    return moved


steps = st.lists(
    st.builds(
        Step,
        st.integers(0, 50),
        st.sampled_from(sorted({*LIST, *DICT, *SET, "move", "old handle"})),
        plain_keys,
        st.integers(-4, 4),
        st.integers(-4, 4),
        st.lists(values, max_size=3),
    ),
    min_size=1,
    max_size=12,
)


def do(pair: list[Any], handles: list[list[Any]], step: Step) -> None:
    if step.what == "move":
        moved = move(pair, step)
        if moved is not None:
            handles.append(moved)
        return
    if step.what == "old handle" and handles:
        targets = handles[step.where % len(handles)]
    else:
        ways = list(places(pair[0]))
        way = ways[step.where % len(ways)]
        targets = [at(state, way) for state in pair]
        handles.append(targets)
    kind: dict[str, Callable[[Any, Step], Any]] = {}
    for cls, operations in ((dict, DICT), (list, LIST), (set, SET)):
        if isinstance(targets[0], cls):
            kind = operations
    names = sorted(kind)
    if names:
        name = step.what if step.what in kind else names[step.j % len(names)]
        plain, live = (outcome(kind[name], target, step) for target in targets)
        assert live == plain, name


@given(bushy_states | states, steps)
def test_a_live_state_does_what_a_plain_one_does_and_its_edits_tell_it(
    source: dict[Any, Any], steps: list[Step]
) -> None:
    before = CODEC.encode(source)
    state, plain, handles = LiveState(source, CODEC), fresh(source), list[list[Any]]()
    shared = mutables(source)
    for step in steps:
        do([plain, state.root], handles, step)
        assert exact(state.root) == exact(plain)
        for live in (state.root, *(handle[1] for handle in handles)):
            if is_live(live):
                check_unshared(live, shared)
    assert exact(fold(recorded(state.edits()), CODEC.decode(before))) == exact(plain)
    assert CODEC.encode(source) == before


def list_source() -> dict[str, Any]:
    return {"it": [3, {"x": [1]}, [2, 3], "text", {7}, {"x": {"y": 1}}, 3, True], "other": [0]}


def dict_source() -> dict[str, Any]:
    return {"it": {"a": 1, 1: {"x": [1]}, "u": [2, 3], "b": {7}, "c": {"y": 1}, "d": None}, "other": [0]}


def mark(thing: Any) -> None:
    if isinstance(thing, dict):
        thing["mark"] = thing.get("mark", 0) + 1
    elif isinstance(thing, list):
        thing.append("mark")
    elif isinstance(thing, set):
        thing.add(f"mark {len(thing)}")


def check_sequence(source: dict[str, Any], operations: list[Callable[[Any, Step], Any]], step: Step) -> None:
    """Do the operations, changing before, between and after them what the container held at first."""
    state, plain, before = LiveState(source, CODEC), fresh(source), CODEC.encode(source)
    pair, shared = [plain["it"], state.root["it"]], mutables(source)
    held = [children(target) for target in pair]
    for turn, operation in enumerate(operations):
        one, other = (outcome(operation, target, step) for target in pair)
        assert one == other
        for things in held:
            for thing in things[turn % 2 :: 2]:
                mark(thing)
        check_unshared(state.root, shared)
        assert exact(fold(recorded(state.edits()), CODEC.decode(before))) == exact(plain)
    assert exact(state.root) == exact(plain)
    assert CODEC.encode(source) == before


LIST_STEPS = [
    Step(0, "", "k", 1, 3, [{"new": 1}, 4]),
    Step(0, "", "k", -2, 2, [5]),
    Step(0, "", "k", 0, -1, [6, [7], {8}, {"n": 9}]),
    Step(0, "", "k", 2, 2, []),
    Step(0, "", "k", 5, -2, [4, 4]),
]
DICT_STEPS = [
    Step(0, "", "a", 1, 3, [{"new": 1}, 4]),
    Step(where=0, what="", key=True, i=2, j=2, values=[5]),
    Step(0, "", 1.0, 3, -1, [{8}]),
    Step(0, "", "new", 4, 2, []),
]


@pytest.mark.parametrize("first", sorted(LIST))
def test_every_two_operations_on_a_list_are_told(first: str) -> None:
    for second in LIST.values():
        for step in LIST_STEPS:
            check_sequence(list_source(), [LIST[first], second], step)


@pytest.mark.parametrize("first", sorted(DICT))
def test_every_three_operations_on_a_dict_are_told(first: str) -> None:
    for second in DICT.values():
        for i, third in enumerate(DICT.values()):
            check_sequence(dict_source(), [DICT[first], second, third], DICT_STEPS[i % len(DICT_STEPS)])
