"""Checks of replay: they pass on the library as it is, and fail when it is broken on purpose."""

from __future__ import annotations

import doctest
import enum
import math
import sys
import tempfile
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from pydantic import BaseModel, Field

from eventstate import InvalidStateError, MemoryKeyRing, Round, StateStore, TypeRegistry
from eventstate.history import History
from eventstate.journal.append import Appender
from eventstate.journal.branches import Branches
from eventstate.journal.events import EventCodec
from eventstate.journal.read import Reader
from eventstate.journal.snapshots import Snapshots
from eventstate.model import StateModel
from eventstate.session import Session
from eventstate.testing import FaultyDisk, ReplayMachine, assert_replays, machine, replay
from eventstate.testing.replay import difference, exact
from eventstate.testing.scripts import play
from eventstate.testing.strategies import StateEdit, agent_sessions, edits
from eventstate.values import delta
from eventstate.values.live import LiveList, LiveState
from tests.stores import Clock, everything, grown
from tests.values.rounds import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eventstate.testing.scripts import Action

pytestmark = pytest.mark.proves("replay")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Look where the checks put their files, and see that they take them away."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("module", [replay, machine])
def test_the_examples_in_the_docstrings_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


# What is the same


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Pair(NamedTuple):
    one: Any
    other: Any


class Card(BaseModel):
    title: str
    size: float = 0


class Box:
    def __init__(self, inside: Any) -> None:
        self.inside = inside

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "/a/1/b: 2 and 3"),
        ({"a": 1}, {"a": True}, "/a: 1 and True"),
        ({"a": 0.0}, {"a": -0.0}, "/a: 0.0 and -0.0"),
        ({"a": (1,)}, {"a": [1]}, "/a: (1,) and [1]"),
        ({1: "a"}, {True: "a"}, "state: the keys [1] and [True]"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "state: the keys ['a', 'b'] and ['b', 'a']"),
        ({"a": [1]}, {"a": [1, 2]}, "/a/1: MISSING and 2"),
        ({"a": [1, 2]}, {"a": [2]}, "/a/0: 1 and 2"),
        ({"a": {1}}, {"a": frozenset({1})}, "/a: {1} and frozenset({1})"),
        ({"a": {1}}, {"a": {True}}, "/a: {1} and {True}"),
        ({"a": Colour.RED}, {"a": Colour.GREEN}, "/a: <Colour.RED: 1> and <Colour.GREEN: 2>"),
        ({"a": Pair(1, 2)}, {"a": (1, 2)}, "/a: Pair(one=1, other=2) and (1, 2)"),
        ({"a": Pair(1, 2)}, {"a": Pair(1, 2.0)}, "/a: Pair(one=1, other=2) and Pair(one=1, other=2.0)"),
        ({"a": Card(title="x")}, {"a": Card(title="y")}, "/a: Card(title='x', size=0) and "),
        ({"a": Task("x")}, {"a": Task("x", notes=[()])}, "/a: Task("),
        ({"a": Box(1)}, {"a": Box(2)}, "/a: <"),
    ],
)
def test_the_first_difference_is_told_type_strictly(one: Any, other: Any, told: str) -> None:
    assert (difference(one, other) or "").startswith(told)


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"a": math.nan, "b": [{1, "x"}, (None,)]},
        lambda: {"a": [Colour.RED, Pair(1, [2]), Card(title="x"), Task("x"), Box([Box(1)])]},
    ],
)
def test_two_values_that_are_the_same_do_not_differ(make: Callable[[], Any]) -> None:
    assert difference(make(), make()) is None
    assert hash(exact(make())) == hash(exact(make()))


# assert_replays on the library as it is


def test_a_session_with_a_bit_of_everything_replays(path: Path) -> None:
    with StateStore(path, snapshot_every=2) as store:
        session = grown(store)
        session.save({"n": 5}, round_id=9)
        session.save({"late": [1, True]}, round_id=4)
        session.fork("late", version=session.version).update(lambda state: state["late"].append(2))
        for name in session.branches():
            assert_replays(store.session("alice", "trip", name))
        assert_replays(store.session("bob"))
        assert_replays(store.session("nobody"))
    with StateStore(path, read_only=True) as store:
        assert_replays(store.session("alice", "trip"))


@given(agent_sessions())
def test_what_agents_do_replays(script: list[Action]) -> None:
    with StateStore(":memory:") as store:
        for session, _ in play(store.session("alice"), script):
            assert_replays(session)


