"""A file's schema is ours only if SQLite reads the same in it, whatever comments and white space it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import CorruptJournalError, StateStore
from eventstate.journal.schema import bare, migrations

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proves("hostile")

TOKENS = st.lists(st.sampled_from(["a", "b", "ab", "1", "STRICT", "(", ")", ",", ";", ">>"]), max_size=8)
GAPS = st.sampled_from([" ", "\n", "  \n", "--\n", " -- it's ( a\n", "-- /* \n\n"])


def test_no_comments_are_run_and_nothing_else_is_left_out() -> None:
    for script in migrations():
        assert "--" not in script
        assert "\n" not in script
        assert bare(script) == script
    text = "CREATE TABLE t (\n  a, -- what's in it\n  b c -- and\n) STRICT"
    assert bare(text) == "CREATE TABLE t(a,b c)STRICT"


@given(one=TOKENS, other=TOKENS, gaps=st.lists(GAPS, min_size=8, max_size=8))
def test_texts_are_alike_if_their_tokens_are(one: list[str], other: list[str], gaps: list[str]) -> None:
    first = "".join(map(str.__add__, one, gaps))
    second = "".join(map(str.__add__, other, reversed(gaps)))
    assert (bare(first) == bare(second)) == (one == other)
    assert bare(first) == bare(" ".join(one))


@pytest.mark.parametrize(
    "text",
    [
        "a DEFAULT '--'",
        'a "--\n"',
        "a [--\n]",
        "a `--\n`",
        "a /* -- */ b",
        "a /* -- \n*/ b",
        "a --\0\n STRICT",
        "a \0 STRICT",
        "a > > b",
        "a - - b",
        "a -b",
        "a\tb",
        "a\rb",
        "a\u00a0b",
        "a\u2028b",
        "\u0430",
        "a CHECK (b > 1)",
        None,
        b"a  b",
    ],
)
def test_what_could_be_read_in_two_ways_is_left_as_it_is(text: object) -> None:
    assert bare(text) == text


@pytest.mark.parametrize("end", ["\r", "\v", "\f", "\u0085", "\u2028"])
def test_a_comment_ends_where_sqlite_lets_it_end(end: str) -> None:
    assert bare(f"a -- b{end} STRICT") == "a"
    assert bare(f"a -- b{end} STRICT\nc") == "a c"


@pytest.mark.parametrize(
    "change",
    [
        "replace(sql, ')STRICT', ')--' || char(0) || char(10) || 'STRICT')",
        "replace(sql, ')STRICT', ')--' || char(13) || 'STRICT')",
        "replace(sql, ')STRICT', ')/*' || char(10) || 'STRICT */')",
        "replace(sql, ')STRICT', ') -- STRICT')",
        "replace(sql, 'op INTEGER', 'op INTEGER DEFAULT ''--''')",
        "replace(sql, 'op INTEGER', 'op INTEGER CHECK (op /* -- */ > 0)')",
        "replace(sql, 'op INTEGER', '\"op INTEGER\" INTEGER')",
        "replace(sql, 'op INTEGER', 'op, INTEGER')",
    ],
)
def test_a_text_that_only_looks_like_ours_is_refused(tmp_path: Path, change: str) -> None:
    path = journal(tmp_path, change)
    with pytest.raises(CorruptJournalError):
        StateStore(path)


@pytest.mark.parametrize(
    "change",
    [
        "replace(sql, ')STRICT', char(10) || ') -- it''s ours' || char(10) || 'STRICT')",
        "replace(sql, ',', ', ')",
        "sql || ' -- ours'",
    ],
)
def test_comments_and_white_space_in_a_text_are_no_difference(tmp_path: Path, change: str) -> None:
    with StateStore(journal(tmp_path, change)) as store:
        assert store.session("u").state() == {"n": 1}
        report = store.verify()
        assert report.ok, str(report)


def journal(folder: Path, change: str) -> Path:
    """Make a journal in which the text of the events' table is changed."""
    path = folder / "agent.db"
    with StateStore(path) as store:
        store.session("u").save({"n": 1})
    database = apsw.Connection(str(path))
    database.pragma("writable_schema", value=True)
    before = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'events'").get
    database.execute(f"UPDATE sqlite_schema SET sql = {change} WHERE name = 'events'")  # noqa: S608 - meant to do harm
    assert database.execute("SELECT sql FROM sqlite_schema WHERE name = 'events'").get != before
    database.close()
    return path
