"""A journal made by somebody who means harm does none: no code runs, nothing hangs, memory is bounded."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import apsw
import pytest
from hypothesis import HealthCheck, given, settings

from eventstate import ConflictError, CorruptJournalError, EventStateError, StateStore
from eventstate.journal.chain import digest
from eventstate.journal.connection import Connection
from eventstate.values.codec import Codec
from tests.damage import hostile
from tests.damage.campaign import in_memory
from tests.damage.guard import Stuck
from tests.damage.hostile import Mutation, mutated, mutations
from tests.damage.images import originals
from tests.damage.pool import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.damage.images import Image

pytestmark = pytest.mark.proves("hostile")


@pytest.fixture(scope="module")
def whole() -> Image:
    return originals().closed


@pytest.fixture(scope="module")
def worker(whole: Image) -> Iterator[Worker]:
    with in_memory() as folder, Worker(folder, whole) as worker:
        yield worker


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with in_memory() as folder:
        yield folder


def made(whole: Image, folder: Path, *statements: str, values: tuple[object, ...] = ()) -> Image:
    """Give the journal after statements that all do something."""
    path = whole.write(folder, "made.db")
    database = apsw.Connection(str(path))
    database.pragma("foreign_keys", value=False)
    before = path.read_bytes()
    for statement in statements:
        database.execute(statement, values if "?" in statement else ())
    database.close()
    image = whole._replace(file=path.read_bytes())
    assert image.file != before
    return image


# A whole store is worked through in each example; `python -m tests.damage.fuzz` tries others, and more.
@settings(max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(steps=mutations)
def test_a_mutated_journal_raises_only_the_librarys_errors_and_reaches_for_nothing(
    whole: Image, worker: Worker, folder: Path, steps: list[Mutation]
) -> None:
    assert worker.verdict(mutated(whole, steps, folder)) is None


SWEEP = hostile.sweep()


@pytest.mark.parametrize("name", SWEEP)
def test_what_is_hidden_in_the_schema_neither_runs_nor_hangs(
    whole: Image, worker: Worker, folder: Path, name: str
) -> None:
    for statements in SWEEP[name]:
        assert worker.verdict(mutated(whole, [Mutation("schema", tuple(statements))], folder)) is None, (
            statements
        )


HUGE = {
    "events": "UPDATE commits SET events = ? WHERE position = 3",
    "version": "UPDATE commits SET version = ? WHERE position = 3",
    "weight": "UPDATE commits SET weight = ?",
    "round": "UPDATE commits SET round = ? WHERE position = 3",
    "recorded_at": "UPDATE commits SET recorded_at = ?",
    "source_version": "UPDATE commits SET source_version = ? WHERE source IS NOT NULL",
    "position": "UPDATE commits SET position = ? WHERE position = 9",
    "id of a commit": "UPDATE commits SET id = ? WHERE position = 9",
    "id of an event": "UPDATE events SET id = ? WHERE id = (SELECT max(id) FROM events)",
    "size of a snapshot": "UPDATE snapshots SET size = ?",
    "number of a snapshot": "UPDATE snapshots SET number = ?",
    "parent_version": "UPDATE branches SET parent_version = ? WHERE parent IS NOT NULL",
    "origin_commit": "UPDATE branches SET origin_commit = ? WHERE parent IS NOT NULL",
    "origin_round": "UPDATE branches SET origin_round = ? WHERE parent IS NOT NULL",
    "version of a tag": "UPDATE tags SET version = ?",
}


@pytest.mark.parametrize("what", HUGE)
def test_a_number_that_is_far_too_large_is_no_loop_and_no_memory(
    whole: Image, worker: Worker, folder: Path, what: str
) -> None:
    for number in (4_294_967_295, 1 << 40, (1 << 63) - 1, -(1 << 63)):
        try:
            image = made(whole, folder, HUGE[what], values=(number,))
        except apsw.ConstraintError:
            continue
        assert worker.verdict(image) is None, number


SNAPSHOT = "UPDATE snapshots SET data = ?, size = ?, digest = ?"


def test_a_snapshot_that_inflates_beyond_its_size_is_passed_over(
    whole: Image, worker: Worker, folder: Path
) -> None:
    bomb = zlib.compress(bytes(1 << 27), 9)
    state = Codec().encode({"a": 1})
    for size in (0, 1, len(state), -1):
        image = made(whole, folder, SNAPSHOT, values=(bomb, size, digest(state)))
        assert worker.verdict(image) is None
        with StateStore(image.write(folder), read_only=True) as store:
            assert not store.verify().ok
            assert store.session("alice", "trip").state()["end"] is True


def test_a_snapshot_that_claims_more_than_there_is_is_passed_over(
    whole: Image, worker: Worker, folder: Path
) -> None:
    state = Codec().encode({"a": 1})
    for size in (1 << 32, 1 << 40, (1 << 63) - 1):
        image = made(whole, folder, SNAPSHOT, values=(zlib.compress(state), size, digest(state)))
        assert worker.verdict(image) is None


def test_a_snapshot_that_inflates_hugely_takes_no_memory(whole: Image, worker: Worker, folder: Path) -> None:
    bomb = bytes(90_000_000)
    image = made(whole, folder, SNAPSHOT, values=(zlib.compress(bomb, 9), len(bomb), digest(bomb)))
    assert worker.verdict(image) is None


EXPENSIVE = "length(hex(zeroblob(40000000)))"


def test_an_expensive_expression_in_the_schema_is_not_computed(
    whole: Image, worker: Worker, folder: Path
) -> None:
    image = made(
        whole,
        folder,
        *hostile.rewritten("snapshots", "number", EXPENSIVE),
    )
    assert worker.verdict(image) is None


def test_a_connection_runs_nothing_that_is_stored_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "hostile.db"
    database = apsw.Connection(str(path))
    database.execute("""
        CREATE TABLE t (a); CREATE TABLE seen (a);
        CREATE TRIGGER fires AFTER INSERT ON t BEGIN INSERT INTO seen VALUES (new.a); END;
        CREATE VIEW v AS SELECT a FROM t; CREATE VIRTUAL TABLE f USING fts5(a)""")
    database.close()
    connection = Connection(str(path), read_only=False, durability="normal", timeout=1)
    connection.all("INSERT INTO t VALUES (1)")
    assert connection.all("SELECT a FROM t") == [(1,)]
    assert connection.all("SELECT a FROM seen") == []
    for statement in (
        "SELECT a FROM v",
        "SELECT a FROM f",
        "UPDATE sqlite_schema SET sql = NULL",
        "SELECT 'a' LIKE '" + "%a" * 40 + "'",
    ):
        with pytest.raises(EventStateError):
            connection.all(statement)
    connection.close()


def test_versions_that_contradict_each_other_are_no_reason_to_try_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As where the page that says how far a branch is and the one with its commits are not of one time.
    naps: list[float] = []

    def refuse(*_: object, **__: object) -> None:
        raise ConflictError("it is at version 2", expected=1, actual=2)

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) > 100:
            raise Stuck("100 attempts")

    with StateStore(":memory:") as store:
        session = store.session("u")
        session.save({"n": 1})
        monkeypatch.setattr(store._journal.appender, "append_all", refuse)
        monkeypatch.setattr("eventstate.group.time.sleep", nap)
        with pytest.raises(CorruptJournalError):
            session.update(lambda state: state.update(n=2))


def test_columns_hold_what_the_schema_says_they_do(tmp_path: Path) -> None:
    # The types that a connection insists on are those of the migrations, column by column.
    from eventstate.journal.columns import TYPES

    with StateStore(tmp_path / "a.db"):
        pass
    database = apsw.Connection(str(tmp_path / "a.db"))
    kinds = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    columns = [row for table in tables for row in database.execute(f"PRAGMA table_info({table})")]
    database.close()
    assert len(columns) > 40
    for _, name, kind, required, _, key in columns:
        assert kinds[kind] in TYPES[name], name
        assert required or key or type(None) in TYPES[name], name
