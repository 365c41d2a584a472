"""Without its key nothing of a session is read or written: missing, wrong, destroyed, or of another age."""

from __future__ import annotations

import itertools
import shutil
import sys
import threading
from typing import TYPE_CHECKING

import msgpack
import pytest

from eventstate import (
    EncryptionError,
    Key,
    KeyNotFoundError,
    MemoryKeyRing,
    Session,
    StateStore,
    StorageError,
)
from eventstate.errors import MissingPackageError
from eventstate.journal import snapshots
from tests.encryption.lives import NAMES, OneKey, everything, live, opened, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventstate import KeyRing
    from tests.promises import Proofs


READS: dict[str, Callable[[Session], object]] = {
    "state": lambda session: session.state(),
    "an old state": lambda session: session.state(at=2),
    "a version": lambda session: session.state(version=3),
    "history": lambda session: [change.after for change in session.history("n")],
    "notes": lambda session: list(session.notes()),
    "blame": lambda session: session.blame(),
    "rounds": lambda session: list(session.rounds()),
    "latest": lambda session: session.latest,
    "replay": lambda session: list(session.replay()),
    "diff": lambda session: session.diff(1, 2),
}
NAMING: dict[str, Callable[[Session], object]] = {
    "tags": lambda session: session.tags(),
    "version": lambda session: session.version,
}
WRITES: dict[str, Callable[[Session], object]] = {
    "save": lambda session: session.save({"n": 7}),
    "update": lambda session: session.update(lambda state: state.update(n=7)),
    "rollback": lambda session: session.rollback(1),
    "undo": lambda session: session.undo(),
    "merge": lambda session: session.merge(Session(session._journal, *NAMES, "other")),
    "erase": lambda session: session.erase("n"),
    "prune": lambda session: session.prune(keep_rounds=1),
}
MARKING: dict[str, Callable[[Session], object]] = {
    "note": lambda session: session.note("noted"),
    "tag": lambda session: session.tag("tagged"),
    "fork": lambda session: session.fork("forked", at=1),
    "delete": lambda session: session.delete(),
}


def refused(session: Session, *kinds: dict[str, Callable[[Session], object]]) -> set[type[EncryptionError]]:
    """Do all of these, and give the errors that come of it; each has to name the session."""
    errors = set()
    for name, act in (item for kind in kinds for item in kind.items()):
        with pytest.raises(EncryptionError, match="session 'alice', 'trip'") as caught:
            act(session)
        errors.add(caught.type)
        assert "secret" not in str(caught.value), name
    return errors


@pytest.mark.parametrize("keys", [None, MemoryKeyRing()], ids=["no key ring", "an empty key ring"])
def test_without_its_key_nothing_is_read_or_written(
    lived: Path, keys: KeyRing | None, proved: Proofs
) -> None:
    with opened(lived, keys) as store:
        assert refused(store.session(*NAMES), READS, NAMING, WRITES, MARKING) == {KeyNotFoundError}
        assert refused(store.session(*NAMES, "other"), READS, NAMING) == {KeyNotFoundError}
        assert store.session(*NAMES).exists  # that is no secret, as its name is none
        assert store.session(*NAMES).branches() == ["main", "other", "deep"]
        proved("encryption", len(READS) + len(WRITES) + len(MARKING))
        assert store.session("bob").state() == {"n": 2}
        assert store.verify().ok


def test_with_a_wrong_key_of_the_right_id_nothing_is_read(lived: Path, ring: MemoryKeyRing) -> None:
    key = ring.current(*NAMES)
    assert key is not None
    with opened(lived, MemoryKeyRing({NAMES: Key(key.id, bytes(32))})) as store:
        assert refused(store.session(*NAMES), READS, WRITES) == {EncryptionError}
        assert not store.verify().ok


