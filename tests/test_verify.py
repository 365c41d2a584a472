"""What `verify` proves: whole journals pass, and whatever was done behind the library's back is located."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path
from typing import Any

import apsw
import pytest

from eventstate import CorruptJournalError, StateStore, StoreClosedError, VerifyReport
from eventstate.journal.chain import digest
from eventstate.values.codec import Codec

pytestmark = pytest.mark.proves("rows")

U32 = 1 << 32


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed journal with two sessions, forks, a merge, tags, a note and snapshots."""
    path = tmp_path_factory.mktemp("verify") / "original.db"
    with StateStore(path, durability="normal", snapshot_every=4) as store:
        alice = store.session("alice", "trip")
        # position 1, events 1 to 3
        alice.save({"plan": None, "n": 0, "messages": []}, actor="agent", reason="start")
        for number in range(1, 6):  # positions 2 to 6, events 4 to 13
            with alice.round(metadata={"turn": number}) as state:
                state["n"] = number
                state["messages"].append({"role": "user", "content": f"text {number}"})
        alice.tag("middle", at=3)  # position 7
        fork = alice.fork("what-if", at=3)  # position 8
        fork.update(lambda state: state.update(plan="train"))  # position 9
        alice.note("tool.called", {"name": "search"})  # position 10, event 14
        assert alice.merge(fork)  # position 11, event 15
        store.session("bob").save({"a": 1})  # position 12
        store.session("bob").save({"a": 2})  # position 13
    return path


@pytest.fixture
def journal(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "journal.db"))


def tamper(path: Path, statement: str, *values: Any) -> None:
    """Run a statement behind the library's back, as somebody with any SQLite could."""
    database = apsw.Connection(str(path))
    database.pragma("foreign_keys", value=False)
    before = database.total_changes()
    for row in database.execute(statement, values):
        raise AssertionError(row)
    assert database.total_changes() > before, "nothing was changed"
    database.close()


def verified(path: Path) -> VerifyReport:
    with StateStore(path, read_only=True) as store:
        return store.verify()


def test_a_whole_journal_is_ok_and_everything_was_looked_at(journal: Path) -> None:
    report = verified(journal)
    assert report.ok
    assert str(report).startswith("ok: ")
    assert (report.sessions, report.branches, report.commits) == (2, 3, 13)
    assert report.events == 3 + 10 + 1 + 1 + 1 + 1 + 1
    assert report.snapshots > 0


def test_a_closed_store_has_nothing_to_verify(journal: Path) -> None:
    store = StateStore(journal)
    store.close()
    with pytest.raises(StoreClosedError):
        store.verify()


