"""Forks, and states that are never written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import BranchExistsError, BranchNotFoundError, RoundNotFoundError
from tests.stores import ids

if TYPE_CHECKING:
    from eventstate import Session, StateStore


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
    assert session.fork("version", version=1).state() == {"n": 1}
    assert session.fork("nothing", version=0).state() == {}


def test_a_fork_or_tag_in_the_middle_of_a_commit_is_refused_for_a_commit_is_whole(session: Session) -> None:
    session.save({"n": 1})
    session.save({"a": 1, "b": 2})
    assert session.state(version=3) == {"a": 1}
    for make in (session.fork, session.tag):
        with pytest.raises(RoundNotFoundError, match="version 3 is in the middle of a commit"):
            make("between", version=3)
    assert session.branches() == ["main"]
    assert session.tags() == {}


def test_a_forks_own_round_is_what_it_was_made_at_even_if_another_took_the_name(session: Session) -> None:
    session.save({"n": 1})
    old = session.save({"n": 2})
    session.save({"n": 22}, round_id=2)
    for name, fork in (
        ("object", session.fork("object", at=old)),
        ("moment", session.fork("moment", at=old.recorded_at)),
        ("version", session.fork("version", version=old.version)),
    ):
        assert fork.latest is not None, name
        assert fork.state() == fork.state(at=fork.latest) == fork.state(at=2) == {"n": 2}
        assert [state for _, state in fork.replay()] == [{"n": 1}, {"n": 2}]
        assert fork.latest.hash == old.hash
        assert fork.save({"n": 3}).id == 3
        assert fork.undo().id == 4
        assert fork.state() == {"n": 2}


def test_a_fork_at_a_round_that_only_another_branch_has_sees_that_branchs_rounds(session: Session) -> None:
    session.save({"n": 1})
    other = session.fork("other")
    other.save({"n": 1}, round_id=9)
    for number in range(2, 6):
        session.save({"n": number})
    ninth = other.latest
    fork = session.fork("fork", at=ninth)
    assert ids(fork) == [1, 9]
    assert fork.state() == fork.state(at=9) == {"n": 1}


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


def test_a_fork_at_an_old_version_sees_no_round_that_was_made_later(session: Session) -> None:
    first = session.save({"n": 1})
    other = session.fork("other")
    session.save({"n": 1})  # round 2 has no event, so it names the same version as round 1
    other.save({"n": 2})
    assert ids(other.fork("third", version=first.version)) == [1]
    assert ids(session.fork("fourth", version=first.version)) == [1, 2]


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


def test_forks_of_forks_go_as_deep_as_one_likes(session: Session) -> None:
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
