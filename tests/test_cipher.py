"""Sealed bytes: they open in their own place, with their own key, as they were, or not at all."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, get_args

import msgpack
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from eventstate import (
    CorruptJournalError,
    EncryptionError,
    EventStateError,
    FileKeyRing,
    Key,
    KeyNotFoundError,
    MemoryKeyRing,
)
from eventstate.errors import MissingPackageError
from eventstate.journal.cipher import NONCE_SIZE, TAG_SIZE, Cipher, Context, Purpose
from eventstate.journal.records import Event
from eventstate.values.delta import Op

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLACE = Context("event", "alice", "trip", 3, 77)

IMPORT_ALL = """
import sys
import eventstate, eventstate.keys, eventstate.journal.cipher
eventstate.journal.cipher.Cipher(None, bytes)
print("cryptography" in sys.modules)
"""


class AnyKey:
    """A key ring of somebody's own, with one key for all."""

    def __init__(self) -> None:
        self.key = Key("the one", bytes(range(32)))

    def current(self, user_id: str, session_id: str) -> Key | None:  # noqa: ARG002 - all have the same
        return self.key

    def find(self, key_id: str) -> Key:
        return {"the one": self.key}[key_id]


def counting() -> Callable[[int], bytes]:
    calls = itertools.count(1)
    return lambda size: next(calls).to_bytes(size, "big")


def one_key() -> tuple[MemoryKeyRing, Cipher, Key]:
    ring = MemoryKeyRing()
    key = ring.create("alice", "trip")
    return ring, Cipher(ring, os.urandom), key


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_contexts = st.builds(
    Context,
    st.sampled_from(get_args(Purpose)),
    _texts,
    _texts,
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**32 - 1),
)
_events = st.builds(Event, st.sampled_from(Op), st.binary(max_size=20), st.none() | st.binary(max_size=40))


@given(_contexts, st.binary(max_size=300))
def test_what_was_sealed_opens_in_the_same_place(context: Context, plaintext: bytes) -> None:
    cipher = Cipher(AnyKey(), counting())
    sealed = cipher.seal(context, plaintext)
    assert cipher.open(context, sealed) == plaintext
    assert len(sealed) <= len(plaintext) + 48


@given(_contexts, st.binary(max_size=60), st.data())
def test_no_byte_can_be_changed(context: Context, plaintext: bytes, data: st.DataObject) -> None:
    cipher = Cipher(AnyKey(), counting())
    sealed = bytearray(cipher.seal(context, plaintext))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EncryptionError):
        cipher.open(context, bytes(sealed))


def test_no_bit_can_be_changed_dropped_or_added() -> None:
    _, cipher, _ = one_key()
    sealed = cipher.seal(PLACE, b"the plan")
    changed = [
        sealed[:i] + bytes((sealed[i] ^ 1 << bit,)) + sealed[i + 1 :]
        for i in range(len(sealed))
        for bit in range(8)
    ]
    for data in (*changed, *(sealed[:i] for i in range(len(sealed))), sealed + b"\0", sealed + sealed):
        with pytest.raises(EncryptionError):
            cipher.open(PLACE, data)


@given(_contexts, _contexts, st.integers(0, len(Context._fields) - 1))
def test_what_was_sealed_opens_in_no_other_place(context: Context, other: Context, element: int) -> None:
    moved = Context._make((*context[:element], other[element], *context[element + 1 :]))
    cipher = Cipher(AnyKey(), counting())
    sealed = cipher.seal(context, b"plan")
    for place in {moved, other} - {context}:
        with pytest.raises(EncryptionError, match="changed, or moved here, or key 'the one' is not the one"):
            cipher.open(place, sealed)


@pytest.mark.parametrize(
    "other",
    [
        PLACE._replace(purpose="snapshot"),
        PLACE._replace(user_id="bob"),
        PLACE._replace(session_id="other"),
        PLACE._replace(user_id="alicetrip", session_id=""),
        PLACE._replace(branch=4),
        PLACE._replace(number=78),
        PLACE._replace(branch=77, number=3),
    ],
)
def test_the_error_says_where_the_bytes_do_not_belong(other: Context) -> None:
    cipher = Cipher(AnyKey(), counting())
    with pytest.raises(EncryptionError, match="^" + str(other)):
        cipher.open(other, cipher.seal(PLACE, b"plan"))


