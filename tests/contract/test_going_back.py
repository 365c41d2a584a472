"""Rollback and undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import AttributeNotFoundError, RoundNotFoundError
from tests.stores import ids

if TYPE_CHECKING:
    from eventstate import Session


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
    session.rollback(1, paths=["plan", ("deep", "x"), "gone"])
    assert session.state() == {"plan": "a", "deep": {"x": 1, "y": 2}, "kept": 2, "gone": 1}
    session.rollback(1, paths="kept")
    assert session.state() == {"plan": "a", "deep": {"x": 1, "y": 2}, "gone": 1}


def test_rollback_of_an_attribute_that_is_in_neither_state_is_an_error(session: Session) -> None:
    session.save({"plan": "a"})
    session.save({"plan": "b"})
    with pytest.raises(AttributeNotFoundError, match="/plam: neither at 1 nor in the latest"):
        session.rollback(1, paths=["plan", "plam"])
    assert session.state() == {"plan": "b"}


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


def test_a_rollback_of_one_attribute_given_twice_brings_it_back_once(session: Session) -> None:
    session.save({"log": list(range(40)), "deep": {"text": "a" * 99}})
    session.save({"log": list(range(45)), "deep": {"text": "a" * 150}})
    session.rollback(1, paths=["log", "log", "deep", ("deep", "text")])
    assert session.state() == {"log": list(range(40)), "deep": {"text": "a" * 99}}
