"""The locks of a live file: what drops them, and that nothing in this library does.

POSIX drops all of a process's locks on a file when the process closes any descriptor of it. SQLite
knows and takes care of its own descriptors, but each copy of SQLite in a process only of its own: the
standard library's and apsw's do not know of each other. A store whose lock is gone looks to other
processes as if nobody had it open, and the next of them to leave takes the log away with it.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("fcntl", reason="POSIX locks are a matter of POSIX")

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.proves("processes")

PROBE = """
import fcntl, sys

# The bytes by whose lock SQLite tells that somebody has the file open: see os.h, SHARED_FIRST.
for name in sys.stdin:
    with open(name.strip(), "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000000 + 2)
            print("free", flush=True)
        except OSError:
            print("held", flush=True)
"""


class Probe:
    """Another process, which looks whether a file's lock is held."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def held(self, path: Path) -> bool:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(path, file=self.process.stdin, flush=True)
        return {"held": True, "free": False}[self.process.stdout.readline().strip()]

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.close()


def run(script: str, *arguments: object) -> str:
    """Run Python code in a process of its own and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# The hazard, without which the rest of this file would prove nothing


VICTIM = """
    import os, sqlite3, subprocess, sys
    from eventstate import StateStore

    path, careless = sys.argv[1:]
    store = StateStore(path)
    session = store.session("alice")
    session.save({"n": 1})

    if careless == "open":  # as a program does that copies the files
        for name in (path, path + "-wal", path + "-shm"):
            open(name, "rb").close()
    elif careless == "sqlite3":
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        connection.execute("SELECT count(*) FROM commits").fetchall()
        connection.close()

    other = '''if True:
        import sys
        from eventstate import StateStore
        with StateStore(sys.argv[1]) as store:
            store.session("bob").save({"n": 1})
    '''
    subprocess.run([sys.executable, "-c", other, path], check=True)
    session.save({"n": 2})
    print("acknowledged", flush=True)
    os._exit(1)  # a crash: the process, not the disk
"""


def after_a_crash(path: Path, careless: str) -> dict[str, int]:
    script = textwrap.dedent(VICTIM)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), careless],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.stdout == "acknowledged\n", done.stderr
    with StateStore(path) as store:
        found: dict[str, int] = store.session("alice").state()
        return found


def test_an_acknowledged_commit_survives_a_crash_if_nobody_opened_the_file_otherwise(tmp_path: Path) -> None:
    assert after_a_crash(tmp_path / "agent.db", "nothing") == {"n": 2}


@pytest.mark.parametrize("careless", ["open", "sqlite3"])
def test_opening_the_file_otherwise_loses_an_acknowledged_commit(tmp_path: Path, careless: str) -> None:
    assert after_a_crash(tmp_path / "agent.db", careless) == {"n": 1}


@pytest.mark.parametrize("careless", ["open", "sqlite3"])
def test_the_probe_sees_a_lock_that_was_dropped(tmp_path: Path, probe: Probe, careless: str) -> None:
    path = tmp_path / "agent.db"
    script = """
        import sqlite3, sys
        from eventstate import StateStore
        path, careless = sys.argv[1:]
        store = StateStore(path)
        store.session("alice").save({"n": 1})
        print("open", flush=True)
        sys.stdin.readline()
        if careless == "open":
            open(path, "rb").close()
        else:
            connection = sqlite3.connect(path)
            connection.execute("SELECT 1 FROM commits").fetchall()
            connection.close()
        print("done", flush=True)
        sys.stdin.readline()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(path), careless],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as victim:
        assert victim.stdin is not None
        assert victim.stdout is not None
        assert victim.stdout.readline() == "open\n"
        assert probe.held(path)
        print(file=victim.stdin, flush=True)
        assert victim.stdout.readline() == "done\n"
        assert not probe.held(path)


# What the library does


