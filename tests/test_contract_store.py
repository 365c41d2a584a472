"""The public contract of stores, by example: opening and closing, the feed, copies, types, models, time."""

from __future__ import annotations

import enum
import gc
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from eventstate import (
    ConflictError,
    InvalidStateError,
    ReadOnlyError,
    RoundNotFoundError,
    Session,
    StateStore,
    StoreClosedError,
    TypeRegistry,
    Unregistered,
    UnsupportedValueError,
)
from tests.stores import NOON, Clock, packed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
def store(path: Path) -> Iterator[StateStore]:
    with StateStore(path, durability="normal", clock=Clock()) as store:
        yield store


def grown(store: StateStore) -> Session:
    """Write a bit of everything."""
    session = store.session("alice", "trip")
    session.save({"n": 1, "list": [1, (2, {3})]}, metadata={"k": b"v"})
    session.update(lambda state: state["list"].append(4))
    session.note("tool.called", {"name": "search"})
    session.tag("early", at=1)
    other = session.fork("other", at=1)
    other.save({"n": 2, "list": []})
    session.merge(other, lambda conflict: conflict.ours)
    session.save({"n": 0}, round_id=2)
    store.session("bob").save({})
    return session


def everything(store: StateStore) -> list[Any]:
    """Give all that can be read of a store."""
    read: list[Any] = [*store.sessions(), *store.commits()]
    for info in store.sessions():
        for name in store.session(info.user_id, info.session_id).branches():
            session = store.session(info.user_id, info.session_id, name)
            read += [session.tags(), session.version, packed(session.state()), *session.rounds()]
            read += [packed(state) for _, state in session.replay()]
            read += [packed(session.state(version=version)) for version in range(session.version + 1)]
    return read


# Opening and closing


def test_what_was_written_is_there_after_reopening(path: Path, store: StateStore) -> None:
    grown(store)
    before = everything(store)
    store.close()
    with StateStore(path) as again:
        assert everything(again) == before
        assert again.verify().ok
    with StateStore(str(path), read_only=True) as reader:
        assert everything(reader) == before
        assert reader.verify().ok


def test_a_store_in_memory_is_gone_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with StateStore(":memory:") as store:
        grown(store)
    with StateStore(":memory:") as store:
        assert not store.session("alice", "trip").exists
    assert list(tmp_path.iterdir()) == []


def test_a_closed_store_raises_and_closes_again_in_peace(store: StateStore, tmp_path: Path) -> None:
    session = grown(store)
    assert not store.closed
    with session.round() as live:
        live["n"] = 5
    store.close()
    store.close()
    assert store.closed
    assert "closed" in repr(store)
    for use in (
        session.state,
        lambda: session.state(at=1),
        lambda: session.save({}),
        lambda: session.note("x"),
        lambda: session.version,
        lambda: store.session("bob").exists,
        lambda: list(session.rounds()),
        lambda: session.fork("x"),
        lambda: session.tag("x"),
        lambda: session.update(lambda _: None),
        lambda: list(store.sessions()),
        lambda: list(store.commits()),
        store.stats,
        store.drop_snapshots,
        lambda: store.backup(tmp_path / "copy.db"),
        lambda: store.session("new").save({}),
    ):
        with pytest.raises(StoreClosedError, match="closed"):
            use()
    assert not (tmp_path / "copy.db").exists()


def test_a_store_closed_while_a_round_is_open_raises_at_its_end(path: Path, store: StateStore) -> None:
    session = grown(store)
    version = session.version
    with pytest.raises(StoreClosedError), session.round() as state:
        state["n"] = 9
        store.close()
    with StateStore(path) as again:
        assert again.session("alice", "trip").version == version


def test_a_store_opened_read_only_reads_and_refuses_to_write(path: Path, store: StateStore) -> None:
    session = grown(store)
    before = everything(store)
    with StateStore(path, read_only=True) as reader:
        seen = reader.session("alice", "trip")
        for write in (
            lambda: seen.save({}),
            lambda: seen.note("x"),
            lambda: seen.fork("x"),
            lambda: seen.tag("x"),
            lambda: seen.undo(),
            lambda: seen.rollback(1),
            lambda: reader.session("new").save({}),
            reader.drop_snapshots,
        ):
            with pytest.raises(ReadOnlyError, match="read-only"):
                write()
        assert everything(reader) == before
        session.save({"n": "new"})
        assert seen.state() == session.state()


