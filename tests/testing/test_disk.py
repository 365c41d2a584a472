"""The disk for tests: what it logs, how it fails, and what a power cut leaves of it."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING, get_args

import apsw
import pytest

from eventstate import StateStore, StorageError
from eventstate.testing import FaultyDisk, Operation
from eventstate.testing.disk import KINDS
from eventstate.testing.platter import SECTOR, Kept, Kind, Platter
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RANDOM: tuple[Kept, ...] = ("ordered", "some", "garbled")


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with FaultyDisk() as disk:
        yield disk


def opened(path: Path, disk: FaultyDisk) -> apsw.Connection:
    """Open a database with a rollback journal, whose operations are few and known."""
    connection = apsw.Connection(str(path), vfs=disk.name)
    connection.pragma("cache_size", 2)
    connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
    return connection


def images(disk: FaultyDisk, at: int | None = None) -> list[dict[str, bytes]]:
    """Give many images of a moment."""
    return [disk.image(at, kept, seed=seed) for kept in RANDOM for seed in range(30)]


# What is logged.


def test_the_log_tells_everything_that_sqlite_asks_of_the_disk(tmp_path: Path, disk: FaultyDisk) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        store.session("u").save({"n": 1})
    assert {operation.kind for operation in disk.log} == KINDS - {"open"}
    assert {operation.file for operation in disk.log} == {"a.db", "a.db-journal", "a.db-wal", "."}
    assert {operation.folder for operation in disk.log} == {str(tmp_path)}
    assert all(operation.done for operation in disk.log)
    written = next(operation for operation in disk.log if operation.file == "a.db" and operation.data)
    assert written.data.startswith(b"SQLite format 3")
    assert str(written) == "write a.db, 4096 bytes at 0"


def test_fsyncs_are_counted_by_file_and_the_folder_has_its_own(tmp_path: Path, disk: FaultyDisk) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        session = store.session("u")
        session.save({"n": 1})
        disk.forget()
        for n in range(5):
            session.save({"n": n})
        assert disk.fsyncs == {"a.db-wal": 5}
        assert disk.fsyncs.total() == disk.count("sync") == disk.count("sync", "a.db-wal") == 5
        assert disk.written("a.db-wal") == disk.written() > 5 * 4096
    assert disk.fsyncs["a.db"] == 1


def test_the_folder_is_synced_with_a_journals_first_fsync_and_after_a_deletion_that_asks_for_it(
    tmp_path: Path, disk: FaultyDisk
) -> None:
    connection = opened(tmp_path / "a.db", disk)
    connection.pragma("synchronous", "EXTRA")
    disk.forget()
    connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    steps = [(seen.kind, seen.file) for seen in disk.log if seen.kind in {"create", "sync", "delete"}]
    assert steps == [
        *[("create", "a.db-journal"), ("sync", "a.db-journal"), ("sync", "."), ("sync", "a.db-journal")],
        *[("sync", "a.db"), ("delete", "a.db-journal"), ("sync", ".")],
    ]


def test_a_disk_that_is_left_is_no_longer_registered() -> None:
    with FaultyDisk() as disk:
        assert disk.name in apsw.vfs_names()
    assert disk.name not in apsw.vfs_names()


# How it fails.


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_operation_of_each_kind_can_fail_once(tmp_path: Path, disk: FaultyDisk, kind: Kind) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        store.session("u").save({"n": 1})
    disk.forget()
    disk.fail(1, kinds={kind})
    errors = []
    for n in range(2):
        try:
            with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
                store.session("u").save({"n": n})
        except StorageError as error:
            errors.append(error)
    assert disk.failures == 1
    assert [seen.kind for seen in disk.log if not seen.done] == [kind]
    assert len(errors) == 1


def test_a_lasting_failure_ends_when_the_disk_is_healed(tmp_path: Path, disk: FaultyDisk) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        session = store.session("u")
        session.save({"n": 0})
        disk.fail(3, kinds={"sync"}, lasting=True)
        session.save({"n": 1})
        session.save({"n": 2})
        for _ in range(2):
            with pytest.raises(StorageError, match="disk I/O error"):
                session.save({"n": 3})
        disk.heal()
        session.save({"n": 3})
        assert [turn.id for turn in session.rounds()] == [1, 2, 3, 4]


def test_a_write_that_is_made_short_does_its_first_half(tmp_path: Path, disk: FaultyDisk) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        session = store.session("u")
        session.save({"n": 1})
        size = (tmp_path / "a.db-wal").stat().st_size
        disk.fail(2, kinds={"write"}, how="shorten")
        with pytest.raises(StorageError):
            session.save({"n": 2})
        [failed] = [operation for operation in disk.log if not operation.done]
        assert (failed.size, len(failed.data), failed.offset) == (4096, 2048, size + 24)
        assert (tmp_path / "a.db-wal").stat().st_size == size + 24 + 2048


def test_of_a_torn_write_only_some_sectors_arrive(tmp_path: Path) -> None:
    seen = set()
    for seed in range(5):
        path = tmp_path / f"{seed}.db"
        with FaultyDisk(seed=seed) as disk, StateStore(path, vfs=disk.name, entropy=bytes) as store:
            session = store.session("u")
            session.save({"n": 1})
            disk.fail(2, kinds={"write"}, how="tear")
            with pytest.raises(StorageError):
                session.save({"text": "x" * 20_000})
            [failed] = [operation for operation in disk.log if not operation.done]
            session.save({"text": "x" * 20_000})
            whole = next(seen for seen in disk.log[::-1] if seen[:3] == failed[:3]).data
            parts = [
                failed.data[start : start + SECTOR] == whole[start : start + SECTOR]
                for start in range(0, len(whole), SECTOR)
            ]
            assert {True, False} == set(parts)
            seen.add(tuple(parts))
    assert len(seen) > 1


def test_a_short_read_gives_only_the_first_part_without_an_error(tmp_path: Path, disk: FaultyDisk) -> None:
    with StateStore(tmp_path / "a.db") as store:
        store.session("u").save({"n": 1})
    connection = apsw.Connection(str(tmp_path / "a.db"), vfs=disk.name)
    disk.fail(2, kinds={"read"}, how="shorten")
    with pytest.raises(apsw.Error):
        connection.execute("SELECT * FROM events").fetchall()
    connection.close()
    assert [(seen.kind, seen.done) for seen in disk.log].count(("read", False)) == 1


def test_a_full_disk_takes_what_it_has_room_for_and_can_overwrite(tmp_path: Path, disk: FaultyDisk) -> None:
    path = tmp_path / "a.db"
    with StateStore(path, vfs=disk.name) as store:
        session = store.session("u")
        session.save({"n": 1})
        size = (tmp_path / "a.db-wal").stat().st_size
        disk.fill(20_000)
        with pytest.raises(StorageError, match="disk is full"):
            session.save({"text": "x" * 40_000})
        assert disk.failures == 1
        assert (tmp_path / "a.db-wal").stat().st_size == size + 20_000
        session.save({"n": 2})  # into what the other has left in the log
        disk.heal()
        session.save({"text": "x" * 20_000})
        assert store.verify().ok


def test_room_comes_back_when_files_shrink_or_go(tmp_path: Path, disk: FaultyDisk) -> None:
    connection = opened(tmp_path / "a.db", disk)
    connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    disk.fill(20_000)
    with pytest.raises(apsw.FullError):
        connection.execute("INSERT INTO t VALUES (zeroblob(50000))")
    connection.execute("DELETE FROM t; VACUUM")
    connection.execute("INSERT INTO t VALUES (zeroblob(50000))")
    connection.close()


# What a power cut leaves.


def test_what_was_synced_is_there_whatever_becomes_of_the_rest(tmp_path: Path, disk: FaultyDisk) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        session = store.session("u")
        session.save({"n": 1})
        synced = len(disk.log)
        assert disk.log[-1].kind == "sync"
        wal = (disk.image(synced, "everything"))["a.db-wal"]
        disk.fail(1, kinds={"sync"})
        with pytest.raises(StorageError):
            session.save({"text": "x" * 5_000})
        assert disk.image()["a.db-wal"] == wal
        longer = {image["a.db-wal"] for image in images(disk)}
        assert len(longer) > 20
        assert all(image.startswith(wal) for image in longer)
        assert disk.image(synced) == disk.image(synced, "some", seed=5) == disk.image(synced, "everything")


def test_sectors_that_were_not_synced_are_kept_dropped_or_garbled_each_on_its_own() -> None:
    platter = Platter()
    platter.take(Operation("open", "f", data=b"a" * 2048))
    platter.take(Operation("write", "f", 100, 1500, b"b" * 1500))
    kept: dict[str, set[str]] = {}
    for mode in get_args(Kept):
        for seed in range(200):
            data = platter.image("", mode, random.Random(seed))["f"]
            assert data[:100] == b"a" * 100
            assert data[1600:] == b"a" * 448
            sectors = (data[100:512], data[512:1024], data[1024:1536], data[1536:1600])
            shape = "".join(chr(part[0]) if len(set(part)) == 1 else "?" for part in sectors)
            kept.setdefault(mode, set()).add(shape)
    assert kept["nothing"] == {"aaaa"}
    assert kept["everything"] == {"bbbb"}
    assert kept["ordered"] == {"aaaa", "baaa", "bbaa", "bbba", "bbbb"}
    assert len(kept["some"]) == 2**4
    assert {"a", "b", "?"} == set("".join(kept["garbled"]))
    assert len(kept["garbled"]) > 2**4


def test_kept_in_order_means_that_nothing_is_there_unless_all_before_it_is() -> None:
    platter = Platter()
    for operation in (
        Operation("open", "f", data=b"."),
        Operation("open", "g", data=b"."),
        Operation("write", "f", 0, 1, b"1"),
        Operation("write", "g", 0, 1, b"2"),
        Operation("create", "h"),
        Operation("write", "f", 0, 1, b"3"),
    ):
        platter.take(operation)
    found = {repr(platter.image("", "ordered", random.Random(seed))) for seed in range(50)}
    assert found == {
        "{'f': b'.', 'g': b'.'}",
        "{'f': b'1', 'g': b'.'}",
        "{'f': b'1', 'g': b'2'}",
        "{'f': b'1', 'g': b'2', 'h': b''}",
        "{'f': b'3', 'g': b'2', 'h': b''}",
    }


def test_a_file_that_was_made_may_be_missing_until_its_folder_is_synced() -> None:
    platter = Platter()
    for operation in (
        Operation("create", "f"),
        Operation("write", "f", 0, 3, b"new"),
        Operation("sync", "f"),
    ):
        platter.take(operation)
    found = {repr(platter.image("", "some", random.Random(seed))) for seed in range(20)}
    assert found == {"{}", "{'f': b'new'}"}
    assert platter.image("", "nothing", random.Random(0)) == {}
    platter.take(Operation("sync", "."))
    assert platter.image("", "nothing", random.Random(0)) == {"f": b"new"}


def test_a_file_that_was_deleted_may_be_back_with_its_old_bytes_until_its_folder_is_synced() -> None:
    platter = Platter()
    for operation in (
        Operation("open", "f", data=b"old"),
        Operation("delete", "f"),
        Operation("create", "f"),
        Operation("write", "f", 0, 3, b"new"),
    ):
        platter.take(operation)
    found = {repr(platter.image("", "some", random.Random(seed))) for seed in range(60)}
    assert found == {"{}", "{'f': b'old'}", "{'f': b'new'}", "{'f': b''}"}
    platter.take(Operation("sync", "."))
    assert platter.image("", "nothing", random.Random(0)) == {"f": b""}
    platter.take(Operation("delete", "f"))
    platter.take(Operation("sync", "."))
    assert platter.image("", "everything", random.Random(0)) == {}


def test_a_truncation_has_happened_or_not_until_the_file_is_synced() -> None:
    platter = Platter()
    platter.take(Operation("open", "f", data=b"abcdef"))
    platter.take(Operation("truncate", "f", 2))
    assert {platter.image("", "some", random.Random(seed))["f"] for seed in range(20)} == {b"ab", b"abcdef"}
    platter.take(Operation("sync", "f"))
    assert platter.image("", "nothing", random.Random(0)) == {"f": b"ab"}


def test_what_a_failed_fsync_was_to_write_is_never_safe_again_but_what_is_written_later_is() -> None:
    platter = Platter()
    for operation in (
        Operation("open", "f", data=b"aaaa"),
        Operation("write", "f", 0, 2, b"bb"),
        Operation("sync", "f", done=False),
        Operation("write", "f", 1, 2, b"cc"),
        Operation("sync", "f"),
    ):
        platter.take(operation)
    assert platter.image("", "nothing", random.Random(0)) == {"f": b"acca"}
    assert platter.image("", "everything", random.Random(0)) == {"f": b"bcca"}


def test_on_a_disk_that_lies_nothing_is_ever_safe(tmp_path: Path) -> None:
    with FaultyDisk(lies=True) as disk:
        with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
            store.session("u").save({"n": 1})
        assert disk.fsyncs.total() > 5
        assert disk.image() == {}
        written = (tmp_path / "a.db").read_bytes()
        assert disk.image(kept="everything")["a.db"] == written
    with FaultyDisk(lies=True) as disk:
        with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
            store.session("u").save({"n": 2})
        assert disk.image() == {"a.db": written}


def test_a_file_that_was_there_is_in_an_image_of_before_it_was_opened(
    tmp_path: Path, disk: FaultyDisk
) -> None:
    with StateStore(tmp_path / "a.db") as store:
        store.session("u").save({"n": 1})
    written = (tmp_path / "a.db").read_bytes()
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        store.session("u").save({"n": 2})
    assert disk.image(0) == {"a.db": written}


def test_one_seed_gives_one_image(tmp_path: Path, disk: FaultyDisk) -> None:
    with StateStore(tmp_path / "a.db", vfs=disk.name, durability="normal") as store:
        store.session("u").save({"n": 1})
        assert images(disk) == images(disk)
        assert len({repr(image) for image in images(disk)}) > 60


def test_the_files_of_a_cut_can_be_opened_and_a_forgotten_log_still_counts(
    tmp_path: Path, disk: FaultyDisk
) -> None:
    with StateStore(tmp_path / "a.db") as store:
        store.session("u").save({"n": 1})
    target = tmp_path / "cut"
    target.mkdir()
    with StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        store.session("u").save({"n": 2})
        disk.forget()
        assert disk.log == []
        store.session("u").save({"n": 3})
        assert {path.name for path in disk.cut(target)} == {"a.db", "a.db-wal"}
    with StateStore(target / "a.db") as store:
        assert [state["n"] for _, state in store.session("u").replay()] == [1, 2, 3]
    assert disk.image(0)["a.db"] == disk.image(1)["a.db"]
    with pytest.raises(ValueError, match="the length of the log"):
        disk.image(len(disk.log) + 1)


def test_neither_pytest_nor_hypothesis_is_needed() -> None:
    script = """
import sys
from eventstate.testing import FaultyDisk, Trial, crash_points, error_points
assert not {"pytest", "hypothesis"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)
