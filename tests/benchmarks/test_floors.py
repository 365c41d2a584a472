"""The floors: bare SQLite gets the very rows that the store wrote, in as many transactions."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from benchmarks import workloads
from benchmarks.contestants.eventstate import FILE, Eventstate
from benchmarks.contestants.raw import BareMsgpack, BareSqlite

TURNS = workloads.plain_turns(1, 6)


def rows(path: Path) -> dict[str, list[Any]]:
    file = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        tables = ("sessions", "branches", "events", "commits")
        return {table: file.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}  # noqa: S608
    finally:
        file.close()


@pytest.fixture
def both(tmp_path: Path) -> tuple[Eventstate, BareSqlite]:
    ours, floor = Eventstate(), BareSqlite()
    for name, contestant in (("eventstate", ours), ("apsw", floor)):
        (tmp_path / name).mkdir()
        contestant.open(str(tmp_path / name), "normal")
    return ours, floor


def test_the_floor_writes_the_rows_that_the_store_wrote(
    tmp_path: Path, both: tuple[Eventstate, BareSqlite]
) -> None:
    ours, floor = both
    for session, chunk in (("one", TURNS[:2]), ("two", TURNS[:4]), ("one", TURNS[2:])):
        ours.turns(session, chunk)
        assert len(floor.turns(session, chunk)["seconds"]) == len(chunk)
        # As it is when the store is weighed: both go on where they were.
        for name, contestant in (("eventstate", ours), ("apsw", floor)):
            contestant.close()
            contestant.open(str(tmp_path / name), "normal")
    ours.tasks(["three", "four"], TURNS[:3])
    assert len(floor.tasks(["three", "four"], TURNS[:3])["seconds"]) == 1
    ours.close()
    floor.close()
    stored = rows(tmp_path / "eventstate" / FILE)
    assert len(stored["commits"]) == 2 + 4 + 4 + 2 * 3
    assert rows(tmp_path / "apsw" / "raw.db") == stored


def test_the_floor_has_nothing_to_do_if_the_store_wrote_nothing(
    both: tuple[Eventstate, BareSqlite],
) -> None:
    ours, floor = both
    ours.turns("one", TURNS)
    assert len(floor.turns("one", TURNS)["seconds"]) == 6
    assert floor.turns("one", TURNS)["seconds"] == []
    ours.close()
    floor.close()


def test_packing_is_of_the_whole_state() -> None:
    floor = BareMsgpack()
    floor.open("folder", "normal")
    for chunk in (TURNS[:2], TURNS[2:]):
        assert len(floor.turns("one", chunk)["seconds"]) == len(chunk)
    expected = workloads.after(TURNS)
    assert {name: floor.latest("one")[name] for name in expected} == expected
