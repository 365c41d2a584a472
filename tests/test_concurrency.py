"""Threads and processes on one store: nothing is lost, nobody waits for another's body, all is noticed."""

from __future__ import annotations

import multiprocessing
import threading
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import ConflictError, StateStore, StoreClosedError
from eventstate.journal.records import Branch
from tests.stores import ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

    from eventstate import Session

pytestmark = pytest.mark.proves("processes")

THREADS, PROCESSES, TIMES = 8, 4, 20
PATIENCE = 120
"""Seconds after which something hangs; nothing here takes a hundredth of it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
def store(path: Path) -> Iterator[StateStore]:
    with StateStore(path) as store:
        yield store
        if not store.closed:
            report = store.verify()
            assert report.ok, str(report)


_barrier: Barrier | None = None


def _begin(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 - a barrier can't be sent to a process that runs already
    _barrier = barrier


@pytest.fixture(scope="module")
def others() -> Iterator[ProcessPoolExecutor]:
    """Other processes, which share nothing with this one but files."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, _begin, (context.Barrier(PROCESSES),)) as pool:
        yield pool


def together() -> None:
    assert _barrier is not None
    _barrier.wait(PATIENCE)


# What the others do


def increment(session: Session, times: int) -> list[int]:
    return [session.update(lambda state: state.update(n=state.get("n", 0) + 1)).id for _ in range(times)]


def open_and_increment(path: Path, times: int) -> list[int]:
    with StateStore(path) as store:
        together()
        return increment(store.session("alice"), times)


def open_and_save_twins(path: Path, times: int) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        together()
        for number in range(times):
            session.update(lambda state, number=number: state.update(a=number, b=[number]))  # type: ignore[misc]


def make(folder: Path, number: int, files: int) -> list[int]:
    versions = []
    for name in range(files):
        together()
        with StateStore(folder / f"{name}.db") as store:
            versions.append(store.session(f"user-{number}").save({"n": number}).version)
    return versions


def do(path: Path, what: str) -> Any:
    with StateStore(path) as store:
        session = store.session("alice")
        if what == "save":
            return session.save({"by": "another process"}).id
        if what == "hold":
            with session.round() as state:
                state["held"] = True
                together()  # the others commit meanwhile
                together()
            return None
        together()
        session.update(lambda state: state.update(free=True))
        together()
        return session.state()


# Nothing is lost


@pytest.mark.parametrize("shared", [True, False], ids=["one session object", "one each"])
def test_threads_that_count_together_lose_no_count(store: StateStore, *, shared: bool) -> None:
    session = store.session("alice")
    with ThreadPoolExecutor(THREADS) as threads:
        runs = [
            threads.submit(increment, session if shared else store.session("alice"), TIMES)
            for _ in range(THREADS)
        ]
        numbers = [number for run in runs for number in run.result(PATIENCE)]
    assert session.state() == {"n": THREADS * TIMES}
    assert sorted(numbers) == ids(session) == list(range(1, THREADS * TIMES + 1))
    assert [state["n"] for _, state in session.replay()] == list(range(1, THREADS * TIMES + 1))


def test_processes_that_count_together_lose_no_count(
    path: Path, store: StateStore, others: ProcessPoolExecutor
) -> None:
    session = store.session("alice")
    session.save({"n": 0}, round_id=0)
    runs = [others.submit(open_and_increment, path, TIMES) for _ in range(PROCESSES)]
    mine = increment(session, TIMES)
    numbers = mine + [number for run in runs for number in run.result(PATIENCE)]
    total = (PROCESSES + 1) * TIMES
    assert session.state() == {"n": total}
    assert sorted(numbers) == list(range(1, total + 1))
    assert ids(session) == list(range(total + 1))
    assert [state["n"] for _, state in session.replay()] == list(range(total + 1))


