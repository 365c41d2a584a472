"""Rounds: how they are numbered, what they tell, and what a commit may say."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import ConflictError, Round, UnsupportedValueError
from tests.stores import NOON, ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session, StateStore


def test_asking_for_a_session_writes_nothing(store: StateStore) -> None:
    session = store.session("alice")
    assert session.session_id == "default"
    assert session.branch == "main"
    assert not session.exists
    assert session.version == 0
    assert session.state() is None
    assert session.latest is None
    assert list(session.rounds()) == []
    assert list(session.replay()) == []
    assert session.history("plan") == []
    assert session.blame() == {}
    assert session.tags() == {}
    assert session.branches() == []
    assert session.bisect(lambda _: True) is None
    assert list(store.sessions()) == []
    assert list(store.commits()) == []


def test_the_first_round_is_1_and_the_next_is_the_highest_plus_1(session: Session) -> None:
    assert session.save({"n": 1}).id == 1
    assert session.save({"n": 2}).id == 2
    assert session.save({"n": 3}, round_id=20).id == 20
    assert session.save({"n": 4}, round_id=5).id == 5
    assert session.save({"n": 5}).id == 21
    assert ids(session) == [1, 2, 5, 20, 21]


def test_a_session_and_its_default_are_told_apart_by_their_exact_names(store: StateStore) -> None:
    names = [("u", "s1"), ("u_s1", "default"), ("u", "s"), ("", "us1"), ("u/s1", ""), ("u", "S1")]
    for number, (user, name) in enumerate(names):
        store.session(user, name).save({"n": number})
    assert [store.session(user, name).state()["n"] for user, name in names] == list(range(6))
    assert store.session("u_s1").state() == {"n": 1}


def test_an_empty_state_is_a_state_and_none_is_no_state(session: Session) -> None:
    assert session.state() is None
    session.save({})
    assert session.state() == {}
    assert session.state(at=1) == {}
    assert session.exists


def test_round_zero_is_real(session: Session) -> None:
    session.save({"n": 0}, round_id=0)
    assert session.state(at=0) == {"n": 0}
    assert ids(session) == [0]
    assert session.save({"n": 1}).id == 1
    assert session.undo().id == 2
    assert session.state() == {"n": 0}


@pytest.mark.parametrize("number", [-1, 1 << 62])
def test_a_round_number_that_the_file_cannot_hold_is_refused(session: Session, number: int) -> None:
    with pytest.raises(ValueError, match="a round is between 0 and"):
        session.save({}, round_id=number)
    with pytest.raises(ValueError, match="a round is between 0 and"):
        session.save({}) and session.state(at=number)
    assert ids(session) == [1]


@pytest.mark.parametrize("number", [True, 1.0, "1"])
def test_a_round_number_is_an_integer_and_no_bool(session: Session, number: Any) -> None:
    with pytest.raises(TypeError, match="a round is an integer"):
        session.save({}, round_id=number)
    assert not session.exists


def test_the_highest_round_a_file_can_hold_works(session: Session) -> None:
    session.save({"n": 1}, round_id=(1 << 62) - 1)
    assert session.state(at=(1 << 62) - 1) == {"n": 1}
    assert ids(session) == [(1 << 62) - 1]


def test_latest_is_the_highest_round_whatever_was_written_last(session: Session) -> None:
    session.save({"n": 21}, round_id=21)
    session.save({"n": 5}, round_id=5)
    assert session.state() == {"n": 21}
    assert session.latest is not None
    assert session.latest.id == 21
    with session.round() as state:
        assert state == {"n": 21}
        state["m"] = 0
    assert session.state(at=22) == {"n": 21, "m": 0}
    assert session.save({"n": 21, "m": 1}).id == 23
    assert session.update(lambda state: state.update(k=2)).id == 24
    assert session.state() == {"n": 21, "m": 1, "k": 2}
    assert session.state(at=5) == {"n": 5}


def test_writing_to_a_round_again_moves_its_name_and_keeps_the_old_version(session: Session) -> None:
    first = session.save({"n": 1})
    session.save({"n": 2})
    again = session.save({"n": "one"}, round_id=1)
    assert session.state(at=1) == {"n": "one"}
    assert session.state(version=first.version) == {"n": 1}
    assert session.state(version=again.version) == {"n": "one"}
    assert session.state() == {"n": 2}
    assert [(turn.id, turn.version) for turn in session.rounds()] == [(1, again.version), (2, 2)]


def test_a_round_that_was_overwritten_while_one_is_open_is_a_conflict(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ConflictError), session.round() as state:
        session.save({"n": "one"}, round_id=1)
        state["n"] += 1
    assert session.state() == {"n": "one"}


def test_a_round_made_of_the_very_state_that_stood_last_is_not_lost_either(session: Session) -> None:
    # After a late round the newest events and the latest round differ: here a save adds no events.
    session.save({"n": 21}, round_id=21)
    session.save({"n": 5}, round_id=5)
    seen = session.version
    with pytest.raises(ConflictError), session.round() as state:
        session.save({"n": 5})
        state["m"] = 1
    assert session.state() == {"n": 5}
    with pytest.raises(ConflictError):
        session.save({"n": 6}, expected_version=seen)


def test_a_round_tells_all_that_is_known_of_its_commit(session: Session) -> None:
    turn = session.save(
        {"n": 1}, actor="planner", reason="user asked", metadata={"cost": 0.1, "ids": (1, 2)}, commit_id="x"
    )
    assert isinstance(turn, Round)
    assert (turn.id, turn.version, turn.kind) == (1, 1, "save")
    assert (turn.actor, turn.reason) == ("planner", "user asked")
    assert turn.metadata == {"cost": 0.1, "ids": (1, 2)}
    assert turn.tags == ()
    assert turn.recorded_at == NOON + timedelta(seconds=1)
    assert turn.recorded_at.tzinfo is UTC
    assert len(bytes.fromhex(turn.hash)) == 32
    session.tag("good")
    assert [tagged.tags for tagged in session.rounds()] == [("good",)]
    assert session.save({"n": 2}).hash != turn.hash


def test_each_way_of_writing_says_its_kind(session: Session) -> None:
    session.save({"n": 1})
    with session.round() as state:
        state["n"] = 2
    session.update(lambda state: state.update(n=3))
    session.rollback(1)
    session.undo()
    other = session.fork("other")
    other.save({"n": 3, "m": 0})
    assert session.merge(other)
    assert [turn.kind for turn in session.rounds()] == [
        "save",
        "round",
        "update",
        "rollback",
        "undo",
        "merge",
    ]


def test_rounds_are_walked_from_start_to_before_stop_in_both_directions(session: Session) -> None:
    for number in (1, 2, 3, 5, 8):
        session.save({"n": number}, round_id=number)
    assert ids(session, start=2, stop=5) == [2, 3]
    assert ids(session, start=4) == [5, 8]
    assert ids(session, reverse=True) == [8, 5, 3, 2, 1]
    assert ids(session, start=2, reverse=True, limit=2) == [8, 5]
    assert ids(session, limit=3) == [1, 2, 3]
    assert ids(session, limit=0) == []


def test_more_rounds_than_a_page_holds_are_walked_whole_while_others_are_written(session: Session) -> None:
    for number in range(600):
        session.save({"n": number}, round_id=number)
    walk = session.rounds()
    seen = [next(walk).id]
    session.save({"n": "late"}, round_id=3)
    session.save({"n": 600})
    assert seen + [turn.id for turn in walk] == list(range(601))
    assert ids(session, reverse=True) == list(range(600, -1, -1))


def test_an_unchanged_state_makes_a_round_without_events(store: StateStore, session: Session) -> None:
    session.save({"n": 1})
    turn = session.save({"n": 1})
    assert (turn.id, turn.version) == (2, 1)
    assert [commit.events for commit in store.commits()] == [1, 0]


def test_an_unchanged_state_makes_no_round_if_changed(store: StateStore, session: Session) -> None:
    first = session.save({"n": 1}, if_changed=True)
    assert session.save({"n": 1}, if_changed=True) == first
    assert session.update(lambda state: state.update(n=1), if_changed=True) == first
    with session.round(if_changed=True):
        pass
    assert len(list(store.commits())) == 1
    assert session.save({"n": True}, if_changed=True).id == 2


def test_if_changed_compares_with_the_latest_round_not_with_what_was_written_last(session: Session) -> None:
    session.save({"n": 9}, round_id=9)
    session.save({"n": 5}, round_id=5)
    assert session.save({"n": 9}, if_changed=True).id == 9
    assert session.save({"n": 5}, if_changed=True).id == 10


def test_the_first_empty_state_is_saved_if_changed(session: Session) -> None:
    assert session.save({}, if_changed=True).id == 1


def test_a_commit_id_seen_before_gives_the_first_round_and_writes_nothing(
    store: StateStore, session: Session
) -> None:
    first = session.save({"n": 1}, commit_id="a")
    second = session.save({"n": 2})
    assert session.save({"n": 3}, commit_id="a") == first
    assert session.save({"n": 2}, commit_id="a", if_changed=True) == first
    assert session.save({"n": 3}, commit_id="a", expected_version=0) == first
    assert session.update(lambda state: state.clear(), commit_id="a") == first
    with session.round(commit_id="a") as state:
        state["n"] = 4
    assert session.state() == {"n": 2}
    assert session.latest == second
    assert len(list(store.commits())) == 2


def test_a_commit_id_counts_within_its_branch_alone(store: StateStore, session: Session) -> None:
    session.save({"n": 1}, commit_id="a")
    other = session.fork("other")
    assert other.save({"n": 2}, commit_id="a").id == 2
    assert store.session("bob").save({"n": 3}, commit_id="a").id == 1


def test_a_stale_expected_version_is_a_conflict_and_nothing_is_written(session: Session) -> None:
    seen = session.save({"n": 1}).version
    session.save({"n": 2}, expected_version=seen)
    writes: list[Callable[[], object]] = [
        lambda: session.save({"n": 3}, expected_version=seen),
        lambda: session.update(lambda state: state.update(n=3), expected_version=seen),
        lambda: session.rollback(1, expected_version=seen),
        lambda: session.undo(expected_version=seen),
    ]
    for write in writes:
        with pytest.raises(ConflictError) as caught:
            write()
        assert (caught.value.expected, caught.value.actual) == (1, 2)
    with pytest.raises(ConflictError), session.round(expected_version=seen):
        pytest.fail("the body must not run")
    assert session.state() == {"n": 2}
    assert session.version == 2


def test_expected_version_0_means_that_nothing_was_written_yet(session: Session) -> None:
    session.save({"n": 1}, expected_version=0)
    with pytest.raises(ConflictError):
        session.save({"n": 2}, expected_version=0)


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"expected_version": "1"}, TypeError),
        ({"expected_version": True}, TypeError),
        ({"commit_id": 1}, TypeError),
        ({"actor": 1}, TypeError),
        ({"reason": b"x"}, TypeError),
        ({"actor": "\ud800"}, ValueError),
        ({"metadata": [1]}, TypeError),
        ({"metadata": {"x": object()}}, UnsupportedValueError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_a_keyword_that_makes_no_sense_is_refused_before_anything_is_written(
    session: Session, keywords: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        session.save({"n": 1}, **keywords)
    assert not session.exists
    session.save({"n": 1})
    with pytest.raises(error), session.round(**keywords) as state:
        state["n"] = 2
    with pytest.raises(error):
        session.update(lambda state: state.update(n=2), **keywords)
    assert session.state() == {"n": 1}
