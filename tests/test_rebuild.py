"""Rebuilding in place: what is derived is made anew, and what it is derived from is never touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner

from eventstate import CorruptJournalError, ReadOnlyError, StateStore
from eventstate.cli import main
from eventstate.journal import snapshots
from tests.salvages import Facts, build, facts
from tests.stores import Clock

PRIMARY = ("sessions", "branches", "commits", "events", "redactions", "husks", "roots", "removals")

pytestmark = pytest.mark.proves("repair")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rebuild") / "original.db"
    build(path)
    with StateStore(path, durability="normal", clock=Clock()) as store:
        store.session("long").save({"text": "x" * snapshots.MIN_WEIGHT})
        store.session("long").save({"text": "y"})
    return path


@pytest.fixture(scope="module")
def whole(original: Path) -> Facts:
    return facts(original)


@pytest.fixture
def journal(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "journal.db"))


def tamper(path: Path, *statements: str) -> None:
    database = apsw.Connection(str(path))
    database.pragma("foreign_keys", value=False)
    for statement in statements:
        before = database.total_changes()
        database.execute(statement)
        assert database.total_changes() > before, statement
    database.close()


def primary(path: Path) -> dict[str, list[Any]]:
    """Give all rows of which nothing else says what they are."""
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = {table: list(database.execute(f"SELECT * FROM {table} NOT INDEXED")) for table in PRIMARY}  # noqa: S608 - our own names
    database.close()
    return rows


def test_of_a_whole_file_only_snapshots_change(journal: Path, whole: Facts) -> None:
    rows = primary(journal)
    with StateStore(journal) as store:
        before = store.stats().snapshots
        rebuilt = store.rebuild()
        assert (rebuilt.changed, rebuilt.dropped, rebuilt.made) == (False, before, 1)
        assert store.stats().snapshots == 1
        assert store.verify().ok
    assert primary(journal) == rows
    assert facts(journal) == whole


@pytest.mark.parametrize(
    ("damage", "tags", "deleted"),
    [
        ("DELETE FROM tags", 8, 0),
        ("UPDATE tags SET version = version + 1 WHERE name = 'early'", 1, 0),
        ("INSERT INTO tags SELECT branch, 'none', source, version, 3 FROM tags WHERE name = 'early'", 1, 0),
        ("UPDATE sessions SET deleted = NULL WHERE user_id = 'deleted'", 0, 1),
        ("UPDATE sessions SET deleted = 7 WHERE user_id = 'many'", 0, 8),
        ("UPDATE snapshots SET data = x'00'", 0, 0),
        ("UPDATE snapshots SET weight = 1", 0, 0),
    ],
)
def test_what_is_derived_comes_back(
    journal: Path, whole: Facts, damage: str, tags: int, deleted: int
) -> None:
    tamper(journal, damage)
    with StateStore(journal) as store:
        assert not store.verify().ok
        rebuilt = store.rebuild()
        assert (rebuilt.indexes, rebuilt.deleted) == (False, deleted)
        assert rebuilt.tags == (
            tags if tags < 8 else len({name for known in whole.tags.values() for name in known})
        )
        assert store.verify().ok
    assert facts(journal) == whole


def test_a_damaged_index_is_made_anew_and_its_pages_are_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with StateStore(path, durability="normal", clock=Clock()) as store:
        for number in range(160):
            store.session("alice").save({"n": number}, commit_id=f"{number:0100}")
    whole = facts(path)
    database = apsw.Connection(str(path))
    [(page,)] = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'commits_by_commit_id'")
    [(size,)] = database.execute("PRAGMA page_size")
    database.close()
    data = bytearray(path.read_bytes())
    count = (page - 1) * size + 3  # of the entries of its first page, which are other pages
    data[count : count + 2] = (int.from_bytes(data[count : count + 2], "big") - 1).to_bytes(2, "big")
    path.write_bytes(data)
    with StateStore(path) as store:
        assert not store.verify().ok
        assert store.rebuild().indexes
        assert store.verify().ok
    assert facts(path) == whole


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM branches WHERE name = 'what-if'", "DELETE FROM events WHERE id & 4294967295 = 2"],
)
def test_damage_to_what_it_is_derived_from_is_told_and_not_touched(journal: Path, damage: str) -> None:
    tamper(journal, damage)
    if "branches" in damage:
        tamper(journal, "UPDATE tags SET source = 1", "UPDATE commits SET source = 999 WHERE kind = 'tag'")
    rows = primary(journal)
    with StateStore(journal) as store, pytest.raises(CorruptJournalError, match="into a new file"):
        store.rebuild()
    assert primary(journal) == rows


def test_a_store_that_is_only_read_is_not_rebuilt(journal: Path) -> None:
    with StateStore(journal, read_only=True) as store, pytest.raises(ReadOnlyError):
        store.rebuild()


def test_cached_states_go_on_after_a_rebuild(journal: Path) -> None:
    with StateStore(journal, clock=Clock()) as store:
        session = store.session("long")
        session.save({"n": "before"})
        assert store.rebuild().made == 1
        assert session.state() == {"n": "before"}
        session.save({"n": "after"})
        assert store.verify().ok
    with StateStore(journal) as store:
        assert store.session("long").state() == {"n": "after"}


# The command line


def run(*words: object, status: int) -> str:
    done = CliRunner().invoke(main, ["repair", *map(str, words), "--table"])
    assert done.exit_code == status, done.output
    return done.output


def test_the_verb_rebuilds_in_place(journal: Path) -> None:
    tamper(journal, "DELETE FROM tags")
    assert "tags and 0 deletions mended" in run(journal, status=0)
    with StateStore(journal) as store:
        assert store.verify().ok


def test_the_verb_saves_into_a_new_file_and_its_status_says_whether_anything_is_lost(
    journal: Path, tmp_path: Path
) -> None:
    assert "0 lost" in run(journal, tmp_path / "one.db", status=0)
    tamper(journal, "UPDATE events SET value = x'01' WHERE id = (SELECT max(id) FROM events)")
    told = run(journal, tmp_path / "two.db", status=1)
    assert "1 lost" in told
    assert "user 'long', session 'default', branch 'main': kept up to version" in told
    with StateStore(tmp_path / "two.db") as store:
        assert store.verify().ok


def test_the_verb_says_why_it_can_not(journal: Path, tmp_path: Path) -> None:
    assert "exists" in run(journal, journal, status=1)
    assert "no such file" in run(tmp_path / "none.db", status=1)
    assert "no such file" in run(tmp_path / "none.db", tmp_path / "new.db", status=1)
