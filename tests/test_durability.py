"""What a commit costs the disk, and what is left when the disk fails or the process dies."""

from __future__ import annotations

import bisect
import contextlib
import random
import re
import signal
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal

import apsw
import pytest

from eventstate import (
    BranchExistsError,
    EventStateError,
    Session,
    StateStore,
    StorageError,
    StoreClosedError,
)
from tests.conftest import REPOSITORY
from tests.vfs import Disk, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def disk() -> Iterator[Disk]:
    with Disk() as disk:
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
def test_a_durable_commit_costs_one_fsync(tmp_path: Path, disk: Disk, kind: str, every: int | None) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name, snapshot_every=every) as store:
        session = prepare(store)
        assert store._journal.snapshots.pending == (every is not None)
        before = len(list(store.commits()))
        disk.log.clear()
        WRITES[kind](store, session)
        assert disk.count("sync", "-wal") == 1
        assert disk.count("sync") == 1
        assert disk.log[-1].kind == "sync"
        assert len(list(store.commits())) == before + 1


@pytest.mark.parametrize("every", [None, 1], ids=["no snapshot due", "a snapshot due"])
@pytest.mark.parametrize("kind", WRITES)
def test_with_normal_durability_a_commit_costs_no_fsync(
    tmp_path: Path, disk: Disk, kind: str, every: int | None
) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name, snapshot_every=every, durability="normal") as store:
        session = prepare(store)
        before = len(list(store.commits()))
        disk.log.clear()
        WRITES[kind](store, session)
        assert disk.count("sync") == 0
        assert disk.count("write", "-wal") > 0
        assert len(list(store.commits())) == before + 1


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("kind", READS)
def test_reading_writes_and_syncs_nothing(tmp_path: Path, disk: Disk, kind: str, *, warm: bool) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        prepare(store)
        with contextlib.nullcontext(store) if warm else StateStore(tmp_path / "a.db", vfs=disk.name) as used:
            disk.log.clear()
            READS[kind](used, used.session("u"))
            assert {seen.kind for seen in disk.log} <= {"read"}


def test_opening_a_store_and_closing_it_writes_and_syncs_nothing(tmp_path: Path, disk: Disk) -> None:
    with StateStore(tmp_path / "a.db") as store:
        prepare(store)
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        assert store.session("u").state()
    assert disk.count("write") == disk.count("sync") == 0


def test_a_saved_state_that_did_not_change_writes_nothing_when_asked_so(tmp_path: Path, disk: Disk) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        session = prepare(store)
        disk.log.clear()
        session.save(session.state(), if_changed=True)
        assert {seen.kind for seen in disk.log} <= {"read"}


def statements(store: StateStore, action: Callable[[], object]) -> list[str]:
    """Give the statements that SQLite runs for `action`."""
    seen: list[str] = []
    connection = store._journal.connection._db
    assert connection is not None

    def trace(_: Any, statement: str, __: Any) -> bool:
        seen.append(statement)
        return True

    connection.exec_trace = trace
    try:
        action()
    finally:
        connection.exec_trace = None
    return seen


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


def test_a_live_turn_writes_about_as_much_however_long_the_session_is(tmp_path: Path, disk: Disk) -> None:
    with StateStore(tmp_path / "a.db", durability="normal", vfs=disk.name) as store:
        session = store.session("u")
        sizes = []
        for turn in range(1, 1021):
            disk.log.clear()
            talk(session, turn)
            sizes.append(disk.written("-wal"))
        assert len(store._journal.codec.encode(session.state())) > 200_000
        # The middle of some turns: a page that fills up, or a snapshot, falls into one of them.
        early, late = statistics.median(sizes[10:30]), statistics.median(sizes[1000:1020])
        assert late <= 1.5 * early
        assert late < 40_000


# A disk that fails.


def _save(session: Session) -> None:
    session.save({"steps": ["save"], "text": "x" * 9000, "save": True}, commit_id="save")


def _round(session: Session) -> None:
    with session.round(commit_id="round") as state:
        state["steps"].append("round")
        state["long"] = "y" * 9000
        state["round"] = True


def _update(session: Session) -> None:
    def change(state: Any) -> None:
        state["steps"].append("update")
        state.pop("text", None)  # it may be gone: a commit can have been made though its checkpoint failed
        state["update"] = True

    session.update(change, commit_id="update")


def _fork(session: Session) -> None:
    with contextlib.suppress(BranchExistsError):  # the first try came through after all
        session.fork("other", at=1)


def _note(session: Session) -> None:
    session.note("noted")


