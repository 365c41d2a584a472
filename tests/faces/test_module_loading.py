"""The contract of loading a state into a module, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faces.face import by_face, differs, outcome
from tests.faces.modules import Counter, Empty, Team


def test_a_state_that_is_loaded_elsewhere_gives_the_same_state() -> None:
    team = Team()
    team.title, team.left.count, team.right.items = "other", 11, ["x", {"y": [1]}]
    copy = Team()
    copy.load_state_dict(team.state_dict())
    assert copy.state_dict() == team.state_dict()
    assert (copy.title, copy.left.count, copy.right.items) == ("other", 11, ["x", {"y": [1]}])


def test_loading_gives_nested_modules_their_parts_and_leaves_them_the_same_objects() -> None:
    team = Team()
    left = team.left
    team.load_state_dict({**Team().state_dict(), "left": {"count": 8, "items": [1]}})
    assert team.left is left
    assert (left.count, left.items) == (8, [1])


@pytest.mark.parametrize("missing", ["left", "size"])
def test_a_missing_key_is_a_key_error_that_names_it(missing: str) -> None:
    state = Team().state_dict()
    del state[missing]
    with pytest.raises(KeyError, match=missing):
        Team().load_state_dict(state)


def test_a_key_missing_in_a_nested_module_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="items"):
        Team().load_state_dict({**Team().state_dict(), "left": {"count": 1}})


def test_a_missing_key_is_passed_over_when_loading_is_not_strict() -> None:
    team = Team()
    team.load_state_dict({"size": 5}, strict=False)
    assert (team.size, team.title, team.left.count) == (5, "team", 1)
    team.load_state_dict({}, False)  # noqa: FBT003 - a caller of the original may give it by place
    assert team.size == 5


def test_keys_that_nobody_registered_are_passed_over() -> None:
    counter = Counter()
    counter.load_state_dict({"count": 2, "items": [], "scratch": "changed", "unknown": 1})
    assert (counter.count, counter.scratch) == (2, "not state")
    assert not hasattr(counter, "unknown")


@differs("strict=False holds for the outermost module alone", "what was asked for holds for the tree")
def test_what_is_missing_in_a_nested_module_is_passed_over_when_loading_is_not_strict() -> None:
    team = Team()
    answer = outcome(team.load_state_dict, {"left": {"count": 7}}, strict=False)
    assert answer == by_face(ours=None, original="KeyError")
    assert team.left.items == []
    assert team.left.count == 7


@differs("what came before the error stays loaded", "a load is whole or did nothing")
def test_a_load_that_fails_changes_nothing() -> None:
    team = Team()
    changed = {"left": {"count": 50, "items": [50]}, "right": {"count": 60, "items": []}, "title": "changed"}
    assert outcome(team.load_state_dict, changed) == "KeyError"
    assert team.left.count == by_face(ours=1, original=50)
    assert team.title == by_face(ours="team", original="changed")


@differs("what came before the error stays loaded", "a load is whole or did nothing")
def test_a_load_whose_function_raises_changes_nothing() -> None:
    module: Any = Empty()
    module.first, module.second = 1, 2
    module.register_state("first")
    module.register_state("second", None, int)
    assert outcome(module.load_state_dict, {"first": 10, "second": "no number"}) == "ValueError"
    assert (module.first, module.second) == by_face(ours=(1, 2), original=(10, 2))


@differs("what is loaded is the caller's own object", "copies both ways")
def test_what_was_loaded_does_not_change_with_the_dict_it_came_from() -> None:
    state: dict[str, Any] = {"count": 1, "items": [1]}
    counter = Counter()
    counter.load_state_dict(state)
    state["items"].append(2)
    assert counter.items == by_face(ours=[1], original=[1, 2])


@differs("whatever Python says of it", "a clear error")
@pytest.mark.parametrize(
    ("state", "error"), [(None, "TypeError"), (5, "TypeError"), ([1], "KeyError"), ("text", "KeyError")]
)
def test_a_state_that_is_no_dict_is_refused(state: Any, error: str) -> None:
    counter = Counter(3)
    assert outcome(counter.load_state_dict, state) == by_face(ours="ValueError", original=error)
    assert counter.count == 3
