"""What a commit costs the disk, and what is said when it fails; `tests.sweeps` is about what is left then."""

from __future__ import annotations

import contextlib
import re
import statistics
from typing import TYPE_CHECKING

import apsw
import pytest

from eventstate import (
    EventStateError,
    Session,
    StateStore,
    StorageError,
    StoreClosedError,
)
from eventstate.testing import FaultyDisk
from tests.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.promises import Proofs


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with FaultyDisk() as disk:
        yield disk


def prepare(store: StateStore) -> Session:
    """Bring a session into the state in which every kind of commit can be made."""
    session = store.session("u")
    session.save({"n": 1, "messages": ["one"]})
    session.save({"n": 2, "messages": ["one", "two"]})
    session.fork("other").save({"n": 2, "messages": ["one", "two"], "theirs": True})
    session.note("noted")
    session.save({"n": 3, "messages": ["one", "two"]})
    return session


def talk(session: Session, turn: int) -> None:
    with session.round() as state:
        state.setdefault("messages", []).append({"role": "user", "content": f"{turn:06} " * 30})
        state["turn"] = turn


WRITES: dict[str, Callable[[StateStore, Session], object]] = {
    "save": lambda _, session: session.save({"n": 4, "text": "x" * 10_000}),
    "round": lambda _, session: talk(session, 4),
    "update": lambda _, session: session.update(lambda state: state.update(n=4)),
    "rollback": lambda _, session: session.rollback(1),
    "undo": lambda _, session: session.undo(),
    "note": lambda _, session: session.note("tool.called", {"name": "search"}),
    "tag": lambda _, session: session.tag("here"),
    "fork": lambda _, session: session.fork("one more", at=1),
    "merge": lambda store, session: session.merge(store.session("u", branch="other")),
}

READS: dict[str, Callable[[StateStore, Session], object]] = {
    "state": lambda _, session: (session.state(), session.state(at=1), session.state(version=2)),
    "replay": lambda _, session: list(session.replay()),
    "history": lambda _, session: [(change.before, change.after) for change in session.history("messages")],
    "blame": lambda _, session: session.blame(),
    "diff": lambda _, session: list(session.diff(1, 2)),
    "rounds": lambda _, session: list(session.rounds()),
    "notes": lambda _, session: list(session.notes()),
    "tags": lambda _, session: session.tags(),
    "bisect": lambda _, session: session.bisect(lambda state: state["n"] < 2),
    "what_if": lambda _, session: contextlib.ExitStack().enter_context(session.what_if()),
    "sessions": lambda store, _: list(store.sessions()),
    "commits": lambda store, _: list(store.commits()),
    "tables": lambda store, _: store.tables().conn.close(),
    "stats": lambda store, _: store.stats(),
    "verify": lambda store, _: store.verify(),
}


@pytest.mark.parametrize("every", [None, 1], ids=["no snapshot due", "a snapshot due"])
@pytest.mark.parametrize("kind", WRITES)
def test_a_durable_commit_costs_one_fsync(
    tmp_path: Path, disk: FaultyDisk, proved: Proofs, kind: str, every: int | None
) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name, snapshot_every=every) as store:
        session = prepare(store)
        assert store._journal.snapshots.pending == (every is not None)
        before = len(list(store.commits()))
        disk.forget()
        WRITES[kind](store, session)
        assert disk.fsyncs == {"a.db-wal": 1}
        assert disk.log[-1].kind == "sync"
        assert len(list(store.commits())) == before + 1
    proved("one fsync")


@pytest.mark.parametrize("every", [None, 1], ids=["no snapshot due", "a snapshot due"])
@pytest.mark.parametrize("kind", WRITES)
def test_with_normal_durability_a_commit_costs_no_fsync(
    tmp_path: Path, disk: FaultyDisk, proved: Proofs, kind: str, every: int | None
) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name, snapshot_every=every, durability="normal") as store:
        session = prepare(store)
        before = len(list(store.commits()))
        disk.forget()
        WRITES[kind](store, session)
        assert disk.fsyncs.total() == 0
        assert disk.count("write", "a.db-wal") > 0
        assert len(list(store.commits())) == before + 1
    proved("one fsync")


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("kind", READS)
def test_reading_writes_and_syncs_nothing(tmp_path: Path, disk: FaultyDisk, kind: str, *, warm: bool) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        prepare(store)
        with contextlib.nullcontext(store) if warm else StateStore(tmp_path / "a.db", vfs=disk.name) as used:
            disk.forget()
            READS[kind](used, used.session("u"))
            assert {seen.kind for seen in disk.log} <= {"open", "create", "read"}


def test_opening_a_store_and_closing_it_writes_and_syncs_nothing(tmp_path: Path, disk: FaultyDisk) -> None:
    with StateStore(tmp_path / "a.db") as store:
        prepare(store)
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        assert store.session("u").state()
    assert disk.written() == disk.fsyncs.total() == 0


