"""Journals that somebody made to do harm: mutations of their bytes, rows and schema."""

# ruff: noqa: S608 - names of tables and columns are ours, and the rest is meant to do harm

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw
from hypothesis import strategies as st

from tests.damage.images import PAGE, Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TABLES: Final = (
    "sessions",
    "branches",
    "commits",
    "events",
    "tags",
    "snapshots",
    "postings",
    "redactions",
    "husks",
    "roots",
    "removals",
)
_NAMES: Final = (*TABLES, "commits_by_round", "commits_by_commit_id", "commits_by_source")
_BOMB: Final = zlib.compress(bytes(1 << 24), 9)

_INTEGERS: Final = (0, -1, 1, 2, 7, 1 << 31, 1 << 32, (1 << 32) + 1, (1 << 62), (1 << 63) - 1, -(1 << 63))
_BLOBS: Final = (
    b"",
    b"\xc1",
    b"\x90",
    b"\x91" * 600 + b"\x90",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff\x01",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x03",
    b"\xdd\x00\x00\x0f\x00" * 500,
    b"\xc7\x0e\x03\x91\xdd\xff\xff\xff\xff\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0",
    b"\x93\x00\x00\x90",
    b"\x93\x90\x01\xc0",
    b"\x93\x91\x00\x04\xc0",
    b"\x93\xcf" + b"\xff" * 8 + b"\x00\xa1x",
    b"\xc8\x08\x00\x01" + b"\x7f" * 2048,
    b"\x92\xa1x\xc0",
    _BOMB,
    b"\x81\xa1a" * 150 + b"\xc0",
)
_TEXTS: Final = ("", "main", "fork 0", "a\0b", "x" * 5000, "tag", "fork", "merge", "../../x", "\U0001f600")

_cells = st.one_of(
    st.none(),
    st.sampled_from(_INTEGERS),
    st.sampled_from(_BLOBS),
    st.sampled_from(_TEXTS),
    st.binary(max_size=8),
    st.integers(-5, 100),
    st.just(1.5),
)

_EXPRESSIONS: Final = (
    "hex(zeroblob(99999))",
    "printf('%.*c', 99999, 'x')",
    "load_extension('x')",
    "randomblob(9)",
    "id",
    "id >> 32",
    "abs(-9223372036854775808)",
    "printf('%s', id)",
    "'x' LIKE '%x%x%x%x%x%x'",
    "x",
    "length(replace(hex(zeroblob(900)), '0', hex(zeroblob(900))))",
    "json_extract('[1]', '$')",
    "fts5(1)",
    "eval('1')",
    "readfile('/etc/passwd')",
    "1/0",
    "NULL",
    "glob('*a*b*c*', hex(zeroblob(9999)))",
)
_BODIES: Final = (
    "SELECT load_extension('x')",
    "DELETE FROM events",
    "INSERT INTO events SELECT id + 1, op, path, value FROM events",
    "SELECT RAISE(ABORT, 'no')",
    "SELECT RAISE(IGNORE)",
    "UPDATE commits SET version = version + 1",
    "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n",
    "SELECT writefile('x', 'y')",
    "SELECT hex(zeroblob(400000000))",
    "SELECT * FROM nothing",
)
_ENDLESS: Final = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT "
_MODULES: Final = (
    "fts5(id, op, path, value)",
    "fts4(id, position)",
    "rtree(id, a, b)",
    "dbstat",
    "geopoly(a)",
    "fts5vocab(events, row)",
    "sqlite_stmt",
    "json_each",
    "carray",
    "nothing(1)",
)


def _column_of(table: str) -> str:
    return {"tags": "version", "postings": "first", "sessions": "user_id", "branches": "name"}.get(
        table, "id"
    )


def _trigger(table: str, when: str, body: str) -> list[str]:
    return [f"CREATE TRIGGER t_{when.split()[1]} {when} ON {table} BEGIN {body}; END"]


def _view(table: str, select: str) -> list[str]:
    return [
        f"ALTER TABLE {table} RENAME TO old_{table}",
        f"CREATE VIEW {table} AS {select} * FROM old_{table}",
    ]


def _endless(table: str, columns: str) -> list[str]:
    return [
        f"ALTER TABLE {table} RENAME TO old_{table}",
        f"CREATE VIEW {table} AS {_ENDLESS} {columns} FROM n",
    ]


def _generated(table: str, expression: str) -> list[str]:
    return [f"ALTER TABLE {table} ADD COLUMN extra GENERATED ALWAYS AS ({expression}) VIRTUAL"]