def test_a_second_reader_needs_nothing_but_the_documented_layout() -> None:
    _, cipher, key = one_key()
    event = Event(Op.SET, b"\xa4plan", b"\xa6secret")
    key_id, nonce, sealed = msgpack.unpackb(cipher.seal_event(PLACE, event).value)
    assert (key_id, len(nonce), len(sealed)) == (key.id, NONCE_SIZE, 1 + 4 + 5 + 1 + 7 + TAG_SIZE)
    associated = msgpack.packb(["event", "alice", "trip", 3, 77])
    plain = AESGCM(key.secret).decrypt(nonce, sealed, associated)
    assert plain == b"\1\0\0\0\5\xa4plan\1\xa6secret"
    theirs = msgpack.packb([key.id, bytes(12), AESGCM(key.secret).encrypt(bytes(12), b"theirs", associated)])
    assert cipher.open(PLACE, theirs) == b"theirs"


def test_every_sealing_takes_a_nonce_of_12_new_bytes() -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return bytes([len(asked)]) * size

    cipher = Cipher(AnyKey(), entropy)
    sealed = [cipher.seal(PLACE, b"the same") for _ in range(3)]
    assert asked == [12, 12, 12]
    assert [msgpack.unpackb(data)[1] for data in sealed] == [b"\1" * 12, b"\2" * 12, b"\3" * 12]
    assert len(set(sealed)) == 3


def test_an_entropy_that_gives_too_little_is_refused() -> None:
    for size in (0, 8, 11, 13, 16):
        with pytest.raises(EncryptionError, match=f"gave {size} bytes instead of 12"):
            Cipher(AnyKey(), lambda _, size=size: bytes(size)).seal(PLACE, b"")  # type: ignore[misc]


def test_the_plaintext_is_nowhere_in_what_was_sealed() -> None:
    _, cipher, key = one_key()
    event = cipher.seal_event(PLACE, Event(Op.SET, b"\xa5creed", b"\xa7visible"))
    assert (event.op, event.path) == (Op.CIPHER, b"")
    assert event.value is not None
    assert not any(part in event.value for part in (b"creed", b"visible", b"alice", b"trip", key.secret))


# Keys


def test_a_wrong_key_of_the_right_id_is_refused() -> None:
    _, cipher, key = one_key()
    sealed = cipher.seal(PLACE, b"plan")
    other = Cipher(MemoryKeyRing({("alice", "trip"): Key(key.id, bytes(32))}), os.urandom)
    with pytest.raises(EncryptionError, match=f"or key '{key.id}' is not the one that sealed it") as caught:
        other.open(PLACE, sealed)
    assert not isinstance(caught.value, KeyNotFoundError)


def test_a_new_key_seals_what_is_new_and_the_old_one_opens_what_is_old() -> None:
    ring, cipher, old = one_key()
    before = cipher.seal(PLACE, b"one")
    new = ring.rotate("alice", "trip")
    after = cipher.seal(PLACE, b"two")
    assert [msgpack.unpackb(data)[0] for data in (before, after)] == [old.id, new.id]
    for reader in (cipher, Cipher(ring, os.urandom)):
        assert [reader.open(PLACE, data) for data in (before, after, before)] == [b"one", b"two", b"one"]
    with pytest.raises(EncryptionError):
        Cipher(MemoryKeyRing({("alice", "trip"): Key(new.id, old.secret)}), os.urandom).open(PLACE, after)


def test_a_destroyed_key_opens_nothing_from_then_on() -> None:
    ring, cipher, key = one_key()
    sealed = cipher.seal(PLACE, b"plan")
    assert cipher.open(PLACE, sealed) == b"plan"
    ring.destroy("alice", "trip")
    with pytest.raises(
        KeyNotFoundError, match=f"^session 'alice', 'trip', branch 3, event 77: no key '{key.id}'"
    ):
        cipher.open(PLACE, sealed)
    with pytest.raises(KeyNotFoundError, match=r"'alice', 'trip'.*the key ring has no key for it"):
        cipher.seal(PLACE, b"more")
    ring.create("alice", "trip")
    with pytest.raises(KeyNotFoundError, match=key.id):
        cipher.open(PLACE, sealed)


def test_a_key_that_another_ring_of_the_file_destroyed_opens_nothing(tmp_path: Path) -> None:
    ring = FileKeyRing(tmp_path / "keys")
    ring.create("alice", "trip")
    cipher = Cipher(ring, os.urandom)
    sealed = cipher.seal(PLACE, b"plan")
    assert cipher.open(PLACE, sealed) == b"plan"
    FileKeyRing(tmp_path / "keys").destroy("alice", "trip")
    with pytest.raises(KeyNotFoundError):
        cipher.open(PLACE, sealed)


