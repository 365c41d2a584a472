"""Live states, case by case: what is recorded, what can't leak, what is refused."""

from __future__ import annotations

import bisect
import copy
import dataclasses
import gc
import json
import pickle
import pprint
import random
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from eventstate.errors import InvalidStateError, UnsupportedValueError
from eventstate.values.codec import Codec
from eventstate.values.delta import Edit, Op, fold
from eventstate.values.live import LiveDict, LiveList, LiveState
from eventstate.values.registry import TypeRegistry
from tests.strategies import exact

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass
class Task:
    title: str
    done: bool = False
    notes: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Report:
    lines: list[Any]
    totals: dict[str, Any]


CODEC = Codec(TypeRegistry(Task))


def source() -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "parts": [1, {"n": 2}], "tags": {"t"}} for _ in range(4)],
        "plan": {"steps": ["a", "b"], "at": 0},
        "tasks": [Task("one"), Task("two")],
        "pair": (1, [2, {"three": {3}}]),
        "n": 1,
    }


def after(edits: list[Edit], before: dict[Any, Any]) -> Any:
    return exact(CODEC.encode(fold([Edit(p, op, CODEC.copy(value)) for p, op, value in edits], before)))


def edits_of(change: Callable[[Any], object], before: dict[Any, Any] | None = None) -> list[Edit]:
    """Give the edits of a round that makes one change, which must fold to what the round saw."""
    before = source() if before is None else before
    state = LiveState(before, CODEC)
    change(state.root)
    edits = state.edits()
    if not any(
        type(item) is object for items in before.values() if isinstance(items, list) for item in items
    ):
        assert after(edits, CODEC.copy(before)) == exact(CODEC.encode(state.root))
    return [Edit(p, op, CODEC.copy(value)) for p, op, value in edits]


# What is recorded


def test_nothing_done_is_nothing_recorded() -> None:
    assert edits_of(lambda _: None) == []


def test_looking_at_everything_records_nothing() -> None:
    assert edits_of(repr) == edits_of(walk) == []


