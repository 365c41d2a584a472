"""Laws of live states that go on after a commit: edits are told from the last `settle` on."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.errors import InvalidStateError
from eventstate.values.codec import Codec
from eventstate.values.delta import Op, fold
from eventstate.values.live import LiveState
from tests.strategies import bushy_states, exact, states
from tests.values.test_live_laws import (
    DICT,
    DICT_STEPS,
    LIST,
    LIST_STEPS,
    Step,
    children,
    dict_source,
    do,
    is_live,
    list_source,
    mark,
    outcome,
    recorded,
    steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.proves("replay")

CODEC = Codec()


class Journal:
    """Folds what a live state tells, and lets it settle."""

    def __init__(self, source: dict[Any, Any]) -> None:
        self.source = source
        self.folded = CODEC.copy(source)
        self.state = LiveState(source, CODEC)

    def commit(self, undo: list[Callable[[], None]] | None = None) -> None:
        self.folded = fold(recorded(self.state.edits()), self.folded)
        self.state.settle(undo)
        assert exact(self.source) == exact(self.folded) == exact(self.state.root)
        assert self.state.edits() == []


@given(bushy_states | states, steps, st.integers(1, 4))
def test_edits_after_each_commit_lead_from_that_one_to_the_next(
    source: dict[Any, Any], steps: list[Step], every: int
) -> None:
    journal, plain, handles = Journal(source), copy.deepcopy(source), list[list[Any]]()
    for count, step in enumerate(steps):
        do([plain, journal.state.root], handles, step)
        if count % every == 0:
            journal.commit()
        assert exact(journal.state.root) == exact(plain)
    journal.commit()
    assert exact(journal.folded) == exact(plain)


@given(bushy_states | states, steps, steps)
def test_a_commit_that_comes_to_nothing_leaves_the_source_as_it_was(
    source: dict[Any, Any], first: list[Step], second: list[Step]
) -> None:
    journal, plain, handles = Journal(source), copy.deepcopy(source), list[list[Any]]()
    for step in first:
        do([plain, journal.state.root], handles, step)
    journal.commit()
    for step in second:
        do([plain, journal.state.root], handles, step)
    before, undo = exact(source), list[Any]()
    journal.commit(undo)
    for back in reversed(undo):
        back()
    assert exact(source) == before


@given(bushy_states | states, steps)
def test_each_change_is_told_when_it_is_done(source: dict[Any, Any], steps: list[Step]) -> None:
    folded = CODEC.copy(source)

    def commit() -> None:
        nonlocal folded
        folded = fold(recorded(state.edits()), folded)
        state.settle()

    state, plain, handles = LiveState(source, CODEC, commit), copy.deepcopy(source), list[list[Any]]()
    for step in steps:
        do([plain, state.root], handles, step)
        unheard = recorded(state.edits())
        if all(is_live(live) for _, live in handles):
            assert unheard == []
        assert exact(fold(unheard, CODEC.copy(folded))) == exact(plain)


def check_settling(source: dict[str, Any], operations: list[Callable[[Any, Step], Any]], step: Step) -> None:
    """Do the operations with a commit after each, changing what the container held at first in between."""
    journal, plain = Journal(source), copy.deepcopy(source)
    pair = [plain["it"], journal.state.root["it"]]
    held = [children(target) for target in pair]
    for turn, operation in enumerate(operations):
        one, other = (outcome(operation, target, step) for target in pair)
        assert one == other
        journal.commit()
        for things in held:
            for thing in things[turn % 2 :: 2]:
                mark(thing)
        journal.commit()
        assert exact(journal.folded) == exact(plain)


@pytest.mark.parametrize("first", sorted(LIST))
def test_every_two_operations_on_a_list_are_told_one_by_one(first: str) -> None:
    for second in LIST.values():
        for step in LIST_STEPS:
            check_settling(list_source(), [LIST[first], second], step)


@pytest.mark.parametrize("first", sorted(DICT))
def test_every_two_operations_on_a_dict_are_told_one_by_one(first: str) -> None:
    for second in DICT.values():
        for step in DICT_STEPS:
            check_settling(dict_source(), [DICT[first], second], step)


@pytest.mark.parametrize("name", sorted({*LIST, *DICT}))
def test_each_operation_is_told_by_itself(name: str) -> None:
    for kind, source, found in ((LIST, list_source, LIST_STEPS), (DICT, dict_source, DICT_STEPS)):
        for step in found if name in kind else ():
            told: list[None] = []
            state, before = LiveState(source(), CODEC, partial(told.append, None)), exact(source())
            outcome(kind[name], state.root["it"], step)
            assert told or exact(state.root) == before, name


def test_what_was_taken_out_before_a_commit_is_not_kept() -> None:
    journal = Journal({"a": {1}, "b": 2})
    held = journal.state.root.pop("a")
    assert journal.state._recorder.loose
    journal.commit()
    assert not journal.state._recorder.loose
    journal.state.root["a"] = held
    held.add(3)
    journal.commit()
    assert journal.folded == {"b": 2, "a": {1}}


def test_what_was_appended_is_one_splice_after_commits_too() -> None:
    journal = Journal({"list": [{"n": n} for n in range(5)]})
    for n in range(3):
        journal.state.root["list"].append({"m": n})
        edits = recorded(journal.state.edits())
        assert [(edit.op, edit.value) for edit in edits] == [(Op.SPLICE, [5 + n, 0, [{"m": n}]])]
        journal.commit()


def test_what_was_appended_stays_live_for_who_holds_it() -> None:
    journal = Journal({"list": [], "free": {"n": 0}})
    held = journal.state.root.pop("free")
    journal.state.root["list"].append(held)
    journal.commit()
    held["n"] = 1
    journal.commit()
    assert journal.folded == {"list": [{"n": 1}]}


def test_keys_put_in_another_order_are_one_edit() -> None:
    journal = Journal({"a": 1, "b": [2], "c": {"d": 3}})
    journal.state.root._arrange(["c", "a", "b"])
    journal.state.root["b"].append(4)
    journal.state.root["e"] = 5
    edits = recorded(journal.state.edits())
    assert [edit.op for edit in edits] == [Op.SPLICE, Op.SET, Op.ORDER]
    journal.commit()
    assert list(journal.source.items()) == [("c", {"d": 3}), ("a", 1), ("b", [2, 4]), ("e", 5)]
    assert list(dict.keys(journal.state.root)) == ["c", "a", "b", "e"]
    journal.state.root["e"] = journal.state.root.pop("e")
    journal.state.root._arrange(["a", "b", "c", "e"])
    assert [edit.op for edit in recorded(journal.state.edits())] == [Op.ORDER]
    journal.commit()
    journal.state.root._arrange(["b", "a", "c", "e"])
    journal.state.root._arrange(["a", "b", "c", "e"])
    assert journal.state.edits() == []


@given(st.permutations(["a", "b", "c", "d"]), steps)
def test_keys_put_in_any_order_between_changes_are_told(order: list[str], steps: list[Step]) -> None:
    source: dict[Any, Any] = {"a": 1, "b": [{"n": {2}}], "c": {"x": 1}, "d": {3}}
    journal, plain, handles = Journal(source), copy.deepcopy(source), list[list[Any]]()
    for count, step in enumerate(steps):
        do([plain, journal.state.root], handles, step)
        if count % 3 == 1:
            keys = sorted(plain, key=lambda key: order.index(key) if key in order else 9)
            items = {key: plain[key] for key in keys}
            plain.clear()
            plain.update(items)
            journal.state.root._arrange(keys)
        if count % 4 == 2:
            journal.commit()
    journal.commit()
    assert exact(journal.folded) == exact(plain)


def test_nobody_is_told_of_what_was_only_read() -> None:
    told: list[int] = []
    state = LiveState({"a": [{"b": 1}], "s": {1}}, CODEC, lambda: told.append(1))
    assert state.root["a"][0]["b"] == 1
    assert list(state.root.items())
    assert state.root["s"] == {1}
    assert told == []


def test_a_closed_state_says_why() -> None:
    state = LiveState({"a": []}, CODEC)
    state.close("the module has another one")
    with pytest.raises(InvalidStateError, match="the module has another one"):
        state.root["a"].append(1)