def rewritten(table: str, column: str, expression: str) -> list[str]:
    """Make a column that there is a computed one, in the schema's text."""
    quoted = expression.replace("'", "''")
    return [
        "PRAGMA writable_schema = ON",
        f"""UPDATE sqlite_schema SET sql = replace(
            replace(sql, '{column} INTEGER', '{column} INTEGER GENERATED ALWAYS AS ({quoted}), x INTEGER'),
            'STRICT', '') WHERE name = '{table}'""",
    ]


def _virtual(table: str, module: str) -> list[str]:
    return [f"ALTER TABLE {table} RENAME TO old_{table}", f"CREATE VIRTUAL TABLE {table} USING {module}"]


def _index(table: str, expression: str) -> list[str]:
    return [f"CREATE INDEX extra ON {table} ({_column_of(table)}) WHERE {expression} IS NOT NULL"]


def _schema_edit(name: str, change: str) -> list[str]:
    return ["PRAGMA writable_schema = ON", f"UPDATE sqlite_schema SET {change} WHERE name = '{name}'"]


_EDITS: Final = (
    "sql = NULL",
    "sql = 'garbage'",
    "sql = ''",
    "type = 'view'",
    "type = 'table'",
    "type = 'trigger'",
    "name = 'x'",
    "tbl_name = 'events'",
    "rootpage = 1",
    "rootpage = 0",
    "rootpage = 2",
    "rootpage = 4",
    "rootpage = -1",
    "rootpage = 99999",
    "sql = replace(sql, 'INTEGER', 'TEXT')",
    "sql = replace(sql, 'STRICT', '')",
    "sql = replace(sql, 'NOT NULL', '')",
    "sql = replace(sql, 'PRIMARY KEY', '')",
    "sql = replace(sql, 'STRICT', 'STRICT, WITHOUT ROWID')",
    "sql = replace(sql, 'TEXT', 'TEXT COLLATE nothing')",
    "sql = 'CREATE VIRTUAL TABLE ' || name || ' USING fts5(id)'",
    "sql = replace(sql, ')STRICT', ', CHECK (hex(zeroblob(99999)) > 1)) STRICT')",
    "sql = replace(sql, 'op INTEGER NOT NULL', 'op INTEGER NOT NULL DEFAULT (load_extension(1))')",
)
_PRAGMAS: Final = tuple(
    f"PRAGMA {pragma}"
    for pragma in (
        "user_version = 0",
        "user_version = 1",
        "user_version = -1",
        "user_version = 99",
        "application_id = 0",
        "journal_mode = delete",
        "schema_version = 77",
        "default_cache_size = -2000000",
        "journal_mode = wal",
    )
)

_tables = st.sampled_from(TABLES)
_statements: st.SearchStrategy[list[str]] = st.one_of(
    st.builds(
        _trigger,
        _tables,
        st.sampled_from(["AFTER INSERT", "BEFORE INSERT", "AFTER DELETE", "AFTER UPDATE"]),
        st.sampled_from(_BODIES),
    ),
    st.builds(_view, _tables, st.sampled_from(["SELECT", "SELECT DISTINCT", "SELECT 1,"])),
    st.builds(_endless, _tables, st.sampled_from([", ".join(["i"] * n) for n in (4, 5, 7, 18)])),
    st.builds(_endless, _tables, st.just("i AS id, 1 AS op, x'a161' AS path, NULL AS value, i AS position")),
    st.builds(_generated, _tables, st.sampled_from(_EXPRESSIONS)),
    st.builds(
        rewritten,
        _tables,
        st.sampled_from(["position", "op", "version", "parent", "number", "size"]),
        st.sampled_from(_EXPRESSIONS),
    ),
    st.builds(_virtual, _tables, st.sampled_from(_MODULES)),
    st.builds(_index, _tables, st.sampled_from(_EXPRESSIONS)),
    st.builds(_schema_edit, st.sampled_from(_NAMES), st.sampled_from(_EDITS)),
    st.sampled_from(_PRAGMAS).map(lambda pragma: [pragma]),
)


class Mutation(NamedTuple):
    """One thing that was done to a journal."""

    kind: str
    what: tuple[Any, ...]


