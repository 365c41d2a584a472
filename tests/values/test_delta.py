"""Differences: they lead exactly from one state to the other, are small, and can be taken back."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.errors import CorruptJournalError, UnsupportedValueError
from eventstate.values.codec import Codec
from eventstate.values.delta import MISSING, Edit, Op, Place, apply, diff, fold
from eventstate.values.paths import as_path, parse_pointer, pointer, show
from eventstate.values.registry import TypeRegistry
from tests.calls import calls
from tests.strategies import bushy_states, exact, json_states, states

pytestmark = pytest.mark.proves("replay")

CODEC = Codec()


def recorded(edits: list[Edit]) -> list[Edit]:
    """Give the edits as a journal would give them back."""
    return [Edit(CODEC.copy(path), op, CODEC.copy(value)) for path, op, value in edits]


def rewritten(state: dict[Any, Any], choices: Any) -> dict[Any, Any]:
    """Give a state that was made of another by a few changes, so that much is alike."""
    state = CODEC.copy(state)
    nodes: list[Any] = [state]
    for node in nodes:
        nodes.extend(
            child
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        )
    for _ in range(choices.randint(1, 4)):
        node = choices.choice(nodes)
        new = choices.choice(
            [0, 1, True, 1.0, "new", [1, 2], {"x": 1}, "a text that is long enough to be splicedX"]
        )
        if isinstance(node, dict):
            key = choices.choice([*node, "fresh", 1, True])
            what = choices.randrange(4)
            if what == 0:
                node[key] = new
            elif what == 1 and node:
                del node[choices.choice(list(node))]
            elif what == 2 and key in node:
                node[key] = node.pop(key)
            elif what == 3:
                node.pop(key, None)
                node[key] = new
        elif choices.random() < 0.2:
            node.reverse()
        else:
            i, j = sorted((choices.randint(0, len(node)), choices.randint(0, len(node))))
            node[i:j] = [CODEC.copy(new)] * choices.randint(0, 3)
    return state


def within(path: Any, steps: list[Any], op: Op, value: Any = None) -> Edit:
    return Edit(path, Op.WITHIN, [steps, int(op), value])


# The laws


@given(states | bushy_states, states | bushy_states)
def test_the_difference_leads_from_any_state_to_any_other(old: dict[Any, Any], new: dict[Any, Any]) -> None:
    was = exact(old), exact(new)
    edits = recorded(diff(old, new, CODEC))
    assert exact(fold(edits, CODEC.copy(old))) == exact(new)
    assert (exact(old), exact(new)) == was


@given(bushy_states | states | json_states, st.randoms(use_true_random=False))
def test_the_difference_leads_from_a_state_to_a_changed_one_and_back(
    old: dict[Any, Any], choices: Any
) -> None:
    new = rewritten(old, choices)
    edits = recorded(diff(old, new, CODEC))
    assert exact(fold(recorded(edits), CODEC.copy(old))) == exact(new)
    back = recorded(diff(new, old, CODEC))
    assert exact(fold(back, CODEC.copy(new))) == exact(old)


@given(states | bushy_states)
def test_a_state_does_not_differ_from_itself(state: dict[Any, Any]) -> None:
    assert diff(state, CODEC.copy(state), CODEC) == []


# Each kind of change has its edit


@pytest.mark.parametrize(
    ("old", "new", "edits"),
    [
        ({}, {"a": 1}, [Edit(("a",), Op.SET, 1)]),
        ({"a": 1}, {}, [Edit(("a",), Op.DELETE, None)]),
        ({"a": 1}, {"a": None}, [Edit(("a",), Op.SET, None)]),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 1, "d": 3}}}, [Edit(("a", "b", "d"), Op.SET, 3)]),
        ({"a": {}}, {"a": []}, [Edit(("a",), Op.SET, [])]),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, [Edit(("a",), Op.SPLICE, [2, 0, [3]])]),
        ({"a": [1, 2, 3, 4]}, {"a": [1, 4]}, [Edit(("a",), Op.SPLICE, [1, 2, []])]),
        ({"a": [1, 2, 3]}, {"a": [0, 1, 2, 3]}, [Edit(("a",), Op.SPLICE, [0, 0, [0]])]),
        ({"a": [1, 2, 3]}, {"a": [1, 5, 3]}, [Edit(("a",), Op.SPLICE, [1, 1, [5]])]),
        (
            {"a": [1, 2, 3, 4, 5]},
            {"a": [9, 2, 3, 4, 8]},
            [Edit(("a",), Op.SPLICE, [0, 5, [9, 2, 3, 4, 8]])],
        ),
        (
            {"a": [1, "what stands between", 4, 5]},
            {"a": [9, "what stands between", 8, 4, 5]},
            [Edit(("a",), Op.SPLICE, [2, 0, [8]]), Edit(("a",), Op.SPLICE, [0, 1, [9]])],
        ),
        (
            {"a": [1, 2, "what stands between", 4]},
            {"a": [8, 9, "what stands between", 7]},
            [Edit(("a",), Op.SPLICE, [3, 1, [7]]), Edit(("a",), Op.SPLICE, [0, 2, [8, 9]])],
        ),
        (
            {"a": [1, {"b": [1, {"c": 1}]}]},
            {"a": [1, {"b": [1, {"c": 2}]}]},
            [within(("a",), [1, "b", 1, "c"], Op.SET, 2)],
        ),
        ({"a": [{"b": 1}]}, {"a": [{}]}, [within(("a",), [0, "b"], Op.DELETE, None)]),
        ({"a": [[1], 2]}, {"a": [[1, 3], 2]}, [within(("a",), [0], Op.SPLICE, [1, 0, [3]])]),
        ({"a": "x" * 30}, {"a": "x" * 30 + "yz"}, [Edit(("a",), Op.SPLICE, [30, 0, "yz"])]),
        ({"a": "x" * 9 + "-" + "x" * 9}, {"a": "x" * 18}, [Edit(("a",), Op.SPLICE, [9, 1, ""])]),
        ({"a": b"x" * 30}, {"a": b"y" + b"x" * 30}, [Edit(("a",), Op.SPLICE, [0, 0, b"y"])]),
        ({"a": "short"}, {"a": "short!"}, [Edit(("a",), Op.SET, "short!")]),
        ({"a": ["x" * 30]}, {"a": ["x" * 31]}, [within(("a",), [0], Op.SPLICE, [30, 0, "x"])]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, [Edit((), Op.ORDER, ["b", "a"])]),
        ({"d": {"a": 1, "b": 2}}, {"d": {"b": 2, "a": 1}}, [Edit(("d",), Op.ORDER, ["b", "a"])]),
        ({"d": [{"a": 1, "b": 2}]}, {"d": [{"b": 2, "a": 1}]}, [within(("d",), [0], Op.ORDER, ["b", "a"])]),
        ({"a": 1}, {"b": 2, "a": 1}, [Edit(("b",), Op.SET, 2), Edit((), Op.ORDER, ["b", "a"])]),
        ({"a": (1, 2)}, {"a": (1, 3)}, [Edit(("a",), Op.SET, (1, 3))]),
        ({"a": {1}}, {"a": {2}}, [Edit(("a",), Op.SET, {2})]),
        ({"a": 0.0}, {"a": -0.0}, [Edit(("a",), Op.SET, -0.0)]),
        ({1: "x"}, {True: "x"}, [Edit((1,), Op.DELETE, None), Edit((True,), Op.SET, "x")]),
    ],
)
def test_each_change_is_one_small_edit(old: dict[Any, Any], new: dict[Any, Any], edits: list[Edit]) -> None:
    found = diff(old, new, CODEC)
    assert exact([tuple(edit) for edit in found]) == exact([tuple(edit) for edit in edits])
    assert exact(fold(recorded(found), CODEC.copy(old))) == exact(new)


@pytest.mark.parametrize("size", [3, 15, 16, 17, 63, 64, 65, 128, 700, 70_000])
@pytest.mark.parametrize("place", ["start", "second", "middle", "end"])
def test_one_changed_element_is_found_in_lists_of_any_length(size: int, place: str) -> None:
    index = {"start": 0, "second": 1, "middle": size // 2, "end": size - 1}[place]
    old = [i % 300 for i in range(size)]
    new = [*old[:index], "changed", *old[index + 1 :]]
    assert diff({"l": old}, {"l": new}, CODEC) == [Edit(("l",), Op.SPLICE, [index, 1, ["changed"]])]
    shorter = [*old[:index], *old[index + 1 :]]
    (edit,) = diff({"l": old}, {"l": shorter}, CODEC)
    assert edit == Edit(("l",), Op.SPLICE, [index, 1, []])
    (edit,) = diff({"l": shorter}, {"l": old}, CODEC)
    assert edit == Edit(("l",), Op.SPLICE, [index, 0, [old[index]]])


def test_moved_elements_are_told_without_the_ones_that_stayed() -> None:
    old = [{"n": n, "text": "x" * 50} for n in range(30)]
    new = [old[20], *old[:10], *old[11:20], *old[21:]]
    edits = diff({"l": old}, {"l": new}, CODEC)
    assert len(CODEC.encode([edit.value for edit in edits])) < 200
    assert fold(recorded(edits), {"l": CODEC.copy(old)}) == {"l": new}


_long = st.sampled_from([letter * 30 for letter in "abcd"]) | st.integers(0, 2)


@given(st.lists(_long, max_size=12), st.lists(_long, max_size=12))
def test_lists_of_repeated_elements_are_aligned(old: list[Any], new: list[Any]) -> None:
    edits = diff({"l": old}, {"l": new}, CODEC)
    assert fold(recorded(edits), {"l": CODEC.copy(old)}) == {"l": new}
    assert len(edits) <= len(new) + 1


@pytest.mark.parametrize("order", ["turned", "shuffled"])
def test_a_long_list_in_another_order_is_told_in_little_time_and_space(order: str) -> None:
    old: list[dict[str, Any]] = [{"n": n, "role": "user", "content": f"message {n}"} for n in range(2000)]
    new = old[::-1] if order == "turned" else sorted(old, key=lambda item: str(item["n"] * 7919 % 2000))
    edits: list[Edit] = []
    assert calls(lambda: edits.extend(diff({"l": old}, {"l": new}, CODEC))) < 30 * len(old)
    assert len(edits) < (4 if order == "turned" else 200)
    assert sum(len(CODEC.encode(edit.value)) for edit in edits) < 1.05 * len(CODEC.encode(new))
    assert fold(recorded(edits), {"l": CODEC.copy(old)}) == {"l": new}


def test_changes_all_over_a_long_list_are_told_without_the_rest() -> None:
    old: list[dict[str, Any]] = [{"n": n, "role": "user", "content": f"message {n}"} for n in range(300)]
    new = [{**item, "role": "tool"} if item["n"] % 10 == 0 else item for item in old if item["n"] % 25]
    edits = diff({"l": old}, {"l": new}, CODEC)
    assert sum(len(CODEC.encode(edit.value)) for edit in edits) < len(CODEC.encode(new)) / 8
    assert fold(recorded(edits), {"l": CODEC.copy(old)}) == {"l": new}


def test_runs_with_very_many_equal_elements_are_replaced_whole() -> None:
    old, new = ["x" * 20, "y" * 20] * 300, ["y" * 20, "x" * 20, "x" * 20] * 400
    edits = diff({"l": old}, {"l": new}, CODEC)
    assert len(edits) == 1
    assert fold(recorded(edits), {"l": CODEC.copy(old)}) == {"l": new}


def test_of_runs_too_long_to_be_aligned_only_the_changed_elements_are_told() -> None:
    item = {"text": "y" * 50, "n": 1}
    old: list[Any] = [0] * 1000
    old[102] = item
    new = [*old[:100], 1, 2, {**item, "n": 2}, *old[103:700], 3, 0, 0, 4, *old[704:]]
    edits = diff({"l": old}, {"l": new}, CODEC)
    assert exact([tuple(edit) for edit in edits]) == exact(
        [
            tuple(Edit(("l",), Op.SPLICE, [100, 2, [1, 2]])),
            tuple(within(("l",), [102, "n"], Op.SET, 2)),
            tuple(Edit(("l",), Op.SPLICE, [700, 4, [3, 0, 0, 4]])),
        ]
    )
    assert fold(recorded(edits), {"l": CODEC.copy(old)}) == {"l": new}
    assert len(diff({"l": [0] * 1000}, {"l": [0, 1, *[0] * 900, 1, *[0] * 97]}, CODEC)) == 2
    assert len(diff({"l": [0] * 1000}, {"l": [*[0] * 400, *[0, 1] * 100, *[0] * 400]}, CODEC)) == 1


def test_elements_of_which_most_is_changed_are_put_anew_together() -> None:
    old, new = ([{"a": n, "b": n, "c": n, "d": 0} for n in range(start, start + 50)] for start in (0, 1000))
    assert diff({"l": old}, {"l": new}, CODEC) == [Edit(("l",), Op.SPLICE, [0, 50, new])]


def test_an_appended_message_costs_less_than_three_encodings_of_the_state() -> None:
    class Counting(Codec):
        size = 0

        def _pack(self, value: Any, level: int = 0) -> bytes:
            data = super()._pack(value, level)
            self.size += len(data)
            return data

    codec = Counting()
    old = {"messages": [{"role": "user", "content": "x" * 500, "n": n} for n in range(200)]}
    new = {"messages": [*codec.copy(old["messages"]), {"role": "user", "content": "hi"}]}
    codec.size = 0
    assert len(diff(old, new, codec)) == 1
    assert codec.size < 3 * len(CODEC.encode(new))


def test_what_cannot_be_stored_is_refused_with_its_path() -> None:
    bad = object()
    with pytest.raises(UnsupportedValueError) as caught:
        diff({"a": {"l": [1, {"x": 1}]}}, {"a": {"l": [1, {"x": bad}]}}, CODEC)
    assert caught.value.path == ("a", "l", 1, "x")
    with pytest.raises(UnsupportedValueError) as caught:
        diff({"a": [{"s": {1}}]}, {"a": [{"s": {bad}}]}, CODEC)
    assert caught.value.path == ("a", 0, "s", bad)


# Applying


@pytest.mark.parametrize(
    "edit",
    [
        Edit(("no", "such"), Op.SET, 1),
        Edit(("n", "x"), Op.SET, 1),
        Edit(("no",), Op.DELETE, None),
        Edit(("l",), Op.SPLICE, [4, 0, [1]]),
        Edit(("l",), Op.SPLICE, [2, 2, []]),
        Edit(("l",), Op.SPLICE, [-1, 0, [1]]),
        Edit(("l",), Op.SPLICE, [0, -1, [1]]),
        Edit(("l",), Op.SPLICE, [0, 0, "x"]),
        Edit(("l",), Op.SPLICE, [0, 0, (1,)]),
        Edit(("l",), Op.SPLICE, 5),
        Edit(("n",), Op.SPLICE, [0, 0, []]),
        Edit(("s",), Op.SPLICE, [0, 0, b"x"]),
        Edit(("s",), Op.SPLICE, [9, 0, "x"]),
        within(("l",), [3], Op.SET, 1),
        within(("l",), [-1], Op.SET, 1),
        within(("l",), [-1], Op.DELETE, None),
        within(("l",), [0, "x"], Op.SET, 1),
        within(("l",), ["x"], Op.SET, 1),
        Edit(("l",), Op.WITHIN, [[0], 99, 1]),
        Edit(("l",), Op.WITHIN, [[0]]),
        Edit(("l",), Op.WITHIN, None),
        Edit(("d",), Op.ORDER, ["a"]),
        Edit(("d",), Op.ORDER, ["a", "c"]),
        Edit(("d",), Op.ORDER, ["a", "a"]),
        Edit(("d",), Op.ORDER, 5),
        Edit(("l",), Op.ORDER, [0, 1, 2]),
        Edit((), Op.SET, 1),
        Edit((), Op.DELETE, None),
    ],
)
def test_an_edit_that_does_not_fit_is_damage(edit: Edit) -> None:
    state = {"n": 1, "l": [1, 2, 3], "s": "abc", "d": {"a": 1, "b": 2}}
    with pytest.raises(CorruptJournalError, match="does not fit the state"):
        apply(state, edit)
    assert state == {"n": 1, "l": [1, 2, 3], "s": "abc", "d": {"a": 1, "b": 2}}


def test_a_note_changes_nothing() -> None:
    state = {"a": 1}
    note = Edit((), Op.NOTE, ["tool.called", {"name": "search"}])
    assert fold([note], state) == {"a": 1}


def test_folding_starts_from_nothing_or_changes_the_state_that_it_was_given() -> None:
    state: dict[Any, Any] = {}
    assert fold([Edit(("a",), Op.SET, 1)], state) is state == {"a": 1}
    assert fold([Edit(("a",), Op.SET, 1)]) == {"a": 1}


# Paths


def test_an_attribute_is_a_key_or_a_sequence_of_keys() -> None:
    assert as_path("a.b/c") == ("a.b/c",)
    assert as_path(1) == (1,)
    assert as_path(None) == (None,)
    assert as_path(["a", 1]) == as_path(("a", 1)) == ("a", 1)
    empties: list[Any] = [(), []]
    for empty in empties:
        with pytest.raises(ValueError, match="at least one key"):
            as_path(empty)


@given(st.lists(st.text(), min_size=1))
def test_pointers_can_be_read_back(path: list[str]) -> None:
    assert parse_pointer(pointer(tuple(path))) == tuple(path)


def test_pointers_are_those_of_rfc_6901() -> None:
    assert pointer(("a/b", "m~n", "", 1, None)) == "/a~1b/m~0n//1/None"
    assert parse_pointer("/a~1b/m~0n//~01") == ("a/b", "m~n", "", "~1")
    assert parse_pointer("plan") == ("plan",)
    assert show(()) == "state"
    assert show(("a",)) == "/a"


def test_places_lead_through_dicts_by_path_and_from_the_first_list_on_by_steps() -> None:
    place = Place(()).key("a").index(1).key("b").index(2)
    assert (place.path, place.steps) == (("a",), (1, "b", 2))
    assert place.edit(Op.SET, 5) == within(("a",), [1, "b", 2], Op.SET, 5)
    assert not MISSING
    assert repr(MISSING) == "MISSING"


class Mixed(str, enum.Enum):  # noqa: UP042 - not the same
    RED = "red"


def test_a_key_that_becomes_an_equal_string_is_another_key() -> None:
    codec = Codec(TypeRegistry(Mixed))
    for one, other in (({Mixed.RED: 1}, {"red": 1}), ({"red": 1}, {Mixed.RED: 1})):
        for old, new in ((one, other), ({"d": [one]}, {"d": [other]}), ({"d": one}, {"d": other})):
            state = fold(diff(old, new, codec), codec.copy(old))
            assert codec.encode(state) == codec.encode(new) != codec.encode(old)