def test_a_saved_state_that_did_not_change_writes_nothing_when_asked_so(
    tmp_path: Path, disk: FaultyDisk
) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        session = prepare(store)
        disk.forget()
        session.save(session.state(), if_changed=True)
        assert {seen.kind for seen in disk.log} <= {"read"}


def test_a_live_turn_runs_the_same_few_statements_however_long_the_session_is(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        at: dict[int, list[str]] = {}
        for turn in range(1, 1001):
            if turn in {10, 1000}:
                at[turn] = statements(store, lambda turn=turn: talk(session, turn))  # type: ignore[misc]
            else:
                talk(session, turn)
        assert at[10] == at[1000]
        assert len(at[10]) <= 8


def test_a_live_turn_writes_about_as_much_however_long_the_session_is(
    tmp_path: Path, disk: FaultyDisk
) -> None:
    with StateStore(tmp_path / "a.db", durability="normal", vfs=disk.name) as store:
        session = store.session("u")
        sizes = []
        for turn in range(1, 1021):
            disk.forget()
            talk(session, turn)
            sizes.append(disk.written("a.db-wal"))
        assert len(store._journal.codec.encode(session.state())) > 200_000
        # The middle of some turns: a page that fills up, or a snapshot, falls into one of them.
        early, late = statistics.median(sizes[10:30]), statistics.median(sizes[1000:1020])
        assert late <= 1.5 * early
        assert late < 40_000


# A disk that fails.


@pytest.mark.parametrize("kind", READS)
def test_a_read_that_fails_leaves_the_store_as_it_was(tmp_path: Path, disk: FaultyDisk, kind: str) -> None:
    path = tmp_path / "a.db"
    with StateStore(path) as store:
        prepare(store)
        expected = list(store.session("u").replay())
    for nth in range(1, 200):
        with StateStore(path, vfs=disk.name) as store:
            session = store.session("u")
            disk.fail(nth)
            errors = []
            try:
                READS[kind](store, session)
            except EventStateError as error:
                errors.append(error)
            disk.heal()
            # To verify, a disk that fails is a finding, not an error.
            assert bool(errors) == (disk.failures > 0 and kind != "verify")
            assert all(isinstance(error, StorageError) and str(path) in str(error) for error in errors)
            assert list(session.replay()) == expected
            assert session.state() == expected[-1][1]
            READS[kind](store, session)
        if not disk.failures:
            break
    else:
        pytest.fail("the read never passed untouched")
    assert nth > 1


def test_a_full_disk_is_a_storage_error_that_names_the_file_and_nothing_is_written(
    tmp_path: Path, disk: FaultyDisk
) -> None:
    path = tmp_path / "a.db"
    with StateStore(path, vfs=disk.name) as store:
        session = prepare(store)
        before, version = session.state(), session.version
        for kind, write in WRITES.items():
            disk.fail(1, apsw.SQLITE_FULL, kinds=frozenset({"write"}), lasting=True)
            with pytest.raises(StorageError, match="disk is full") as caught:
                write(store, session)
            assert str(path) in str(caught.value)
            assert isinstance(caught.value, OSError), kind
            assert session.state() == before
            assert session.version == version
        disk.heal()
        assert session.branches() == ["main", "other"]
        # What takes the number of the branch that was not made is a branch of its own.
        assert session.fork("instead", at=2).state() == session.state(at=2)
        for write in WRITES.values():
            write(store, session)
        assert store.verify().ok


def test_an_edit_that_a_full_disk_refused_is_gone_from_the_next_live_round(
    tmp_path: Path, disk: FaultyDisk
) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        session = prepare(store)
        before = session.state()
        disk.fail(1, apsw.SQLITE_FULL, kinds=frozenset({"write"}), lasting=True)
        with pytest.raises(StorageError), session.round() as state:
            state["messages"].append("lost")
            state["lost"] = True
        disk.heal()
        with session.round() as state:
            assert state == before
            state["found"] = True
        assert session.state() == before | {"found": True}


def test_a_transaction_that_cannot_be_taken_back_closes_the_store_and_frees_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with StateStore(path) as store:
        session = prepare(store)
        before = session.state()
        connection = store._journal.connection._db
        assert connection is not None
        connection.exec_trace = lambda _, statement, __: statement not in {"COMMIT", "ROLLBACK"}
        with pytest.raises(StorageError, match=re.escape(str(path))):
            session.save({"n": 4})
        assert store.closed
        with pytest.raises(StoreClosedError):
            session.state()
    with StateStore(path, timeout=0) as store:
        assert store.session("u").state() == before
        store.session("u").save({"n": 5})
        assert store.verify().ok
