"""Damaged lists are found and do no harm; nothing that was removed is left in them."""

# ruff: noqa: S608 - statements that do harm

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import apsw
import pytest

from eventstate import CorruptJournalError, StateStore
from eventstate.journal import statements as sql
from eventstate.journal.postings import Posting
from tests.postings.lists import filled, scanning, sizes, told
from tests.retention.raw import rows

if TYPE_CHECKING:
    from pathlib import Path


def damaged(path: Path, *statements: str) -> None:
    database = apsw.Connection(str(path))
    for statement in statements:
        before = database.total_changes()
        database.execute(statement)
        assert database.total_changes() > before, statement
    database.close()


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("listed") / "a.db"
    with sizes(32):
        filled(path, 40, 10).close()
    return path.read_bytes()


LONG: Final = "replace(hex(zeroblob(9999)), '0', 'a')"
LIST: Final = "WHERE path = x'a178'"
COPY: Final = "INSERT INTO postings SELECT branch, path, first + 1, last + 1, data FROM postings"
SHARE: Final = "INSERT INTO postings SELECT branch, x'a164c1c1', first, first, x'' FROM postings"
DAMAGE: Final = {
    "a list that is gone": (f"DELETE FROM postings {LIST}", False),
    "a shorter list": (f"UPDATE postings SET last = first, data = x'' {LIST}", False),
    "a list under another key": (f"UPDATE postings SET path = x'a179' {LIST}", False),
    "a step that is another": (
        f"UPDATE postings SET data = CAST(x'02' || substr(data, 2) AS BLOB) {LIST}",
        True,
    ),
    "a list that begins elsewhere": (f"UPDATE postings SET first = first + 1 {LIST}", True),
    "a list of other events": (f"UPDATE postings SET first = first + 1, last = last + 1 {LIST}", True),
    "a list that ends elsewhere": (f"UPDATE postings SET last = last + 1 {LIST}", True),
    "no steps": (f"UPDATE postings SET data = x'' {LIST}", True),
    "garbage": (f"UPDATE postings SET data = zeroblob(99) {LIST}", True),
    "a list that is far too long": (f"UPDATE postings SET data = CAST({LONG} AS BLOB) {LIST}", True),
    "a list that is shared, and should not be": (f"UPDATE postings SET path = x'a178c1c1' {LIST}", False),
    "an event that is listed twice": (f"{SHARE} WHERE path = x'a164a179'", False),
    "events of others": ("UPDATE postings SET path = x'a178' WHERE path = x'a16e'", True),
    "a copy": (f"{COPY} {LIST}", True),
    "events that are not there": ("INSERT INTO postings VALUES (1, x'a178', 100000, 100000, x'')", True),
    "nothing that says what is listed": ("DELETE FROM postings WHERE path = x''", True),
    "two rows that say what is listed": ("INSERT INTO postings VALUES (1, x'', 7, 9, x'')", True),
    "more than there is": ("UPDATE postings SET last = 1 << 40 WHERE path = x''", True),
    "more than is listed": ("UPDATE postings SET last = last + 9 WHERE path = x''", False),
    "less than is listed": ("UPDATE postings SET last = last - 9 WHERE path = x''", True),
    "data beside what is listed": ("UPDATE postings SET data = x'01' WHERE path = x''", True),
    "a start before the first": ("UPDATE postings SET first = -1 WHERE path = x''", True),
    "a branch that is not there": ("UPDATE postings SET branch = 9", True),
}


@pytest.mark.proves("rows")
@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_lists_are_found_and_do_no_harm(listed: bytes, tmp_path: Path, what: str) -> None:
    path, (statement, harmless) = tmp_path / "a.db", DAMAGE[what]
    path.write_bytes(listed)
    damaged(path, statement)
    with StateStore(path, durability="normal") as store:
        session = store.session("alice")
        with scanning():
            expected = told(session, "x"), told(session, ("d", "y"))
        report = store.verify()
        assert not report.ok
        assert "list" in str(report)
        if harmless:  # what is left out only verify can tell
            assert (told(session, "x"), told(session, ("d", "y"))) == expected
        with sizes(32):
            for turn in range(100):
                session.update(lambda state, n=turn: state.update(x=n, n=n))  # type: ignore[misc]
        assert session.state()["x"] == 99
        assert store.rebuild().changed is False
        with scanning():
            expected = told(session, "x"), told(session, ("d", "y"))
        assert (told(session, "x"), told(session, ("d", "y"))) == expected
        report = store.verify()
        assert report.ok, str(report)


