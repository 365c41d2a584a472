"""The public contract of sessions, by example: rounds, points in the past, live states, history."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import eventstate
from eventstate import (
    MISSING,
    BranchExistsError,
    BranchNotFoundError,
    ConflictError,
    CorruptJournalError,
    EventStateError,
    InvalidStateError,
    NewerFormatError,
    ReadOnlyError,
    Round,
    RoundNotFoundError,
    Session,
    StateStore,
    StorageError,
    StoreBusyError,
    StoreClosedError,
    UnsupportedValueError,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that says what it is told to, and goes a second further each time."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[StateStore]:
    path = ":memory:" if request.param == "memory" else tmp_path / "agent.db"
    with StateStore(path, durability="normal", clock=clock) as store:
        yield store
        report = store.verify() if not store.closed else None
        assert report is None or report.ok, str(report)


@pytest.fixture
def session(store: StateStore) -> Session:
    return store.session("alice", "trip")


def ids(session: Session, **arguments: Any) -> list[int]:
    return [turn.id for turn in session.rounds(**arguments)]


# What is there before anything is written, and the first rounds


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
    for number, names in enumerate([("u", "s1"), ("u_s1", "default"), ("u", "s"), ("", "us1"), ("u/s1", "")]):
        store.session(*names).save({"n": number})
    assert [store.session(*names).state() for names in [("u", "s1"), ("u_s1",), ("", "us1")]] == [
        {"n": 0},
        {"n": 1},
        {"n": 3},
    ]


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
    assert [turn.kind for turn in session.rounds()] == ["save", "round", "update", "rollback", "undo", "merge"]


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


# What a commit may say


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
    for write in (
        lambda: session.save({"n": 3}, expected_version=seen),
        lambda: session.update(lambda state: state.update(n=3), expected_version=seen),
        lambda: session.rollback(1, expected_version=seen),
        lambda: session.undo(expected_version=seen),
    ):
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


# Points in the past


def test_a_point_is_a_round_a_tag_a_moment_or_a_round_object(session: Session) -> None:
    turns = [session.save({"n": number}) for number in range(3)]
    session.tag("first", at=1)
    assert session.state(at=1) == {"n": 0}
    assert session.state(at="first") == {"n": 0}
    assert session.state(at=turns[1]) == {"n": 1}
    assert session.state(at=turns[1].recorded_at) == {"n": 1}
    assert session.state(at=turns[2].recorded_at - timedelta(microseconds=1)) == {"n": 1}
    assert session.state(at=NOON + timedelta(days=1)) == {"n": 2}
    berlin = timezone(timedelta(hours=2))
    assert session.state(at=turns[0].recorded_at.astimezone(berlin)) == {"n": 0}


def test_a_moment_sees_the_rounds_as_they_were_named_then(session: Session) -> None:
    session.save({"n": 9}, round_id=9)
    old = session.save({"n": 5}, round_id=5)
    session.save({"n": "nine"}, round_id=9)
    assert session.state(at=old.recorded_at) == {"n": 9}
    assert session.state() == {"n": "nine"}


def test_a_moment_without_a_zone_is_refused(session: Session) -> None:
    session.save({})
    with pytest.raises(ValueError, match="needs a zone"):
        session.state(at=NOON.replace(tzinfo=None))


def test_any_version_between_two_rounds_can_be_read(session: Session) -> None:
    session.save({"a": 1, "b": 2})
    session.note("seen")
    session.save({"a": 1, "b": 3})
    assert [session.state(version=version) for version in range(session.version + 1)] == [
        {},
        {"a": 1},
        {"a": 1, "b": 2},
        {"a": 1, "b": 2},
        {"a": 1, "b": 3},
    ]


@pytest.mark.parametrize("point", [{"at": 7}, {"at": "nope"}, {"version": 99}, {"version": -1}])
def test_a_point_that_is_not_there_is_a_round_not_found_error(
    session: Session, point: dict[str, Any]
) -> None:
    with pytest.raises(RoundNotFoundError):
        session.state(**point)
    session.save({"n": 1})
    with pytest.raises(RoundNotFoundError) as caught:
        session.state(**point)
    assert isinstance(caught.value, KeyError)
    assert str(next(iter(point.values()))) in str(caught.value)


def test_a_moment_before_the_beginning_is_a_round_not_found_error(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(RoundNotFoundError, match="nothing yet at 2029"):
        session.state(at=datetime(2029, 1, 1, tzinfo=UTC))


def test_at_and_version_together_are_refused(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ValueError, match="not both"):
        session.state(at=1, version=1)


def test_a_round_of_another_session_is_no_point_of_this_one(store: StateStore, session: Session) -> None:
    session.save({"n": 1})
    foreign = store.session("bob").save({"n": 2})
    with pytest.raises(RoundNotFoundError, match="another session"):
        session.state(at=foreign)


def test_a_state_is_the_callers_own_copy(session: Session) -> None:
    session.save({"list": [1, {"x": {2}}]})
    for read in (
        session.state,
        lambda: session.state(at=1),
        lambda: session.state(version=1),
        lambda: next(session.replay())[1],
        lambda: {"list": session.history("list")[-1].after},
        lambda: {"list": session.blame()["list"].after},
    ):
        state = read()
        assert type(state) is dict
        assert type(state["list"]) is list
        state["list"][1]["x"].add(3)
        state["list"].append(4)
        assert session.state() == {"list": [1, {"x": {2}}]}


def test_what_is_saved_is_copied_in(session: Session) -> None:
    mine: dict[str, Any] = {"list": [1, {"x": {2}}]}
    session.save(mine)
    mine["list"][1]["x"].add(3)
    assert session.state() == {"list": [1, {"x": {2}}]}
    session.save(mine)
    assert session.state() == {"list": [1, {"x": {2, 3}}]}


# Live rounds


def test_a_round_commits_what_was_done_in_its_body(session: Session) -> None:
    session.save({"messages": [], "plan": None})
    with session.round(actor="planner", reason="user asked") as state:
        state["messages"].append({"role": "user", "content": "hi"})
        state["plan"] = ["search", "answer"]
    assert session.state() == {
        "messages": [{"role": "user", "content": "hi"}],
        "plan": ["search", "answer"],
    }
    turn = session.latest
    assert turn is not None
    assert (turn.id, turn.kind, turn.actor, turn.reason) == (2, "round", "planner", "user asked")


def test_a_round_may_be_the_first_thing_of_a_session(session: Session) -> None:
    with session.round() as state:
        assert state == {}
        state["n"] = 1
    assert session.state() == {"n": 1}


def test_a_live_state_is_made_of_builtins(session: Session) -> None:
    session.save({"messages": [{"content": "hi"}]})
    with session.round() as state:
        assert isinstance(state, dict)
        assert isinstance(state["messages"], list)
        assert json.loads(json.dumps(state)) == {"messages": [{"content": "hi"}]}
        assert copy.deepcopy(state) == state


def test_nobody_sees_a_round_before_its_end(session: Session) -> None:
    session.save({"n": 1})
    with session.round() as state:
        state["n"] = 2
        assert session.state() == {"n": 1}
        assert session.version == 1
    assert session.state() == {"n": 2}


def test_an_exception_in_the_body_discards_its_changes_and_comes_out(session: Session) -> None:
    session.save({"n": [1]})
    with pytest.raises(ZeroDivisionError), session.round() as state:
        state["n"].append(1 // 0 if not state["n"].append(2) else 0)
    assert session.state() == {"n": [1]}
    assert ids(session) == [1]
    with session.round() as state:
        assert state == {"n": [1]}
        state["n"].append(3)
    assert session.state() == {"n": [1, 3]}


def test_on_error_keep_commits_what_was_done_as_interrupted(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ZeroDivisionError), session.round(on_error="keep", actor="planner") as state:
        state["n"] = 2
        state["m"] = 1 // 0
    assert session.state() == {"n": 2}
    assert session.latest is not None
    assert (session.latest.kind, session.latest.actor) == ("interrupted", "planner")


@pytest.mark.parametrize(("on_error", "state"), [("keep", {"n": 2}), ("discard", {"n": 1})])
def test_a_cancelled_task_keeps_or_discards_its_round_and_stays_cancelled(
    session: Session, on_error: Any, state: dict[str, int]
) -> None:
    session.save({"n": 1})

    async def turn(started: asyncio.Event) -> None:
        with session.round(on_error=on_error) as live:
            live["n"] = 2
            started.set()
            await asyncio.sleep(3600)

    async def main() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(turn(started))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert session.state() == state


def test_an_error_goes_on_as_itself_when_what_was_done_cannot_be_kept(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(asyncio.CancelledError) as caught, session.round(on_error="keep") as state:
        state["n"] = 2
        session.save({"n": 3})
        raise asyncio.CancelledError
    assert session.state() == {"n": 3}
    assert "expected version 1" in "".join(caught.value.__notes__)


def test_on_error_is_checked(session: Session) -> None:
    with pytest.raises(ValueError, match="'discard' or 'keep'"), session.round(on_error="x"):  # type: ignore[arg-type]
        pytest.fail("the body must not run")


def test_a_round_whose_branch_moved_is_a_conflict_and_writes_nothing(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ConflictError) as caught, session.round() as state:
        state["n"] += 10
        session.update(lambda other: other.update(n=2))
    assert (caught.value.expected, caught.value.actual) == (1, 2)
    assert session.state() == {"n": 2}


def test_update_reads_again_and_retries(session: Session) -> None:
    session.save({"n": 1})
    seen = []

    def change(state: Any) -> None:
        seen.append(state["n"])
        if len(seen) < 6:
            session.save({"n": state["n"] + 10})
        state["n"] += 1

    assert session.update(change).kind == "update"
    assert seen == [1, 11, 21, 31, 41, 51]
    assert session.state() == {"n": 52}


def test_update_that_raises_writes_nothing(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ZeroDivisionError):
        session.update(lambda state: state.update(n=1 // (state.update(n=0) or 0)))
    assert session.state() == {"n": 1}


def test_a_note_is_a_version_without_a_change(store: StateStore, session: Session) -> None:
    session.save({"n": 1})
    assert session.note("tool.called", {"name": "search"}, actor="planner", reason="plan") == 2
    assert session.version == 2
    assert session.state() == {"n": 1}
    assert ids(session) == [1]
    commit = list(store.commits())[-1]
    assert (commit.kind, commit.round, commit.actor, commit.reason) == ("note", None, "planner", "plan")


def test_a_note_may_be_the_first_thing_of_a_session(session: Session) -> None:
    session.note("reply.started")
    assert session.exists
    assert session.state() is None
    assert session.state(version=1) == {}
    assert session.save({"n": 1}).id == 1
    assert session.state() == {"n": 1}


def test_notes_inside_a_round_are_no_conflict(session: Session) -> None:
    session.save({"n": 1})
    with session.round() as state:
        state["n"] = 2
        assert session.note("tool.called") == 2
        assert session.note("tool.returned", [1, 2]) == 3
        state["m"] = 3
    assert session.state() == {"n": 2, "m": 3}
    assert session.version == 5


def test_a_note_inside_the_first_round_is_no_conflict(session: Session) -> None:
    with session.round() as state:
        session.note("reply.started")
        state["n"] = 1
    assert session.state() == {"n": 1}
    assert session.version == 2


def test_a_note_does_not_hide_the_conflict_before_it(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ConflictError), session.round() as state:
        state["n"] = 2
        session.save({"n": 3})
        session.note("tool.called")


def test_a_live_object_refuses_to_be_changed_after_its_round(session: Session) -> None:
    with session.round() as state:
        state["list"] = [1]
        state["dict"] = {}
        inner = state["list"], state["dict"]
    for change in (
        lambda: state.update(n=1),
        lambda: inner[0].append(2),
        lambda: inner[1].clear(),
        lambda: state.pop("list"),
    ):
        with pytest.raises(InvalidStateError, match="the round is over"):
            change()
    assert state == {"list": [1], "dict": {}}


def test_a_live_object_of_an_update_is_closed_before_the_next_try(session: Session) -> None:
    session.save({"n": 1})
    lives: list[Any] = []

    def change(state: Any) -> None:
        if lives:
            with pytest.raises(InvalidStateError):
                lives[0]["n"] = 0
        else:
            session.note("x")
            session.save({"n": 5})
        lives.append(state)
        state["n"] += 1

    session.update(change)
    assert session.state() == {"n": 6}


# Looking back


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


# Going back


def test_rollback_makes_an_earlier_state_the_newest_as_a_new_round(session: Session) -> None:
    session.save({"n": 1, "x": [1]})
    session.save({"n": 2})
    turn = session.rollback(1, reason="wrong tool", actor="me")
    assert (turn.id, turn.kind, turn.reason, turn.actor) == (3, "rollback", "wrong tool", "me")
    assert session.state() == {"n": 1, "x": [1]}
    assert session.state(at=2) == {"n": 2}
    session.tag("good", at=2)
    session.rollback("good")
    assert session.state() == {"n": 2}
    with pytest.raises(RoundNotFoundError):
        session.rollback(99)


def test_rollback_of_paths_leaves_the_other_attributes_alone(session: Session) -> None:
    session.save({"plan": "a", "deep": {"x": 1, "y": 1}, "gone": 1})
    session.save({"plan": "b", "deep": {"x": 2, "y": 2}, "kept": 2})
    session.rollback(1, paths=["plan", ("deep", "x"), "gone", "kept2"])
    assert session.state() == {"plan": "a", "deep": {"x": 1, "y": 2}, "kept": 2, "gone": 1}
    session.rollback(1, paths="kept")
    assert session.state() == {"plan": "a", "deep": {"x": 1, "y": 2}, "gone": 1}


def test_rollback_of_a_path_whose_dict_is_gone_makes_it_again(session: Session) -> None:
    session.save({"deep": {"x": {"y": 1}, "z": 1}})
    session.save({"deep": None})
    session.save({})
    session.rollback(1, paths=[("deep", "x", "y")])
    assert session.state() == {"deep": {"x": {"y": 1}}}
    session.rollback(2, paths=[("deep", "x", "y")])
    assert session.state() == {"deep": {"x": {}}}


def test_undo_takes_the_last_round_back_and_undo_again_redoes(session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    turn = session.undo(reason="oops")
    assert (turn.id, turn.kind, turn.reason) == (3, "undo", "oops")
    assert session.state() == {"n": 1}
    session.undo()
    assert session.state() == {"n": 2}
    session.undo()
    assert session.state() == {"n": 1}


def test_undo_of_the_first_round_gives_the_empty_state(session: Session) -> None:
    session.save({"n": 1})
    session.undo()
    assert session.state() == {}
    session.undo()
    assert session.state() == {"n": 1}


def test_undo_with_nothing_to_undo_is_a_round_not_found_error(session: Session) -> None:
    with pytest.raises(RoundNotFoundError):
        session.undo()
    session.note("x")
    with pytest.raises(RoundNotFoundError):
        session.undo()


def test_undo_after_a_late_round_takes_back_the_highest_round(session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 3}, round_id=3)
    session.save({"n": 2}, round_id=2)
    session.undo()
    assert session.state() == {"n": 1}
    assert ids(session) == [1, 2, 3, 4]
    session.undo()
    assert session.state() == {"n": 3}


def test_undo_of_an_overwritten_round_gives_what_it_was_before(session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": "one"}, round_id=1)
    session.undo()
    assert session.state() == {"n": 1}


# Typed states


def test_errors_are_builtins_too() -> None:
    for error, builtin in (
        (ConflictError, RuntimeError),
        (RoundNotFoundError, KeyError),
        (BranchNotFoundError, KeyError),
        (BranchExistsError, ValueError),
        (UnsupportedValueError, TypeError),
        (InvalidStateError, ValueError),
        (CorruptJournalError, ValueError),
        (NewerFormatError, ValueError),
        (StorageError, OSError),
        (ReadOnlyError, PermissionError),
        (StoreBusyError, TimeoutError),
        (StoreClosedError, RuntimeError),
    ):
        assert issubclass(error, EventStateError)
        assert issubclass(error, builtin)


@pytest.mark.parametrize(
    "error",
    [
        ConflictError("moved", expected=1, actual=2),
        UnsupportedValueError("/a: no", path=("a", 1)),
        RoundNotFoundError("no round 7"),
        StorageError("disk full"),
    ],
)
def test_errors_cross_process_boundaries_whole(error: EventStateError) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - as multiprocessing does
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_every_public_name_is_there() -> None:
    for name in eventstate.__all__:
        assert getattr(eventstate, name).__module__.startswith("eventstate") or name == "MISSING"
    missing: Callable[[], Any] = lambda: eventstate.nothing  # type: ignore[attr-defined] # noqa: E731
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        missing()