def test_a_settings_value_that_makes_no_sense_is_refused(path: Path) -> None:
    for settings in ({"durability": "maybe"}, {"snapshot_every": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            StateStore(path, **settings)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        StateStore(7)  # type: ignore[arg-type]
    assert not path.exists()


def test_two_stores_on_one_file_see_each_others_commits(path: Path, store: StateStore) -> None:
    session = store.session("alice")
    session.save({"n": 0})
    with StateStore(path) as second:
        other = second.session("alice")
        for number in range(1, 6):
            assert other.state() == {"n": number - 1}
            with other.round() as state:
                state["n"] += 1
            assert session.state() == {"n": number}
            session.tag(f"t{number}")
        assert other.tags() == session.tags()
        with pytest.raises(ConflictError), session.round() as state:
            state["n"] = 0
            other.update(lambda live: live.update(m=1))
        assert session.state() == {"n": 5, "m": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no os.fork here")
def test_a_store_used_in_a_forked_child_raises_and_the_parent_goes_on(path: Path, store: StateStore) -> None:
    session = grown(store)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = []
            for use in (
                session.state,
                lambda: session.save({}),
                lambda: store.session("new").save({}),
                lambda: list(store.commits()),
                store.stats,
                lambda: store.backup(path.with_name("copy.db")),
            ):
                try:
                    use()
                    told.append("nothing raised")
                except BaseException as error:  # noqa: BLE001 - the parent gets to know it
                    told.append(type(error).__name__)
            store.close()
            del session, store
            gc.collect()
            os.write(writing, " ".join(told).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read().split() == ["StoreClosedError"] * 6
    os.waitpid(child, 0)
    session.save({"n": "after"})
    assert session.state() == {"n": "after"}
    with StateStore(path) as second:
        assert second.session("alice", "trip").state() == {"n": "after"}
        assert second.verify().ok


# What a store holds


def test_sessions_are_listed_by_name_with_what_their_first_branch_says(store: StateStore) -> None:
    session = grown(store)
    alice, bob = store.sessions()
    assert (alice.user_id, alice.session_id, alice.branches) == ("alice", "trip", 2)
    assert (alice.version, alice.round) == (session.version, 3)
    assert (bob.user_id, bob.session_id, bob.round, bob.version) == ("bob", "default", 1, 0)
    assert alice.recorded_at < bob.recorded_at
    assert [info.user_id for info in store.sessions("bob")] == ["bob"]
    assert list(store.sessions("nobody")) == []


def test_more_sessions_than_a_page_holds_are_listed_whole(store: StateStore) -> None:
    names = [(f"user-{number % 3}", f"session-{number:04}") for number in range(600)]
    names += [("user-1", ""), ("", "x"), ("user-1\0", "y"), ("user-10", "z")]
    for user, name in names:
        store.session(user, name).note("made")
    assert [(info.user_id, info.session_id) for info in store.sessions()] == sorted(names)
    mine = sorted(name for user, name in names if user == "user-1")
    assert [info.session_id for info in store.sessions("user-1")] == mine


def test_sessions_made_during_the_walk_do_not_disturb_it(store: StateStore) -> None:
    for number in range(300):
        store.session("u", f"{number:03}").note("made")
    walk = store.sessions()
    seen = [next(walk).session_id]
    store.session("a").note("before")
    store.session("u", "1500").note("after")
    seen += [info.session_id for info in walk]
    assert len(seen) == len(set(seen))
    assert {f"{number:03}" for number in range(300)} <= set(seen)


def test_the_feed_tells_every_commit_once_in_order(store: StateStore) -> None:
    grown(store)
    commits = list(store.commits())
    assert [commit.position for commit in commits] == list(range(1, len(commits) + 1))
    assert [(commit.kind, commit.branch, commit.round) for commit in commits] == [
        ("save", "main", 1),
        ("update", "main", 2),
        ("note", "main", None),
        ("tag", "main", None),
        ("fork", "other", None),
        ("save", "other", 2),
        ("merge", "main", 3),
        ("save", "main", 2),
        ("save", "main", 1),
    ]
    assert commits[0].metadata == {"k": b"v"}
    assert (commits[-1].user_id, commits[-1].session_id) == ("bob", "default")
    assert list(store.commits(after=4)) == commits[4:]
    assert list(store.commits(after=len(commits))) == []
    store.session("carol").save({"n": 1}, commit_id="x", actor="a", reason="r")
    [new] = store.commits(after=commits[-1].position)
    assert (new.user_id, new.events, new.commit_id, new.actor, new.reason) == ("carol", 1, "x", "a", "r")


def test_a_feed_longer_than_a_page_is_told_whole(store: StateStore) -> None:
    session = store.session("alice")
    for number in range(700):
        session.note("n", number)
    assert [commit.position for commit in store.commits(after=100)] == list(range(101, 701))


def test_notes_are_told_with_their_data_in_order(store: StateStore) -> None:
    session = store.session("alice")
    session.note("reply.started", actor="planner", reason="asked")
    session.save({"n": 1})
    other = session.fork("other")
    other.note("tool.called", {"name": "search", "args": (1, 2)})
    session.note("elsewhere")
    told = [(note.name, note.data, note.seq, note.actor, note.reason) for note in other.notes()]
    assert told == [
        ("reply.started", None, 1, "planner", "asked"),
        ("tool.called", {"name": "search", "args": (1, 2)}, 3, None, None),
    ]
    assert [note.seq for note in other.notes("tool.called")] == [3]
    assert [note.name for note in session.notes()] == ["reply.started", "elsewhere"]
    assert list(store.session("nobody").notes()) == []


def test_stats_count_what_is_there(store: StateStore) -> None:
    empty = store.stats()
    assert (empty.sessions, empty.commits, empty.events, empty.payload, empty.cached) == (0, 0, 0, 0, 0)
    grown(store)
    stats = store.stats()
    assert (stats.sessions, stats.branches, stats.commits) == (2, 3, len(list(store.commits())))
    assert stats.events == sum(commit.events for commit in store.commits())
    assert stats.payload > 0
    assert (stats.snapshots, stats.snapshot_size, stats.snapshot_stored) == (0, 0, 0)
    assert stats.file > 0
    assert stats.cached > 0
    assert stats.cache_hits > 0
    assert stats.cache_misses > 0


def test_the_cache_stays_within_its_bytes(path: Path) -> None:
    with StateStore(path, durability="normal", cache_bytes=10_000) as store:
        for number in range(50):
            store.session(f"user-{number}").save({"text": "x" * 1000})
        for number in range(50):
            assert store.session(f"user-{number}").state() == {"text": "x" * 1000}
        assert 0 < store.stats().cached <= 10
    with StateStore(path, cache_bytes=0) as store:
        store.session("user-1").update(lambda state: state.update(n=1))
        assert store.stats().cached == 0


# Copies


def test_a_backup_is_the_same_store_in_a_new_file(store: StateStore, tmp_path: Path) -> None:
    session = grown(store)
    store.backup(tmp_path / "copy.db")
    before = everything(store)
    session.save({"n": "later"})
    with StateStore(tmp_path / "copy.db") as copy:
        assert everything(copy) == before
        assert copy.verify().ok
        copy.session("alice", "trip").save({"n": "own"})
    assert session.state() == {"n": "later"}


def test_a_backup_overwrites_nothing(store: StateStore, path: Path, tmp_path: Path) -> None:
    grown(store)
    (tmp_path / "there.txt").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for target in (tmp_path / "there.txt", path, tmp_path, tmp_path / "dangling"):
        with pytest.raises(FileExistsError, match="exists"):
            store.backup(target)
    assert (tmp_path / "there.txt").read_text() == "mine"
    assert store.verify().ok


def test_a_store_in_memory_can_be_backed_up_into_a_file(tmp_path: Path) -> None:
    with StateStore(":memory:") as store:
        grown(store)
        before = everything(store)
        store.backup(tmp_path / "copy.db")
    with StateStore(tmp_path / "copy.db") as copy:
        assert everything(copy) == before
        assert copy.verify().ok


def test_tables_hold_all_that_happened_for_sql(store: StateStore) -> None:
    grown(store)
    tables = store.tables()
    counts = {name: tables[name].count for name in tables.table_names()}
    assert counts["commits"] == len(list(store.commits()))
    tables["commits"].delete_where()
    assert len(list(store.commits())) == counts["commits"]


# Time and chance


def test_recorded_at_never_runs_backwards_even_if_the_clock_does(path: Path) -> None:
    clock = Clock()
    with StateStore(path, clock=clock) as store:
        first = store.session("alice").save({"n": 1})
        clock.now = NOON - timedelta(days=400)
        second = store.session("bob").save({"n": 1})
        third = store.session("alice").save({"n": 2})
        clock.now = NOON + timedelta(days=1)
        fourth = store.session("alice").save({"n": 3})
        assert store.verify().ok
    assert first.recorded_at == second.recorded_at == third.recorded_at
    assert fourth.recorded_at == NOON + timedelta(days=1, seconds=1)
    with StateStore(path, clock=lambda: NOON) as store:
        assert store.session("alice").save({"n": 4}).recorded_at == fourth.recorded_at
        assert store.session("alice").state(at=fourth.recorded_at) == {"n": 4}


def test_a_clock_without_a_zone_is_refused_and_nothing_is_written(path: Path) -> None:
    with StateStore(path, clock=lambda: NOON.replace(tzinfo=None)) as store:
        with pytest.raises(ValueError, match="needs a zone"):
            store.session("alice").save({})
        assert not store.session("alice").exists


def test_the_same_clock_chance_and_deeds_give_the_same_hashes(tmp_path: Path) -> None:
    def hashes(name: str, *, seed: int = 0) -> list[str]:
        numbers = itertools.count(seed)
        entropy = lambda size: next(numbers).to_bytes(size, "big")  # noqa: E731 - one line is clearer
        with StateStore(tmp_path / name, clock=Clock(), entropy=entropy, snapshot_every=1) as store:
            grown(store)
            return [commit.hash for commit in store.commits()]

    assert hashes("one.db") == hashes("two.db")
    assert hashes("again.db") != hashes("three.db", seed=100)


def test_time_is_told_in_utc_to_the_microsecond(path: Path) -> None:
    now = datetime(2030, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)
    with StateStore(path, clock=lambda: now) as store:
        turn = store.session("alice").save({})
    assert turn.recorded_at == now
    assert turn.recorded_at.tzinfo is UTC


# Types of the caller's own


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Task:
    name: str
    done: bool = False
    parts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Spot:
    x: int
    y: int


def test_a_type_that_is_not_registered_is_refused_with_its_path(store: StateStore) -> None:
    with pytest.raises(UnsupportedValueError, match="register the type") as caught:
        store.session("alice").save({"tasks": [Task("a")]})
    assert caught.value.path == ("tasks", 0)


def test_registered_types_come_back_as_they_were(path: Path) -> None:
    types = TypeRegistry(Colour, Task, Spot)
    with StateStore(path, types=types, snapshot_every=1) as store:
        session = store.session("alice")
        session.save({"colour": Colour.RED, "task": Task("a"), "spots": {Spot(1, 2)}, Spot(3, 4): "key"})
        with session.round() as state:
            state["task"].done = True
            state["task"].parts.append("x")
            state["colour"] = Colour.BLUE
    with StateStore(path, types=types) as store:
        assert store.session("alice").state() == {
            "colour": Colour.BLUE,
            "task": Task("a", done=True, parts=["x"]),
            "spots": {Spot(1, 2)},
            Spot(3, 4): "key",
        }
        assert store.session("alice").state(at=1)["task"] == Task("a")
        assert store.verify().ok


def test_a_stored_type_that_is_not_registered_is_an_error_when_it_is_read(path: Path) -> None:
    with StateStore(path, types=TypeRegistry(Task, Spot)) as store:
        store.session("alice").save({"task": Task("a"), "spots": {Spot(1, 2)}})
    with StateStore(path) as store:
        session = store.session("alice")
        with pytest.raises(UnsupportedValueError, match=r"Task.* is not registered"):
            session.state()
        assert [turn.id for turn in session.rounds()] == [1]
        assert store.verify().ok
        store.session("bob").save({"n": 1})


def test_a_stored_type_that_is_not_registered_can_be_kept_as_it_is(path: Path) -> None:
    types = TypeRegistry()
    types.register(Task, name="task")
    with StateStore(path, types=types) as store:
        store.session("alice").save({"task": Task("a"), "n": 1})
    with StateStore(path, types=TypeRegistry(unknown="keep")) as store:
        session = store.session("alice")
        assert session.state()["task"] == Unregistered("task", {"name": "a", "done": False, "parts": []})
        session.update(lambda state: state.update(n=2, again=state["task"]))
    with StateStore(path, types=types) as store:
        assert store.session("alice").state() == {"task": Task("a"), "n": 2, "again": Task("a")}


# Models


class Plan(BaseModel):
    """The state of the tests below."""

    goal: str
    steps: list[str] = Field(default_factory=list)
    budget: float = Field(default=1.0, ge=0)


class Renamed(BaseModel):
    """A model whose field has an alias."""

    goal: str = Field(alias="theGoal")


def test_a_model_is_the_type_of_the_state(store: StateStore) -> None:
    session = store.session("alice", model=Plan)
    assert session.state() is None
    session.save(Plan(goal="travel"))
    assert session.state() == Plan(goal="travel")
    assert store.session("alice").state() == {"goal": "travel", "steps": [], "budget": 1.0}
    session.save({"goal": "rest", "steps": ["sleep"]})
    state = session.state()
    assert type(state) is Plan
    assert state == Plan(goal="rest", steps=["sleep"])
    assert [plan.goal for _, plan in session.replay()] == ["travel", "rest"]
    assert session.state(at=1) == Plan(goal="travel")


def test_a_round_and_an_update_edit_an_instance_of_the_model(store: StateStore) -> None:
    session = store.session("alice", model=Plan)
    session.save(Plan(goal="travel"))
    with session.round() as plan:
        assert type(plan) is Plan
        plan.steps.append("search")
        plan.budget = 3.5
    assert session.state() == Plan(goal="travel", steps=["search"], budget=3.5)
    session.update(lambda plan: plan.steps.append("book"))
    assert session.state().steps == ["search", "book"]
    with pytest.raises(ZeroDivisionError), session.round() as plan:
        plan.budget = 1 / 0
    with session.what_if() as plan:
        plan.goal = "stay"
    assert session.state().goal == "travel"
    assert session.fork("other").state() == session.state()
    assert {change.path for change in session.history("steps")} == {("steps",)}


def test_a_model_is_validated_before_anything_is_written(store: StateStore) -> None:
    session = store.session("alice", model=Plan)
    for wrong in (Plan.model_construct(goal=7), {"goal": "x", "budget": -1}, {}, 7, None, [1]):
        with pytest.raises(InvalidStateError):
            session.save(wrong)
    assert not session.exists
    session.save(Plan(goal="travel"))
    with pytest.raises(InvalidStateError, match="/budget"), session.round() as plan:
        plan.budget = -1.0
    with pytest.raises(InvalidStateError):
        session.update(lambda plan: setattr(plan, "goal", None))
    assert session.version == 3


def test_a_state_that_its_model_refuses_is_told_when_it_is_read(store: StateStore) -> None:
    store.session("alice").save({"goal": 7})
    session = store.session("alice", model=Plan)
    with pytest.raises(InvalidStateError, match="Plan refuses the state at /goal"):
        session.state()
    with pytest.raises(InvalidStateError), session.round():
        pytest.fail("the body must not run")


def test_a_model_with_aliases_is_stored_by_its_field_names(store: StateStore) -> None:
    session = store.session("alice", model=Renamed)
    session.save(Renamed(theGoal="travel"))
    assert store.session("alice").state() == {"goal": "travel"}
    assert session.state() == Renamed(theGoal="travel")


def test_a_model_is_a_pydantic_model(store: StateStore) -> None:
    with pytest.raises(TypeError, match="pydantic model"):
        store.session("alice", model=dict)  # type: ignore[arg-type]


def test_rounds_can_be_read_by_those_who_do_not_know_the_model(store: StateStore) -> None:
    store.session("alice", model=Plan).save(Plan(goal="travel"))
    plain = store.session("alice")
    with pytest.raises(RoundNotFoundError):
        plain.state(at=2)
    plain.update(lambda state: state["steps"].append("walk"))
    assert store.session("alice", model=Plan).state() == Plan(goal="travel", steps=["walk"])