def walk(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            walk(item)


def test_an_append_is_one_splice_and_looks_at_no_other_element() -> None:
    before = {"log": [object()] * 3}  # encoding one of these would fail
    assert edits_of(lambda s: s["log"].append({"a": 1}), before) == [
        Edit(("log",), Op.SPLICE, [3, 0, [{"a": 1}]])
    ]


def test_a_change_looks_at_nothing_beside_it() -> None:
    before = {"strange": [object()], "items": [object(), {"n": 1}, object()], "n": 1}
    assert edits_of(lambda s: s.update(n=2), before) == [Edit(("n",), Op.SET, 2)]
    assert edits_of(lambda s: s["items"][1].update(n=2), before) == [
        Edit(("items",), Op.WITHIN, [[1, "n"], Op.SET, 2])
    ]
    assert edits_of(lambda s: s["items"].insert(1, 5), before) == [Edit(("items",), Op.SPLICE, [1, 0, [5]])]
    assert edits_of(lambda s: s["items"].pop(1), before) == [Edit(("items",), Op.SPLICE, [1, 1, []])]


def test_what_was_changed_and_changed_back_is_not_recorded() -> None:
    def there_and_back(state: Any) -> None:
        state["n"] = 2
        state["n"] = 1
        state["plan"]["steps"].append("c")
        state["plan"]["steps"].pop()
        state["messages"].reverse()
        state["messages"].reverse()

    assert edits_of(there_and_back) == []


def test_a_value_of_another_type_is_recorded_though_equal() -> None:
    assert exact(edits_of(lambda s: s.update(n=True))[0].value) == exact(True)
    assert exact(edits_of(lambda s: s.update(n=1.0))[0].value) == exact(1.0)


def test_clear_and_update_records_only_what_differs() -> None:
    def renew(state: Any) -> None:
        items = dict(state)
        state.clear()
        state.update(items, n=2, new=3)

    assert edits_of(renew) == [Edit(("n",), Op.SET, 2), Edit(("new",), Op.SET, 3)]


def test_a_key_that_goes_to_the_end_is_recorded() -> None:
    def renew(state: Any) -> None:
        state["messages"] = state.pop("messages")

    edits = edits_of(renew)
    assert [edit[:2] for edit in edits] == [(("messages",), Op.DELETE), (("messages",), Op.SET)]


def test_the_edit_names_the_key_that_stands_in_the_dict() -> None:
    def change(state: Any) -> None:
        state[True] = "changed"
        state[2.0]["x"] = 1
        del state[False]

    edits = edits_of(change, {1: "one", 2: {}, 0: None})
    assert {exact(edit.path) for edit in edits} == {exact((1,)), exact((2, "x")), exact((0,))}


def test_a_key_that_comes_back_as_an_equal_one_is_another_key() -> None:
    def change(state: Any) -> None:
        del state[1]
        state[True] = "one"

    assert exact(edits_of(change, {1: "one"})) == exact(
        [Edit((1,), Op.DELETE, None), Edit((True,), Op.SET, "one")]
    )


def test_changes_of_what_stands_in_moved_places_are_told_at_their_new_places() -> None:
    def change(state: Any) -> None:
        third = state["messages"][2]
        third["role"] = "tool"
        state["messages"].insert(0, "first")
        third["parts"].append(3)

    edits = edits_of(change)
    assert edits[0] == Edit(("messages",), Op.SPLICE, [0, 0, ["first"]])
    assert {tuple(edit.value[0]) for edit in edits[1:]} == {(3, "role"), (3, "parts")}


def test_edits_may_be_asked_for_again_and_again() -> None:
    state = LiveState(source(), CODEC)
    for n in range(5, 8):
        state.root["n"] = n
        state.root["messages"].append(n)
        assert after(state.edits(), source()) == exact(CODEC.encode(state.root))
    assert state.edits() == state.edits()


# Values that change without being asked


def test_values_changed_in_place_are_noticed() -> None:
    def change(state: Any) -> None:
        state["messages"][1]["tags"].add("u")
        state["tasks"][0].notes.append("x")
        state["pair"][1][1]["three"].add(4)

    assert [edit.path for edit in edits_of(change)] == [("messages",), ("tasks",), ("pair",)]


def test_values_changed_in_place_keep_their_place_when_others_move() -> None:
    def change(state: Any) -> None:
        task = state["tasks"][1]
        state["tasks"].insert(0, Task("new"))
        task.done = True

    assert edits_of(change)[-1] == Edit(("tasks",), Op.WITHIN, [[2], Op.SET, Task("two", done=True)])


def test_a_value_that_was_changed_into_something_unstorable_is_refused_with_its_place() -> None:
    state = LiveState(source(), CODEC)
    state.root["messages"].insert(0, "x")
    bad = object()
    state.root["messages"][2]["tags"].add(bad)
    with pytest.raises(UnsupportedValueError, match="object can't be stored") as caught:
        state.edits()
    assert caught.value.path == ("messages", 2, "tags", bad)


def test_an_unstorable_value_in_a_replaced_run_is_refused_with_its_index() -> None:
    state = LiveState({"l": [1, {2}, [3]]}, CODEC)
    bad = object()
    state.root["l"][1].add(bad)
    state.root["l"][1:] = state.root["l"][:0:-1]
    with pytest.raises(UnsupportedValueError) as caught:
        state.edits()
    assert caught.value.path == ("l", 2, bad)


# Identity, and the one place that each container has


def test_a_child_is_the_same_object_each_time() -> None:
    root = LiveState(source(), CODEC).root
    assert root["messages"] is root["messages"]
    assert (
        root["messages"][0] is root["messages"][-4] is next(iter(root["messages"])) is root["messages"][:1][0]
    )
    assert (
        root["messages"] is root.get("messages") is next(iter(root.values())) is next(iter(root.items()))[1]
    )
    assert root["messages"] is root.copy()["messages"] is root.setdefault("messages") is {**root}["messages"]
    assert root["tasks"][0] is root["tasks"][0]
    assert root["pair"] is root["pair"]


def test_what_is_assigned_is_copied_in() -> None:
    mine: dict[str, Any] = {"inner": [1]}
    state = LiveState({}, CODEC)
    state.root["it"] = mine
    state.root["list"] = [mine]
    state.root["list"].append(mine)
    mine["inner"].append(2)
    assert state.root == {"it": {"inner": [1]}, "list": [{"inner": [1]}, {"inner": [1]}]}
    state.root["it"]["inner"].append(3)
    assert mine == {"inner": [1, 2]}


def test_what_is_assigned_to_its_own_place_stays_there() -> None:
    def change(state: Any) -> None:
        messages = state["messages"]
        state["messages"] += [5]
        state["messages"] = state["messages"]
        state["messages"][0] = state["messages"][0]
        state["messages"][:] = state["messages"]
        state.update(state)
        assert state["messages"] is messages
        messages[0]["role"] = "x"

    assert edits_of(change) == [
        Edit(("messages",), Op.SPLICE, [4, 0, [5]]),
        Edit(("messages",), Op.WITHIN, [[0, "role"], Op.SET, "x"]),
    ]


def test_what_is_assigned_to_a_second_place_is_copied() -> None:
    def change(state: Any) -> None:
        state["copy"] = state["plan"]
        state["copy"]["at"] = 1
        assert state["plan"]["at"] == 0
        state["plan"]["at"] = 2
        assert state["copy"]["at"] == 1

    assert edits_of(change)


def test_what_was_taken_out_may_be_put_in_again_and_is_recorded_there() -> None:
    def change(state: Any) -> None:
        state["done"] = []
        message, task = state["messages"].pop(0), state["tasks"].pop(0)
        message["lost"] = False
        state["done"] += [message, task]
        message["parts"].append(3)
        task.done = True
        assert state["done"] == [message, task]
        assert state["done"][0]["parts"][-1] == 3
        assert state["done"][1].done

    assert edits_of(change)


def test_what_was_taken_out_and_put_in_twice_is_one_and_a_copy() -> None:
    def change(state: Any) -> None:
        plan, task = state.pop("plan"), state["tasks"].pop()
        state["plans"] = []
        state["plans"].extend([plan, plan, task, task])
        plan["at"] = 7
        task.done = True
        assert [state["plans"][0]["at"], state["plans"][1]["at"]] == [7, 0]
        assert [state["plans"][2].done, state["plans"][3].done] == [True, False]

    assert edits_of(change)


def test_a_filtered_list_keeps_its_objects() -> None:
    def change(state: Any) -> None:
        last = state["messages"][-1]
        state["messages"][:] = [message for i, message in enumerate(state["messages"]) if i != 1]
        last["role"] = "kept"
        assert state["messages"][-1] is last

    assert edits_of(change) == [
        Edit(("messages",), Op.SPLICE, [1, 1, []]),
        Edit(("messages",), Op.WITHIN, [[2, "role"], Op.SET, "kept"]),
    ]


def test_two_keys_may_swap_their_values() -> None:
    def change(state: Any) -> None:
        plan, messages = state["plan"], state["messages"]
        state.update(plan=messages, messages=plan)
        plan["at"] = 9
        assert state["messages"] is plan

    assert edits_of(change)


def test_what_has_no_place_is_not_recorded() -> None:
    def change(state: Any) -> None:
        for thing in (state.pop("plan"), state["messages"].pop()):
            thing["x"] = 1

    assert [edit.op for edit in edits_of(change)] == [Op.DELETE, Op.SPLICE]


def test_objects_of_another_round_are_copied() -> None:
    other = LiveState(source(), CODEC).root
    loose = other.pop("plan")
    state = LiveState({}, CODEC)
    state.root.update(plan=loose, messages=other["messages"])
    loose["at"] = 5
    other["messages"].clear()
    assert state.root["plan"]["at"] == 0
    assert len(state.root["messages"]) == 4


def test_shuffling_loses_nothing() -> None:
    before = {"cards": [{"n": n} for n in range(20)]}
    state = LiveState(before, CODEC)
    random.Random(1).shuffle(state.root["cards"])
    assert sorted(card["n"] for card in state.root["cards"]) == list(range(20))
    assert after(state.edits(), before) == exact(CODEC.encode(state.root))


# What is refused


@pytest.mark.parametrize(
    "put",
    [
        lambda s, bad: s["plan"].__setitem__("x", bad),
        lambda s, bad: s["plan"].update(x=bad),
        lambda s, bad: s["plan"].update({"fine": 1, "x": bad}),
        lambda s, bad: s["plan"].setdefault("x", bad),
        lambda s, bad: s["plan"].__ior__({"x": bad}),
    ],
)
def test_a_dict_refuses_what_cannot_be_stored_and_is_left_as_it_was(put: Callable[[Any, Any], None]) -> None:
    state = LiveState(source(), CODEC)
    with pytest.raises(UnsupportedValueError) as caught:
        put(state.root, {"deep": [object()]})
    assert caught.value.path == ("plan", "x", "deep", 0)
    assert state.root == source()
    assert state.edits() == []


@pytest.mark.parametrize(
    ("put", "index"),
    [
        (lambda s, bad: s["messages"].append(bad), 4),
        (lambda s, bad: s["messages"].insert(1, bad), 1),
        (lambda s, bad: s["messages"].extend([1, bad]), 5),
        (lambda s, bad: s["messages"].__setitem__(-1, bad), 3),
        (lambda s, bad: s["messages"].__setitem__(slice(1, 2), [bad]), 1),
        (lambda s, bad: s["messages"].__setitem__(slice(0, 4, 2), [1, bad]), 2),
        (lambda s, bad: s["messages"].__iadd__([bad]), 4),
    ],
)
def test_a_list_refuses_what_cannot_be_stored_and_is_left_as_it_was(
    put: Callable[[Any, Any], None], index: int
) -> None:
    state = LiveState(source(), CODEC)
    with pytest.raises(UnsupportedValueError) as caught:
        put(state.root, (object(),))
    assert caught.value.path == ("messages", index, 0)
    assert state.root == source()
    assert state.edits() == []


def test_a_refused_value_is_named_at_the_present_place_of_its_container() -> None:
    state = LiveState(source(), CODEC)
    parts = state.root["messages"][1]["parts"]
    del state.root["messages"][0]
    with pytest.raises(UnsupportedValueError) as caught:
        parts.append(object())
    assert caught.value.path == ("messages", 0, "parts", 2)


@pytest.mark.parametrize("key", [float("nan"), (1, float("nan")), object(), frozenset({Task}), Op.SET])
def test_a_key_that_cannot_be_stored_or_found_is_refused(key: Any) -> None:
    state = LiveState(source(), CODEC)
    with pytest.raises(UnsupportedValueError, match="as a key") as caught:
        state.root["plan"][key] = 1
    assert caught.value.path[:2] == ("plan", key)
    assert state.edits() == []


@pytest.mark.parametrize("value", [bytearray(b"x"), [memoryview(b"x")], {"a": {float("nan"): 1}}])
def test_what_only_a_reader_would_stumble_over_is_refused_at_once(value: Any) -> None:
    with pytest.raises(UnsupportedValueError):
        LiveState({}, CODEC).root["x"] = value


def test_cycles_are_refused() -> None:
    state = LiveState(source(), CODEC)
    root = state.root
    loose = root.pop("plan")
    mine: list[Any] = []
    mine.append(mine)
    for put, path in [
        (lambda: root.update(me=root), ("me",)),
        (lambda: root["messages"][0]["parts"].append(root["messages"]), ("messages", 0, "parts", 2)),
        (lambda: root["messages"].append(root["messages"]), ("messages", 4)),
        (lambda: loose["steps"].append(loose), ("steps", 2)),
        (lambda: root.update(mine=mine), ("mine", 0)),
    ]:
        with pytest.raises(UnsupportedValueError, match="a cycle") as caught:
            put()
        assert caught.value.path == path


def test_a_list_extended_by_itself_is_doubled() -> None:
    assert edits_of(lambda s: s["messages"].extend(s["messages"]))


def test_the_root_inside_something_new_is_copied() -> None:
    def change(state: Any) -> None:
        state["backup"] = [state]
        state["n"] = 5
        assert state["backup"][0]["n"] == 1

    assert edits_of(change)


MUTATIONS: dict[str, Callable[[Any], object]] = {
    "dict []=": lambda s: s["plan"].__setitem__("at", 1),
    "dict del": lambda s: s["plan"].__delitem__("at"),
    "dict pop": lambda s: s["plan"].pop("at"),
    "dict popitem": lambda s: s["plan"].popitem(),
    "dict clear": lambda s: s["plan"].clear(),
    "dict update": lambda s: s["plan"].update(at=1),
    "dict |=": lambda s: s["plan"].__ior__({"at": 1}),
    "dict setdefault": lambda s: s["plan"].setdefault("new", 1),
    "list []=": lambda s: s["messages"].__setitem__(0, 1),
    "list [:]=": lambda s: s["messages"].__setitem__(slice(0, 1), [1]),
    "list [::2]=": lambda s: s["messages"].__setitem__(slice(0, 4, 2), [1, 2]),
    "list del": lambda s: s["messages"].__delitem__(0),
    "list del [:]": lambda s: s["messages"].__delitem__(slice(0, 1)),
    "list del [::2]": lambda s: s["messages"].__delitem__(slice(0, 4, 2)),
    "append": lambda s: s["messages"].append(1),
    "insert": lambda s: s["messages"].insert(0, 1),
    "extend": lambda s: s["messages"].extend([1]),
    "list +=": lambda s: s["messages"].__iadd__([1]),
    "list *=": lambda s: s["messages"].__imul__(2),
    "list pop": lambda s: s["messages"].pop(),
    "remove": lambda s: s["messages"].remove(s["messages"][0]),
    "list clear": lambda s: s["messages"].clear(),
    "sort": lambda s: s["messages"].sort(key=str),
    "reverse": lambda s: s["messages"].reverse(),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_after_the_round_nothing_can_be_changed_and_everything_read(name: str) -> None:
    before = source()
    state = LiveState(before, CODEC)
    state.root["messages"].append("seen")
    edits = state.edits()
    state.close()
    with pytest.raises(InvalidStateError, match="the round is over"):
        MUTATIONS[name](state.root)
    assert state.root == {**source(), "messages": [*source()["messages"], "seen"]}
    assert state.edits() == edits
    spoil(state.root)
    assert exact(CODEC.encode(before)) == exact(CODEC.encode(source()))


# Nothing leaks


def spoil(value: Any) -> None:
    """Change everything that can be reached."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        attempt(lambda: value.__setitem__("spoilt", 1))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            spoil(item)
        if isinstance(value, list):
            attempt(lambda: value.append("spoilt"))
        elif isinstance(value, set):
            value.add("spoilt")
    elif isinstance(value, Task):
        spoil(value.notes)
        value.title = "spoilt"
    else:
        try:
            items = list(value) if not isinstance(value, str) else []
        except TypeError:
            return
        for item in items:
            spoil(item)


def attempt(change: Callable[[], None]) -> None:
    try:
        change()
    except InvalidStateError:
        pass


def into(target: Any, change: Callable[[Any, Any], object]) -> Callable[[Any], Any]:
    def read(live: Any) -> Any:
        change(target, live)
        return target

    return read


def sorted_by_spoiling(live: Any) -> Any:
    seen: list[Any] = []
    live.sort(key=lambda item: seen.append(item) or 0)
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
    lambda x: (lambda *items: items)(*x),
    lambda x: (lambda first, *rest: [first, rest])(*x),
    lambda x: list(zip(x, x, strict=True)),
    lambda x: list(map(lambda item: item, x)),
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
    assert pprint.pformat(root) == pprint.pformat(before)
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
        state.root["messages"][0]["parts"].append(1)
        state.root["n"] = 5
        gone = weakref.ref(state.root)
        del state
        assert gone() is None
    finally:
        gc.enable()