def test_a_plain_key_error_of_somebodys_own_ring_is_told_as_ours() -> None:
    _, cipher, key = one_key()
    with pytest.raises(KeyNotFoundError, match=f"no key '{key.id}'"):
        Cipher(AnyKey(), os.urandom).open(PLACE, cipher.seal(PLACE, b"plan"))


def test_without_a_key_ring_the_error_says_how_to_open_the_store() -> None:
    _, cipher, _ = one_key()
    blind = Cipher(None, os.urandom)
    event = Event(Op.SET, b"", b"\x80")
    for use in (
        lambda: blind.open(PLACE, cipher.seal(PLACE, b"plan")),
        lambda: blind.open_event(PLACE, cipher.seal_event(PLACE, event)),
        lambda: blind.seal_event(PLACE, event),
    ):
        with pytest.raises(KeyNotFoundError, match="event 77: encrypted; open the store with keys="):
            use()


def test_a_session_that_begins_is_to_be_encrypted_if_it_has_a_key() -> None:
    ring, cipher, key = one_key()
    assert cipher.key_id("alice", "trip") == key.id
    assert cipher.key_id("alice", "other") is None
    assert Cipher(None, os.urandom).key_id("alice", "trip") is None
    assert cipher.key_id("alice", "trip") != ring.rotate("alice", "trip").id == cipher.key_id("alice", "trip")


def test_the_file_and_the_key_ring_have_to_agree_on_what_is_encrypted() -> None:
    _, cipher, key = one_key()
    blind = Cipher(None, os.urandom)
    assert cipher.check("alice", "trip", encrypted=True) == key.id
    assert cipher.check("alice", "other", encrypted=False) is None
    assert blind.check("alice", "trip", encrypted=False) is None
    with pytest.raises(KeyNotFoundError, match="'alice', 'other': encrypted, and the key ring has no key"):
        cipher.check("alice", "other", encrypted=True)
    with pytest.raises(KeyNotFoundError, match="'alice', 'trip': encrypted; open the store with keys="):
        blind.check("alice", "trip", encrypted=True)
    with pytest.raises(
        EncryptionError, match="'alice', 'trip': there is a key for it, but it was begun"
    ) as caught:
        cipher.check("alice", "trip", encrypted=False)
    assert not isinstance(caught.value, KeyNotFoundError)


# Events


@given(_contexts, _events)
def test_an_event_comes_back_whole(context: Context, event: Event) -> None:
    cipher = Cipher(AnyKey(), counting())
    sealed = cipher.seal_event(context, event)
    back = cipher.open_event(context, sealed)
    assert back == event
    assert type(back.op) is Op


@pytest.mark.parametrize(
    "event",
    [
        Event(Op.SET, b"\xa4plan", b"\xc0"),
        Event(Op.DELETE, b"\xa4plan", None),
        Event(Op.NOTE, b"", b"\x92\xa1a\xc0"),
        Event(Op.GONE, b"", b"\xc0"),
        Event(Op.GONE, b"\xa4plan", None),
        Event(Op.ERASE, b"\xa4plan", b"\xc0"),
        Event(Op.PRUNE, b"\xa4plan", None),
        Event(Op.CIPHER, b"\xa4plan", b"\x93"),
        Event(Op.CIPHER, b"", None),
    ],
)
def test_plaintext_in_an_encrypted_session_is_refused(event: Event) -> None:
    _, cipher, _ = one_key()
    with pytest.raises(EncryptionError, match="event 77: plaintext in an encrypted session"):
        cipher.open_event(PLACE, event)


@pytest.mark.parametrize(
    "event",
    [Event(Op.GONE, b"", None), Event(Op.ERASE, b"", b"\x92\x90\x90"), Event(Op.PRUNE, b"", b"\x92\1\x90")],
)
def test_what_removals_leave_and_record_needs_no_key(event: Event) -> None:
    blind = Cipher(None, os.urandom)
    assert blind.seal_event(PLACE, event) == event
    assert blind.open_event(PLACE, event) == event


@given(st.binary(max_size=60))
def test_bytes_that_were_never_sealed_are_refused(data: bytes) -> None:
    with pytest.raises(EncryptionError):
        Cipher(AnyKey(), counting()).open_event(PLACE, Event(Op.CIPHER, b"", data))