@pytest.mark.parametrize("again", [False, True], ids=["destroyed", "destroyed and made again"])
def test_a_destroyed_key_is_of_no_use_from_then_on_in_open_stores_too(
    lived: Path, ring: MemoryKeyRing, *, again: bool
) -> None:
    with opened(lived, ring) as store:
        session = store.session(*NAMES)
        session.save({"n": 1}, reason="because")
        assert session.state() == {"n": 1}  # it is in memory now
        ring.destroy(*NAMES)
        if again:
            ring.create(*NAMES)
        assert refused(session, READS, WRITES) == {KeyNotFoundError}
        assert again or refused(session, NAMING, MARKING) == {KeyNotFoundError}


def test_purging_needs_no_key_and_makes_room_for_a_new_session(lived: Path, ring: MemoryKeyRing) -> None:
    ring.destroy(*NAMES)
    with opened(lived, ring) as store:
        store.session(*NAMES).purge()
        assert store.session(*NAMES).state() is None
        ring.create(*NAMES)
        store.session(*NAMES).save({"n": 1})
        assert [info.encrypted for info in store.sessions("alice")] == [True]
        assert store.session(*NAMES).state() == {"n": 1}
        assert store.verify().ok


def test_a_new_key_is_for_new_events_and_the_old_one_for_old_ones(path: Path, ring: MemoryKeyRing) -> None:
    old = ring.current(*NAMES)
    with opened(path, ring, snapshot_every=1) as store:
        session = store.session(*NAMES)
        session.save({"n": 1})
        other = session.fork("other")
        new = ring.rotate(*NAMES)
        session.save({"n": 2})
        other.save({"n": 3})
        third = other.fork("third")
        newest = ring.rotate(*NAMES)
        third.save({"n": 4})
        assert [line.state() for line in (session, other, third)] == [{"n": 2}, {"n": 3}, {"n": 4}]
    assert old is not None
    used = [msgpack.unpackb(value)[0] for (value,) in rows(path, "SELECT value FROM events ORDER BY id")]
    assert used == [old.id, new.id, new.id, newest.id]
    with opened(path, ring) as store:
        lines = [store.session(*NAMES, name) for name in ("main", "other", "third")]
        assert [line.state() for line in lines] == [{"n": 2}, {"n": 3}, {"n": 4}]
    with opened(path, MemoryKeyRing({NAMES: (new, newest)})) as store:
        with pytest.raises(KeyNotFoundError, match=old.id):
            store.session(*NAMES).state(version=1)
        report = store.verify()
        assert (report.ok, report.unfolded) == (True, 3)
    with opened(path, ring) as store:
        count = store.verify().snapshots
    with opened(path, MemoryKeyRing({NAMES: old})) as store:
        report = store.verify()
        assert (report.ok, report.unfolded, report.snapshots) == (True, 3, count)
    assert count > 2


def test_a_key_for_a_session_that_was_begun_without_one_is_an_error(path: Path) -> None:
    ring = MemoryKeyRing()
    with opened(path, ring) as store:
        session = live(store)
        before = everything(store)
        ring.create(*NAMES)
        assert refused(session, READS, NAMING, WRITES, MARKING) == {EncryptionError}
        assert refused(store.session(*NAMES), READS, WRITES) == {EncryptionError}
        ring.destroy(*NAMES)
        assert everything(store) == before


