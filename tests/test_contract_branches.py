"""The public contract of branches, by example: forks, merges, tags, and states that are never written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstate import (
    MISSING,
    BranchExistsError,
    BranchNotFoundError,
    RoundNotFoundError,
    Session,
    StateStore,
    UnsupportedValueError,
)
from eventstate.merge import MergeConflict
from tests.stores import Clock


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    path = ":memory:" if request.param == "memory" else tmp_path / "agent.db"
    with StateStore(path, durability="normal", clock=Clock()) as store:
        yield store
        report = store.verify()
        assert report.ok, str(report)


@pytest.fixture
def session(store: StateStore) -> Session:
    return store.session("alice", "trip")


def ids(session: Session) -> list[int]:
    return [turn.id for turn in session.rounds()]


# Forks


def test_a_fork_shares_the_past_and_goes_its_own_way(store: StateStore, session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    session.save({"n": 3})
    other = session.fork("what-if", at=2, actor="me", reason="to see")
    assert other.branch == "what-if"
    assert other.exists
    assert other.state() == {"n": 2}
    assert ids(other) == [1, 2]
    assert other.save({"n": "x"}).id == 3
    assert other.state(at=1) == {"n": 1}
    assert other.state(at=3) == {"n": "x"}
    assert session.state(at=3) == {"n": 3}
    assert session.branches() == other.branches() == ["main", "what-if"]
    assert store.session("alice", "trip", branch="what-if").state() == {"n": "x"}
    forked = next(commit for commit in store.commits() if commit.kind == "fork")
    assert (forked.branch, forked.actor, forked.reason, forked.events) == ("what-if", "me", "to see", 0)


def test_a_fork_starts_at_a_round_a_tag_a_version_or_the_latest(session: Session) -> None:
    first = session.save({"n": 1})
    session.tag("one")
    session.save({"a": 1, "b": 2})
    assert session.fork("round", at=1).state() == {"n": 1}
    assert session.fork("tag", at="one").state() == {"n": 1}
    assert session.fork("object", at=first).state() == {"n": 1}
    assert session.fork("moment", at=first.recorded_at).state() == {"n": 1}
    assert session.fork("latest").state() == {"a": 1, "b": 2}
    between = session.fork("version", version=3)
    assert between.state() == session.state(version=3) == {"a": 1}
    assert session.fork("nothing", version=0).state() == {}


def test_a_fork_of_the_beginning_has_no_rounds_and_its_first_is_1(session: Session) -> None:
    session.save({"n": 1})
    other = session.fork("other", version=0)
    assert ids(other) == []
    assert other.latest is None
    with other.round() as state:
        assert state == {}
        state["m"] = 1
    assert ids(other) == [1]
    assert other.state() == {"m": 1}


def test_a_fork_keeps_the_names_that_rounds_had_when_it_was_made(session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    session.save({"n": "one"}, round_id=1)
    other = session.fork("other", at=2)
    session.save({"n": "uno"}, round_id=1)
    session.save({"n": "two"}, round_id=2)
    session.save({"n": 0}, round_id=0)
    assert other.state() == {"n": 2}
    assert [(turn.id, state) for turn, state in other.replay()] == [(1, {"n": "one"}), (2, {"n": 2})]


def test_a_fork_sees_no_round_above_its_own_even_one_that_was_written_before(session: Session) -> None:
    session.save({"n": 21}, round_id=21)
    session.save({"n": 5}, round_id=5)
    other = session.fork("other", at=5)
    assert ids(other) == [5]
    assert other.state() == {"n": 5}
    with pytest.raises(RoundNotFoundError):
        other.state(at=21)
    assert other.save({"n": 6}).id == 6


def test_a_fork_may_write_to_a_round_that_it_inherited(session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    other = session.fork("other")
    other.save({"n": "one"}, round_id=1)
    assert other.state(at=1) == {"n": "one"}
    assert other.state() == {"n": 2}
    assert session.state(at=1) == {"n": 1}
    other.save({"n": "two"}, round_id=2)
    assert other.state() == {"n": "two"}
    assert session.state() == {"n": 2}


def test_forks_of_forks_go_as_deep_as_one_likes(store: StateStore, session: Session) -> None:
    session.save({"n": [0]})
    at = session
    for level in range(1, 31):
        at = at.fork(f"level-{level}")
        at.update(lambda state, level=level: state["n"].append(level))  # type: ignore[misc]
    assert at.state() == {"n": list(range(31))}
    assert ids(at) == list(range(1, 32))
    assert at.state(at=12) == {"n": list(range(12))}
    assert [state["n"][-1] for _, state in at.replay()] == list(range(31))
    assert [change.after[-1] for change in at.history("n")] == list(range(31))
    assert len(session.branches()) == 31


def test_a_fork_at_a_round_of_another_branch_sees_that_branchs_past(session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    other = session.fork("other", at=1)
    turn = other.save({"n": "two"})
    third = session.fork("third", at=turn)
    assert third.state() == third.state(at=2) == {"n": "two"}
    assert [state for _, state in third.replay()] == [{"n": 1}, {"n": "two"}]


def test_undo_in_a_fork_takes_back_an_inherited_round_in_the_fork_alone(session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    session.save({"n": 3})
    other = session.fork("other", at=2)
    assert other.undo().id == 3
    assert other.state() == {"n": 1}
    other.undo()
    assert other.state() == {"n": 2}
    assert session.state() == {"n": 3}


def test_undo_in_a_fork_of_a_fork_goes_back_to_where_that_one_started(session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    session.save({"n": "one"}, round_id=1)
    middle = session.fork("middle", version=1)  # round 1 as it was before it was overwritten
    middle.save({"n": "own"}, round_id=1)
    assert middle.undo().id == 2
    assert middle.state() == {"n": 1}
    last = middle.fork("last", at=1)
    assert last.state() == {"n": "own"}
    last.undo()
    assert last.state() == {"n": 1}


def test_history_and_blame_reach_through_a_fork_and_no_further(session: Session) -> None:
    session.save({"n": 1, "m": 1}, actor="a")
    session.save({"n": 2, "m": 1}, actor="b")
    other = session.fork("other", at=1)
    other.save({"n": 3, "m": 1}, actor="c")
    assert [change.after for change in other.history("n")] == [1, 3]
    assert {path[0]: change.actor for path, change in other.blame().items()} == {"n": "c", "m": "a"}


@pytest.mark.parametrize("name", ["main", "taken"])
def test_a_taken_name_is_a_branch_exists_error(session: Session, name: str) -> None:
    session.save({})
    session.fork("taken")
    with pytest.raises(BranchExistsError, match=name):
        session.fork(name)
    assert session.branches() == ["main", "taken"]


def test_a_branch_that_is_not_there_is_a_branch_not_found_error(store: StateStore, session: Session) -> None:
    session.save({})
    missing = store.session("alice", "trip", branch="missing")
    assert not missing.exists
    for use in (
        missing.state,
        lambda: missing.save({}),
        lambda: missing.note("x"),
        lambda: missing.fork("y"),
        lambda: list(missing.rounds()),
        lambda: missing.version,
    ):
        with pytest.raises(BranchNotFoundError, match="missing"):
            use()
    assert session.branches() == ["main"]


def test_nothing_can_be_forked_before_something_was_written(session: Session) -> None:
    with pytest.raises(RoundNotFoundError):
        session.fork("other")
    assert not session.exists


# What-if


def test_what_if_is_a_fork_in_memory(store: StateStore, session: Session) -> None:
    with session.what_if() as state:
        assert state == {}
    session.save({"list": [1]})
    session.save({"list": [2]})
    before = len(list(store.commits()))
    with session.what_if(at=1) as state:
        assert state == {"list": [1]}
        state["list"].append(9)
    with session.what_if() as state:
        state.clear()
    assert session.state(at=1) == {"list": [1]}
    assert session.state() == {"list": [2]}
    assert len(list(store.commits())) == before


# Merges


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


# Tags


def test_a_tag_stays_where_it_was_put_whatever_comes_later(store: StateStore, session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    session.tag("before-tools", at=1, actor="me", reason="safe")
    session.tag("now")
    session.save({"n": "one"}, round_id=1)
    assert session.tags() == {"before-tools": 1, "now": 2}
    assert session.state(at="before-tools") == {"n": 1}
    assert session.state(at="now") == {"n": 2}
    tagged = [commit for commit in store.commits() if commit.kind == "tag"]
    assert [(commit.tag, commit.actor) for commit in tagged] == [("before-tools", "me"), ("now", None)]


def test_a_version_can_be_tagged(session: Session) -> None:
    session.save({"a": 1, "b": 2})
    session.tag("half", version=1)
    assert session.state(at="half") == {"a": 1}


def test_a_taken_tag_is_a_branch_exists_error_and_stays(session: Session) -> None:
    session.save({"n": 1})
    session.tag("t")
    session.save({"n": 2})
    with pytest.raises(BranchExistsError, match="'t'"):
        session.tag("t")
    other = session.fork("other")
    with pytest.raises(BranchExistsError, match="'t'"):
        other.tag("t")
    assert session.tags() == {"t": 1}


def test_a_fork_sees_the_tags_made_before_it_and_adds_its_own(session: Session) -> None:
    session.save({"n": 1})
    session.tag("before")
    other = session.fork("other")
    session.tag("after")
    other.save({"n": 2})
    other.tag("own")
    assert other.tags() == {"before": 1, "own": 2}
    assert session.tags() == {"before": 1, "after": 1}
    assert other.state(at="before") == {"n": 1}
    with pytest.raises(RoundNotFoundError):
        other.state(at="after")


def test_a_tag_of_what_is_not_there_is_a_round_not_found_error(session: Session) -> None:
    with pytest.raises(RoundNotFoundError):
        session.tag("t")
    session.save({})
    with pytest.raises(RoundNotFoundError):
        session.tag("t", at=7)
    assert session.tags() == {}
