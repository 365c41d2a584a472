"""JSON out: the form of every value, and patches that other tools can apply."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import subprocess
import sys
import uuid
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.values.codec import Codec
from eventstate.values.delta import Edit, Op, diff
from eventstate.values.live import LiveState
from eventstate.values.patch import json_patch, to_json
from eventstate.values.registry import TypeRegistry, Unregistered
from tests.strategies import bushy_states, exact, json_states, states, values
from tests.values.test_delta import rewritten


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Plan:
    steps: list[Any]


CODEC = Codec(TypeRegistry(Color, Plan))


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


@given(values | states)
def test_the_json_form_is_json(value: Any) -> None:
    form = to_json(value)
    assert exact(json.loads(text(form))) == exact(json.loads(text(json.loads(text(form)))))
    text(form).encode()


@given(json_states)
def test_what_json_can_hold_is_its_own_json_form(state: dict[str, Any]) -> None:
    assert exact(to_json(state)) == exact(state)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ((1, (2,)), [1, [2]]),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        (frozenset({2, 1}), [1, 2]),
        (b"\x00\xff", "AP8="),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (math.inf, "Infinity"),
        (2**100, 2**100),
        ("\ud800x\ud83d\ude00", "\ufffdx\U0001f600"),
        (dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC), "2024-01-02T03:04:05.000006+00:00"),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (dt.time(3, 4), "03:04:00"),
        (dt.timedelta(hours=1), "1:00:00"),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (1 + 2j, "(1+2j)"),
        (
            {1: "a", None: "b", (1, "x"): "c", b"k": "d"},
            {"1": "a", "None": "b", '[1, "x"]': "c", "b'k'": "d"},
        ),
        (Color.RED, "RED"),
        ([Plan([Color.RED, {1}])], [{"steps": ["RED", [1]]}]),
        (Unregistered("gone", {"x": (1,)}), {"x": [1]}),
        (LiveState({"a": [{}]}, CODEC).root, {"a": [{}]}),
    ],
)
def test_every_value_has_a_json_form(value: Any, form: Any) -> None:
    assert exact(to_json(value, CODEC)) == exact(form)


def test_types_that_are_not_known_are_shown_as_text() -> None:
    assert to_json([Color.RED, {Color.RED}]) == ["Color.RED", ["Color.RED"]]


def test_the_json_form_is_the_same_in_every_process() -> None:
    code = (
        "import json; from eventstate.values.patch import to_json;"
        "print(json.dumps(to_json({frozenset('abcdef'): {'x', 'y', 'z', 1, None}})))"
    )
    forms = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in "123"
    }
    assert len(forms) == 1


def check(before: dict[Any, Any], after: dict[Any, Any]) -> list[dict[str, Any]]:
    was = CODEC.encode(before)
    edits = diff(before, after, CODEC)
    told = CODEC.encode([edit.value for edit in edits])
    patch = json_patch(before, edits, CODEC)
    assert CODEC.encode(before) == was
    assert CODEC.encode([edit.value for edit in edits]) == told
    start = json.loads(text(to_json(before, CODEC)))
    assert text(jsonpatch.apply_patch(start, json.loads(text(patch)))) == text(to_json(after, CODEC))
    return patch


@given(states | bushy_states, states | bushy_states)
def test_a_patch_leads_from_any_state_to_any_other(before: dict[Any, Any], after: dict[Any, Any]) -> None:
    check(before, after)


@given(json_states | bushy_states, st.randoms(use_true_random=False))
def test_a_patch_leads_from_a_state_to_a_changed_one(before: dict[Any, Any], choices: Any) -> None:
    check(before, rewritten(before, choices))


@given(json_states, json_states)
def test_a_patch_gives_what_another_maker_of_patches_gives(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    patch = json_patch(before, diff(before, after, CODEC), CODEC)
    other = jsonpatch.make_patch(before, after)
    # That maker takes 1, 1.0 and true for one another; json.dumps does not.
    if text(other.apply(before)) == text(after):
        assert text(jsonpatch.apply_patch(before, patch)) == text(other.apply(before))


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({}, {"a/b": 1}, [{"op": "add", "path": "/a~1b", "value": 1}]),
        ({"a": 1}, {"a": None}, [{"op": "replace", "path": "/a", "value": None}]),
        ({"a": {"b": 1}}, {"a": {}}, [{"op": "remove", "path": "/a/b"}]),
        ({"l": [1]}, {"l": [1, 2]}, [{"op": "add", "path": "/l/1", "value": 2}]),
        ({"l": [1, 2, 3]}, {"l": [3]}, [{"op": "remove", "path": "/l/0"}, {"op": "remove", "path": "/l/0"}]),
        (
            {"l": [1, 2, 3, 4]},
            {"l": [9, 4]},
            [
                {"op": "replace", "path": "/l/0", "value": 9},
                {"op": "remove", "path": "/l/1"},
                {"op": "remove", "path": "/l/1"},
            ],
        ),
        ({"l": [1, [5]]}, {"l": [1, [6]]}, [{"op": "replace", "path": "/l/1/0", "value": 6}]),
        ({"l": [{"a": 1}]}, {"l": [{"a": 2}]}, [{"op": "replace", "path": "/l/0/a", "value": 2}]),
        ({"s": "x" * 40}, {"s": "x" * 41}, [{"op": "replace", "path": "/s", "value": "x" * 41}]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"l": [{"a": 1, "b": 2}]}, {"l": [{"b": 2, "a": 1}]}, []),
    ],
)
def test_changes_become_operations(before: dict[str, Any], after: dict[str, Any], patch: list[Any]) -> None:
    assert check(before, after) == patch


def test_keys_that_json_cannot_tell_apart_are_told_as_a_whole() -> None:
    before = {"d": {1: "a", "1": "b", "x": [1]}}
    after = {"d": {1: "a", "1": "c", "x": [1, 2]}}
    assert check(before, after)[-1] == {"op": "replace", "path": "/d", "value": {"1": "c", "x": [1, 2]}}
    check({1: "a"}, {1: "a", "1": "b"})
    check({1: "a", "1": "b"}, {1: "a"})
    check({"": "", (): ""}, {"": "", frozenset(): [], (): ""})
    check({"d": [{1: "a", "1": {}}]}, {"d": [{1: "a", "1": {"z": 1}}]})


def test_later_edits_do_not_change_what_earlier_ones_said() -> None:
    edits = [Edit(("a",), Op.SET, [1]), Edit(("a",), Op.SPLICE, [1, 0, [2]])]
    patch = json_patch({}, edits, CODEC)
    assert [operation["value"] for operation in patch] == [[1], 2]
    assert edits[0].value == [1]


def test_notes_leave_no_operation() -> None:
    assert json_patch({"a": 1}, [Edit((), Op.NOTE, ["x", None])], CODEC) == []
