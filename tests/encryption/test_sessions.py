"""With its key an encrypted session is as any other, and nothing of it stands in the file."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgpack
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import settings

from eventstate.journal import read
from eventstate.journal.chain import digest, state_digest
from eventstate.testing import FaultyDisk
from tests.encryption.lives import NAMES, SECRETS, STEPS, OneKey, everything, live, opened, rows
from tests.stores import packed
from tests.test_machine import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventstate import KeyRing, MemoryKeyRing, StateStore
    from tests.promises import Proofs


@pytest.mark.parametrize("every", [None, 1, 3])
def test_an_encrypted_session_reads_as_a_plaintext_one(
    path: Path, ring: MemoryKeyRing, every: int | None, proved: Proofs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "_PAGE", 3)
    plain = opened(":memory:", None, snapshot_every=every)
    secret = opened(path, ring, snapshot_every=every)
    live(plain)
    live(secret)
    for number, step in enumerate(STEPS):
        for store in (plain, secret):
            step(store.session(*NAMES))
        if number % 2:
            secret.close()
            secret = opened(path, ring, snapshot_every=every)
        assert everything(secret) == everything(plain)
        secret.drop_snapshots()
        assert everything(secret) == everything(plain)
        report = secret.verify()
        assert report.ok, str(report)
        assert report.unfolded == 0
        proved("encryption")
    assert [info.encrypted for store in (plain, secret) for info in store.sessions(deleted=True)] == [
        False,
        True,
    ]
    plain.close()
    secret.close()


class EncryptedSessions(Sessions):
    """All that the state machine does, to encrypted sessions."""

    def opened(self, name: str = "agent.db") -> StateStore:
        self.settings["keys"] = OneKey()
        return super().opened(name)


TestEncryptedSessions = EncryptedSessions.TestCase
TestEncryptedSessions.settings = settings(max_examples=settings().max_examples // 3)


def test_plaintext_sessions_are_as_they_were_beside_encrypted_ones(path: Path, ring: MemoryKeyRing) -> None:
    with opened(path, ring) as store:
        live(store)
        store.session("bob").save({"open": "letter"}, reason="told")
    with opened(path, None) as store:
        assert store.session("bob").state() == {"open": "letter"}
        assert [turn.reason for turn in store.session("bob").rounds()] == ["told"]
        assert [(info.user_id, info.encrypted) for info in store.sessions()] == [
            ("alice", True),
            ("bob", False),
        ]


# Nothing of it stands in the file


def written(path: Path, keys: KeyRing | None) -> bytes:
    """Live, and give every byte that was ever written to any file."""
    with FaultyDisk() as disk:
        with opened(path, keys, snapshot_every=1, vfs=disk.name) as store:
            session = live(store)
            for step in STEPS:
                step(session)
            session.restore()
            store.backup(path.with_suffix(".copy"))
        return b"".join(operation.data for operation in disk.log) + path.with_suffix(".copy").read_bytes()


def test_no_byte_of_a_secret_is_ever_written(path: Path, ring: MemoryKeyRing, proved: Proofs) -> None:
    data, plain = written(path, ring), written(path.with_name("plain.db"), None)
    for secret in SECRETS:
        assert f"secret-{secret}".encode() in plain
        assert f"secret-{secret}".encode() not in data
        proved("encryption")
    assert b"early" in data  # names of tags, branches and sessions are no secret


def test_no_key_is_ever_written(path: Path, ring: MemoryKeyRing) -> None:
    data = written(path, ring)
    key = ring.current(*NAMES)
    assert key is not None
    assert key.secret not in data
    assert key.secret.hex().encode() not in data
    assert key.id.encode() in data


def opener(ring: MemoryKeyRing) -> Callable[[str, int, bytes], bytes]:
    """Give what decrypts as FORMAT.md has it: by purpose and the row's key."""
    secret = ring.current(*NAMES)
    assert secret is not None

    def plain(purpose: str, key: int, data: bytes) -> bytes:
        key_id, nonce, sealed = msgpack.unpackb(data)
        assert key_id == secret.id
        place = [purpose, *NAMES, key >> 32, key & 0xFFFFFFFF]
        return AESGCM(secret.secret).decrypt(nonce, sealed, msgpack.packb(place))

    return plain


def test_a_second_reader_opens_events_and_metadata_by_the_documented_layout(
    lived: Path, ring: MemoryKeyRing
) -> None:
    plain = opener(ring)
    (event, op, where, value), *_ = rows(lived, "SELECT * FROM events WHERE id >> 32 = 2 ORDER BY id")
    assert (op, where) == (10, b"")
    path, text = msgpack.packb("plan") + msgpack.packb("a"), msgpack.packb("secret-other-one")
    assert plain("event", event, value) == b"\1" + len(path).to_bytes(4, "big") + path + b"\1" + text
    statement = "SELECT id, actor, reason, metadata FROM commits WHERE id >> 32 = 1 ORDER BY id"
    (commit, actor, reason, metadata), *_ = rows(lived, statement)
    assert (actor, reason) == (None, None)
    told = msgpack.unpackb(plain("metadata", commit, metadata))
    assert told == ["secret-person", "secret-because", msgpack.packb({"secret-extra": 1})]


@pytest.mark.parametrize("purpose", ["snapshot", "root"])
def test_a_second_reader_opens_states_by_the_documented_layout(
    pruned: Path, ring: MemoryKeyRing, purpose: str
) -> None:
    plain = opener(ring)
    salt = "NULL" if purpose == "snapshot" else "salt"
    query = f"SELECT id, size, {salt}, digest, data FROM {purpose}s WHERE id >> 32 = 1"  # noqa: S608 - names
    found = rows(pruned, query)
    assert found
    with opened(pruned, ring) as store:
        for row, size, salt, checksum, data in found:
            assert checksum == (digest(data) if salt is None else state_digest(salt, data))
            state = zlib.decompress(plain(purpose, row, data))
            assert len(state) == size
            assert packed(store.session(*NAMES).state(version=row & 0xFFFFFFFF)) == state
