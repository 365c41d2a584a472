"""Backups and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import StateStore
from tests.stores import Clock, everything, grown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(path: Path) -> Iterator[StateStore]:
    with StateStore(path, durability="normal", clock=Clock()) as store:
        yield store


def test_a_backup_is_the_same_store_in_a_new_file(store: StateStore, tmp_path: Path) -> None:
    session = grown(store)
    store.backup(tmp_path / "copy.db")
    before = everything(store)
    session.save({"n": "later"})
    with StateStore(tmp_path / "copy.db") as copied:
        assert everything(copied) == before
        assert copied.verify().ok
        copied.session("alice", "trip").save({"n": "own"})
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
    with StateStore(tmp_path / "copy.db") as copied:
        assert everything(copied) == before
        assert copied.verify().ok


def test_tables_hold_all_that_happened_for_sql(store: StateStore) -> None:
    grown(store)
    tables = store.tables()
    counts = {name: tables[name].count for name in tables.table_names()}
    assert counts["commits"] == len(list(store.commits()))
    tables.conn.execute("DELETE FROM commits")
    assert len(list(store.commits())) == counts["commits"]
