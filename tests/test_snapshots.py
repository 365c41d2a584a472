"""Snapshots: when they are made, that they stay small, and that nothing depends on them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import Session, StateStore
from eventstate.journal import snapshots
from eventstate.journal.events import ROW_WEIGHT
from eventstate.journal.records import LOW
from eventstate.values import delta

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proves("replay")


def versions(store: StateStore, *, head: bool | None = None) -> list[int]:
    """Give the versions that have snapshots."""
    rows = store._journal.connection.all("SELECT id, head FROM snapshots ORDER BY id")
    return [number & LOW for number, is_head in rows if head is None or bool(is_head) is head]


def talk(session: Session, turns: int, *, size: int = 200, seed: int = 0) -> None:
    rng = random.Random(seed)
    for turn in range(turns):
        with session.round() as state:
            state.setdefault("messages", []).append(rng.randbytes(size // 2).hex())
            state["turn"] = turn


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the events that are folded when states are read."""
    seen: list[Any] = []

    def counting(state: dict[Any, Any], edit: delta.Edit) -> None:
        seen.append(edit)
        delta.apply(state, edit)

    monkeypatch.setattr("eventstate.journal.read.apply", counting)
    return seen


def test_a_small_session_has_none(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        talk(store.session("u"), 30)
    with StateStore(tmp_path / "a.db") as store:
        assert versions(store) == []


def test_many_small_events_get_one(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        for number in range(snapshots.MIN_EVENTS + 2):
            store.session("u").save({"n": number})
        assert versions(store, head=False) == [snapshots.MIN_EVENTS]


def test_few_large_events_get_one(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        store.session("u").save({"text": "x" * snapshots.MIN_WEIGHT})
        store.session("u").save({"text": "y"})
        assert versions(store, head=False) == [1]


def test_a_number_of_commits_can_be_asked_for(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal", snapshot_every=5) as store:
        for number in range(21):
            store.session("u").save({"n": number})
        assert versions(store, head=False) == [5, 10, 15, 20]


def test_kept_snapshots_of_what_no_event_holds_stay_in_proportion_to_the_events(tmp_path: Path) -> None:
    shares = []
    for turns in (1000, 4000):
        with StateStore(tmp_path / f"{turns}.db", durability="normal") as store:
            session, rng = store.session("u"), random.Random(1)
            for _ in range(turns):  # pieces so small that they are no use to refer to
                with session.round() as state:
                    state.setdefault("texts", [""])[0] += rng.randbytes(5).hex()
            stored = [
                len(data)
                for (data,) in store._journal.connection.all("SELECT data FROM snapshots WHERE head = 0")
            ]
            stats = store.stats()
            shares.append(sum(stored) / (stats.payload + ROW_WEIGHT * stats.events))
            assert len(stored) < 30
    assert max(shares) < 1.1


def test_a_state_that_stays_large_is_not_written_again_for_every_few_small_events(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        session.save({"text": random.Random(1).randbytes(500_000).hex(), "n": 0})
        for number in range(3000):
            with session.round() as state:
                state["n"] = number
        assert len(versions(store)) <= 3000 // snapshots.MIN_EVENTS + 2
        assert store.stats().file < 1_000_000 + 3000 * 250


def test_the_head_is_renewed_when_the_store_is_closed(tmp_path: Path, applied: list[Any]) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        session.save({"text": random.Random(1).randbytes(1_000_000).hex()})
        talk(session, snapshots.MIN_EVENTS // 4 + 1)
        expected, kept = session.state(), versions(store)
    with StateStore(tmp_path / "a.db") as store:
        assert versions(store, head=True) == [store.session("u").version]
        assert set(kept) <= set(versions(store))
        assert store.session("u").state() == expected
        assert applied == []


def test_a_state_is_read_cold_by_folding_no_more_than_a_small_session_has(
    tmp_path: Path, applied: list[Any]
) -> None:
    for turns in (700, 1100, 1500):
        path = tmp_path / f"{turns}.db"
        with StateStore(path, durability="normal") as store:
            talk(store.session("u"), turns)
        with StateStore(path) as store:
            applied.clear()
            assert store.session("u").state()["turn"] == turns - 1
            assert len(applied) < snapshots.MIN_EVENTS // 2


def test_an_old_round_folds_few_events_for_its_size(tmp_path: Path, applied: list[Any]) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        talk(session, 3000)
        for turn in range(100, 3000, 350):
            applied.clear()
            assert session.state(at=turn)["turn"] == turn - 1
            assert len(applied) <= snapshots.MIN_EVENTS + turn * 250 // snapshots.BYTES_PER_EVENT


def test_a_snapshot_costs_no_commit_of_its_own(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal", snapshot_every=1) as store:
        statements: list[str] = []
        session = store.session("u")
        session.save({"n": 0})
        connection = store._journal.connection._db
        assert connection is not None

        def trace(_: Any, statement: str, __: Any) -> bool:
            statements.append(statement)
            return True

        connection.exec_trace = trace
        session.save({"n": 1})
        assert statements.count("COMMIT") == 1
        assert any("INSERT INTO snapshots" in statement for statement in statements)


def test_a_deep_fork_gets_a_snapshot_of_its_own(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        session.save({"depth": 0})
        for depth in range(1, 2 * snapshots.MAX_LINEAGE):
            session = session.fork(f"level {depth}")
            session.save({"depth": depth})
    with StateStore(tmp_path / "a.db") as store:
        deep = store.session("u", branch=f"level {2 * snapshots.MAX_LINEAGE - 1}")
        assert deep.state() == {"depth": 2 * snapshots.MAX_LINEAGE - 1}
        assert versions(store) != []


def test_reading_a_deep_fork_again_and_again_makes_one_and_a_reader_none(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal", cache_bytes=0) as store:
        session = store.session("u")
        session.save({"depth": 0})
        for depth in range(snapshots.MAX_LINEAGE + 1):
            session = session.fork(f"level {depth}")
            session.save({"depth": depth})
        for _ in range(5):
            assert session.state() == {"depth": snapshots.MAX_LINEAGE}
        assert len(store._journal.snapshots._pending) == 1
        with StateStore(tmp_path / "a.db", read_only=True, cache_bytes=0) as reader:
            assert reader.session("u", branch=session.branch).state() == session.state()
            assert not reader._journal.snapshots.pending


def test_dropping_them_all_changes_no_state(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal", snapshot_every=3) as store:
        session = store.session("u")
        talk(session, 40)
        before = list(session.replay())
        assert versions(store)
        store.drop_snapshots()
        assert versions(store) == []
        assert [state for _, state in session.replay()] == [state for _, state in before]
        assert [session.state(at=turn) for turn, _ in before] == [state for _, state in before]
        assert store.verify().ok
        talk(session, 10)
        assert versions(store)


def test_the_cache_holds_no_more_than_it_may(tmp_path: Path) -> None:
    limit = 50_000
    with StateStore(tmp_path / "a.db", durability="normal", cache_bytes=limit) as store:
        for user in range(200):
            store.session(str(user)).save({"text": "x" * 1000})
            assert store._journal.heads.size <= limit
        assert 0 < store.stats().cached < 60
        assert [store.session(str(user)).state() for user in range(200)] == [{"text": "x" * 1000}] * 200