def test_a_check_leaves_the_store_as_it_was(path: Path, tmp_path: Path) -> None:
    with StateStore(path, clock=Clock(), snapshot_every=1) as store:
        session = grown(store)
        before, snapshots = everything(store), store.stats().snapshots
        files = sorted(file.name for file in tmp_path.iterdir())
        assert_replays(session)
        assert everything(store) == before
        assert store.stats().snapshots == snapshots > 0
        assert sorted(file.name for file in tmp_path.iterdir()) == files


def test_a_session_with_a_model_or_with_types_of_its_own_replays(path: Path) -> None:
    with StateStore(path, types=TypeRegistry(Task)) as store:
        session = store.session("alice", model=Card)
        session.save(Card(title="x"))
        session.update(lambda card: setattr(card, "size", 2))
        assert_replays(session)
        typed = store.session("bob")
        typed.save({"tasks": [Task("one")]})
        typed.update(lambda state: state["tasks"].append(Task("two")))
        assert_replays(typed)


def test_a_session_replays_as_far_as_its_past_was_left(path: Path) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        for n in range(6):
            session.save({"n": n, "card": str(n), "list": [n]})
        fork = session.fork("fork", at=3)
        fork.update(lambda state: state["list"].append(1))
        session.erase("card")
        assert session.history("card") == []
        assert_replays(session)
        assert_replays(fork)
        session.prune(keep_rounds=2)
        assert [turn.id for turn in session.rounds()] == [3, 5, 6]
        assert_replays(session)
        assert_replays(fork)
        session.delete()
        assert_replays(session)


def test_an_encrypted_session_replays(path: Path) -> None:
    keys = MemoryKeyRing()
    keys.create("alice", "trip")
    with StateStore(path, keys=keys) as store:
        assert_replays(grown(store))


def test_how_a_copy_is_opened_can_be_said(path: Path) -> None:
    opened = []

    def open_copy(copied: Path) -> StateStore:
        opened.append(copied)
        return StateStore(copied, snapshot_every=1)

    with StateStore(path) as store:
        assert_replays(grown(store), open_copy=open_copy)
    assert len(opened) == 2
    assert path not in opened


def test_of_the_versions_only_each_nth_is_looked_at_if_asked_for() -> None:
    with StateStore(":memory:") as store:
        session = store.session("alice")
        for n in range(10):
            session.save({"n": n})
        asked: list[int | None] = []
        with pytest.MonkeyPatch.context() as patch:
            state = Session.state

            def counted(self: Session, at: Any = None, *, version: int | None = None) -> Any:
                asked.append(version)
                return state(self, at, version=version)

            patch.setattr(Session, "state", counted)
            assert_replays(session)
            every, asked[:] = len(asked), []
            assert_replays(session, every=100)
        assert len(asked) <= every / 2
        with pytest.raises(ValueError, match="every is at least 1, not 0"):
            assert_replays(session, every=0)


# assert_replays on a broken library


def worsened(value: Any) -> Any:
    """Give a state of which one thing is of another type."""
    return {**value, "n": float(value["n"])}


def short_splices(state: dict[Any, Any], edit: delta.Edit) -> None:
    path, op, value = edit
    if op == delta.Op.SPLICE and isinstance(value[2], list):
        value = [*value[:2], value[2][:-1]]
    APPLY(state, delta.Edit(path, op, value))


APPLY = delta.apply


def break_apply(patch: pytest.MonkeyPatch) -> None:
    """Put another fold into every module that has it."""
    for module in [module for name, module in sys.modules.items() if name.startswith("eventstate.")]:
        if getattr(module, "apply", None) is APPLY:
            patch.setattr(module, "apply", short_splices)