STEPS: dict[str, Callable[[Session], None]] = {
    "save": _save,
    "round": _round,
    "update": _update,
    "fork": _fork,
    "note": _note,
}
STATES: dict[int, dict[str, Any]] = {
    1: {"steps": ["save"], "text": "x" * 9000, "save": True},
    2: {"steps": ["save", "round"], "text": "x" * 9000, "save": True, "long": "y" * 9000, "round": True},
    3: {
        "steps": ["save", "round", "update"],
        "save": True,
        "long": "y" * 9000,
        "round": True,
        "update": True,
    },
}


def check(path: Path, done: list[str]) -> None:
    """Assert that a file holds what was acknowledged, and else only whole commits in their order."""
    with StateStore(path) as store:
        report = store.verify()
        assert report.ok, str(report)
        session = store.session("u")
        present = [turn.id for turn in session.rounds()] if session.exists else []
        assert present == list(range(1, len(present) + 1))
        assert len(present) >= len({"save", "round", "update"} & set(done))
        assert {turn.id: state for turn, state in session.replay()} == {
            number: STATES[number] for number in present
        }
        if present:
            assert session.state() == STATES[present[-1]]
        if "fork" in done:
            assert store.session("u", branch="other").state() == STATES[1]
        if "note" in done:
            assert "noted" in [note.name for note in session.notes()]


class Worker:
    """Does the steps on a failing disk, each again after its failure, as the errors tell."""

    def __init__(self, path: Path, disk: Disk, pages: int) -> None:
        self.path = path
        self.disk = disk
        self.pages = pages
        self.store: StateStore | None = None
        self.session: Session | None = None
        self.done: list[str] = []
        self.errors: list[EventStateError] = []

    def open(self) -> Session:
        """Give the session, the same one as long as its store is open."""
        if self.store is None:
            self.store = StateStore(self.path, vfs=self.disk.name, snapshot_every=1)
            # Small, so that checkpoints fall in.
            self.store._journal.connection.pragma("wal_autocheckpoint", self.pages)
            self.session = None
        if self.session is None:
            self.session = self.store.session("u")
        return self.session

    def failed(self, error: EventStateError) -> None:
        """Look at what a failure has left, and go on with a disk that works."""
        self.errors.append(error)
        assert len(self.errors) == 1, "an error, though the disk works again"
        assert str(self.path) in str(error)
        assert isinstance(error, StorageError)
        self.disk.heal()
        if self.store is not None and self.store.closed:
            with pytest.raises(StoreClosedError):
                self.store.session("u").state()
            self.store = None

    def work(self) -> None:
        for name, step in STEPS.items():
            for _ in range(2):
                try:
                    step(self.open())
                except EventStateError as error:
                    self.failed(error)
                else:
                    self.done.append(name)
                    break
        self.open()
        store = self.store
        assert store is not None
        try:
            store.close()
        except EventStateError as error:
            self.failed(error)
        assert store.closed


@pytest.mark.parametrize("pages", [1000, 3], ids=["no checkpoint", "checkpoints"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "until healed"])
def test_a_failing_disk_loses_nothing_acknowledged_and_leaves_the_store_usable_or_closed(
    tmp_path: Path, disk: Disk, *, lasting: bool, pages: int
) -> None:
    kinds = set()
    for nth in range(1, 2000):
        folder = tmp_path / str(nth)
        folder.mkdir()
        worker = Worker(folder / "a.db", disk, pages)
        disk.log.clear()
        disk.fail(nth, lasting=lasting)
        worker.work()
        failures = disk.failures
        disk.heal()
        assert worker.done == list(STEPS)
        check(worker.path, worker.done)
        if not failures:
            break
        kinds.add(disk.log[nth - 1].kind)
    else:
        pytest.fail("the run never passed untouched")
    assert kinds >= {"read", "write", "sync"}


@pytest.mark.parametrize("kind", READS)
def test_a_read_that_fails_leaves_the_store_as_it_was(tmp_path: Path, disk: Disk, kind: str) -> None:
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
    tmp_path: Path, disk: Disk
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
    tmp_path: Path, disk: Disk
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


# A machine that stops.