@pytest.mark.parametrize(
    "parts",
    [
        None,
        [],
        ["the one", bytes(12)],
        ["the one", bytes(12), bytes(16), None],
        [b"the one", bytes(12), bytes(16)],
        [7, bytes(12), bytes(16)],
        [["the one"], bytes(12), bytes(16)],
        ["the one", "x" * 12, bytes(16)],
        ["the one", bytes(11), bytes(16)],
        ["the one", bytes(200), bytes(16)],
        ["the one", bytes(12), bytes(15)],
        {"the one": 1},
        msgpack.ExtType(13, b"\x92\xa1a\xc0"),
        "plaintext",
    ],
)
def test_bytes_of_another_layout_are_refused(parts: Any) -> None:
    with pytest.raises(EncryptionError, match="event 77: not encrypted, or damaged"):
        Cipher(AnyKey(), counting()).open(PLACE, msgpack.packb(parts))


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\1",
        b"\1\0\0\0\0",
        b"\1\0\0\0\0\2",
        b"\1\0\0\0\0\0x",
        b"\1\0\0\0\xff\1x",
        b"\1\xff\xff\xff\xff\1",
    ],
)
def test_sealed_bytes_that_are_no_event_are_damage(plain: bytes) -> None:
    _, cipher, _ = one_key()
    with pytest.raises(CorruptJournalError, match=f"event 77: {len(plain)} bytes that are no event"):
        cipher.open_event(PLACE, Event(Op.CIPHER, b"", cipher.seal(PLACE, plain)))


def test_a_sealed_event_of_an_unknown_operation_is_damage() -> None:
    _, cipher, _ = one_key()
    sealed = cipher.seal(PLACE, b"\xfa\0\0\0\0\0")
    with pytest.raises(CorruptJournalError, match="event 77: unknown operation 250"):
        cipher.open_event(PLACE, Event(Op.CIPHER, b"", sealed))


def test_the_body_of_an_event_is_that_of_its_digest() -> None:
    assert Event(Op.DELETE, b"\xa1a", None).body == b"\2\0\0\0\2\xa1a\0"
    assert Event(Op.SET, b"", b"").body == b"\1\0\0\0\0\1"


# Around


def test_one_cipher_serves_several_threads_and_sessions_at_once() -> None:
    ring = MemoryKeyRing()
    for name in "abcd":
        ring.create(name)
    cipher = Cipher(ring, os.urandom)
    found: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(300):
                place = Context("event", name, "default", 1, number)
                assert cipher.open(place, cipher.seal(place, name.encode())) == name.encode()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            found.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == []


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(MissingPackageError, match=r"pip install eventstate\[encryption\]") as caught:
        Cipher(MemoryKeyRing(), os.urandom)
    assert isinstance(caught.value, ImportError)
    assert Cipher(None, os.urandom).keys is None


def test_the_package_is_not_loaded_without_keys() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_errors_are_builtins_too_and_cross_process_boundaries() -> None:
    for kind, builtin in (
        (EncryptionError, ValueError),
        (KeyNotFoundError, KeyError),
        (KeyNotFoundError, EncryptionError),
        (MissingPackageError, ImportError),
    ):
        assert issubclass(kind, EventStateError)
        assert issubclass(kind, builtin)
        error = kind("no key 'a'")
        back = pickle.loads(pickle.dumps(error))  # noqa: S301 - as multiprocessing does
        assert (type(back), str(back)) == (kind, "no key 'a'")


def test_no_error_shows_a_secret() -> None:
    ring, cipher, key = one_key()
    sealed = cipher.seal(PLACE, b"a plan that nobody shall see")
    damaged = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    errors: list[BaseException] = []
    for data, place in ((damaged, PLACE), (sealed, PLACE._replace(number=1)), (sealed[:30], PLACE)):
        with pytest.raises(EncryptionError) as caught:
            cipher.open(place, data)
        errors.append(caught.value)
    ring.destroy("alice", "trip")
    with pytest.raises(EncryptionError) as caught:
        cipher.open(PLACE, sealed)
    errors.append(caught.value)
    for error in errors:
        at: BaseException | None = error
        while at is not None:
            told = f"{at} {at!r} {at.args} {vars(at)}"
            assert not any(part in told for part in (key.secret.hex(), repr(key.secret)[2:-1], "nobody"))
            at = at.__cause__ or at.__context__
    assert key.secret.hex() not in repr(cipher)
