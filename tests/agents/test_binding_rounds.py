"""Rounds of bound modules: many changes, made together or not at all."""

from __future__ import annotations

import pytest

from eventstate import (
    InvalidStateError,
    Session,
    UnsupportedValueError,
)
from tests.agents.bindings import agree
from tests.agents.modules import Counter, Memory, Team, Worker
from tests.agents.sessions import kinds
from tests.stores import packed


def test_a_round_makes_one_of_many_changes(session: Session, team: Team) -> None:
    with team.round(actor="planner", reason="asked", metadata={"m": 1}) as same:
        assert same is team
        team.label = "a"
        team.notes.append(1)
        team.members.append(Worker(3))
        team.members[-1].count = 4
        assert session.state()["label"] == "new"
    latest = session.latest
    assert latest is not None
    assert (latest.kind, latest.actor, latest.reason, latest.metadata) == (
        "round",
        "planner",
        "asked",
        {"m": 1},
    )
    assert kinds(session) == ["save", "round"]
    assert agree(team)


def test_a_value_that_is_refused_in_a_round_is_refused_at_once(team: Team) -> None:
    with team.round():
        with pytest.raises(InvalidStateError, match="/label"):
            team.label = "bad"
        with pytest.raises(UnsupportedValueError, match="/notes/2"):
            team.notes.append(Counter())
        team.notes.append(5)
    assert (team.label, team.notes[2:]) == ("new", [5])
    assert agree(team)


def test_what_could_not_tell_before_a_round_is_committed_before_it(session: Session, team: Team) -> None:
    team.tags.add("before")
    with pytest.raises(KeyError), team.round():
        team.tags.add("within")
        raise KeyError
    assert team.tags == {"t", "before"}
    assert kinds(session) == ["save", "assign"]


def test_a_dict_of_modules_in_another_order_is_journaled(session: Session, team: Team) -> None:
    team.named["two"] = Memory()
    with team.round():
        team.named["one"] = team.named.pop("one")
    assert list(session.state()["named"]) == ["two", "one"]
    assert agree(team)


def test_what_replaces_a_mixture_lets_its_modules_go(team: Team) -> None:
    worker = team.mixed[0]
    team.mixed = [1]
    assert worker.bound is None
    team.mixed.append(2)
    assert agree(team)


def test_an_equal_object_in_the_place_of_another_stays_there(team: Team) -> None:
    team.counter = counter = Counter(0)
    with pytest.raises(InvalidStateError):
        team.notes.append("bad")
    assert team.counter is counter


def test_an_exception_discards_a_round_in_the_module_too(session: Session, team: Team) -> None:
    before, members, memory, counter = (
        packed(team.state_dict()),
        list(team.members),
        team.memory,
        team.counter,
    )
    team.spare = None
    with pytest.raises(KeyError), team.round():
        team.label = "a"
        team.notes.append(1)
        team.members.clear()
        team.memory = Memory([1])
        team.spare = Worker()
        team.counter.n = 7
        team.tags.add("x")
        team.mixed[1].append(2)
        team.mixed[2]["inner"].pop(0)
        team.extra = 1
        team.register_state("extra")
        del team.facts
        raise KeyError
    assert packed(team.state_dict()) == before
    assert (list(team.members), team.memory, team.spare) == (members, memory, None)
    assert team.counter is not counter
    assert team.counter.n == 0
    assert kinds(session) == ["save"]
    team.facts["y"] = 1
    team.members[1].facts["y"] = 2
    assert agree(team)


def test_a_round_that_is_interrupted_may_be_kept(session: Session, team: Team) -> None:
    with pytest.raises(KeyError), team.round(on_error="keep", actor="a"):
        team.label = "half"
        raise KeyError
    latest = session.latest
    assert latest is not None
    assert (latest.kind, latest.actor, session.state()["label"]) == ("interrupted", "a", "half")
    with pytest.raises(KeyError) as caught, team.round(on_error="keep"):
        team.label = "other"
        team.notes.append("bad")
        raise KeyError
    assert "could not be kept: /notes: refused" in caught.value.__notes__[0]
    assert team.label == "half"
    assert agree(team)


def test_a_round_that_is_refused_at_its_end_is_taken_back_whole(session: Session, team: Team) -> None:
    with pytest.raises(InvalidStateError, match="/notes"), team.round():
        team.label = "a"
        team.notes.append("bad")
    assert team.label == "new"
    assert kinds(session) == ["save"]
    team.label = "b"
    assert kinds(session) == ["save", "assign"]


def test_rounds_are_not_nested_and_nothing_else_is_done_in_them(team: Team) -> None:
    with team.round():
        team.label = "a"
        with pytest.raises(InvalidStateError, match="open already"), team.memory.round():
            pass
        for act in (team.unbind, team.reload):
            with pytest.raises(InvalidStateError, match="while a round is open"):
                act()
    assert team.label == "a"
    with pytest.raises(ValueError, match="on_error"), team.round(on_error="other"):  # type: ignore[arg-type]
        pass


def test_a_round_has_to_be_the_latest(session: Session, team: Team) -> None:
    with team.round(round_id=21):
        team.label = "a"
    with pytest.raises(ValueError, match="21 is later"), team.round(round_id=5):
        pass
    with team.round(round_id=21):
        team.label = "b"
    assert [turn.id for turn in session.rounds()] == [1, 21]
    assert agree(team)


def test_a_commit_id_that_was_used_writes_nothing_and_changes_nothing(session: Session, team: Team) -> None:
    with team.round(commit_id="once"):
        team.label = "a"
    version = session.version
    with team.round(commit_id="once"):
        team.label = "b"
    assert (team.label, session.version) == ("a", version)
    team.label = "c"
    assert agree(team)
