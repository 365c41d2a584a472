"""Points in the past: rounds, tags, moments, versions; and whose a state is that was read there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import RoundNotFoundError
from tests.stores import NOON

if TYPE_CHECKING:
    from eventstate import Session, StateStore


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