EVERY_CALL = """
    import asyncio, os, sys
    from pathlib import Path

    opened, complaints, watching = [], [], False

    def watch(event, arguments):
        if watching and event in {"open", "sqlite3.connect", "os.open", "shutil.copyfile"}:
            opened.append((event, str(arguments[0])))

    sys.addaudithook(watch)

    import eventstate
    from eventstate import StateStore, TypeRegistry, aio
    from eventstate.cli import main
    from eventstate.importers import import_sessions

    folder, probe, answers = Path(sys.argv[1]), int(sys.argv[2]), os.fdopen(int(sys.argv[3]))
    path = folder / "agent.db"

    def check(name):
        global watching
        watching = False
        os.write(probe, f"{path}\\n".encode())
        answer = answers.readline().strip()
        for event, what in opened:
            if what.startswith(str(path)) or event == "sqlite3.connect" and what != ":memory:":
                complaints.append(f"{name}: {event} {what}")
        opened.clear()
        if answer != "held":
            complaints.append(f"{name}: the lock is {answer}")
        watching = True

    watching = True
    store = StateStore(path, snapshot_every=2)
    session = store.session("alice", "trip")
    session.save({"n": 1, "list": [1]})
    check("save")
    with session.round() as state:
        state["n"] = 2
        session.note("called")
        check("in a round")
    other = session.fork("other", at=1)
    other.save({"n": 3, "list": [1]})
    kept = store.session("bob")
    kept.save({"n": 1})
    second = StateStore(path)  # another store of this process on the same file

    calls = {
        "state": session.state,
        "state at": lambda: session.state(at=1),
        "update": lambda: session.update(lambda state: state.update(n=3)),
        "note": lambda: session.note("x"),
        "notes": lambda: list(session.notes()),
        "committed": lambda: session.committed("none"),
        "rounds": lambda: list(session.rounds()),
        "replay": lambda: list(session.replay()),
        "history": lambda: [(c.before, c.after) for c in session.history("n")],
        "blame": session.blame,
        "diff": lambda: str(session.diff(1, 2)),
        "patch": lambda: session.diff(1, 2).to_json_patch(),
        "bisect": lambda: session.bisect(lambda state: state["n"] < 2),
        "rollback": lambda: session.rollback(1),
        "undo": session.undo,
        "fork": lambda: session.fork("third"),
        "merge": lambda: session.merge(other, lambda conflict: conflict.ours),
        "what_if": lambda: session.what_if().__enter__(),
        "tag": lambda: session.tag("t"),
        "tags": session.tags,
        "branches": session.branches,
        "version": lambda: session.version,
        "exists": lambda: store.session("eve").exists,
        "sessions": lambda: list(store.sessions()),
        "commits": lambda: list(store.commits()),
        "stats": store.stats,
        "verify": store.verify,
        "tables": store.tables,
        "backup": lambda: store.backup(folder / "copy.db"),
        "opening the copy": lambda: StateStore(folder / "copy.db").close(),
        "drop_snapshots": store.drop_snapshots,
        "seal": lambda: store.verify(seal=store.seal()),
        "erase": lambda: session.erase("list"),
        "prune": lambda: session.prune(keep_rounds=2),
        "a round after that": lambda: session.save({"n": 7}),
        "delete": session.delete,
        "restore": session.restore,
        "purge": lambda: kept.purge(),
        "scrub": store.scrub,
        "rebuild": store.rebuild,
        "a refused save": lambda: session.save({"x": object()}),
        "a second store": lambda: StateStore(path).session("alice", "trip").state(),
        "a read-only store": lambda: StateStore(path, read_only=True).session("alice", "trip").state(),
        "closing the second": second.close,
    }
    told = {name for kind in (type(session), StateStore) for name in dir(kind) if not name.startswith("_")}
    for name, call in calls.items():
        try:
            call()
        except eventstate.UnsupportedValueError:
            assert name == "a refused save"
        check(name)
    trip = ["--user", "alice", "--session", "trip"]
    for verb in (
        ["sessions"], ["log", *trip], ["show", *trip], ["diff", "1", "2", *trip], ["history", "n", *trip],
        ["blame", *trip], ["rollback", "1", *trip], ["fork", "by-hand", *trip], ["verify"],
    ):
        main([verb[0], str(path), *verb[1:]], standalone_mode=False)
        check(f"eventstate {verb[0]}")
    async def in_tasks():
        async with aio.StateStore.over(store) as over:
            mine = over.session("alice", "trip")
            await asyncio.gather(mine.save({"n": 8}), mine.note("x"), mine.update(dict.clear))
            check("commits of tasks")
            (await over.tables()).conn.close()
            check("tables in a task")
            assert (await over.verify()).ok
            check("verify in a task")
        check("closing what stands on a store")
        async with aio.StateStore(path) as own:
            await own.session("alice", "trip").update(dict.clear)
            check("a store of tasks")
        check("closing a store of tasks")

    asyncio.run(in_tasks())
    (folder / "chat.json").write_text('{"n": 1}')
    main(["import", str(path), str(folder)], standalone_mode=False)
    check("eventstate import")
    for end in ("", "-wal", "-shm"):
        try:
            import_sessions(store, [str(path) + end])
        except eventstate.errors.ImportFailedError:
            check("importing the store itself")
        else:
            complaints.append("the store was imported into itself")
    watching = False
    store.close()
    missing = told - set(calls) - {"save", "round", "close", "closed", "session", "latest", "types"}
    missing -= {"user_id", "session_id", "branch"}
    complaints += [f"{name}: was not called" for name in sorted(missing)]
    print("\\n" + "; ".join(complaints))
"""


def test_no_public_call_opens_the_live_file_behind_apsw_or_drops_its_locks(
    tmp_path: Path, probe: Probe
) -> None:
    assert probe.process.stdin is not None
    assert probe.process.stdout is not None
    pipes = probe.process.stdin.fileno(), probe.process.stdout.fileno()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(EVERY_CALL), str(tmp_path), *map(str, pipes)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        pass_fds=pipes,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout.splitlines()[-1]


def test_a_forked_child_that_forgets_the_store_drops_none_of_its_parents_locks(
    tmp_path: Path, probe: Probe
) -> None:
    path = tmp_path / "agent.db"
    script = """
        import gc, os, sys
        from eventstate import StateStore
        store = StateStore(sys.argv[1])
        session = store.session("alice")
        session.save({"n": 1})
        if os.fork() == 0:
            store.close()
            del store, session
            gc.collect()
            sys.exit(0)
        os.wait()
        session.save({"n": 2})
        print("forked", flush=True)
        sys.stdin.readline()
        session.save({"n": 3})
        os._exit(1)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "forked\n"
        assert probe.held(path)
        with StateStore(path) as other:
            other.session("bob").save({"n": 1})
        print(file=parent.stdin, flush=True)
    with StateStore(path) as store:
        assert store.session("alice").state() == {"n": 3}
        assert store.session("bob").state() == {"n": 1}
        assert store.verify().ok
