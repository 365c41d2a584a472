"""Live states, case by case: what is recorded, and the one place that each container has."""

from __future__ import annotations

import random
from typing import Any

import pytest

from eventstate.errors import UnsupportedValueError
from eventstate.values.delta import Edit, Op
from eventstate.values.live import LiveState
from tests.strategies import exact
from tests.values.rounds import CODEC, Task, after, edits_of, source

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
    before["lists"] = [[1], object(), object(), [2]]

    def extend_each(state: Any) -> None:
        state["lists"][0] += [3]
        state["lists"][3] += [4]

    assert edits_of(extend_each, before) == [
        Edit(("lists",), Op.WITHIN, [[0], Op.SPLICE, [1, 0, [3]]]),
        Edit(("lists",), Op.WITHIN, [[3], Op.SPLICE, [1, 0, [4]]]),
    ]
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
    assert type(edits_of(lambda s: s.update(n=True))[0].value) is bool
    assert type(edits_of(lambda s: s.update(n=1.0))[0].value) is float


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
        messages[1]["role"] = "y"
        state["messages"] += [5]
        state["messages"] = state["messages"]
        state["messages"][0] = state["messages"][0]
        state["messages"][:] = state["messages"]
        state.update(state)
        assert state["messages"] is messages
        messages[0]["role"] = "x"

    assert edits_of(change) == [
        Edit(("messages",), Op.SPLICE, [4, 0, [5]]),
        Edit(("messages",), Op.WITHIN, [[1, "role"], Op.SET, "y"]),
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
        state["again"] = []
        state["again"].extend([message, task])  # they have a place now
        message["parts"].clear()
        task.done = False
        assert state["again"][0]["parts"] == [1, {"n": 2}, 3]
        assert state["again"][1].done

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
