"""History, blame, differences, replay and bisection."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import MISSING
from tests.stores import NOON

if TYPE_CHECKING:
    from eventstate import Session


def test_history_lists_every_change_of_an_attribute_with_its_values(session: Session) -> None:
    session.save({"plan": None, "other": 1}, actor="a", reason="r")
    session.save({"plan": "x", "other": 2})
    session.save({"other": 2})
    session.save({"plan": "x", "other": 2})
    changes = session.history("plan")
    assert [(change.before, change.after) for change in changes] == [
        (MISSING, None),
        (None, "x"),
        ("x", MISSING),
        (MISSING, "x"),
    ]
    assert [change.round for change in changes] == [1, 2, 3, 4]
    assert [change.op for change in changes] == ["set", "set", "delete", "set"]
    assert {change.path for change in changes} == {("plan",)}
    assert (changes[0].actor, changes[0].reason) == ("a", "r")
    assert changes[0].recorded_at == NOON + timedelta(seconds=1)
    assert [change.seq for change in changes] == sorted(change.seq or 0 for change in changes)
    assert session.history("nothing") == []


def test_history_of_a_path_tells_what_happened_below_and_above_it(session: Session) -> None:
    session.save({"memory": {"content": ["a"], "n": 1}})
    with session.round() as state:
        state["memory"]["content"].append("b")
    session.save({"memory": {"content": ["a", "b"], "n": 2}})
    session.save({})
    told = [(change.path, change.before, change.after) for change in session.history(("memory", "content"))]
    path = ("memory", "content")
    assert told == [(path, MISSING, ["a"]), (path, ["a"], ["a", "b"]), (path, ["a", "b"], MISSING)]
    assert [change.path for change in session.history("memory")] == [
        ("memory",),
        path,
        ("memory", "n"),
        ("memory",),
    ]


def test_history_tells_a_new_order_of_keys_where_it_is_the_attributes_own(session: Session) -> None:
    session.save({"a": {"x": 1, "y": {"z": 2}}, "b": 0})
    session.save({"b": 0, "a": {"y": {"z": 2}, "x": 1}})
    session.save({"b": 0, "a": {"y": {"z": 3}, "x": 1}})
    assert [change.op for change in session.history("a")] == ["set", "order", "set"]
    assert [list(change.after) for change in session.history("a")[:2]] == [["x", "y"], ["y", "x"]]
    assert str(session.history("a")[1]) == "* /a"
    assert [change.after for change in session.history(("a", "y", "z"))] == [2, 3]
    assert len(session.history("b")) == 1


def test_an_attribute_is_named_by_its_typed_keys_and_a_plain_name_is_one_key(session: Session) -> None:
    session.save({1: "int", "1": "text", "a/b": {"c.d": 1}, "a": {"b": 2}})
    assert [change.after for change in session.history(1)] == ["int"]
    assert [change.after for change in session.history("1")] == ["text"]
    assert [change.after for change in session.history("a/b")] == [{"c.d": 1}]
    assert [change.after for change in session.history(("a", "b"))] == [2]
    assert [change.after for change in session.history(["a/b", "c.d"])] == [1]
    assert str(session.history(("a/b", "c.d"))[0]).startswith("+ /a~1b/c.d")
    with pytest.raises(ValueError, match="at least one key"):
        session.history(())


def test_blame_gives_for_each_attribute_the_change_that_last_set_it(session: Session) -> None:
    session.save({"plan": None, "memory": {"n": 1, "m": 1}, "empty": {}}, actor="a")
    with session.round(actor="b") as state:
        state["memory"]["n"] = 2
    blame = session.blame()
    assert {path: change.actor for path, change in blame.items()} == {
        ("plan",): "a",
        ("memory", "n"): "b",
        ("memory", "m"): "a",
        ("empty",): "a",
    }
    assert (blame["plan"].before, blame["plan"].after) == (MISSING, None)
    assert (blame["memory", "n"].before, blame["memory", "n"].after) == (1, 2)
    with pytest.raises(KeyError):
        blame["nothing"]


def test_diff_lists_the_changes_between_two_points_and_prints_them(session: Session) -> None:
    first = session.save({"a": 1, "b": {"c": 2}, "gone": 0})
    session.save({"a": 1, "b": {"c": 3}, "new": [1]})
    session.tag("then")
    diff = session.diff(first, "then")
    assert [(change.path, change.before, change.after) for change in diff] == [
        (("gone",), 0, MISSING),
        (("b", "c"), 2, 3),
        (("new",), MISSING, [1]),
    ]
    assert str(diff) == "- /gone: 0\n~ /b/c: 2 -> 3\n+ /new: [1]"
    assert diff.to_json_patch() == [
        {"op": "remove", "path": "/gone"},
        {"op": "replace", "path": "/b/c", "value": 3},
        {"op": "add", "path": "/new", "value": [1]},
    ]
    assert len(session.diff(1, 1)) == 0
    assert str(session.diff(2, 2)) == "(no difference)"
    assert diff[0].seq is None


def test_diff_tells_values_that_are_equal_but_not_the_same_apart(session: Session) -> None:
    session.save({"a": 1, "b": 0.0, "c": {"x": 1, "y": 2}})
    session.save({"a": True, "b": -0.0, "c": {"y": 2, "x": 1}})
    assert [(change.path, change.op) for change in session.diff(1, 2)] == [
        (("a",), "set"),
        (("b",), "set"),
        (("c",), "order"),
    ]


def test_replay_walks_the_rounds_with_their_states(session: Session) -> None:
    for number in (1, 2, 4, 3):
        session.save({"n": number}, round_id=number)
    assert [(turn.id, state) for turn, state in session.replay()] == [
        (1, {"n": 1}),
        (2, {"n": 2}),
        (3, {"n": 3}),
        (4, {"n": 4}),
    ]
    assert [turn.id for turn, _ in session.replay(start=2, stop=4)] == [2, 3]


def test_a_replayed_state_may_be_changed_without_harm_to_the_next(session: Session) -> None:
    session.save({"list": [1]})
    session.save({"list": [1, 2]})
    seen = []
    for _, state in session.replay():
        seen.append(list(state["list"]))
        state["list"].clear()
    assert seen == [[1], [1, 2]]


def test_bisect_finds_the_first_round_where_it_turns_false_in_few_steps(session: Session) -> None:
    for number in range(1, 101):
        session.save({"n": number})
    asked = []

    def small(state: Any) -> bool:
        asked.append(state["n"])
        return bool(state["n"] < 73)

    found = session.bisect(small)
    assert found is not None
    assert found.id == 73
    assert len(asked) <= 7
    assert session.bisect(lambda _: True) is None
    first = session.bisect(lambda _: False)
    assert first is not None
    assert first.id == 1
