"""What is refused of what changes in bound modules, and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eventstate import (
    AttributeNotFoundError,
    ConflictError,
    InvalidStateError,
    Session,
    StateStore,
    StoreClosedError,
    UnsupportedValueError,
)
from eventstate.agents.shape import inside
from tests.agents.bindings import agree, count_to
from tests.agents.modules import Counter, Memory, Team, Worker
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda team: setattr(team, "label", "bad"), InvalidStateError),
        (lambda team: team.notes.append("bad"), InvalidStateError),
        (lambda team: team.members[1].notes.insert(0, "bad"), InvalidStateError),
        (lambda team: team.notes.append(Counter()), UnsupportedValueError),
        (lambda team: setattr(team, "facts", Counter()), UnsupportedValueError),
        (lambda team: team.members.append(Memory([Counter()])), UnsupportedValueError),
        (lambda team: team.members.append(1), TypeError),
        (lambda team: team.members.pop(7), IndexError),
        (lambda team: team.named.update(one=team.memory), ValueError),
        (lambda team: count_to(team, object()), UnsupportedValueError),
        (lambda team: (team.tags.add(object()), team.flush()), UnsupportedValueError),
        (lambda team: team.load_state_dict({"label": "x"}), AttributeNotFoundError),
        (lambda team: team.register_state("nothing"), AttributeError),
        (lambda team: delattr(team, "nothing"), AttributeError),
    ],
)
def test_a_change_that_is_refused_leaves_module_and_journal_as_they_were(
    session: Session, team: Team, change: Callable[[Any], object], error: type[Exception]
) -> None:
    before, version, members = packed(team.state_dict()), session.version, list(team.members)
    with pytest.raises(error):
        change(team)
    assert packed(team.state_dict()) == before
    assert session.version == version
    assert list(team.members) == members
    team.notes.append("fine")
    team.members[1].facts["fine"] = 1
    team.members.append(Worker())
    assert agree(team)


def test_a_reference_from_before_a_refusal_says_that_it_is_stale(team: Team) -> None:
    facts = team.facts
    with pytest.raises(InvalidStateError):
        team.notes.append("bad")
    with pytest.raises(InvalidStateError, match="take the attribute anew"):
        facts["x"] = 1
    team.facts["x"] = 1
    assert agree(team)


def test_another_writer_makes_a_conflict_until_the_module_is_taken_anew(session: Session, team: Team) -> None:
    session.note("this does not matter")
    team.label = "here"
    session.update(lambda state: state["facts"].update(there=1))
    version = session.version
    for change in (
        lambda: setattr(team, "label", "x"),
        lambda: team.notes.append(1),
        team.members.pop,
    ):
        with pytest.raises(ConflictError):
            change()
    assert (team.label, len(team.members), session.version) == ("here", 2, version)
    team.reload()
    assert team.facts["there"] == 1
    team.label = "x"
    assert agree(team)


def test_a_reload_that_does_not_fit_changes_nothing(session: Session, team: Team) -> None:
    team.label = "here"
    session.update(lambda state: state["members"].pop())
    with pytest.raises(InvalidStateError, match="/members: has 2 elements"):
        team.reload()
    assert (team.label, len(team.members)) == ("here", 2)
    with pytest.raises(ConflictError):
        team.label = "x"


def test_a_reload_that_fails_late_changes_nothing(session: Session) -> None:
    class Weak(Worker):
        broken = False

        def told(self, value: int) -> int:
            if self.broken:
                raise OverflowError(value)
            return value

        def __init__(self) -> None:
            super().__init__()
            self.notes = [1]
            self.register_state("notes")
            self.odd = 1
            self.register_state("odd", self.told)

    weak = Weak()
    weak.bind(session)
    session.update(lambda state: (state.pop("notes"), state.update(count=5)))
    weak.broken = True
    with pytest.raises(OverflowError):
        weak.reload()
    assert (weak.count, weak.notes) == (0, [1])
    binding = inside(weak).binding
    assert binding is not None
    assert weak.notes is binding._live.root["notes"]
    with pytest.raises(OverflowError):
        weak.notes.append(2)
    assert weak.notes == [1]
    weak.broken = False
    with pytest.raises(ConflictError):
        weak.notes.append(3)
    weak.reload()
    weak.notes.append(4)
    assert session.state() == {"count": 5, "notes": [1, 4], "odd": 1}


def test_modules_that_came_unseen_into_a_list_are_found_or_taken_back(session: Session, team: Team) -> None:
    team.spare, team.named_spare = [], {}
    team.bound_later = []
    team.spare.append(Worker(1))
    team.flush()
    assert session.state()["spare"] == [{"count": 1}]
    team.spare[0].count = 2
    assert session.state()["spare"] == [{"count": 2}]
    with pytest.raises(KeyError), team.round():
        team.bound_later.append(Worker())
        team.named_spare["a"] = Worker()
        raise KeyError
    assert (team.bound_later, team.named_spare) == ([], {})
    team.named_spare.update(a=Worker(), b=1)
    with pytest.raises(TypeError, match="named_spare: modules are mixed"):
        team.label = "x"
    assert team.named_spare == {"b": 1}
    team.label = "x"
    assert agree(team)


def test_a_store_that_is_closed_takes_the_change_back(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db") as store:
        team = Team()
        team.bind(store.session("u"))
    with pytest.raises(StoreClosedError):
        team.members.pop()
    with pytest.raises(StoreClosedError):
        team.notes.append(1)
    assert packed(team.state_dict()) == packed(Team().state_dict())
    team.unbind()
    team.notes.append(1)
    assert team.notes[-1] == 1
