"""Files of older formats open, and hold what was written; newer ones are refused."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eventstate import NewerFormatError, ReadOnlyError, RoundNotFoundError, StateStore
from eventstate.journal import postings
from eventstate.journal.schema import migrations
from tests.stores import NOON, ids, packed

pytestmark = pytest.mark.proves("migration")

FORMAT_1 = Path(__file__).parent / "files" / "format-1.db"
FORMAT_2 = Path(__file__).parent / "files" / "format-2.db"
LIST = [1, (2, {3}), 4]
SEAL = "21:c1b1d65db6570317654c66e5e8213c82852be612264aaf496031d69cfa739029"
SEAL_2 = "60:944b8a71133c19dfa8778066a732d375d14157ef1c7b9034443c229191763ec3"
OPEN = """
import sys, time
from eventstate import StateStore
while time.time() < float(sys.argv[2]):
    pass
with StateStore(sys.argv[1]) as store:
    store.session(sys.argv[3]).save({"n": 1})
    print(store.verify().ok)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(FORMAT_1, tmp_path / "agent.db"))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        found: int = db.execute("PRAGMA user_version").fetchone()[0]
        return found


def expected(turn: int) -> dict[str, Any]:
    """Give the state of a round of the file."""
    if turn == 1:
        return {"n": 1, "list": [1, (2, {3})]}
    if turn == 2:
        return {"n": 0}
    messages = [{"role": "user", "content": f"text {n}"} for n in range(turn - 3)]
    return {"n": 2, "list": LIST, **({"messages": messages} if messages else {})}


def test_a_file_of_format_1_opens_and_all_is_there(path: Path) -> None:
    assert version(path) == 1
    with StateStore(path) as store:
        session = store.session("alice", "trip")
        other = store.session("alice", "trip", "other")
        infos = [(i.user_id, i.session_id, i.branches, i.version, i.round) for i in store.sessions()]
        assert infos == [("alice", "trip", 2, 21, 15), ("bob", "default", 1, 0, 1)]
        assert ids(session) == list(range(1, 16))
        for turn, state in session.replay():
            assert packed(state) == packed(session.state(turn.id)) == packed(expected(turn.id))
        assert [packed(state) for _, state in other.replay()] == [
            packed(expected(1)),
            packed({"n": 2, "list": []}),
        ]
        assert store.session("bob").state() == {}
        assert (session.tags(), other.tags()) == ({"early": 2}, {"early": 2})
        assert [(n.seq, n.name, n.data) for n in session.notes()] == [(4, "tool.called", {"name": "search"})]
        kinds = [commit.kind for commit in store.commits()]
        assert kinds == [
            "save",
            "update",
            "note",
            "tag",
            "fork",
            "save",
            "merge",
            "save",
            "save",
            *["round"] * 12,
        ]
        [first] = session.rounds(stop=2)
        assert (first.metadata, (first.recorded_at - NOON).seconds) == ({"k": b"v"}, 1)
        assert [change.seq for change in session.history("n")] == [1, 5, 7, 8]
        report = store.verify(seal=SEAL)
        assert report.ok, str(report)
        assert (report.commits, report.events, report.snapshots) == (21, 23, 5)
    assert version(path) == len(migrations())


def test_it_is_not_migrated_by_those_who_only_read(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(
        ReadOnlyError, match=r"agent\.db: format 1 has to be migrated; open it for writing once"
    ):
        StateStore(path, read_only=True)
    assert path.read_bytes() == before
    StateStore(path).close()
    with StateStore(path, read_only=True) as store:
        assert store.session("alice", "trip").state() == expected(15)


def test_a_newer_format_is_refused_and_left_alone(path: Path) -> None:
    newest = len(migrations())
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {newest + 1}")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(NewerFormatError, match=f"written in format {newest + 1}; .* up to {newest}"):
            StateStore(path, read_only=read_only)
    assert path.read_bytes() == before


def test_two_processes_may_migrate_it_at_once(path: Path) -> None:
    import time

    start = str(time.time() + 1)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, path, start, name], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        for name in ("carol", "dave", "erin")
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["True"] * 3
    with StateStore(path) as store:
        assert [info.user_id for info in store.sessions()] == ["alice", "bob", "carol", "dave", "erin"]
        assert store.session("alice", "trip").state() == expected(15)
        assert store.verify(seal=SEAL).ok


def test_everything_that_is_new_works_on_it(path: Path) -> None:
    with StateStore(path) as store:
        session = store.session("alice", "trip")
        told = session.erase("messages", reason="asked for")
        assert (told.branches, told.events + told.rewritten) == (("main",), 12)
        assert session.state() == {"n": 2, "list": LIST}
        pruned = session.prune(keep_rounds=3)
        assert (pruned.round, pruned.kept) == (13, (1, 3))
        assert ids(session) == [1, 3, 13, 14, 15]
        with pytest.raises(RoundNotFoundError):
            session.state(2)
        assert session.state("early") == expected(1)
        session.delete()
        assert session.state() is None
        session.restore()
        assert store.verify(seal=SEAL).ok
        store.session("bob").purge()
        assert [info.user_id for info in store.sessions()] == ["alice"]
        session.save({"n": 3})
        report = store.verify(seal=SEAL)
        assert report.ok, str(report)


def test_a_file_of_format_2_opens_and_gets_lists_of_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(FORMAT_2, tmp_path / "agent.db"))
    assert version(path) == 2
    with pytest.raises(ReadOnlyError, match="format 2 has to be migrated"):
        StateStore(path, read_only=True)
    with StateStore(path) as store:
        session = store.session("alice", "trip")
        last = {"n": 39, "list": LIST, "counts": {f"c{i}": 390 + i for i in range(10)}}
        assert packed(session.state()) == packed(last)
        assert store.session("alice", "trip", "other").state() == {"n": 2, "list": []}
        assert (ids(store.session("eve")), store.session("bob").state()) == ([5, 6], None)
        scanned = [[c.seq for c in session.history(what)] for what in ("n", ("counts", "c3"), "card")]
        assert list(map(len, scanned)) == [42, 40, 0]
        assert store._journal.postings.listed(session._writer.branch()) is None
        report = store.verify(seal=SEAL_2)
        assert report.ok, str(report)
        assert (report.sessions, report.commits, report.events, report.erased, report.pruned) == (
            3,
            55,
            448,
            4,
            5,
        )

        monkeypatch.setattr(postings, "STEP", 64)
        assert not store.rebuild().changed
        listed = store._journal.postings.listed(session._writer.branch())
        assert listed is not None
        assert listed.upto == session.version
        assert [[c.seq for c in session.history(what)] for what in ("n", ("counts", "c3"), "card")] == scanned
        assert store.verify(seal=SEAL_2).ok
    assert version(path) == len(migrations())