class Turning(OneKey):
    """A ring without a key, into which one comes after so many questions."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.turn = 0, 1 << 30

    def current(self, user_id: str, session_id: str) -> Key | None:
        self.asked += 1
        return super().current(user_id, session_id) if self.asked > self.turn else None


@pytest.mark.parametrize("act", [*WRITES, *MARKING])
def test_keys_are_looked_at_once_more_before_anything_is_written(path: Path, act: str) -> None:
    ring, acts = Turning(), WRITES | MARKING
    with opened(path, ring) as store:
        live(store)
    shutil.copy(path, path.with_name("copy.db"))
    with opened(path.with_name("copy.db"), ring) as store:
        ring.asked = 0
        acts[act](store.session(*NAMES))
        asked = ring.asked
        assert asked > 1 or act in {"note", "erase", "prune"}  # which ask but once
    with opened(path, ring) as store:
        before = len(list(store.commits()))
        ring.asked, ring.turn = 0, asked - 1
        with pytest.raises(EncryptionError):
            acts[act](store.session(*NAMES))
        assert len(list(store.commits())) == before


def test_listing_and_feeding_go_on_past_a_session_whose_key_was_destroyed(
    lived: Path, ring: MemoryKeyRing
) -> None:
    ring.destroy(*NAMES)
    with opened(lived, ring) as store:
        assert [(info.user_id, info.encrypted) for info in store.sessions()] == [
            ("alice", True),
            ("bob", False),
            ("carol", False),
        ]
        feed = list(store.commits())
        assert [commit.position for commit in feed] == list(range(1, len(feed) + 1))
        assert (feed[0].actor, feed[0].reason, feed[0].metadata, feed[0].sealed) == (None, None, {}, True)
        assert [(commit.actor, commit.sealed) for commit in feed if commit.user_id == "bob"] == [
            (None, False),
            ("somebody", False),
        ]
        found = store.tables()
        [count] = found.query("select count(*) as n from changes where op = 'cipher'")
        assert count["n"] == sum(commit.events for commit in feed if commit.user_id == "alice")
        [row] = found.query("select path, value, sealed from changes join commits using (position) limit 1")
        assert row == {"path": None, "value": None, "sealed": 1}
        last = found.query("select path, value, sealed from changes join commits using (position)")
        assert list(last)[-1] == {"path": "/n", "value": "2", "sealed": 0}


def test_closing_after_a_key_was_destroyed_with_a_snapshot_due_raises_nothing(
    path: Path, ring: MemoryKeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MIN_EVENTS", 3)
    for destroyed in (False, True):
        with opened(path.with_name(f"{destroyed}.db"), ring) as store:
            for number in range(5):
                store.session(*NAMES).save({"n": number})
            store.drop_snapshots()
            store.session(*NAMES).state()
            if destroyed:
                ring.destroy(*NAMES)
        counts = rows(path.with_name(f"{destroyed}.db"), "SELECT count(*) FROM snapshots")
        assert counts == [(0 if destroyed else 1,)]


class Failing(OneKey):
    """A key service that goes away at the n-th question."""

    left = 1 << 30

    def current(self, user_id: str, session_id: str) -> Key | None:
        self.left -= 1
        if self.left < 0:
            raise StorageError("the key service is away")
        return super().current(user_id, session_id)


def test_a_key_ring_that_fails_at_any_question_leaves_a_commit_whole_or_absent(path: Path) -> None:
    ring, failures = Failing(), 0
    with opened(path, ring, snapshot_every=1) as store:
        session = store.session(*NAMES)
        for left in itertools.count():
            rounds = len(list(session.rounds()))
            ring.left = left
            try:
                session.save({"n": left, "m": -left}, reason="because")
            except StorageError:
                failures += 1
            else:
                break
            finally:
                ring.left = 1 << 30
            assert len(list(session.rounds())) == rounds
            assert session.state() == ({"n": left - 1, "m": 1 - left} if rounds else None)
        assert failures > 3
        assert session.state() == {"n": left, "m": -left}
        assert store.verify().ok


def test_threads_write_encrypted_and_other_sessions_at_once(path: Path) -> None:
    ring = MemoryKeyRing()
    for user in ("a", "b"):
        ring.create(user)
    with opened(path, ring) as store:

        def count(user: str) -> None:
            for _ in range(20):
                store.session(user).update(lambda state: state.update(n=state.get("n", 0) + 1))

        threads = [threading.Thread(target=count, args=(user,)) for user in "aabbcc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [store.session(user).state() for user in "abc"] == [{"n": 40}] * 3
        assert [info.encrypted for info in store.sessions()] == [True, True, False]
        assert store.verify().ok


def test_keys_are_a_key_ring_and_their_package_is_looked_for_before_a_file_is_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match="keys is a KeyRing, not bytes"):
        StateStore(path, keys=bytes(32))  # type: ignore[arg-type] # what the test is about
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(MissingPackageError, match=r"pip install eventstate\[encryption\]"):
        StateStore(path, keys=MemoryKeyRing())
    assert not path.exists()