def test_progress_is_told_up_to_the_last_commit(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        for number in range(600):
            store.session("u").save({"n": number})
        told: list[tuple[int, int]] = []
        store.verify(lambda done, total: told.append((done, total)))
    assert told[-1] == (600, 600)
    assert len(told) > 2
    assert told == sorted(told)
    assert {total for _, total in told} == {600}


MAIN, FORK, BOB = 1, 2, 3

EDITS = {
    "an event's value": ("UPDATE events SET value = x'2a' WHERE id = ?", (MAIN * U32 + 4,), 2),
    "an event's path": ("UPDATE events SET path = x'a16d' WHERE id = ?", (MAIN * U32 + 4,), 2),
    "an event's operation": ("UPDATE events SET op = 6 WHERE id = ?", (MAIN * U32 + 4,), 2),
    "an event that is gone": ("DELETE FROM events WHERE id = ?", (MAIN * U32 + 6,), 3),
    "a note": ("UPDATE events SET value = x'9201c0' WHERE id = ?", (MAIN * U32 + 14,), 10),
    "the reason": ("UPDATE commits SET reason = 'other' WHERE position = ?", (1,), 1),
    "the actor": ("UPDATE commits SET actor = NULL WHERE position = ?", (1,), 1),
    "the time": ("UPDATE commits SET recorded_at = recorded_at + 1 WHERE position = ?", (2,), 2),
    "the round": ("UPDATE commits SET round = 77 WHERE position = ?", (3,), 3),
    "the metadata": ("UPDATE commits SET metadata = NULL WHERE position = ?", (3,), 3),
    "the version": ("UPDATE commits SET version = version + 1 WHERE position = ?", (4,), 4),
    "the count of events": ("UPDATE commits SET events = events - 1 WHERE position = ?", (4,), 4),
    "the salt": ("UPDATE commits SET salt = x'00' WHERE position = ?", (4,), 4),
    "the hash": ("UPDATE commits SET hash = zeroblob(32) WHERE position = ?", (5,), 5),
    "the chain": ("UPDATE commits SET chain = zeroblob(32) WHERE position = ?", (5,), 5),
    "what a merge took in": ("UPDATE commits SET source_version = 7 WHERE position = ?", (11,), 11),
    "what a tag's commit names": ("UPDATE commits SET source_version = 1 WHERE position = ?", (7,), 7),
    "the user of a session": ("UPDATE sessions SET user_id = 'mallory' WHERE id = ?", (2,), 12),
    "the name of a session": ("UPDATE sessions SET session_id = 'other' WHERE id = ?", (2,), 12),
    "the name of a fork": ("UPDATE branches SET name = 'other' WHERE id = ?", (FORK,), 8),
    "where a fork starts": ("UPDATE branches SET parent_version = 4 WHERE id = ?", (FORK,), 8),
    "which rounds a fork sees": ("UPDATE branches SET origin_round = 1 WHERE id = ?", (FORK,), 8),
    "the session of a fork": ("UPDATE branches SET session = 2 WHERE id = ?", (FORK,), 8),
    "the parent of a first branch": ("UPDATE branches SET parent = 1 WHERE id = ?", (BOB,), 12),
    "the origin of a first branch": ("UPDATE branches SET origin_round = 1 WHERE id = ?", (MAIN,), 1),
    "as of when a fork sees them": ("UPDATE branches SET origin_commit = 2 WHERE id = ?", (FORK,), 8),
    "which version a tag names": ("UPDATE tags SET version = 1", (), 7),
    "the name of a tag": ("UPDATE tags SET name = 'other'", (), 7),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_row_is_detected_and_located_at_its_commit(journal: Path, what: str) -> None:
    statement, values, position = EDITS[what]
    tamper(journal, statement, *values)
    report = verified(journal)
    assert not report.ok
    assert position in {finding.commit for finding in report.findings}, str(report)


def test_the_names_of_a_session_are_proven_even_after_its_first_commit_was_pruned(journal: Path) -> None:
    with StateStore(journal) as store:
        store.session("bob").prune(keep_rounds=1)
        assert 12 not in {commit.position for commit in store.commits()}
        assert store.verify().ok
    tamper(journal, "UPDATE sessions SET user_id = 'mallory' WHERE id = 2")
    [finding] = verified(journal).findings
    assert (finding.user_id, finding.what) == ("mallory", "the names of its session are not what was written")


HIDDEN = {
    "the salt of a commit without events": "UPDATE commits SET salt = x'00' WHERE position = 7",
    "a commit moved before the first": "UPDATE commits SET position = 0 WHERE position = 13",
    "the commit that named a fork's round": "UPDATE branches SET origin_named = 1 WHERE id = 2",
    "a session without a branch": "INSERT INTO sessions (user_id, session_id) VALUES ('eve', 'x')",
    "a snapshot of no branch": "UPDATE snapshots SET id = id + (77 << 32) WHERE id >> 32 = 1",
}


@pytest.mark.parametrize("what", HIDDEN)
def test_what_no_state_shows_is_detected_too(journal: Path, what: str) -> None:
    tamper(journal, HIDDEN[what])
    assert not verified(journal).ok


@pytest.mark.parametrize(
    "change",
    [
        "DROP INDEX commits_by_commit_id",
        "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events; END",
        "CREATE TABLE more (a)",
    ],
)
def test_a_changed_schema_is_a_finding(journal: Path, change: str) -> None:
    database = apsw.Connection(str(journal))
    database.execute(change)
    database.close()
    assert "is not what eventstate makes" in str(verified(journal))


def test_a_finding_says_which_session_branch_and_round(journal: Path) -> None:
    tamper(journal, "UPDATE events SET value = x'2a' WHERE id = ?", FORK * U32 + 8)
    [finding, *_] = verified(journal).findings
    assert (finding.user_id, finding.session_id, finding.branch) == ("alice", "trip", "what-if")
    assert (finding.round, finding.commit) == (4, 9)
    assert "'alice'" in str(finding)


def test_a_commit_that_is_gone_from_the_middle_shows(journal: Path) -> None:
    tamper(journal, "DELETE FROM commits WHERE position = 4")
    report = verified(journal)
    assert any("4 to 4 of the store are missing" in finding.what for finding in report.findings)
    assert any(finding.branch == "main" and finding.commit == 5 for finding in report.findings)


def test_a_commit_that_is_gone_from_the_end_leaves_its_events_behind(journal: Path) -> None:
    tamper(journal, "DELETE FROM commits WHERE position = 13")
    assert any("belongs to no commit" in finding.what for finding in verified(journal).findings)


def test_commits_that_changed_places_show(journal: Path) -> None:
    tamper(
        journal,
        "UPDATE commits SET position = CASE position WHEN 12 THEN -13 ELSE -12 END WHERE position > 11",
    )
    tamper(journal, "UPDATE commits SET position = -position WHERE position < 0")
    found = {finding.commit for finding in verified(journal).findings}
    assert {12, 13} <= found


def test_an_inserted_event_shows(journal: Path) -> None:
    tamper(journal, "INSERT INTO events (id, op, path, value) VALUES (?, 1, x'a161', x'01')", BOB * U32 + 9)
    [finding] = verified(journal).findings
    assert (finding.user_id, finding.branch) == ("bob", "main")
    assert "event 9 belongs to no commit" in finding.what


def test_an_event_of_no_branch_shows(journal: Path) -> None:
    tamper(journal, "INSERT INTO events (id, op, path, value) VALUES (?, 1, x'a161', x'01')", 99 * U32 + 1)
    assert not verified(journal).ok


def test_a_removed_or_invented_tag_shows(journal: Path) -> None:
    tamper(journal, "DELETE FROM tags")
    [finding] = verified(journal).findings
    assert finding.what == "tag 'middle' is missing"
    assert (finding.user_id, finding.branch, finding.commit) == ("alice", "main", 7)
    tamper(journal, "INSERT INTO tags (branch, name, source, version, number) VALUES (3, 'x', 1, 3, 77)")
    invented, _ = verified(journal).findings
    assert invented.what == "tag 'x' is not what was written"
    assert (invented.user_id, invented.branch, invented.commit) == ("bob", "main", None)


def test_a_missing_branch_row_is_reported_not_raised(journal: Path) -> None:
    tamper(journal, "DELETE FROM branches WHERE id = ?", FORK)
    report = verified(journal)
    assert {f"commit {position}: its branch or session is missing" for position in (8, 9)} <= {
        finding.what for finding in report.findings
    }


def test_a_snapshot_rewritten_with_a_right_digest_is_told_from_what_the_events_fold_to(journal: Path) -> None:
    state = Codec().encode({"plan": "forged"})
    tamper(
        journal,
        "UPDATE snapshots SET data = ?, size = ?, digest = ? WHERE id >> 32 = ?",
        zlib.compress(state), len(state), digest(state), MAIN,
    )  # fmt: skip
    report = verified(journal)
    assert report.findings
    assert all("is not what the events fold to" in finding.what for finding in report.findings)
    assert {(finding.user_id, finding.branch) for finding in report.findings} == {("alice", "main")}


@pytest.mark.parametrize("data", [b"", b"x", zlib.compress(b"\xc1"), zlib.compress(bytes(100_000))])
def test_a_garbled_snapshot_is_reported_and_the_state_is_still_right(journal: Path, data: bytes) -> None:
    with StateStore(journal, read_only=True) as store:
        before = [state for _, state in store.session("alice", "trip").replay()]
    tamper(journal, "UPDATE snapshots SET data = ?", data)
    with StateStore(journal, read_only=True) as store:
        report = store.verify()
        session = store.session("alice", "trip")
        assert [session.state(at=turn) for turn in session.rounds()] == before
    assert len(report.findings) == report.snapshots > 0


def test_forks_of_forks_are_verified_from_the_events_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep.db"
    with StateStore(path, durability="normal") as store:
        session = store.session("u")
        session.save({"depth": 0})
        for depth in range(1, 30):
            session = session.fork(f"level {depth}")
            session.save({"depth": depth})
        assert session.state() == {"depth": 29}
        assert store.verify().ok
    tamper(path, "UPDATE events SET value = x'63' WHERE id = ?", 5 * U32 + 5)
    assert verified(path).findings[0].branch == "level 4"


def test_a_page_of_zeros_is_reported_or_the_file_refused_if_its_schema_is_gone(journal: Path) -> None:
    size = journal.stat().st_size
    refused = 0
    for page in range(1, size // 4096):
        damaged = bytearray(journal.read_bytes())
        damaged[page * 4096 : (page + 1) * 4096] = bytes(4096)
        copy = journal.with_name(f"zeroed-{page}.db")
        copy.write_bytes(damaged)
        try:
            report = verified(copy)
        except CorruptJournalError:
            refused += 1
            continue
        assert not report.ok, f"page {page + 1}"
    assert refused <= 2