def test_automatic_rounds_of_concurrent_saves_are_all_different(
    store: StateStore,
) -> None:
    sessions = [store.session("alice") for _ in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        runs = [
            threads.submit(session.save, {"by": number, "time": time})
            for time in range(TIMES)
            for number, session in enumerate(sessions)
        ]
        turns = [run.result(PATIENCE) for run in runs]
    assert sorted(turn.id for turn in turns) == list(range(1, THREADS * TIMES + 1))
    for number, turn in enumerate(turns):
        assert sessions[0].state(at=turn.id) == {"by": number % THREADS, "time": number // THREADS}


def test_threads_that_write_different_sessions_do_not_disturb_each_other(store: StateStore) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        runs = [threads.submit(increment, store.session(f"user-{n}"), TIMES) for n in range(THREADS)]
        assert all(run.result(PATIENCE) == list(range(1, TIMES + 1)) for run in runs)
    assert [store.session(f"user-{n}").state() for n in range(THREADS)] == [{"n": TIMES}] * THREADS


def test_threads_may_do_anything_at_once(store: StateStore) -> None:
    session = store.session("alice")
    session.save({"n": 0})

    def work(number: int) -> None:
        mine = store.session("alice")
        for time in range(TIMES // 2):
            mine.update(lambda state: state.update(n=state["n"] + 1))
            mine.note("called", number)
            mine.tag(f"{number}-{time}")
            other = mine.fork(f"{number}-{time}")
            other.save({"n": -1})
            mine.merge(other, lambda conflict: conflict.ours)
            mine.history("n")[-1].after  # noqa: B018 - it is folded when asked for
            store.drop_snapshots()
            store.stats()

    with ThreadPoolExecutor(THREADS) as threads:
        for run in [threads.submit(work, number) for number in range(THREADS)]:
            run.result(PATIENCE)
    assert len([change for change in session.history("n") if change.op == "set"]) >= THREADS * TIMES // 2
    assert len(session.tags()) == THREADS * (TIMES // 2)
    assert len(session.branches()) == 1 + THREADS * (TIMES // 2)
    assert len(list(session.notes("called"))) == THREADS * (TIMES // 2)


def test_nobody_reads_half_a_commit(path: Path, store: StateStore, others: ProcessPoolExecutor) -> None:
    session = store.session("alice")
    session.save({"a": -1, "b": [-1]})
    runs = [others.submit(open_and_save_twins, path, TIMES) for _ in range(PROCESSES)]
    seen = 0
    while not all(run.done() for run in runs) or seen == 0:
        state = session.state()
        assert state["b"] == [state["a"]]
        seen += 1
    for run in runs:
        run.result(PATIENCE)


# A stale round


def test_a_stale_round_is_a_conflict_and_writes_nothing(
    path: Path, store: StateStore, others: ProcessPoolExecutor
) -> None:
    session = store.session("alice")
    session.save({"n": 0})
    with pytest.raises(ConflictError), session.round() as state:
        state["n"] = 1
        assert others.submit(do, path, "save").result(PATIENCE) == 2
    assert session.state() == {"by": "another process"}
    with pytest.raises(ConflictError), session.round() as state:
        state["n"] = 1
        with ThreadPoolExecutor(1) as thread:
            thread.submit(store.session("alice").save, {"by": "a thread"}).result(PATIENCE)
    assert session.state() == {"by": "a thread"}
    assert ids(session) == [1, 2, 3]


# Nobody waits for another's body


def test_a_slow_body_delays_nobody_else(path: Path, store: StateStore, others: ProcessPoolExecutor) -> None:
    session = store.session("alice")
    session.save({"n": 0})
    with store.session("bob").round() as state:
        state["n"] = "slow"
        # All of this happens before the body ends, or never.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(session.update, lambda live: live.update(n=1)).result(PATIENCE)
            thread.submit(session.fork, "other").result(PATIENCE)
            thread.submit(store.verify).result(PATIENCE)
        assert others.submit(do, path, "save").result(PATIENCE) == 3
        assert session.state() == {"by": "another process"}
    assert store.session("bob").state() == {"n": "slow"}


def test_a_slow_update_delays_nobody_else(store: StateStore) -> None:
    session, other = store.session("alice"), store.session("bob")

    def slow(state: Any) -> None:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(other.update, lambda live: live.update(n=1)).result(PATIENCE)
        state["n"] = 2

    session.update(slow)
    assert session.state() == {"n": 2}
    assert other.state() == {"n": 1}


def test_a_body_held_open_by_a_process_delays_no_other_process(
    path: Path, store: StateStore, others: ProcessPoolExecutor
) -> None:
    store.session("alice").save({})
    runs = [others.submit(do, path, what) for what in ("hold", "free", "free", "free")]
    for run in runs[1:]:
        assert run.result(PATIENCE) == {"free": True}
    assert isinstance(runs[0].exception(PATIENCE), ConflictError)


# A new file


def test_processes_may_make_the_same_new_file_at_once(tmp_path: Path, others: ProcessPoolExecutor) -> None:
    files = 12
    runs = [others.submit(make, tmp_path, number, files) for number in range(PROCESSES)]
    for run in runs:
        assert run.result(PATIENCE) == [1] * files
    for name in range(files):
        with StateStore(tmp_path / f"{name}.db") as store:
            assert [info.user_id for info in store.sessions()] == [f"user-{n}" for n in range(PROCESSES)]
            assert store.verify().ok


# What another process wrote is noticed


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda session: session.state(), id="state"),
        pytest.param(lambda session: list(session.replay())[-1][1], id="replay"),
        pytest.param(lambda session: session.state(at=session.latest.id), id="latest"),
        pytest.param(lambda session: session.state(version=session.version), id="version"),
    ],
)
def test_a_commit_of_another_process_is_noticed(
    path: Path, store: StateStore, others: ProcessPoolExecutor, look: Callable[[Session], Any]
) -> None:
    session = store.session("alice")
    session.save({"n": 0})
    assert look(session) == {"n": 0}
    others.submit(do, path, "save").result(PATIENCE)
    assert look(session) == {"by": "another process"}


def test_a_round_and_an_update_begin_with_what_another_process_wrote(
    path: Path, store: StateStore, others: ProcessPoolExecutor
) -> None:
    session = store.session("alice")
    session.save({"n": 0})
    others.submit(do, path, "save").result(PATIENCE)
    with session.round() as state:
        assert state == {"by": "another process"}
        state["then"] = 1
    others.submit(do, path, "save").result(PATIENCE)
    session.update(lambda state: state.update(then=2))
    assert session.state() == {"by": "another process", "then": 2}
    assert ids(session) == [1, 2, 3, 4, 5]


# While others write


def test_verify_finds_nothing_wrong_while_others_write(path: Path, store: StateStore) -> None:
    session = store.session("alice")
    for number in range(300):
        session.note("n", number)
    session.save({"n": 0})
    with StateStore(path, snapshot_every=1) as second:
        other = second.session("alice")
        calls: list[tuple[int, int]] = []

        def meanwhile(done: int, total: int) -> None:
            calls.append((done, total))
            fork = other.fork(f"fork-{done}")
            for number in range(3):
                fork.save({"n": number})
            fork.tag(f"tag-{done}")
            other.merge(fork)
            second.session(f"user-{done}").save({})
            store.drop_snapshots()

        report = store.verify(meanwhile)
        assert report.ok, str(report)
        assert len(calls) >= 2


def test_a_store_closed_under_its_threads_leaves_a_whole_file(path: Path, store: StateStore) -> None:
    session = store.session("alice")
    session.save({"n": 0})
    started = threading.Barrier(THREADS + 1)

    def work() -> int:
        done = 0
        started.wait(PATIENCE)
        try:
            while True:
                session.update(lambda state: state.update(n=state["n"] + 1))
                done += 1
        except StoreClosedError:
            return done

    with ThreadPoolExecutor(THREADS) as threads:
        runs = [threads.submit(work) for _ in range(THREADS)]
        started.wait(PATIENCE)
        while session.version < 50:
            pass
        store.close()
        done = sum(run.result(PATIENCE) for run in runs)
    with StateStore(path) as again:
        assert again.verify().ok
        # What was acknowledged is there; a commit that was made as the store closed may be there too.
        assert 0 <= again.session("alice").state()["n"] - done <= THREADS


def test_a_backup_made_while_others_write_is_whole(tmp_path: Path, store: StateStore) -> None:
    session = store.session("alice")
    session.save({"n": 0})
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            session.update(lambda state: state.update(n=state["n"] + 1))

    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(write) for _ in range(2)]
        try:
            for number in range(5):
                before = session.state()["n"]
                store.backup(tmp_path / f"copy-{number}.db")
                with StateStore(tmp_path / f"copy-{number}.db") as copied:
                    assert copied.verify().ok
                    assert before <= copied.session("alice").state()["n"]
        finally:
            stop.set()
        for run in runs:
            run.result(PATIENCE)


def test_a_feed_that_is_read_while_others_write_misses_nothing(store: StateStore) -> None:
    session = store.session("alice")
    with ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(partial(session.note, "n", number)) for number in range(400)]
        seen: list[int] = []
        while len(seen) < 400:
            seen += [commit.position for commit in store.commits(after=seen[-1] if seen else 0)]
        for run in runs:
            run.result(PATIENCE)
    assert seen == list(range(1, 401))


def test_a_fork_is_found_with_its_past_while_another_thread_forgets_what_was_read() -> None:
    with StateStore(":memory:") as store:
        session = store.session("u")
        session.save({"n": 1})
        session.fork("fork").save({"n": 1, "m": 2})
        store._journal.forget()
        branches = store._journal.branches

        class Forgetful(OrderedDict[int, Branch]):
            """Whoever looks, finds, and then all is forgotten."""

            def __contains__(self, number: object) -> bool:
                found = super().__contains__(number)
                branches.forget()
                return found

            def get(self, number: int, default: Any = None) -> Any:
                found = super().get(number, default)
                branches.forget()
                return found

        branches._known = Forgetful({1: branches.get(1)})
        assert store.session("u", branch="fork").state() == {"n": 1, "m": 2}
