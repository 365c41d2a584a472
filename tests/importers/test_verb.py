"""`eventstate import`: what it prints for people and for programs, and how it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from eventstate import StateStore
from eventstate.cli import main
from tests.importers.forge import FILES, file, hashes
from tests.importers.test_rdb import TRIP

if TYPE_CHECKING:
    from pathlib import Path

COUNTS: dict[str, Any] = {
    "sessions": 3,
    "rounds": 6,
    "added": 6,
    "refused": 0,
    "skipped": 0,
    "ignored": 0,
    "ambiguous": ["user_state:carol:x:a:b"],
    "problems": [],
}
BAD: dict[str, dict[str, Any]] = {
    "user_state:bob:x": {"1": {}, "oops": {}},
    "user_state:alice:trip": {"1": TRIP["1"]},
}


def run(*words: str | Path, status: int = 0) -> Result:
    done = CliRunner().invoke(main, ["import", *map(str, words)])
    assert done.exit_code == status, done.output
    return done


def test_a_dump_is_brought_in_and_counted(tmp_path: Path) -> None:
    store, dump = tmp_path / "agent.db", FILES / "redis-7-listpack.rdb"
    assert json.loads(run(store, dump).stdout) == COUNTS
    assert json.loads(run(store, dump, "--nl").stdout) == COUNTS | {"added": 0}
    with StateStore(store, read_only=True) as opened:
        assert opened.session("alice", "trip").state() == TRIP["10"]


def test_people_are_told_in_a_sentence_what_was_brought_in(tmp_path: Path) -> None:
    store, dump = tmp_path / "agent.db", FILES / "redis-7-listpack.rdb"
    told = run(store, dump, "--table").stdout.splitlines()
    assert told == [
        "read up to the first place where the user can end: 'user_state:carol:x:a:b'; see --users",
        "3 sessions, 6 rounds, 6 new",
    ]
    done = run(store, dump, FILES / "redis-7-others.rdb", "--users", "bob,carol:x", "--table")
    assert done.stdout == "5 sessions, 8 rounds, 3 new, 18 other keys or files\n"


def test_damage_is_told_in_a_table_and_by_the_exit_status(tmp_path: Path) -> None:
    store, dump = tmp_path / "agent.db", file(tmp_path / "bad.rdb", hashes(BAD))
    told = run(store, dump, "--table", status=1).stdout
    assert all(word in told for word in ("source", "bad.rdb", "user_state:bob:x", "oops", "not the number"))
    assert told.splitlines()[-1] == "2 sessions, 1 round, 1 new; 1 session refused"
    problem = {"source": str(dump), "key": "user_state:bob:x", "field": "oops"}
    assert json.loads(run(store, dump, status=1).stdout)["problems"] == [
        problem | {"message": "not the number of a round"}
    ]
    told = run(store, dump, "--skip-damaged", "--table").stdout
    assert told.splitlines()[-1] == "2 sessions, 2 rounds, 1 new, 1 damaged and left out"


def test_a_session_that_others_changed_is_refused_unless_forced(tmp_path: Path) -> None:
    store = tmp_path / "agent.db"
    (tmp_path / "alice_trip.json").write_text('{"agent": {"n": 1}}')
    words = (store, tmp_path / "alice_trip.json", "--users", "alice", "--durability", "normal")
    run(*words)
    with StateStore(store) as opened:
        opened.session("alice", "trip").save({"n": "other"})
    (tmp_path / "alice_trip.json").write_text('{"agent": {"n": 2}}')
    assert json.loads(run(*words, status=1).stdout)["refused"] == 1
    assert json.loads(run(*words, "--force").stdout)["added"] == 1


def test_prefix_database_and_kind_choose_what_is_read(tmp_path: Path) -> None:
    store, dump = tmp_path / "agent.db", FILES / "redis-7-others.rdb"
    assert json.loads(run(store, dump, "--prefix", "prod:", "--kind", "rdb").stdout)["sessions"] == 1
    assert json.loads(run(store, dump, "--database", "1").stdout)["sessions"] == 0
    assert "no RDB file" in run(store, FILES / "sessions" / "default.json", "--kind", "rdb", status=1).stderr


def test_a_damaged_dump_is_told_in_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.rdb"
    bad.write_bytes((FILES / "redis-7-listpack.rdb").read_bytes()[:-1])
    stderr = run(tmp_path / "agent.db", bad, status=1).stderr
    assert stderr.startswith("Error: ")
    assert "bad.rdb, byte 557: cut off" in stderr
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [(), ("missing.json",)])
def test_a_source_has_to_be_there(tmp_path: Path, words: tuple[str, ...]) -> None:
    run(tmp_path / "agent.db", *words, status=2)
    assert list(tmp_path.iterdir()) == []


def test_the_store_is_not_its_own_source(tmp_path: Path) -> None:
    store = tmp_path / "agent.db"
    StateStore(store).close()
    assert "agent.db: the store itself" in run(store, store, status=1).stderr