mutations: st.SearchStrategy[list[Mutation]] = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)).map(lambda what: Mutation("byte", what)),
        st.tuples(st.integers(0, 200), st.integers(0, 99)).map(lambda what: Mutation("header", what)),
        st.tuples(st.integers(0, 99), st.integers(0, 99)).map(lambda what: Mutation("page", what)),
        st.tuples(_tables, st.integers(0, 50), st.integers(0, 20), _cells).map(
            lambda what: Mutation("cell", what)
        ),
        st.tuples(_tables, st.lists(_cells, min_size=5, max_size=20)).map(lambda what: Mutation("row", what)),
        _statements.map(lambda statements: Mutation("schema", tuple(statements))),
    ),
    min_size=1,
    max_size=4,
)
"""What is done to a journal, one after the other."""


def mutated(image: Image, steps: Sequence[Mutation], folder: Path) -> Image:
    """Do all that to a journal, as far as SQLite lets it happen."""
    for step in steps:
        image = _CHANGES[step.kind](image, step.what, folder) if step.kind in _CHANGES else image
    return image


def _byte(image: Image, what: tuple[Any, ...], _: Path) -> Image:
    data = bytearray(image.file)
    data[what[0] % len(data)] = what[1]
    return Image(bytes(data))


def _header(image: Image, what: tuple[Any, ...], _: Path) -> Image:
    """Change the start of a page, where its tree's shape is, or that of the file."""
    data = bytearray(image.file)
    at = what[1] * PAGE % len(data) + what[0]
    data[at] = (data[at] + 1 + what[0] + what[1]) % 256
    return Image(bytes(data))


def _page(image: Image, what: tuple[Any, ...], _: Path) -> Image:
    data = bytearray(image.file)
    here, there = (number * PAGE % len(data) for number in what)
    data[there : there + PAGE] = data[here : here + PAGE]
    return Image(bytes(data))


def _cell(image: Image, what: tuple[Any, ...], folder: Path) -> Image:
    table, row, column, value = what
    with _edited(image, folder) as database:
        key = {"tags": "name", "postings": "first"}.get(table, "rowid")
        keys = [found for (found,) in database.execute(f"SELECT {key} FROM {table} ORDER BY 1")]
        columns = [found[1] for found in database.execute(f"PRAGMA table_info({table})")]
        name = columns[column % len(columns)]
        database.execute(f"UPDATE {table} SET {name} = ? WHERE {key} = ?", (value, keys[row % len(keys)]))
    return _closed(folder)


def _row(image: Image, what: tuple[Any, ...], folder: Path) -> Image:
    table, values = what
    with _edited(image, folder) as database:
        columns = [found[1] for found in database.execute(f"PRAGMA table_info({table})")]
        holes = ", ".join("?" * len(columns))
        row = (values * len(columns))[: len(columns)]
        database.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({holes})", row)
    return _closed(folder)


def _schema(image: Image, what: tuple[Any, ...], folder: Path) -> Image:
    with _edited(image, folder) as database:
        for statement in what:
            database.execute(statement)
    return _closed(folder)


_CHANGES: Final = {
    "byte": _byte,
    "header": _header,
    "page": _page,
    "cell": _cell,
    "row": _row,
    "schema": _schema,
}
_NAME: Final = "mutated.db"


@contextlib.contextmanager
def _edited(image: Image, folder: Path) -> Any:
    """Give a connection that may do anything to the journal; what SQLite refuses is left undone."""
    database = apsw.Connection(str(image.write(folder, _NAME)))
    left = 2000

    def stop() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    try:
        database.set_progress_handler(stop, 10_000)
        database.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        yield database
    except (apsw.Error, UnicodeDecodeError, ZeroDivisionError, OverflowError):
        pass
    finally:
        with contextlib.suppress(apsw.Error):
            database.close(force=True)


def _closed(folder: Path) -> Image:
    return Image((folder / _NAME).read_bytes())


def sweep() -> dict[str, list[list[str]]]:
    """Give each thing that can be hidden in a schema at least once."""
    return {
        "triggers": [
            _trigger(table, "AFTER INSERT", body) for body in _BODIES for table in ("commits", "events")
        ],
        "views": [_view(table, "SELECT") for table in TABLES],
        "endless views": [_endless(table, ", ".join(["i"] * 18)) for table in TABLES],
        "computed columns": [_generated("events", expression) for expression in _EXPRESSIONS]
        + [rewritten("commits", "version", expression) for expression in _EXPRESSIONS],
        "virtual tables": [_virtual("events", module) for module in _MODULES],
        "indexes": [_index("commits", expression) for expression in _EXPRESSIONS],
        "edited texts": [_schema_edit(name, edit) for edit in _EDITS for name in ("commits", "events")],
        "pragmas": [[pragma] for pragma in _PRAGMAS],
    }
