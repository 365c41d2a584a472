"""What nothing can go below: the disk's fsync, and bare SQLite writing the same rows."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import apsw

from eventstate.journal.records import Commit
from eventstate.journal.schema import migrations

if TYPE_CHECKING:
    from pathlib import Path

Rows = dict[str, list[tuple[Any, ...]]]
"""What a commit wrote, by table."""


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
        path: a new file, or one that this class made.
        synchronous: `FULL` or `NORMAL`.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        new = not path.exists()
        self._db = apsw.Connection(str(path))
        if new:
            self._db.pragma("page_size", 4096)
            self._db.pragma("auto_vacuum", "INCREMENTAL")
            for script in migrations():
                self._db.execute(script)
        self._db.pragma("journal_mode", "wal")
        self._db.pragma("synchronous", synchronous)

    def insert(self, tables: Rows) -> float:
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


def merged(commits: list[Rows]) -> Rows:
    """Give the rows of several commits as those of one transaction."""
    tables: Rows = defaultdict(list)
    for commit in commits:
        for table, rows in commit.items():
            tables[table] += rows
    return {name: tables[name] for name in ("sessions", "branches", "events", "commits") if name in tables}


class Tap:
    """Reads the rows that a store's commits wrote, so that they can be written again without it.

    Args:
        path: the store's file.
        position: of the last commit that is not news.

    Attributes:
        position: of the last commit that was given.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        self._db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self.position = position

    def news(self) -> list[Rows]:
        """Give the rows, by table, of each commit since the last time."""
        columns = ", ".join(Commit._fields)
        statement = f"SELECT {columns} FROM commits WHERE position > ? ORDER BY position"  # noqa: S608 - our names
        commits = list(map(Commit._make, self._all(statement, self.position)))
        if commits:
            self.position = commits[-1].position
        return list(map(self._rows, commits))

    def last(self) -> Rows:
        """Give the rows of the newest commit, by table; there is one since the last time."""
        return self.news()[-1]

    def _rows(self, commit: Commit) -> Rows:
        last = commit.branch << 32 | commit.version
        events = self._all("SELECT * FROM events WHERE id > ? AND id <= ?", last - commit.events, last)
        tables: Rows = {"events": events, "commits": [commit]}
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
