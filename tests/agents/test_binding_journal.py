"""What is journaled of what changes in bound modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eventstate.agents.module import StateModule
from eventstate.values.delta import Op
from tests.agents.bindings import agree, count_to, edits_of_last
from tests.agents.modules import Memory, Open, Team, Worker
from tests.agents.sessions import kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session


def test_each_change_is_a_round_of_its_own_with_the_least_edits(session: Session, team: Team) -> None:
    cases: list[tuple[Callable[[], object], list[tuple[Any, ...]]]] = [
        (lambda: setattr(team, "label", "x"), [(("label",), Op.SET, "x")]),
        (lambda: team.notes.append({"b": 1}), [(("notes",), Op.SPLICE, [2, 0, [{"b": 1}]])]),
        (lambda: team.notes[1]["a"].append(3), [(("notes",), Op.WITHIN, [[1, "a"], Op.SPLICE, [1, 0, [3]]])]),
        (lambda: team.facts["k"].update(x=2), [(("facts", "k", "x"), Op.SET, 2)]),
        (team.memory.content.clear, [(("memory", "content"), Op.SPLICE, [0, 1, []])]),
        (
            lambda: setattr(team.members[0], "count", 9),
            [(("members",), Op.WITHIN, [[0, "count"], Op.SET, 9])],
        ),
        (lambda: team.members.append(Worker(4)), [(("members",), Op.SPLICE, [2, 0, [{"count": 4}]])]),
        (lambda: team.named.pop("one"), [(("named",), Op.DELETE, None)]),
        (lambda: delattr(team, "facts"), [(("facts",), Op.DELETE, None)]),
        (lambda: count_to(team, 5), [(("counter", "n"), Op.SET, 5)]),
    ]
    for count, (change, edits) in enumerate(cases, 2):
        change()
        assert edits_of_last(session) == edits
        assert kinds(session) == ["save", *["assign"] * (count - 1)]
        assert agree(team)


def test_what_changes_nothing_is_no_round(session: Session, team: Team) -> None:
    version = session.version
    team.label = "new"
    team.notes = team.notes
    team.notes += []
    team.members = team.members
    team.tags = {"t"}
    team.flush()
    assert (session.version, kinds(session)) == (version, ["save"])


def test_a_module_that_comes_first_is_journaled_as_an_order_of_keys(session: Session) -> None:
    worker = Worker(1)
    worker.bind(session)
    worker.second = Worker(2)
    assert [op for _, op, _ in edits_of_last(session)] == [Op.SET, Op.ORDER]
    assert list(session.state()) == ["second", "count"]


def test_what_is_registered_later_is_state_from_then_on(session: Session, team: Team) -> None:
    team.extra = [1]
    assert "extra" not in session.state()
    team.register_state("extra")
    team.extra.append(2)
    assert session.state()["extra"] == [1, 2]
    assert kinds(session)[1:] == ["assign", "assign"]


def test_values_that_cannot_tell_are_journaled_with_the_next_commit_or_a_flush(
    session: Session, team: Team
) -> None:
    team.tags.add("a")
    team.counter.n = 3
    assert kinds(session) == ["save"]
    team.label = "x"
    assert agree(team)
    team.members[1].tags.add("b")
    team.flush()
    assert agree(team)
    assert kinds(session)[1:] == ["assign", "assign"]


def test_a_module_taken_out_is_free_and_plain(session: Session, team: Team) -> None:
    lost = team.members.pop()
    version = session.version
    assert lost.bound is None
    assert type(lost.notes) is list
    lost.notes.append(1)
    assert session.version == version
    team.members.append(lost)
    lost.notes.append(2)
    assert session.state()["members"][1]["notes"][-2:] == [1, 2]


def test_modules_that_move_about_keep_their_journal(team: Team) -> None:
    one, two = team.members
    team.members.reverse()
    one.count = 50
    two.label = "moved"
    assert agree(team)
    with team.round():
        team.members.remove(one)
        team.named["here"] = one
        one.count = 60
    one.count += 1
    assert team.bound is not None
    assert team.bound.state()["named"]["here"] == {"count": 61}
    assert agree(team)


def test_what_is_assigned_is_copied_in(session: Session, team: Team) -> None:
    mine = [1]
    team.notes = mine
    mine.append(2)
    assert team.notes == session.state()["notes"] == [1]


def test_mixed_containers_are_followed_in_all_their_parts(team: Team) -> None:
    team.mixed[1].append(5)
    team.mixed[2]["inner"][0].count = 6
    team.mixed[2]["inner"].append({"x": []})
    team.mixed[2]["inner"][2]["x"].append(7)
    team.mixed.insert(0, Memory())
    team.mixed[0].content.append(8)
    assert agree(team)
    team.mixed[:] = [1, 2]
    assert agree(team)
    team.mixed.append(3)
    assert agree(team)


def test_a_mixture_that_is_not_registered_is_refused_when_it_is_assigned(
    session: Session, team: Team
) -> None:
    version = session.version
    with pytest.raises(TypeError, match="mess: modules are mixed"):
        team.mess = [Worker(), 1]
    assert not hasattr(team, "mess")
    assert session.version == version


def test_a_state_dict_of_the_classs_own_is_followed_by_flush(session: Session) -> None:
    class Own(StateModule):
        n = 1

        def state_dict(self) -> dict[str, Any]:
            return {"own": self.n}

        def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - the base's
            self.n = state_dict["own"]

    outer = Open()
    outer.own = Own()
    outer.bind(session)
    outer.own.n = 2
    outer.flush()
    assert session.state() == {"own": {"own": 2}}
    with pytest.raises(KeyError), outer.round():
        outer.own.n = 3
        raise KeyError
    assert outer.own.n == 2


def test_a_load_is_one_round(session: Session, team: Team) -> None:
    state = Team().state_dict()
    state.update(label="a", facts={"b": 1})
    state["members"][0]["count"] = 4
    team.load_state_dict(state)
    assert kinds(session)[1:] == ["load"]
    assert agree(team)
    team.facts["c"] = 2
    assert agree(team)
