"""Damage anywhere: any cell set to anything, any row gone. It shows, and raises only what it may."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventstate import EventStateError, StateStore
from tests.stores import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate import Session

pytestmark = pytest.mark.proves("rows")

COLUMNS = {
    "sessions": {"id": int, "user_id": str, "session_id": str, "deleted": int, "encrypted": int},
    "branches": {
        "id": int,
        "session": int,
        "name": str,
        "parent": int,
        "parent_version": int,
        "origin": int,
        "origin_commit": int,
        "origin_round": int,
        "origin_named": int,
    },
    "commits": {
        "id": int,
        "position": int,
        "version": int,
        "events": int,
        "weight": int,
        "recorded_at": int,
        "kind": str,
        "round": int,
        "source": int,
        "source_version": int,
        "tag": str,
        "actor": str,
        "reason": str,
        "commit_id": str,
        "metadata": bytes,
        "salt": bytes,
        "hash": bytes,
        "chain": bytes,
    },
    "events": {"id": int, "op": int, "path": bytes, "value": bytes},
    "tags": {"branch": int, "name": str, "source": int, "version": int, "number": int},
    "snapshots": {"number": int, "weight": int, "size": int, "digest": bytes, "data": bytes},
    "redactions": {"id": int, "digest": bytes, "salt": bytes},
    "husks": {"id": int, "position": int, "hash": bytes},
    "roots": {
        "id": int,
        "number": int,
        "weight": int,
        "size": int,
        "salt": bytes,
        "digest": bytes,
        "data": bytes,
    },
}
"""What is read of each table, but for what only says when to make the next snapshot."""

VALUES: dict[type, st.SearchStrategy[Any]] = {
    int: st.sampled_from([0, -1, 1, 2, 3, 5, 1 << 32, 1 << 62, -(1 << 63), (1 << 63) - 1]) | st.none(),
    str: st.sampled_from(["", "x", "main", "other", "a\0b"]) | st.none(),
    bytes: st.sampled_from([b"", b"x", b"\xc1", b"\x92\x01", b"\xdd\xff\xff\xff\xff", b"\x91" * 300 + b"\1"])
    | st.binary(max_size=4)
    | st.none(),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "original.db"
    with StateStore(path, durability="normal", snapshot_every=4, clock=Clock()) as store:
        session = store.session("alice", "trip")
        session.save({"plan": None, "n": 0, "messages": []}, actor="x", metadata={"k": 1})
        for number in range(1, 6):
            with session.round(metadata={"turn": number}) as state:
                state["n"] = number
                state["messages"].append({"number": number})
        session.tag("middle", at=3)
        fork = session.fork("what-if", at=3)
        fork.update(lambda state: state.update(plan="train"))
        fork.tag("own")
        fork.fork("deep", at=2).save({"z": 1}, commit_id="c")
        session.note("tool.called", {"n": 1})
        session.merge(fork)
        pruned = store.session("eve")
        for number in range(5):
            pruned.save({"n": number, "card": "secret", "list": [{"card": number}]})
        pruned.tag("second", at=2)
        pruned.prune(keep_rounds=2)
        pruned.erase("card")
        pruned.save({"n": 9, "pin": 1, "deep": {"pin": 2, "x": 3}})
        pruned.erase(("deep", "pin"))
        store.session("carol").save({"n": 1})
        store.session("carol").delete()
        store.session("dave").save({"n": 1})
        store.session("dave").purge()
        store.session("bob").save({"a": 1})
    return path


@contextlib.contextmanager
def copied(original: Path) -> Iterator[tuple[Path, apsw.Connection]]:
    """Give a copy of a closed journal, and a connection to damage it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(original, folder))
        connection = apsw.Connection(str(path))
        try:
            yield path, connection
        finally:
            connection.close()


def row_at(connection: apsw.Connection, table: str, number: int) -> str:
    """Give the condition that finds one row, be it as it may be."""
    key = "name" if table == "tags" else "rowid"
    keys = [found for (found,) in connection.execute(f"SELECT {key} FROM {table} ORDER BY 1")]  # noqa: S608
    return f"{key} = {apsw.format_sql_value(keys[number % len(keys)])}"


def cell(connection: apsw.Connection, table: str, column: str, where: str) -> Any:
    [(value,)] = connection.execute(f"SELECT {column} FROM {table} WHERE {where}")  # noqa: S608
    return value


def put(connection: apsw.Connection, table: str, column: str, where: str, value: Any) -> bool:
    """Set a cell, and say whether the file let that happen."""
    try:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))  # noqa: S608
    except (apsw.ConstraintError, apsw.MismatchError):
        return False
    return True