def test_lists_that_begin_late_tell_nothing_of_what_was_before(listed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(listed)
    damaged(path, "DELETE FROM postings", "INSERT INTO postings VALUES (1, x'', 100, 100, x'')")
    with sizes(32), StateStore(path, durability="normal") as store:
        session = store.session("alice")
        for turn in range(40):
            session.update(lambda state, n=turn: state.update(x=n))  # type: ignore[misc]
        assert store.verify().ok
        with scanning():
            expected = told(session, "x")
        assert told(session, "x") == expected
    assert any(row["path"] == b"\xa1x" for row in rows(path, "postings"))


def test_lists_that_tell_of_what_is_yet_to_come_are_made_anew(listed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(listed)
    damaged(path, "UPDATE postings SET last = last + 200 WHERE path = x''")
    with sizes(32), StateStore(path, durability="normal") as store:
        session = store.session("alice")
        assert not store.verify().ok
        for turn in range(150):
            session.update(lambda state, n=turn: state.update(n=n) if n % 5 else state.update(x=n))  # type: ignore[misc]
        with scanning():
            expected = told(session, "x")
        assert told(session, "x") == expected
        assert store.verify().ok
        now = store._journal.postings.listed(session._writer.branch())
        assert now is not None
        assert 0 <= session.version - now.upto < 32


def test_one_event_twice_does_not_hide_that_another_is_missing(listed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(listed)
    database = apsw.Connection(str(path))
    own, other = (
        Posting(*database.execute(f"SELECT path, first, last, data FROM postings WHERE path = {key}").get)
        for key in ("x'a178'", "x'a164a179'")
    )
    seqs = other.seqs()[: len(own.seqs())]
    again, _ = Posting(b"\xa1d\xc1\xc1", seqs[0], seqs[0], b"").longer(seqs[1:])
    database.execute(f"DELETE FROM postings {LIST}")
    database.execute("INSERT INTO postings VALUES (1, ?, ?, ?, ?)", again)
    database.close()
    with StateStore(path) as store:
        assert "lists have an event twice" in str(store.verify())


def test_an_event_that_is_listed_twice_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sizes(32):
        filled(path, 100, 10).close()
    database = apsw.Connection(str(path))
    found: Any = database.execute("SELECT path, first, last, data FROM postings WHERE path = x'a164a179'")
    # With the event that sets `d`, the last of those that are looked up at one time.
    seq = [seq for row in found for seq in Posting(*row).seqs()][sql.BATCH - 2]
    database.execute("INSERT INTO postings VALUES (1, x'a164c1c1', ?, ?, x'')", (seq, seq))
    database.close()
    with sizes(32, _DENSE=0), StateStore(path) as store:
        session = store.session("alice")
        with scanning():
            expected = told(session, ("d", "y"))
        assert told(session, ("d", "y")) == expected


def test_lists_end_before_an_event_that_is_missing(listed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(listed)
    damaged(path, "DELETE FROM postings", "DELETE FROM events WHERE id & 4294967295 = 140")
    with sizes(32), StateStore(path, durability="normal") as store:
        session = store.session("alice")
        for turn in range(99):
            session.note("turn", turn)
        now = store._journal.postings.listed(session._writer.branch())
        assert now is not None
        assert 64 <= now.upto < 140


def test_a_pruned_past_leaves_the_lists_of_what_is_there(tmp_path: Path) -> None:
    with sizes(32), filled(tmp_path / "a.db", 60, 10) as store:
        session = store.session("alice")
        told_before = told(session, "x")
        pruned = session.prune(keep_rounds=20)
        now = store._journal.postings.listed(session._writer.branch())
        assert now is not None
        assert now.after == pruned.version
        assert now.upto > now.after
        assert [change[:3] for change in told(session, "x")] == [
            change[:3] for change in told_before if change[0] > pruned.version
        ]
        report = store.verify()
        assert report.ok, str(report)


def test_a_damaged_page_of_lists_fails_one_commit_and_the_next_do_without(
    listed: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(listed)
    database = apsw.Connection(str(path))
    [(page,)] = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'postings'")
    database.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xee" * 4096
    path.write_bytes(data)
    with sizes(8), StateStore(path, durability="normal") as store:
        session = store.session("alice")
        failed = []
        for turn in range(50):
            try:
                session.update(lambda state, n=turn: state.update(x=n))  # type: ignore[misc]
            except CorruptJournalError:  # SQLite commits nothing when it has met such a page
                failed.append(turn)
        assert len(failed) == 1
        assert session.state()["x"] == 49
        assert [change.after for change in session.history("x")][-1] == 49
        assert not store.verify().ok


def test_an_erased_name_is_in_no_list(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sizes(4), StateStore(path, durability="normal") as store:
        session = store.session("alice")
        for turn in range(20):
            session.save({"n": turn, "secret name": {"inner": turn}})
        other = session.fork("other")
        other.save({"n": 1, "secret name": {"inner": -1}})
        session.erase("secret name")
        listed = store._journal.postings.listed(store._journal.branches.get(1))
        assert listed is not None
        assert listed.upto > 20
        assert len(list(session.history("n"))) == 20
        assert store.verify().ok
    assert any(row["path"] for row in rows(path, "postings"))
    assert b"secret name" not in path.read_bytes()


def test_a_purged_session_leaves_no_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sizes(4), StateStore(path, durability="normal") as store:
        for user in ("alice", "bob"):
            for turn in range(20):
                store.session(user).save({"n": turn})
        store.session("alice").purge()
        assert len(list(store.session("bob").history("n"))) == 20
        assert store.verify().ok
    assert {row["branch"] for row in rows(path, "postings")} == {2}
