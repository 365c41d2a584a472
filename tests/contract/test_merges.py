"""Merges, attribute by attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eventstate import MISSING, UnsupportedValueError
from tests.stores import packed

if TYPE_CHECKING:
    from eventstate import Session, StateStore
    from eventstate.merge import MergeConflict


def test_merge_brings_the_other_branchs_changes_attribute_by_attribute(session: Session) -> None:
    session.save({"a": 1, "b": {"x": 1, "y": 1}, "gone": 0})
    other = session.fork("other")
    other.save({"a": 1, "b": {"x": 2, "y": 1}, "new": [1]})
    session.save({"a": 3, "b": {"x": 1, "y": 3}, "gone": 0})
    result = session.merge(other, actor="me")
    assert result
    assert result.conflicts == ()
    assert result.round is not None
    assert (result.round.kind, result.round.actor, result.round.id) == ("merge", "me", 3)
    assert session.state() == {"a": 3, "b": {"x": 2, "y": 3}, "new": [1]}
    assert other.state() == {"a": 1, "b": {"x": 2, "y": 1}, "new": [1]}


def test_merging_into_a_branch_that_stood_still_gives_the_very_state_of_the_other(session: Session) -> None:
    session.save({"a": 1, "b": {"x": 1, "y": 2}})
    other = session.fork("other")
    other.save({"b": {"y": 2, "x": 1}, "a": 1})
    assert session.merge(other)
    assert packed(session.state()) == packed(other.state())


def test_conflicts_come_back_as_data_and_nothing_is_written(session: Session) -> None:
    session.save({"a": 1, "b": {"x": 1}, "c": 0})
    other = session.fork("other")
    other.save({"a": 2, "b": {"x": 2}, "n": 1})
    session.save({"a": 3, "b": {"x": 3}, "c": 5})
    version = session.version
    result = session.merge(other)
    assert not result
    assert result.round is None
    assert [(item.path, item.base, item.ours, item.theirs) for item in result.conflicts] == [
        (("a",), 1, 3, 2),
        (("b", "x"), 1, 3, 2),
        (("c",), 0, 5, MISSING),
    ]
    assert str(result.conflicts[0]) == "/a: 1 became 3 here and 2 there"
    assert session.version == version
    assert session.state() == {"a": 3, "b": {"x": 3}, "c": 5}


def test_a_resolver_decides_each_conflict(session: Session) -> None:
    session.save({"a": 1, "b": 1, "c": 1})
    other = session.fork("other")
    other.save({"a": 2, "b": 2, "c": 2})
    session.save({"a": 3, "b": 3, "c": 3})

    def resolve(conflict: MergeConflict) -> Any:
        return {"a": conflict.ours, "b": [conflict.ours, conflict.theirs], "c": MISSING}[conflict.path[0]]

    assert session.merge(other, resolve)
    assert session.state() == {"a": 3, "b": [3, 2]}


def test_a_resolver_that_gives_what_cannot_be_stored_writes_nothing(session: Session) -> None:
    session.save({"a": 1})
    other = session.fork("other")
    other.save({"a": 2})
    session.save({"a": 3})
    with pytest.raises(UnsupportedValueError) as caught:
        session.merge(other, lambda _: [object()])
    assert caught.value.path == ("a", 0)
    assert session.state() == {"a": 3}


def test_the_same_change_on_both_sides_is_no_conflict(session: Session) -> None:
    session.save({"a": 1, "b": {"x": 1}})
    other = session.fork("other")
    for branch in (session, other):
        branch.save({"a": [2], "new": {"y": 1}})
    assert session.merge(other)
    assert session.state() == {"a": [2], "new": {"y": 1}}


def test_equal_values_of_another_type_are_a_conflict(session: Session) -> None:
    session.save({"a": 0})
    other = session.fork("other")
    other.save({"a": 1})
    session.save({"a": True})
    assert [item.path for item in session.merge(other).conflicts] == [("a",)]


def test_a_second_merge_starts_from_the_first(session: Session) -> None:
    session.save({"a": 0, "b": 0})
    other = session.fork("other")
    other.save({"a": 1, "b": 0})
    assert session.merge(other)
    session.save({"a": 2, "b": 0})
    other.save({"a": 1, "b": 1})
    assert session.merge(other)  # from the fork it would be a conflict: a is 2 here and 1 there
    assert session.state() == {"a": 2, "b": 1}
    assert other.merge(session)
    assert other.state() == {"a": 2, "b": 1}


def test_merging_what_was_merged_makes_a_round_without_changes(session: Session) -> None:
    session.save({"a": 0})
    other = session.fork("other")
    other.save({"a": 1})
    first = session.merge(other).round
    again = session.merge(other).round
    assert first is not None
    assert again is not None
    assert (first.id, again.id) == (2, 3)
    assert len(session.diff(first, again)) == 0
    assert [change.after for change in session.history("a")] == [0, 1]
    assert session.merge(other, if_changed=True).round == again


def test_sibling_forks_merge_from_where_they_parted(session: Session) -> None:
    session.save({"a": 0, "b": 0, "c": 0})
    one, two = session.fork("one"), session.fork("two")
    one.update(lambda state: state.update(a=1))
    two.update(lambda state: state.update(b=2))
    session.update(lambda state: state.update(c=3))
    assert one.merge(two)
    assert one.state() == {"a": 1, "b": 2, "c": 0}
    assert session.merge(one)
    assert session.state() == {"a": 1, "b": 2, "c": 3}
    assert two.merge(session)
    assert two.state() == {"a": 1, "b": 2, "c": 3}


def test_a_branch_made_before_a_merge_without_changes_did_not_take_part_in_it(session: Session) -> None:
    session.save({"a": 0})
    other = session.fork("other")
    session.save({"a": 1})
    other.save({"a": 2})
    before = session.fork("before")
    assert session.merge(other, lambda conflict: conflict.ours)  # no event: the state stays as it is
    assert [item.path for item in before.merge(other).conflicts] == [("a",)]


def test_only_branches_of_one_session_can_be_merged(store: StateStore, session: Session) -> None:
    session.save({"a": 1})
    stranger = store.session("bob")
    stranger.save({"a": 2})
    with pytest.raises(ValueError, match="is no branch of"):
        session.merge(stranger)
    with pytest.raises(ValueError, match="with itself"):
        session.merge(store.session("alice", "trip"))


def crossed(session: Session) -> Session:
    """Let two branches take in what the other was before it did so: x is set here, y there."""
    session.save({"x": 0, "y": 0})
    other = session.fork("other")
    session.save({"x": 1, "y": 0})
    other.save({"x": 0, "y": 1})
    ours, theirs = session.fork("ours before"), other.fork("theirs before")
    assert session.merge(theirs)
    assert other.merge(ours)
    assert session.state() == other.state() == {"x": 1, "y": 1}
    return other


def test_after_merges_in_both_directions_a_change_back_is_kept(session: Session) -> None:
    other = crossed(session)
    session.save({"x": 0, "y": 1})
    assert session.merge(other)
    assert session.state() == {"x": 0, "y": 1}


def test_after_merges_in_both_directions_what_one_side_changed_is_no_conflict(session: Session) -> None:
    other = crossed(session)
    session.save({"x": 5, "y": 1})
    other.save({"x": 1, "y": 7})
    assert session.merge(other)
    assert session.state() == {"x": 5, "y": 7}


def test_a_merge_into_an_earlier_round_is_refused_for_it_would_not_show(session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    other = session.fork("other")
    other.save({"n": 3})
    with pytest.raises(ValueError, match="would not show"):
        session.merge(other, round_id=1)
    assert session.version == 2
    assert session.merge(other)
    assert session.state() == {"n": 3}
