"""Somebody who knows the format and rewrites the past, with every hash made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import apsw

from eventstate.journal import chain
from eventstate.journal.events import weight
from eventstate.journal.records import LOW, Commit, Event, row_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COMMIT: Final = ", ".join(Commit._fields)


def forge(path: Path, position: int, value: bytes) -> None:
    """Give the first event of the commit at a position another value, and make every hash after it anew.

    From there on the salts are other ones too, as of commits that nobody ever saw. What is derived is
    dropped. What comes out is a whole journal, of a past that never was.
    """
    database = apsw.Connection(str(path))
    with database:
        number, version, events = _one(
            database, "SELECT id, version, events FROM commits WHERE position = ?", position
        )
        branch = number >> 32
        first = row_id(branch, version - events + 1)
        database.execute("UPDATE events SET op = 1, value = ? WHERE id = ?", (value, first))
        if database.changes() != 1:
            raise ValueError(f"commit {position} has no events")
        database.execute("DELETE FROM snapshots")
        database.execute("DELETE FROM postings")
        _rehash(database, position)
    database.close()


def cut(path: Path, position: int) -> None:
    """Take away the commits after a position with all that they wrote, and leave a whole journal."""
    database = apsw.Connection(str(path))
    with database:
        for statement in (
            "DELETE FROM commits WHERE position > ?1",
            "DELETE FROM branches WHERE NOT EXISTS (SELECT 1 FROM commits WHERE branch = branches.id)",
            "DELETE FROM sessions WHERE NOT EXISTS (SELECT 1 FROM branches WHERE session = sessions.id)",
            """DELETE FROM events WHERE (id & 4294967295) > coalesce(
                (SELECT max(version) FROM commits WHERE branch = events.id >> 32), 0)""",
            """DELETE FROM tags WHERE NOT EXISTS (
                SELECT 1 FROM commits WHERE commits.id = tags.branch << 32 | tags.number)""",
            "DELETE FROM snapshots",
            "DELETE FROM postings",
        ):
            database.execute(statement, (position,) if "?1" in statement else ())
    database.close()


def _rehash(database: apsw.Connection, start: int) -> None:
    link = chain.EMPTY_CHAIN
    last: dict[int, Commit] = {}
    for row in list(database.execute(f"SELECT {_COMMIT} FROM commits ORDER BY position")):  # noqa: S608 - our own names
        commit = Commit._make(row)
        before = last.get(commit.branch)
        events = list(_events(database, commit))
        heavy = (0 if before is None else before.weight) + sum(map(weight, events))
        commit = commit._replace(weight=heavy)
        if commit.position >= start:
            commit = commit._replace(salt=chain.digest(commit.salt)[: chain.SALT_SIZE])
        previous = _first(database, commit) if before is None else before.hash
        hashed = chain.commit_hash(previous, commit, chain.event_digests(commit, events))
        link = chain.link(link, hashed)
        commit = last[commit.branch] = commit._replace(
            hash=hashed, chain=chain.kept(link, commit.position, commit.kind)
        )
        database.execute(
            "UPDATE commits SET weight = ?, salt = ?, hash = ?, chain = ? WHERE id = ?",
            (commit.weight, commit.salt, commit.hash, commit.chain, commit.id),
        )


def _events(database: apsw.Connection, commit: Commit) -> Iterator[Event]:
    upto = row_id(commit.branch, commit.version)
    rows = database.execute(
        "SELECT op, path, value FROM events WHERE id > ? AND id <= ? ORDER BY id",
        (upto - commit.events, upto),
    )
    yield from map(Event._make, rows)


def _first(database: apsw.Connection, commit: Commit) -> bytes:
    origin, number, name, own_round, named, *names = _one(
        database,
        """SELECT origin, origin_commit, name, origin_round, origin_named, user_id, session_id
        FROM branches JOIN sessions ON sessions.id = session WHERE branches.id = ?""",
        commit.branch,
    )
    if origin is None:
        return chain.genesis(*names)
    (before,) = _one(database, "SELECT hash FROM commits WHERE id = ?", row_id(origin, number & LOW))
    return chain.fork_start(before, name, own_round, named)


def _one(database: apsw.Connection, statement: str, *values: Any) -> Any:
    [row] = database.execute(statement, values)
    return row