def use(store: StateStore) -> None:
    """Do all that can be done, and let no error through but the library's own."""
    calls: list[Callable[[Session], object]] = [
        lambda session: session.state(),
        lambda session: session.state(at=2),
        lambda session: session.state(version=5),
        lambda session: session.state(at="middle"),
        lambda session: session.state(at=Clock().now),
        lambda session: list(session.replay()),
        lambda session: [(change.before, change.after) for change in session.history("messages")],
        lambda session: [change.after for change in session.blame().values()],
        lambda session: list(session.notes()),
        lambda session: session.tags(),
        lambda session: str(session.diff(1, 2)),
        lambda session: session.update(lambda state: state.update(n=7)),
        lambda session: session.undo(),
        lambda session: session.note("x"),
        lambda session: session.tag("new"),
        lambda session: session.fork(f"from {session.branch}"),
        lambda session: session.merge(store.session("alice", "trip", "deep")),
    ]
    for branch in ("main", "what-if"):
        for call in calls:
            with contextlib.suppress(EventStateError):
                call(store.session("alice", "trip", branch))
    for listed in (store.sessions, store.commits, lambda: store.tables().table_names()):
        with contextlib.suppress(EventStateError):
            list(listed())


@st.composite
def places(draw: st.DrawFn) -> tuple[str, str, int, Any]:
    table = draw(st.sampled_from(sorted(COLUMNS)))
    column = draw(st.sampled_from(sorted(COLUMNS[table])))
    return table, column, draw(st.integers(0, 30)), draw(VALUES[COLUMNS[table][column]])


def harmless(connection: apsw.Connection, table: str, column: str, where: str, value: Any) -> bool:
    """Say whether a change means nothing."""
    old = cell(connection, table, column, where)
    if table == "branches" and {old, value} == {0, None}:
        return True  # the first branch starts at no version of no other, which is 0
    if table == "commits" and column == "salt" and cell(connection, table, "events", where) == 0:
        return True  # it salts nothing
    return bool(old == value)


@given(place=places())
def test_a_cell_set_to_anything_else_shows(original: Path, place: tuple[str, str, int, Any]) -> None:
    table, column, number, value = place
    with copied(original) as (path, connection):
        where = row_at(connection, table, number)
        if harmless(connection, table, column, where, value):
            return
        if put(connection, table, column, where, value):
            connection.close()
            with StateStore(path, read_only=True) as store:
                assert not store.verify().ok


@pytest.mark.parametrize("table", sorted(set(COLUMNS) - {"snapshots"}))
def test_a_row_that_is_gone_shows(original: Path, table: str) -> None:
    for number in range(30):
        with copied(original) as (path, connection):
            where = row_at(connection, table, number)
            connection.execute(f"DELETE FROM {table} WHERE {where}")  # noqa: S608
            connection.close()
            with StateStore(path, read_only=True) as store:
                assert not store.verify().ok, where


def test_a_last_commit_that_is_gone_with_all_that_it_wrote_is_known_only_by_its_hash(original: Path) -> None:
    # Nothing in a file can prove that it once was longer: that takes something kept elsewhere.
    with copied(original) as (path, connection):
        with StateStore(path, read_only=True) as store:
            last = list(store.commits())[-1]
        for statement in (
            "DELETE FROM events WHERE id >> 32 = (SELECT max(id) FROM branches)",
            "DELETE FROM commits WHERE position = (SELECT max(position) FROM commits)",
            "DELETE FROM branches WHERE id = (SELECT max(id) FROM branches)",
            "DELETE FROM sessions WHERE id = (SELECT max(id) FROM sessions)",
        ):
            connection.execute(statement)
        connection.close()
        with StateStore(path, read_only=True) as store:
            assert store.verify().ok
            assert last.hash not in {commit.hash for commit in store.commits()}


@example(damage=[("commits", "events", 11, 1 << 62)])
@example(damage=[("commits", "version", 3, 1 << 40)])
@given(damage=st.lists(places(), min_size=1, max_size=3))
def test_damage_raises_nothing_but_the_librarys_own_errors(
    original: Path, damage: list[tuple[str, str, int, Any]]
) -> None:
    with copied(original) as (path, connection):
        for table, column, number, value in damage:
            put(connection, table, column, row_at(connection, table, number), value)
        connection.close()
        with contextlib.suppress(EventStateError), StateStore(path, durability="normal") as store:
            use(store)
            store.verify()