class Platter:
    """What of a log of operations is on the disk for sure, and what was asked since the last fsync."""

    def __init__(self) -> None:
        self._safe: dict[str, bytearray] = {}
        self._open: dict[str, list[Operation]] = {}

    def take(self, operation: Operation) -> None:
        part = operation.file
        if operation.kind == "delete":
            self._safe.pop(part, None)
            self._open.pop(part, None)
        elif operation.kind == "sync":
            for waiting in self._open.pop(part, []):
                _apply(self._safe.setdefault(part, bytearray()), waiting)
        elif operation.kind != "read":
            self._open.setdefault(part, []).append(operation)

    def cut(self, path: Path, keep: Callable[[Operation], float]) -> None:
        """Write the files as a power cut leaves them: of what is not safe, `keep` says how much is there."""
        for part in {*self._safe, *self._open}:
            data = bytearray(self._safe.get(part, b""))
            for waiting in self._open.get(part, []):
                share = keep(waiting)
                if share == 1:
                    _apply(data, waiting)
                elif share and waiting.data:
                    cut = waiting.data[: int(len(waiting.data) * share)]
                    _apply(data, waiting._replace(data=cut))
            path.with_name(path.name + part).write_bytes(data)


def _apply(data: bytearray, operation: Operation) -> None:
    if operation.kind == "truncate":
        del data[operation.offset :]
        return
    data.extend(bytes(max(operation.offset - len(data), 0)))
    data[operation.offset : operation.offset + len(operation.data)] = operation.data


KEEPS: dict[str, Callable[[random.Random], Callable[[Operation], float]]] = {
    "nothing": lambda _: lambda _: 0,
    "everything": lambda _: lambda _: 1,
    "any part": lambda rng: lambda _: rng.choice([0, 0, rng.random(), 1, 1]),
}


@pytest.mark.parametrize("kept", KEEPS)
@pytest.mark.parametrize("durability", ["full", "normal"])
def test_a_power_cut_takes_no_acknowledged_commit_and_with_normal_durability_only_the_newest(
    tmp_path: Path, disk: Disk, durability: Literal["full", "normal"], kept: str
) -> None:
    acknowledged: list[int] = []  # the length of the log after each round
    with StateStore(tmp_path / "a.db", vfs=disk.name, durability=durability, snapshot_every=4) as store:
        store._journal.connection.pragma("wal_autocheckpoint", 16)
        for turn in range(1, 13):
            talk(store.session("u"), turn)
            acknowledged.append(len(disk.log))
    keep = KEEPS[kept](random.Random(kept))
    platter, lost = Platter(), 0
    for moment, operation in enumerate(disk.log):
        platter.take(operation)
        if operation.kind == "read" or moment < acknowledged[0]:
            continue
        folder = tmp_path / str(moment)
        folder.mkdir()
        platter.cut(folder / "a.db", keep)
        safe = bisect.bisect_right(acknowledged, moment + 1)
        with StateStore(folder / "a.db") as store:
            assert store.verify().ok
            rounds = [turn.id for turn in store.session("u").rounds()]
            assert rounds == list(range(1, len(rounds) + 1))
            assert len(rounds) <= safe + 1
            lost += max(safe - len(rounds), 0)
            if rounds:
                state = store.session("u").state()
                assert (state["turn"], len(state["messages"])) == (rounds[-1], rounds[-1])
    assert lost == 0 or durability == "normal"
    assert lost > 0 or (durability, kept) != ("normal", "nothing")


def save_forever(path: str) -> None:
    """Save round after round, and print each when it is acknowledged; run in a process of its own."""
    with StateStore(path) as store:
        session = store.session("u")
        while True:
            with session.round() as state:
                turn = len(state.setdefault("turns", [])) + 1
                state["first"] = turn
                state["turns"].append(turn)
                state["text"] = "x" * (turn % 7 * 1000)
                state["last"] = turn
            sys.stdout.write(f"{session.version} {turn}\n")
            sys.stdout.flush()


def test_a_process_killed_while_it_saves_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    command = [sys.executable, "-c", "import sys; from tests.test_durability import save_forever as run; "]
    command[-1] += "run(sys.argv[1])"
    for wanted in (1, 10, 50):
        with subprocess.Popen([*command, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(wanted)]
            child.kill()
            lines += child.stdout.readlines()
        assert child.returncode == -signal.SIGKILL
        acknowledged = [int(turn) for _, turn in map(bytes.split, lines)]
        with StateStore(path) as store:
            assert store.verify().ok
            session = store.session("u")
            rounds = [turn.id for turn in session.rounds()]
            assert len(acknowledged) >= wanted
            assert rounds == list(range(1, len(rounds) + 1))
            assert len(rounds) - acknowledged[-1] in {0, 1}
            for turn, state in session.replay():
                assert (state["first"], state["last"]) == (turn.id, turn.id)
                assert state["turns"] == list(range(1, turn.id + 1))
