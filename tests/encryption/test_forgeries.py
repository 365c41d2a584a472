"""Behind the library's back: what was moved, changed or put in plain is an error, and a finding."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from eventstate import EncryptionError, MemoryKeyRing
from tests.encryption.lives import NAMES, opened, rows, tamper

if TYPE_CHECKING:
    from pathlib import Path

    from tests.promises import Proofs

EVENT, NEXT, COMMIT = 1 << 32 | 5, 1 << 32 | 6, 1 << 32 | 2  # of round 2: its two events, and its commit
OTHER, BOBS = 2 << 32 | 9, 4 << 32 | 2  # the first event of the branch `other`, the last of bob


def swap(table: str, column: str, one: int, other: int) -> tuple[str, dict[str, int]]:
    """Give the statement that swaps a column of two rows."""
    statement = f"""
        UPDATE {table} SET {column} = swapped.{column} FROM {table} AS swapped
        WHERE {table}.id IN (:one, :other) AND swapped.id IN (:one, :other) AND swapped.id <> {table}.id
        """  # noqa: S608 - names of tables and columns
    return statement, {"one": one, "other": other}


FORGERIES: dict[str, tuple[str, dict[str, int]]] = {
    "an event in plain": (
        "UPDATE events SET op = 1, path = x'a16e', value = x'07' WHERE id = :event",
        {"event": EVENT},
    ),
    "a note in plain": ("UPDATE events SET op = 6, value = x'92a16ec0' WHERE id = :event", {"event": EVENT}),
    "a path in plain": ("UPDATE events SET path = x'a16e' WHERE id = :event", {"event": EVENT}),
    "two events swapped": swap("events", "value", EVENT, NEXT),
    "two branches' events swapped": swap("events", "value", EVENT, OTHER),
    "the session not encrypted": ("UPDATE sessions SET encrypted = 0 WHERE user_id = 'alice'", {}),
    "the session of another name": ("UPDATE sessions SET session_id = 'tour' WHERE user_id = 'alice'", {}),
    "the actor in plain": ("UPDATE commits SET actor = 'bob' WHERE id = :commit", {"commit": COMMIT}),
    "two commits' metadata swapped": swap("commits", "metadata", COMMIT, COMMIT + 1),
    "an encrypted event in a plaintext session": (
        """
        UPDATE events SET op = 10, path = x'', value = (SELECT value FROM events WHERE id = :event)
        WHERE id = :bobs""",
        {"event": EVENT, "bobs": BOBS},
    ),
    "a plaintext session encrypted": ("UPDATE sessions SET encrypted = 1 WHERE user_id = 'bob'", {}),
}


# What is found whatever hashes say, which anybody can make.
FINDINGS = {
    "an event in plain": "event 5 is plaintext in an encrypted session",
    "a note in plain": "event 5 is plaintext in an encrypted session",
    "the actor in plain": "actor or reason is plaintext in an encrypted session",
    "an encrypted event in a plaintext session": "event 2 is encrypted, in a session that is not",
    "the session not encrypted": "event 1 is encrypted, in a session that is not",
    "a plaintext session encrypted": "event 1 is plaintext in an encrypted session",
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("keyed", [True, False], ids=["with keys", "without"])
def test_a_row_that_was_moved_or_put_in_plain_is_an_error_and_a_finding(
    lived: Path, ring: MemoryKeyRing, forgery: str, proved: Proofs, *, keyed: bool
) -> None:
    tamper(lived, *FORGERIES[forgery])
    with opened(lived, ring if keyed else None) as store:
        told = {finding.what for finding in store.verify().findings}
        assert FINDINGS.get(forgery, "the commit or its events are not what was written") in told
        proved("encryption")
        with pytest.raises(EncryptionError):
            for info in store.sessions():
                session = store.session(info.user_id, info.session_id)
                assert list(session.replay())


def test_an_event_replaced_by_what_an_erasure_leaves_is_a_finding(lived: Path, ring: MemoryKeyRing) -> None:
    tamper(lived, "UPDATE events SET op = 7, path = x'', value = NULL WHERE id = ?", (EVENT,))
    for keys in (ring, None):
        with opened(lived, keys) as store:
            [finding] = store.verify().findings
            assert (finding.what, finding.round) == ("the commit or its events are not what was written", 2)


def test_a_snapshot_of_another_version_is_passed_over_and_a_finding(lived: Path, ring: MemoryKeyRing) -> None:
    with opened(lived, ring) as store:
        before = store.session(*NAMES).state()
    found = rows(lived, "SELECT id FROM snapshots WHERE id >> 32 = 1 ORDER BY id DESC LIMIT 2")
    for column in ("data", "digest", "size"):
        tamper(lived, *swap("snapshots", column, found[0][0], found[1][0]))
    with opened(lived, ring) as store:
        told = [finding.what for finding in store.verify().findings]
        assert len(told) == 2
        assert all("moved here" in what and "passed over" in what for what in told)
        assert store.session(*NAMES).state() == before


def test_a_snapshot_of_another_commit_is_a_finding_without_keys_too(lived: Path, ring: MemoryKeyRing) -> None:
    tamper(lived, "UPDATE snapshots SET number = number - 1 WHERE id >> 32 = 1")
    for keys in (ring, None):
        with opened(lived, keys) as store:
            told = [finding.what for finding in store.verify().findings]
            assert told
            assert all("is of another commit" in what for what in told)


BLOBS = [
    ("events", "value"),
    ("commits", "metadata"),
    ("snapshots", "data"),
    ("snapshots", "digest"),
    ("roots", "data"),
    ("roots", "digest"),
]


def test_without_keys_all_that_is_there_is_verified_but_its_folds(pruned: Path, ring: MemoryKeyRing) -> None:
    with opened(pruned, ring) as store:
        keyed = store.verify()
        assert str(keyed).startswith("ok: 3 sessions, 5 branches")
    with opened(pruned, None) as store:
        report = store.verify()
    assert (keyed.unfolded, report.unfolded, report.findings) == (0, 3, [])
    assert str(report) == f"{keyed}, 3 branches not folded as there is no key"
    assert (report.snapshots, report.erased) == (keyed.snapshots, keyed.erased)


@pytest.mark.parametrize(("table", "column"), BLOBS)
def test_a_changed_byte_is_found_with_keys_and_without(
    pruned: Path, ring: MemoryKeyRing, table: str, column: str, proved: Proofs
) -> None:
    path = pruned.with_name("changed.db")
    query = f"SELECT id, {column} FROM {table} WHERE id >> 32 < 4 AND {column} IS NOT NULL"  # noqa: S608 - names
    found = rows(pruned, query)
    assert found
    for number, (key, data) in enumerate(found):
        place = min(
            (3, len(data) // 2, len(data) - 1)[number % 3], len(data) - 1
        )  # in the key's id, in the middle, in the tag
        shutil.copy(pruned, path)
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        tamper(path, f"UPDATE {table} SET {column} = ? WHERE id = ?", (changed, key))  # noqa: S608 - names
        for keys in (ring, None):
            with opened(path, keys) as store:
                report = store.verify()
                assert not report.ok, (key & 0xFFFFFFFF, place)
                assert any(finding.user_id == "alice" for finding in report.findings)
                assert len(set(report.findings)) == len(report.findings)
            proved("encryption")
