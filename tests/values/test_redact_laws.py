"""Laws of erasing: what was erased is absent from every state and edit, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.values.codec import Codec
from eventstate.values.delta import Edit, Op, apply, fold
from eventstate.values.holes import Holes
from eventstate.values.redact import Redactor
from tests.strategies import exact
from tests.values.branches import (
    KEYS,
    Case,
    Model,
    atoms,
    branches,
    cases,
    copied,
    payload,
    redact,
    redacted,
    states_of,
    whole_cases,
)  # fmt: skip

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

pytestmark = pytest.mark.proves("erase")

CODEC = Codec()


@given(cases)
def test_what_stands_in_the_place_of_the_edits_folds_to_the_state_at_each_step(case: Case) -> None:
    redactor, state = Redactor(CODEC), dict[Any, Any]()
    for edit, erased in zip(*case, strict=True):
        was = exact(tuple(edit))
        told = redact(redactor, edit, erased)
        assert exact(tuple(edit)) == was
        if told is not None:
            apply(state, copied(told))
        assert exact(redactor.state) == exact(state)


@given(cases)
def test_the_state_is_what_edits_that_were_not_erased_put_in_place(case: Case) -> None:
    redactor, model = Redactor(CODEC), Model()
    for edit, erased in zip(*case, strict=True):
        redact(redactor, edit, erased)
        model.step(edit, erased)
        assert exact(redactor.state) == exact(model.root.stripped())


def without(state: Any, path: tuple[Any, ...]) -> Any:
    if not isinstance(state, dict):
        return state
    out = {}
    for key, item in state.items():
        if exact(key) != exact(path[0]):
            out[key] = item
        elif path[1:]:
            out[key] = without(item, path[1:])
    return out


@given(branches, st.data())
def test_without_an_attribute_each_state_is_the_old_one_with_the_attribute_taken_out(
    edits: list[Edit], data: st.DataObject
) -> None:
    path = data.draw(
        st.sampled_from([edit.path for edit in edits if edit.path] or [("a",)])
        | st.lists(st.sampled_from([*KEYS, True]), min_size=1, max_size=3).map(tuple)
    )
    start = data.draw(st.integers(0, len(edits)))
    redactor = Redactor(CODEC, fold(map(copied, edits[:start])), path)
    for number, (edit, state) in enumerate(zip(edits, states_of(edits), strict=True)):
        if number < start:
            continue
        told = redactor.erase_path(edit, path)
        assert exact(redactor.state) == exact(without(state, path))
        if exact(edit.path[: len(path)]) == exact(path):
            assert told is None


@given(whole_cases)
def test_nothing_that_only_erased_edits_held_remains(case: Case) -> None:
    kept, gone = set[Any](), set[Any]()
    for edit, erased in zip(*case, strict=True):
        (gone if erased else kept).update(payload(edit))
    told = redacted(case)
    for state in (*states_of(told), [edit and edit.value for edit in told]):
        assert not set(atoms(state)) & (gone - kept)
    for new, edit, erased in zip(told, *case, strict=True):
        assert payload(new) <= (set() if erased else payload(edit))


def kept_leaves(target: Any) -> Iterator[Any]:
    """Give the leaves that are not inside an element of a list, such as a piece of a text."""
    if isinstance(target, dict):
        for item in target.values():
            yield from kept_leaves(item)
    else:
        yield from atoms([item for item in target if type(item) is int] if type(target) is list else target)


@given(whole_cases)
def test_nothing_else_is_lost_unless_it_is_inside_an_element_that_is(case: Case) -> None:
    gone = set[Any]().union(
        *(payload(edit) for edit, erased in zip(*case, strict=True) if erased),
    )
    for old, new in zip(states_of(case.edits), states_of(redacted(case)), strict=True):
        assert set(kept_leaves(old)) - gone <= set(atoms(new))


@given(branches)
def test_edits_come_back_as_they_are_if_nothing_is_erased(edits: list[Edit]) -> None:
    redactor = Redactor(CODEC)
    for edit, state in zip(edits, states_of(edits), strict=True):
        assert redactor.keep(edit) is edit
        assert exact(redactor.state) == exact(state)


@given(whole_cases)
def test_an_attribute_that_is_set_again_is_what_it_is_without_erasing(case: Case) -> None:
    redactor, clean = Redactor(CODEC), set[Any]()
    for edit, erased, state in zip(*case, states_of(case.edits), strict=True):
        redact(redactor, edit, erased)
        if erased:
            clean = {key for key in clean if edit.path and key != edit.path[0]}
        elif edit.op == Op.SET and len(edit.path) == 1:
            clean.add(edit.path[0])
        elif edit.op == Op.DELETE and len(edit.path) == 1:
            clean.discard(edit.path[0])
        for key in clean:
            assert exact(redactor.state[key]) == exact(state[key])


@given(cases, st.data())
def test_a_copy_goes_on_by_itself(case: Case, data: st.DataObject) -> None:
    pairs = list(zip(*case, strict=True))
    at = data.draw(st.integers(0, len(pairs)))
    redactor = Redactor(CODEC)
    for pair in pairs[:at]:
        redact(redactor, *pair)
    was, forks = exact(redactor.state), [redactor.copy(), redactor.copy()]
    told = [[redact(fork, *pair) for pair in pairs[at:]] for fork in forks]
    assert exact(redactor.state) == was
    assert exact(forks[0].state) == exact(forks[1].state)
    assert told[0] == told[1] == [redact(redactor, *pair) for pair in pairs[at:]]


def unordered(value: Any) -> Any:
    """Give something that is equal for values that are the same but for the order of keys."""
    if isinstance(value, dict):
        return dict, frozenset((exact(key), unordered(item)) for key, item in value.items())
    return (list, tuple(map(unordered, value))) if isinstance(value, list) else exact(value)


@given(whole_cases, st.randoms(use_true_random=False))
def test_erasing_in_two_goes_leaves_what_erasing_at_once_does(case: Case, choices: random.Random) -> None:
    first = [erased and choices.random() < 0.5 for erased in case.erased]
    once, twice = redacted(Case(case.edits, first)), Redactor(CODEC)
    for edit, erased, state in zip(once, case.erased, states_of(redacted(case)), strict=True):
        if edit is not None:
            redact(twice, edit, erased)
        assert unordered(twice.state) == unordered(state)


@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4), st.integers(0, 4), st.booleans())),
)
def test_holes_are_counted_as_one_by_one(
    hidden: bool,  # noqa: FBT001 - drawn
    splices: list[tuple[int, int, int, bool]],
) -> None:
    holes, plain = Holes(6, hidden=hidden), [hidden] * 6
    for start, count, inserted, erased in splices:
        index = min(start, len(plain))
        removed = min(count, len(plain) - index)
        run = plain[index : index + removed]
        place = plain[:index].count(False), run.count(False)
        assert holes.copy().splice(index, removed, inserted, hidden=erased) == place
        assert holes.splice(index, removed, inserted, hidden=erased) == place
        plain[index : index + removed] = [erased] * inserted
        assert holes.length == len(plain)
        for outside in (-1, len(plain)):
            with pytest.raises(IndexError):
                holes.hides(outside)
        assert [holes.hides(i) for i in range(len(plain))] == plain
        assert [holes.visible(i) for i in range(len(plain))] == [
            plain[:i].count(False) for i in range(len(plain))
        ]
        assert len(holes._runs) == sum(
            now and not before for before, now in zip([False, *plain], plain, strict=False)
        )
