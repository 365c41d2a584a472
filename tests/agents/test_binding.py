"""Modules bound to a session: how that begins and ends, and what copies of them are."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from eventstate import (
    InvalidStateError,
    Session,
    SessionDeletedError,
    StateStore,
    UnsupportedValueError,
)
from eventstate.agents.module import StateModule
from tests.agents.bindings import agree
from tests.agents.modules import Counter, Memory, Open, Team, Worker
from tests.agents.sessions import kinds
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_session_without_a_state_gets_the_modules(session: Session, team: Team) -> None:
    assert kinds(session) == ["save"]
    assert agree(team)
    assert team.bound is team.memory.bound is session


def test_a_session_with_only_notes_has_no_state(session: Session) -> None:
    session.note("began")
    worker = Worker(3)
    worker.bind(session)
    assert session.state() == {"count": 3}
    assert kinds(session) == ["save"]


def test_a_state_that_is_there_is_loaded_and_nothing_written(session: Session, team: Team) -> None:
    team.notes.append({"x": 1})
    team.members[0].count = 8
    version = session.version
    other = Team()
    team.unbind()
    other.bind(session)
    assert other.notes == [1, {"a": [2]}, {"x": 1}]
    assert other.members[0].count == 8
    assert session.version == version


def test_without_loading_the_modules_state_is_saved_in_its_place(session: Session) -> None:
    session.save({"count": 1, "other": 2})
    worker = Worker(5)
    worker.bind(session, load=False)
    assert session.state() == {"count": 5}
    assert kinds(session) == ["save", "save"]


def test_what_is_missing_or_too_much_in_the_session_is_journaled_as_a_migration(session: Session) -> None:
    session.save({"label": "kept", "old": 1})
    team = Team()
    team.bind(session)
    assert team.label == "kept"
    assert kinds(session) == ["save", "migrate"]
    assert agree(team)


def test_a_list_of_another_length_is_not_bound_and_nothing_changes(session: Session, team: Team) -> None:
    team.members.append(Worker())
    team.unbind()
    version, other = session.version, Team()
    notes = other.notes
    with pytest.raises(InvalidStateError, match="/members: has 2 elements, but the state has 3"):
        other.bind(session)
    assert other.bound is other.members[0].bound is None
    assert other.notes is notes
    assert session.version == version
    other.notes.append("after")
    assert session.version == version


def test_a_bind_that_fails_late_leaves_the_module_as_it_was(session: Session) -> None:
    team = Team()
    members, counter = team.members, team.counter
    team.members[1].facts["thing"] = Counter()
    with pytest.raises(UnsupportedValueError, match="/members/1/facts/thing"):
        team.bind(session)
    assert team.members is members
    assert team.counter is counter
    assert team.bound is team.members[1].bound is None
    assert type(team.notes) is list
    assert not session.exists


@pytest.mark.parametrize("kind", ["deleted", "model", "own", "no session"])
def test_what_cannot_be_bound_is_refused(session: Session, kind: str) -> None:
    class Shape(BaseModel):
        count: int = 0

    class Own(Worker):
        def state_dict(self) -> dict[str, Any]:
            raise NotImplementedError

    worker: Worker = Own() if kind == "own" else Worker()
    target: Any = session
    error: type[Exception] = TypeError
    if kind == "deleted":
        session.save({"count": 1})
        session.delete()
        error = SessionDeletedError
    elif kind == "model":
        target = Session(
            session._journal, "u", "s", "main", StateStore(":memory:").session("x", model=Shape)._model
        )
        error = InvalidStateError
    elif kind == "no session":
        target = "s"
    with pytest.raises(error):
        worker.bind(target)
    assert worker.bound is None


def test_only_a_root_is_bound_and_only_once(session: Session, team: Team) -> None:
    for module in (team, team.memory):
        with pytest.raises(InvalidStateError, match="is bound already"):
            module.bind(session)
    for act in (team.memory.unbind, team.memory.reload):
        with pytest.raises(InvalidStateError, match="is not the module that was bound"):
            act()


@pytest.mark.parametrize("act", [StateModule.unbind, StateModule.flush, StateModule.reload])
def test_what_is_not_bound_says_so(act: Callable[[Any], None]) -> None:
    with pytest.raises(InvalidStateError, match="Worker is not bound"):
        act(Worker())
    with pytest.raises(InvalidStateError, match="Worker is not bound"), Worker().round():
        pass


def test_a_module_of_two_bound_trees_or_at_two_places_is_refused(session: Session, team: Team) -> None:
    other = Team()
    other.bind(StateStore(":memory:").session("other"))
    version = session.version
    for wrong, match in (
        (other.memory, "/spare: the module belongs to another tree"),
        (team.memory, "/spare: the same module as at /memory"),
        (team, "/spare: the same module as at state"),
    ):
        with pytest.raises(ValueError, match=match):
            team.spare = wrong
        assert not hasattr(team, "spare")
    twice = Open()
    twice.one = twice.two = Worker()
    with pytest.raises(ValueError, match="/two: the same module as at /one"):
        twice.bind(session.fork("empty"))
    assert (session.version, agree(team), agree(other)) == (version, True, True)


# The end, and copies


def test_after_unbinding_all_is_plain_and_nothing_is_journaled(session: Session, team: Team) -> None:
    facts, version = team.facts, session.version
    team.unbind()
    for value in (team.notes, team.members, team.mixed, team.mixed[2]["inner"]):
        assert type(value) is list
    assert type(team.facts) is type(team.named) is dict
    team.label = "x"
    team.members.append(Worker())
    team.members[1].notes.append(1)
    assert (session.version, team.bound, team.members[1].bound) == (version, None, None)
    with pytest.raises(InvalidStateError, match="take the attribute anew"):
        facts["x"] = 1


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_bound_module_is_bound_to_nothing(session: Session, team: Team, how: Any) -> None:
    before, version = packed(team.state_dict()), session.version
    other = how(team)
    other.notes.append(1)
    other.facts["x"] = 2
    other.members.pop()
    other.label = "copy"
    assert (other.bound, session.version) == (None, version)
    assert packed(team.state_dict()) == before


def test_a_bound_module_can_be_pickled_but_for_its_binding(session: Session) -> None:
    memory = Memory([1])
    memory.bind(session)
    other = pickle.loads(pickle.dumps(memory))  # noqa: S301 - our own bytes
    assert other.state_dict() == {"content": [1]}
    assert other.bound is None
