"""Modules bound to a session: what is journaled, and what is taken back."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from eventstate import (
    AttributeNotFoundError,
    ConflictError,
    InvalidStateError,
    Session,
    SessionDeletedError,
    StateStore,
    StoreClosedError,
    UnsupportedValueError,
    aio,
)
from eventstate.agents.module import StateModule
from eventstate.agents.shape import inside
from eventstate.values.delta import Op
from tests.agents.modules import Counter, Memory, Open, Team, Worker
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def session() -> Iterator[Session]:
    with StateStore(":memory:") as store:
        yield store.session("u", "s")


@pytest.fixture
def team(session: Session) -> Team:
    module = Team()
    module.bind(session)
    return module


def kinds(session: Session) -> list[str]:
    return [turn.kind for turn in session.rounds()]


def agree(module: Any) -> bool:
    return packed(module.state_dict()) == packed(module.bound.state())


def count_to(team: Team, n: Any) -> None:
    team.counter.n = n
    team.flush()


def edits_of_last(session: Session) -> list[tuple[Any, ...]]:
    """Give path and operation of the events of the last commit."""
    writer = session._writer
    branch = writer.branch()
    head = session._journal.branches.head(branch)
    found = []
    for seq in range(head.version - head.events + 1, head.version + 1):
        edit = session._journal.reader.edit(branch, seq)
        found.append((edit.path, Op(edit.op), edit.value))
    return found


# Binding


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


# What is journaled


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
    worker.helper = Worker(2)
    assert [op for _, op, _ in edits_of_last(session)] == [Op.SET, Op.ORDER]
    assert list(session.state()) == ["helper", "count"]


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


# What is taken back


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


# Rounds


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


# With asyncio


def test_a_module_bound_to_an_asyncio_session_commits_through_it() -> None:
    async def main() -> None:
        async with aio.StateStore(":memory:") as store:
            session = store.session("u")
            team = Team()
            team.bind(session)
            binding = inside(team).binding
            assert binding is not None
            team.label = "at once"
            binding.begin()
            team.notes.append(1)
            lost = team.members.pop()
            writing = asyncio.ensure_future(binding.acommit("reply", commit_id="one"))
            await asyncio.sleep(0)
            team.notes.append(2)
            team.members.append(Worker(9))
            with pytest.raises(InvalidStateError, match="on its way"):
                binding.commit("other")
            turn = await writing
            assert (turn.kind, binding.collecting, lost.bound) == ("reply", False, None)
            assert [turn.kind async for turn in session.rounds()] == ["save", "assign", "reply", "assign"]
            assert packed(await session.state()) == packed(team.state_dict())

    asyncio.run(main())


def test_a_commit_that_fails_while_more_is_changed_takes_all_of_it_back() -> None:
    async def main() -> None:
        async with aio.StateStore(":memory:") as store:
            session = store.session("u")
            team = Team()
            team.bind(session)
            binding = inside(team).binding
            assert binding is not None
            before, members = packed(team.state_dict()), list(team.members)
            session.plain.update(lambda state: state.update(label="there"))
            binding.begin()
            team.notes.append(1)
            team.facts["k"]["x"] = 5
            team.tags.add("y")
            team.members.pop(0)
            writing = asyncio.ensure_future(binding.acommit("reply"))
            await asyncio.sleep(0)
            team.notes.append(2)
            team.members.append(Worker())
            with pytest.raises(ConflictError):
                await writing
            assert packed(team.state_dict()) == before
            assert list(team.members) == members
            assert not binding.collecting
            team.reload()
            team.notes.append(3)
            assert packed(await session.state()) == packed(team.state_dict())

    asyncio.run(main())


def test_what_is_changed_right_after_a_commit_began_is_not_in_it() -> None:
    async def main() -> None:
        async with aio.StateStore(":memory:") as store:
            session = store.session("u")
            memory = Memory()
            memory.bind(session)
            binding = inside(memory).binding
            assert binding is not None
            binding.begin()
            memory.content.append({"n": 1})

            async def change() -> None:
                memory.content[0]["n"] = 2

            await asyncio.gather(binding.acommit("reply"), change())
            states = [state["content"] async for _, state in session.replay()]
            assert states == [[], [{"n": 1}], [{"n": 2}]]

    asyncio.run(main())


def test_a_cancelled_commit_is_brought_to_its_end_first() -> None:
    async def main() -> None:
        async with aio.StateStore(":memory:") as store:
            session = store.session("u")
            team = Team()
            team.bind(session)
            binding = inside(team).binding
            assert binding is not None
            binding.begin()
            team.label = "kept"
            writing = asyncio.ensure_future(binding.acommit("reply"))
            await asyncio.sleep(0)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert (await session.state())["label"] == team.label == "kept"
            team.label = "next"
            assert packed(await session.state()) == packed(team.state_dict())

    asyncio.run(main())


def test_an_asyncio_commit_with_a_commit_id_that_was_used_changes_nothing() -> None:
    async def main() -> None:
        async with aio.StateStore(":memory:") as store:
            team = Team()
            team.bind(store.session("u"))
            binding = inside(team).binding
            assert binding is not None
            for label in ("a", "b"):
                binding.begin()
                team.label = label
                await binding.acommit("reply", commit_id="once")
            assert team.label == "a"
            assert agree(team)

    asyncio.run(main())