def break_reading(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("eventstate.journal.read.apply", short_splices)


def break_snapshots(patch: pytest.MonkeyPatch) -> None:
    load = Snapshots.load

    def loaded(*arguments: Any) -> Any:
        snapshot = load(*arguments)
        return snapshot._replace(state=worsened(snapshot.state))

    patch.setattr(Snapshots, "load", loaded)


def break_heads(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("eventstate.journal.journal.apply", short_splices)
    patch.setattr(LiveList, "_accept", lambda *_: None)


def break_walking(patch: pytest.MonkeyPatch) -> None:
    advance = Reader.advance

    def late(self: Reader, state: Any, branch: Any, after: int, *rest: Any) -> Any:
        return advance(self, state, branch, after + (after == 3), *rest)

    patch.setattr(Reader, "advance", late)


def break_differences(patch: pytest.MonkeyPatch) -> None:
    diff = delta.diff
    patch.setattr("eventstate.history.diff", lambda *arguments: diff(*arguments)[:-1])


def break_history(patch: pytest.MonkeyPatch) -> None:
    attribute = History.attribute
    patch.setattr(History, "attribute", lambda *arguments: attribute(*arguments)[:-1])


def break_before(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("eventstate.history.apply", short_splices)


def break_rounds(patch: pytest.MonkeyPatch) -> None:
    find_round = Branches.find_round
    patch.setattr(
        Branches,
        "find_round",
        lambda self, view, number: find_round(self, view, 1 if number == 2 else number),
    )


def break_objects(patch: pytest.MonkeyPatch) -> None:
    state = Session.state
    patch.setattr(
        Session,
        "state",
        lambda self, at=None, **options: state(self, 1 if isinstance(at, Round) else at, **options),
    )


def break_order(patch: pytest.MonkeyPatch) -> None:
    rounds = Session.rounds
    patch.setattr(
        Session,
        "rounds",
        lambda self, *, reverse=False: rounds(self, limit=3 if reverse else None, reverse=reverse),
    )


def break_named_versions(patch: pytest.MonkeyPatch) -> None:
    """Take a round for what its number named before."""
    point = Branches.point
    patch.setattr(
        Branches,
        "point",
        lambda self, commit: point(self, commit)._replace(version=commit.version - commit.events),
    )


BROKEN: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "apply": (break_apply, r"version 3: history\(\)'s after and the events differ at /list/1: MISSING and 2"),
    "reading": (break_reading, r"version 3: state\(version=3\) and the events differ at /list/1: MISSING"),
    "snapshots": (break_snapshots, r"version 2: state\(version=2\) and the events differ at /n: 1.0 and 1"),
    "heads": (
        break_heads,
        r"round 4 \(version 5\): replay\(\) and state\(\) differ at /list/1: 3 and MISSING",
    ),
    "walking": (break_walking, r"round 3 \(version 4\): replay\(\) and state\(at=3\) differ at /n: 1 and 2"),
    "differences": (break_differences, r"round 2 \(version 3\): replay\(\) and diff\(1, 2\) applied to "),
    "history": (break_history, r"version 4: history\(\) and the event at /n disagree: None"),
    "before": (
        break_before,
        r"version 3: history\(\)'s after and the events differ at /list/1: MISSING and 2",
    ),
    "objects": (break_objects, r"round 2 \(version 3\): replay\(\) and state\(at=Round\) differ at /list/1"),
    "order": (break_order, r"rounds\(\), rounds\(reverse=True\) and replay\(\) walk other rounds"),
    "points": (break_named_versions, r"round 1 \(version 2\): replay\(\) and state\(version=2\) differ at "),
    "rounds": (break_rounds, r"round 2 \(version 3\): replay\(\) and state\(at=2\) differ at "),
}


@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_a_broken_library_does_not_replay_and_the_first_difference_is_told(path: Path, broken: str) -> None:
    break_it, message = BROKEN[broken]
    with pytest.MonkeyPatch.context() as patch:
        if broken != "snapshots":
            break_it(patch)
        with StateStore(path, snapshot_every=1 if broken == "snapshots" else None) as store:
            session = store.session("alice")
            session.save({"n": 1, "list": [1]})
            session.update(lambda state: state["list"].append(2))
            session.update(lambda state: state.update(n=2))
            session.update(lambda state: state["list"].append(3))
            if broken == "snapshots":
                break_it(patch)
            with pytest.raises(AssertionError, match=message):
                assert_replays(session)
    with StateStore(path) as store:
        if broken not in {"heads", "apply"}:
            assert_replays(store.session("alice"))


def test_an_event_that_does_not_fit_is_told() -> None:
    with StateStore(":memory:") as store:
        session = store.session("alice")
        session.save({"list": [1]})
        with pytest.MonkeyPatch.context() as patch:
            edit = delta.Edit(("list",), delta.Op.DELETE, None)
            patch.setattr(EventCodec, "decode", lambda *_: edit)
            patch.setattr("eventstate.journal.read.apply", lambda *_: None)
            patch.setattr("eventstate.history.apply", lambda *_: None)
            with pytest.raises(AssertionError, match="version 1: the event at /list does not fit"):
                assert_replays(session)


def test_what_a_copy_tells_otherwise_is_a_failure(path: Path) -> None:
    def spoilt(copied: Path) -> StateStore:
        store = StateStore(copied)
        store.session("alice").save({"n": 2}, round_id=1)
        return store

    with StateStore(path) as store:
        session = store.session("alice")
        session.save({"n": 1})
        session.tag("first")
        with pytest.raises(
            AssertionError, match=r"what there is: the session and a reopened copy differ at /2"
        ):
            assert_replays(session, open_copy=spoilt)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(StateStore, "drop_snapshots", lambda self: self.session("alice").tag("other"))
            with pytest.raises(AssertionError, match=r"the session and a copy without snapshots differ at"):
                assert_replays(session)
        assert_replays(session)


def test_a_model_that_is_loaded_in_two_ways_is_a_failure() -> None:
    with StateStore(":memory:") as store:
        session = store.session("alice", model=Card)
        session.save(Card(title="x"))
        with pytest.MonkeyPatch.context() as patch:
            sizes = iter(range(10))
            load = StateModel.load
            patch.setattr(
                StateModel, "load", lambda self, state: load(self, {**state, "size": float(next(sizes))})
            )
            with pytest.raises(AssertionError, match=r"round 1 \(version 2\): replay\(\) and state\(at=1\)"):
                assert_replays(session)
        assert_replays(session)


# ReplayMachine on the library as it is


class Assistant(ReplayMachine):
    """An agent with messages and a plan; this is how a user would write it."""

    def initial(self) -> dict[str, Any]:
        return {"messages": [], "plan": None, "seen": set()}

    @rule(text=st.text(max_size=5))
    def is_asked(self, text: str) -> None:
        self.change(lambda state: state["messages"].append({"role": "user", "content": text}))

    @rule(steps=st.lists(st.sampled_from(["search", "read", "answer"]), max_size=3))
    def makes_a_plan(self, steps: list[str]) -> None:
        self.change(lambda state: state.update(plan=steps), actor="planner")

    @rule()
    def does_a_step(self) -> None:
        if self.state["plan"]:

            def does(state: Any) -> None:
                state["seen"].add(state["plan"].pop(0))

            self.change(does)

    @rule(keep=st.integers(0, 2))
    def forgets(self, keep: int) -> None:
        with self.session.round(actor="agent", reason="too long") as state:
            del state["messages"][: max(len(state["messages"]) - keep, 0)]


TestAssistant = Assistant.TestCase
TestAssistant.settings = settings(max_examples=settings().max_examples // 5)


class Trip(BaseModel):
    where: str
    stops: list[str] = Field(default_factory=list)
    cost: float = 0


class Planner(ReplayMachine):
    """An agent whose state is a model; it keeps its file on a disk of its own."""

    model = Trip

    def initial(self) -> Trip:
        return Trip(where="Bonn")

    @rule(stop=st.sampled_from("abc"))
    def stops(self, stop: str) -> None:
        self.change(lambda trip: trip.stops.append(stop), reason="why not")

    @rule(cost=st.integers(0, 9))
    def pays(self, cost: int) -> None:
        self.change(lambda trip: setattr(trip, "cost", cost))

    @rule()
    def is_refused(self) -> None:
        before = self.session.version
        with pytest.raises(InvalidStateError):
            self.change(lambda trip: setattr(trip, "stops", None))
        assert self.session.version == before


TestPlanner = Planner.TestCase
TestPlanner.settings = settings(max_examples=settings().max_examples // 5)


class Anything(ReplayMachine):
    """Whatever can be done to a session, by the machine's knowledge and behind its back."""

    options: ClassVar[Any] = {"types": TypeRegistry(Task)}
    folder: ClassVar[Any] = None

    @initialize(todo=edits())
    def begin(self, todo: list[StateEdit]) -> None:
        self.edit(todo)

    @rule(todo=edits(also=st.builds(Task, st.text(max_size=2))), number=st.none() | st.integers(0, 6))
    def edit(self, todo: list[StateEdit], number: int | None = None) -> None:
        def change(state: Any) -> None:
            for edit in todo:
                edit(state)

        self.change(change, round_id=number)

    @rule(n=st.integers(0, 1), name=st.sampled_from("xy"))
    def idle(self, n: int, name: str) -> None:
        self.change(lambda _: None, if_changed=True)
        self.change(lambda state: state.update(n=n), commit_id=name)

    @rule(todo=edits())
    def by_itself(self, todo: list[StateEdit]) -> None:
        for edit in todo:
            self.session.update(edit)
        self.session.note("done")
        self.store.session("somebody else").save({"n": len(todo)})
        assert difference(self.state, self.session.state()) is None

    @rule()
    def forks(self) -> None:
        names = self.session.branches()
        if len(names) < 6:
            self.session.fork(f"own-{len(names)}").save({})

    @rule(other=st.integers(0, 9))
    def merges(self, other: int) -> None:
        names = [name for name in self.session.branches() if name != self.session.branch]
        if names:
            fork = self.store.session("user", "session", names[other % len(names)])
            self.session.merge(fork, lambda conflict: conflict.theirs)


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=settings().max_examples // 5)


def run(kind: type[ReplayMachine], examples: int = 100, **options: Any) -> None:
    """Run a machine, without shrinking, the same each time."""
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


def test_a_machine_works_on_a_disk_and_in_a_folder_that_are_given(tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    with FaultyDisk() as disk:

        class Elsewhere(Assistant):
            options: ClassVar[Any] = {"vfs": disk.name}
            folder: ClassVar[Any] = where

            @rule()
            def looks(self) -> None:
                assert list(where.iterdir())

        run(Elsewhere, examples=3)
        assert disk.count("write") > 0
    assert list(where.iterdir()) == []


def test_the_same_steps_write_the_same_history() -> None:
    def hashes() -> list[str]:
        found: list[str] = []

        class Recorded(Assistant):
            def teardown(self) -> None:
                found.extend(commit.hash for commit in self.store.commits())
                super().teardown()

        seed(5)(Recorded)
        run(Recorded, examples=5)
        return found

    first = hashes()
    assert len(first) > 50
    assert hashes() == first


def test_a_rule_can_be_taken_out() -> None:
    class Straight(Assistant):
        fork = None  # type: ignore[assignment] # as the documentation says

        @rule()
        def has_one_branch(self) -> None:
            assert self.session.branches() == ["main"]

    run(Straight, examples=10)


def test_the_error_of_a_rule_is_not_hidden_by_what_does_not_hold_after_it() -> None:
    class Failing(Assistant):
        @rule()
        def breaks(self) -> None:
            self._lines[0].log.clear()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Failing)


def test_a_change_that_does_not_do_the_same_twice_is_found() -> None:
    class Fickle(ReplayMachine):
        calls = 0

        @rule()
        def counts(self) -> None:
            def change(state: Any) -> None:
                Fickle.calls += 1
                state["n"] = Fickle.calls

            self.change(change)

    with pytest.raises(AssertionError, match="seen and expected differ at /n"):
        run(Fickle)


# ReplayMachine on a broken library


def break_recorder(patch: pytest.MonkeyPatch) -> None:
    recorded = LiveState.edits
    patch.setattr(LiveState, "edits", lambda self: recorded(self)[:-1])


def break_append(patch: pytest.MonkeyPatch) -> None:
    """Do not see what is appended to a list that stands in the state since before the round."""
    from eventstate.values.live_list import LiveList

    patch.setattr(LiveList, "append", lambda self, item: self._items.append(item))


def break_undo(patch: pytest.MonkeyPatch) -> None:
    undo = Session.undo
    patch.setattr(
        Session, "undo", lambda self: undo(self) and self.latest if self.version < 4 else self.save({})
    )


def break_rollback(patch: pytest.MonkeyPatch) -> None:
    rollback = Session.rollback
    patch.setattr(
        Session, "rollback", lambda self, at, **options: rollback(self, 1 if at == 3 else at, **options)
    )


def break_forks(patch: pytest.MonkeyPatch) -> None:
    fork = Session.fork
    patch.setattr(Session, "fork", lambda self, name, at: fork(self, name, max(at - 1, 1)))


def break_conflicts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Appender, "_check_base", lambda *_, **__: None)


def break_snapshots_of_all(patch: pytest.MonkeyPatch) -> None:
    load = Snapshots.load

    def loaded(*arguments: Any) -> Any:
        snapshot = load(*arguments)
        return snapshot._replace(state=dict(reversed(snapshot.state.items())))

    patch.setattr(Snapshots, "load", loaded)


def break_notes(patch: pytest.MonkeyPatch) -> None:
    note = Session.note
    patch.setattr(Session, "note", lambda self, name, data=None: note(self, name, data and data + 1))


@pytest.mark.parametrize(
    "break_it",
    [
        *(break_apply, break_reading, break_heads, break_snapshots_of_all, break_recorder, break_append),
        *(break_undo, break_rollback, break_forks, break_conflicts, break_walking, break_notes),
        *(break_differences, break_history, break_before),
    ],
)
def test_a_machine_finds_what_is_broken(break_it: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        break_it(patch)
        with pytest.raises(AssertionError):
            run(Assistant)


def test_a_machine_with_a_model_finds_what_is_broken() -> None:
    with pytest.MonkeyPatch.context() as patch:
        break_apply(patch)
        with pytest.raises(AssertionError):
            run(Planner)
