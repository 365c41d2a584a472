"""What nothing can go below: the disk's fsync, and bare SQLite writing the same rows."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import apsw

from eventstate.journal.records import Commit
from eventstate.journal.schema import migrations

if TYPE_CHECKING:
    from pathlib import Path


def fdatasync_seconds(folder: Path) -> float:
    """Time one append of a page with fdatasync."""
    file = os.open(folder / "fsync", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        start = time.perf_counter()
        os.write(file, bytes(4096))
        os.fdatasync(file)
        return time.perf_counter() - start
    finally:
        os.close(file)


def _insert(table: str, width: int) -> str:
    columns = f"({', '.join(Commit._fields)})" if table == "commits" else ""
    return f"INSERT INTO {table} {columns} VALUES ({', '.join('?' * width)})"  # noqa: S608 - our own names


class RawJournal:
    """Bare apsw on the journal's own schema, with the journal's own settings.

    Args:
        path: a new file.
        synchronous: `FULL` or `NORMAL`.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self._db = apsw.Connection(str(path))
        self._db.pragma("page_size", 4096)
        self._db.pragma("auto_vacuum", "INCREMENTAL")
        for script in migrations():
            self._db.execute(script)
        self._db.pragma("journal_mode", "wal")
        self._db.pragma("synchronous", synchronous)

    def insert(self, tables: dict[str, list[tuple[Any, ...]]]) -> float:
        """Insert rows by table in one transaction, and give the seconds that it took."""
        statements = [(_insert(table, len(rows[0])), rows) for table, rows in tables.items() if rows]
        start = time.perf_counter()
        self._db.execute("BEGIN IMMEDIATE")
        for statement, rows in statements:
            self._db.executemany(statement, rows)
        self._db.execute("COMMIT")
        return time.perf_counter() - start

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class Tap:
    """Reads the rows that a store's last commit wrote, so that they can be written again without it."""

    def __init__(self, path: Path) -> None:
        self._db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)

    def last(self) -> dict[str, list[tuple[Any, ...]]]:
        """Give the rows of the newest commit, by table."""
        columns = ", ".join(Commit._fields)
        [row] = self._all(f"SELECT {columns} FROM commits ORDER BY position DESC LIMIT 1")  # noqa: S608 - our own names
        commit = Commit._make(row)
        last = commit.branch << 32 | commit.version
        events = self._all("SELECT * FROM events WHERE id > ? AND id <= ?", last - commit.events, last)
        tables = {"events": events, "commits": [row]}
        if commit.number > 1:
            return tables
        branches = self._all("SELECT * FROM branches WHERE id = ?", commit.branch)
        sessions = self._all("SELECT * FROM sessions WHERE id = ?", branches[0][1])
        return {"sessions": sessions, "branches": branches, **tables}

    def _all(self, statement: str, *values: object) -> list[Any]:
        return self._db.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._db.close()
