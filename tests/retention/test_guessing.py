"""What is left in a file after an erasure lets nobody find a short secret by trying."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import blake2b, sha256, shake_128
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import StateStore
from eventstate.journal import chain, recipes
from eventstate.values.codec import Codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eventstate import Session

pytestmark = pytest.mark.proves("guess")

PIN = "4711"
ALL, NEAR = range(10_000), range(4_000, 5_000)
_CODEC = Codec()


def digests_and_salts(path: Path) -> tuple[set[bytes], set[bytes]]:
    """Collect from all tables what may be a digest, and all salts, with those that can be made of them."""
    digests, salts = set[bytes](), {b""}
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = [dict(row) for table in tables for row in db.execute(f"SELECT * FROM {table}")]  # noqa: S608 - its own names
    for row in rows:
        salt = row.pop("salt", None) or b""
        if len(salt) % 16 == 1:  # since format 3
            derived = shake_128(salt + bytes(4)).digest(16 * 8)
            salt = salt[1:] + derived
        salts.update(salt[at : at + 16] for at in range(0, len(salt), 16))
        for blob in (value for value in row.values() if isinstance(value, bytes)):
            packed = (at + 2 for at in range(len(blob)) if blob[at : at + 2] == b"\xc4\x20")
            digests.update(blob[at : at + 32] for at in packed)
            if len(blob) == 32:
                digests.add(blob)
    for salt in salts - {b"", bytes(16)}:
        older = (blake2b(seq.to_bytes(8, "big"), key=salt, digest_size=16).digest() for seq in range(5))
        salts = salts.union(older)
    return digests, salts


def events(value: Any, path: tuple[str, ...] = ("pin",)) -> Iterator[bytes]:
    """Give the bodies of events that put the value in place."""
    where = b"".join(map(_CODEC.encode, path))
    packed = _CODEC.encode(value)
    yield bytes((1,)) + len(where).to_bytes(4, "big") + where + b"\1" + packed


def found(path: Path, guess: Callable[[str], Iterator[bytes]], pins: range = ALL) -> set[str]:
    """Try every PIN: hash what would have been written under every salt, and look for the digest."""
    digests, salts = digests_and_salts(path)
    assert len(digests) > 2
    keyed = [hasher for salt in salts for hasher in (blake2b(key=salt, digest_size=32), sha256(salt))]
    hits = set()
    for number in pins:
        pin = f"{number:04}"
        for body in guess(pin):
            for hasher in keyed:
                trial = hasher.copy()
                trial.update(body)
                if trial.digest() in digests:
                    hits.add(pin)
    return hits


def alone(session: Session) -> None:
    session.save({"pin": PIN})


def among_others(session: Session) -> None:
    session.save({"name": "Ann", "pin": PIN, "n": 1})


def inside(session: Session) -> None:
    session.save({"person": {"pin": PIN, "n": 1}})


def set_alone(pin: str) -> Iterator[bytes]:
    yield from events(pin)


def set_inside(pin: str) -> Iterator[bytes]:
    yield from events({"pin": pin, "n": 1}, ("person",))


def whole_state(pin: str) -> Iterator[bytes]:
    packed = _CODEC.encode({"pin": pin})
    yield packed  # as the digests of roots are made
    yield recipes.tell(packed, []).stored()  # and those of snapshots


def with_digests(path: Path, target: Path) -> Path:
    """Copy a file and put in the digests of its events, which are not stored while the events stand."""
    with StateStore(path) as store:
        store.backup(target)
        reader = store._journal.reader
        digests = [
            digest
            for row in store._commit_rows(0)
            for digest in chain.event_digests(row, [event for _, event in reader.commit_events(row)])
        ]
    with closing(sqlite3.connect(target)) as db:
        db.execute("CREATE TABLE told (digest BLOB)")
        db.executemany("INSERT INTO told VALUES (?)", [(digest,) for digest in digests])
        db.commit()
    return target


def erase_pin(session: Session) -> None:
    session.erase("pin")


def erase_range(session: Session) -> None:
    session.erase(range(1, session.version + 1))


def erase_inside(session: Session) -> None:
    session.erase(("person", "pin"))


def erase_twice(session: Session) -> None:
    session.erase(("person", "n"))
    session.erase("person")


CASES: dict[str, tuple[Any, Any, Any]] = {
    "an event alone in its commit": (alone, erase_pin, set_alone),
    "an event beside others": (among_others, erase_pin, set_alone),
    "a range": (among_others, erase_range, set_alone),
    "a rewritten event": (inside, erase_inside, set_inside),
    "a rewritten event that was erased": (inside, erase_twice, set_inside),
}


@pytest.mark.parametrize("case", CASES)
def test_no_guess_at_an_erased_pin_can_be_checked_and_before_it_could(path: Path, case: str) -> None:
    write, erase, guess = CASES[case]
    with StateStore(path) as store:
        session = store.session("alice")
        write(session)
        session.save({"n": 2})
    assert found(with_digests(path, path.with_name("copy.db")), guess, NEAR) == {PIN}
    with StateStore(path) as store:
        erase(store.session("alice"))
    assert found(path, guess) == set()
    with StateStore(path) as store:
        report = store.verify()
        assert report.ok
        assert report.erased > 0


def test_nor_at_one_in_a_snapshot_or_in_the_root_of_a_pruned_past(path: Path) -> None:
    with StateStore(path, snapshot_every=1) as store:
        session = store.session("alice")
        session.save({"pin": "0000"})
        session.save({"pin": PIN})
        session.note("noted")
        session.fork("fork")
    assert found(path, whole_state, NEAR) == {PIN}
    with StateStore(path) as store:
        session = store.session("alice")
        session.prune(keep_rounds=1)
    assert found(path, whole_state, NEAR) == {PIN}
    with StateStore(path) as store:
        store.session("alice").erase("pin")
    assert found(path, whole_state) == set()
    with StateStore(path) as store:
        assert store.verify().ok


def test_nor_in_what_a_purge_or_a_pruning_left(path: Path) -> None:
    with StateStore(path) as store:
        alone(store.session("alice"))
        among_others(store.session("bob"))
        store.session("bob").save({"n": 1})
        store.session("bob").save({"n": 2})
    assert found(with_digests(path, path.with_name("copy.db")), set_alone, NEAR) == {PIN}
    with StateStore(path) as store:
        store.session("alice").purge()
        store.session("bob").prune(keep_rounds=1)
    assert found(path, set_alone) == set()


def test_nor_at_one_in_a_commit_that_a_pruning_kept_and_whose_state_was_erased_after(path: Path) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        among_others(session)
        session.tag("kept")
        session.save({"n": 1})
        session.save({"n": 2})
    assert found(with_digests(path, path.with_name("copy.db")), set_alone, NEAR) == {PIN}
    with StateStore(path) as store:
        session = store.session("alice")
        session.prune(keep_rounds=1)
        assert session.state("kept")["pin"] == PIN
        session.erase("pin")
        assert session.state("kept") == {"name": "Ann", "n": 1}
    assert found(path, set_alone) == set()
