"""The journal's format: numbered migrations in `schema/`, and what is checked before a file is used."""

from __future__ import annotations

import functools
import os
import re
from typing import Any, Final

from eventstate.errors import CorruptJournalError, NewerFormatError, ReadOnlyError, StorageError
from eventstate.journal import statements as sql
from eventstate.journal.connection import Connection

APPLICATION_ID: Final = 0x45765374  # "EvSt"
PAGE_SIZE: Final = 4096
_LEXEME: Final = r"[ \n]+|--[^\n\0]*|(\w+|>>|[(),;])"
_MARK: Final = r" ?(>>|[(),;]) ?"


@functools.cache
def migrations() -> tuple[str, ...]:
    """Give the migrations' SQL, the first one making format 1.

    It is bare, as a file keeps the text of each table: with comments they take pages.

    Raises:
        StorageError: they can't be read, as in a zip file.
    """
    package = os.path.dirname(os.path.dirname(__file__))
    folder = os.path.join(package, "_schema")
    if not os.path.isdir(folder):  # an editable install: the folder stands beside the package
        folder = os.path.join(os.path.dirname(package), "schema")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".sql"))
        return tuple(bare(_text(os.path.join(folder, name))) for name in names)
    except OSError as error:
        raise StorageError(f"{folder}: eventstate needs its migrations as files there: {error}") from error


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def bare(text: Any) -> Any:
    """Give SQL without comments and without the white space that it can do without.

    Two texts come out alike only if SQLite reads the same tokens in both. What has any but the few kinds
    of tokens that the migrations are made of, as quotes, is given as it is: it could hide anything.
    """
    if not isinstance(text, str):
        return text
    token = re.compile(_LEXEME, re.ASCII)
    tokens: list[str] = []
    at = 0
    while at < len(text):
        found = token.match(text, at)
        if found is None:
            return text
        tokens += filter(None, found.groups())
        at = found.end()
    return re.sub(_MARK, r"\1", " ".join(tokens))


@functools.cache
def expected_schema() -> frozenset[tuple[str, str, str]]:
    """Give `(type, name, sql)` of the tables and indexes that the migrations make."""
    scratch = Connection(":memory:", read_only=False, durability="normal", timeout=1)
    for script in migrations():
        scratch.migrate(script)
    rows = schema(scratch)
    scratch.close()
    return rows


def schema(connection: Connection) -> frozenset[tuple[str, str, str]]:
    """Give `(type, name, sql)` of what stands in a file beside what SQLite made itself; the SQL is bare."""
    return frozenset((kind, name, bare(text)) for kind, name, text in connection.all(sql.SCHEMA))


def prepare(connection: Connection) -> None:
    """Make a new file a journal, bring an old one up to date, and refuse what is neither.

    Raises:
        CorruptJournalError: another program's database, or a damaged one.
        NewerFormatError: the file was written by a newer eventstate.
        ReadOnlyError: it would have to be migrated, but is opened read-only.
    """
    steps = migrations()
    version = _version(connection, len(steps))
    if connection.read_only:
        if version == len(steps):
            _check_tables(connection)
            return
        reason = (
            f"format {version} has to be migrated; open it for writing once" if version else "an empty file"
        )
        raise ReadOnlyError(f"{connection.path}: {reason}")
    if version == 0:
        connection.pragma("page_size", PAGE_SIZE)
        connection.pragma("auto_vacuum", "INCREMENTAL")
    if version < len(steps):
        _migrate(connection, steps)
    _check_tables(connection)
    if not connection.in_memory:
        connection.pragma("journal_mode", "wal")


def _check_tables(connection: Connection) -> None:
    """Refuse tables with our names, and indexes on them, that are not ours: they could compute anything."""
    ours = expected_schema()
    tables = {name for kind, name, _ in ours if kind == "table"}
    for table, kind, name, text in connection.all(sql.SCHEMA_OF_TABLES):
        if kind == "trigger" or not {name, table} & tables or (kind, name, text) in ours:
            continue
        if (kind, name, bare(text)) not in ours:  # an older file's, with comments: it takes a while to tell
            raise CorruptJournalError(f"{connection.path}: the {kind} {name} is not what eventstate makes")


def _migrate(connection: Connection, steps: tuple[str, ...]) -> None:
    with connection.write():
        for number in range(
            _version(connection, len(steps)), len(steps)
        ):  # another process may have been faster
            connection.migrate(steps[number])
            connection.pragma("user_version", number + 1)
            connection.pragma("application_id", APPLICATION_ID)


def _version(connection: Connection, newest: int) -> int:
    """Read the file's format; 0 for an empty file."""
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    if application == APPLICATION_ID:
        if version > newest:
            raise NewerFormatError(
                f"{connection.path}: written in format {version}; this eventstate knows up to {newest}"
            )
        return int(version)
    if application or version or connection.pragma("schema_version"):
        if connection.pragma("application_id") == APPLICATION_ID:
            return _version(connection, newest)  # another process made it, between two of these readings
        raise CorruptJournalError(f"{connection.path}: a database, but no journal of eventstate")
    return 0
