"""Encryption at rest: AES-256-GCM (NIST SP 800-38D), bound to the place where the bytes stand.

What is sealed is `pack([key's id, nonce, ciphertext with tag])`. The associated data is
`pack([purpose, user_id, session_id, branch, number])`, so that bytes that were moved to another
place are refused as are those that were changed.

Nonces are 96 random bits. SP 800-38D, section 8.3, allows at most 2^32 encryptions under one key with
random nonces; after that two may be equal with a chance above 2^-32, and equal ones give away what they
encrypted, and let others forge. So a session of that many events needs a new key before: `rotate` it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from eventstate.errors import (
    CorruptJournalError,
    EncryptionError,
    EventStateError,
    KeyNotFoundError,
    MissingPackageError,
)
from eventstate.journal.records import Event
from eventstate.values.codec import Codec
from eventstate.values.delta import Op

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from eventstate.keys import Key, KeyRing

Purpose = Literal["event", "snapshot", "root", "metadata"]

NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16

_CODEC: Final = Codec()
_RECORDS: Final = frozenset({Op.ERASE, Op.PRUNE})
_PARTS: Final = 3  # key's id, nonce, ciphertext
_HEAD: Final = 5  # op and length of the path


class Context(NamedTuple):
    """Where sealed bytes stand: they open nowhere else."""

    purpose: Purpose
    user_id: str
    session_id: str
    branch: int
    """The number of the branch whose own row it is."""
    number: int
    """The event's seq, the snapshot's or root's version, the commit's number."""

    def __str__(self) -> str:
        return (
            f"session {self.user_id!r}, {self.session_id!r}, branch {self.branch},"
            f" {self.purpose} {self.number}"
        )


class Told(NamedTuple):
    """What a writer tells of a commit beside its events."""

    actor: str | None
    reason: str | None
    metadata: bytes | None
    """A packed dict."""


class Cipher:
    """Seals and opens what stands in the file of encrypted sessions; safe for threads.

    The key ring is asked every time, so a destroyed key is of no use from then on, here too.

    Args:
        keys: gives the keys; `None` if there are none, and nothing can be opened.
        entropy: gives so many random bytes, for nonces; they must not repeat.

    Raises:
        MissingPackageError: there are keys, but not the package `cryptography`.
    """

    def __init__(self, keys: KeyRing | None, entropy: Callable[[int], bytes]) -> None:
        self.keys = keys
        self._entropy = entropy
        self._last: tuple[Key, AESGCM] | None = None
        if keys is not None:
            self._aead, self._mismatch = _package()

    def key_id(self, user_id: str, session_id: str) -> str | None:
        """Give the id of a session's current key: if it has one as it begins, it is to be encrypted."""
        key = None if self.keys is None else self.keys.current(user_id, session_id)
        return None if key is None else key.id

    def check(self, user_id: str, session_id: str, *, encrypted: bool) -> str | None:
        """Give the id of the current key of a session that is there, before it is read or written.

        Args:
            user_id: whose session it is.
            session_id: its name.
            encrypted: what the file says of it.

        Raises:
            KeyNotFoundError: it is encrypted, and there is no key for it.
            EncryptionError: it is not, and there is one.
        """
        if self.keys is None and not encrypted:  # the common case, several times a turn
            return None
        key_id = self.key_id(user_id, session_id)
        if encrypted == (key_id is not None):
            return key_id
        title = f"session {user_id!r}, {session_id!r}"
        if not encrypted:
            raise EncryptionError(
                f"{title}: there is a key for it, but it was begun without one, and is not encrypted"
            )
        raise KeyNotFoundError(
            f"{title}: encrypted; open the store with keys="
            if self.keys is None
            else f"{title}: encrypted, and the key ring has no key for it"
        )

    def seal(self, context: Context, plaintext: bytes) -> bytes:
        """Encrypt under the session's current key.

        Raises:
            KeyNotFoundError: there is none.
        """
        key = self._ring(context).current(context.user_id, context.session_id)
        if key is None:
            raise KeyNotFoundError(f"{context}: the session is encrypted, and the key ring has no key for it")
        nonce = self._entropy(NONCE_SIZE)
        if len(nonce) != NONCE_SIZE:
            raise EncryptionError(f"{context}: the entropy gave {len(nonce)} bytes instead of {NONCE_SIZE}")
        sealed = self._cipher(key).encrypt(nonce, plaintext, _associated(context))
        return _CODEC.encode([key.id, nonce, sealed])

    def open(self, context: Context, data: bytes) -> bytes:
        """Decrypt what was sealed in the same context.

        Raises:
            KeyNotFoundError: its key was destroyed, or is in another key ring.
            EncryptionError: it was changed or moved, the key is a wrong one, or it was never sealed.
        """
        ring = self._ring(context)
        key_id, nonce, sealed = _unpacked(context, data)
        try:
            key = ring.find(key_id)
        except KeyError as error:
            self._last = None
            raise KeyNotFoundError(
                f"{context}: no key {key_id!r}: it was destroyed, or is in another key ring"
            ) from error
        try:
            return self._cipher(key).decrypt(nonce, sealed, _associated(context))
        except self._mismatch as error:
            raise EncryptionError(
                f"{context}: it was changed, or moved here, or key {key_id!r} is not the one that sealed it"
            ) from error

    def seal_told(self, context: Context, told: Told) -> bytes:
        """Encrypt what a writer told of a commit.

        Raises:
            KeyNotFoundError: the session has no key.
        """
        return self.seal(context, _CODEC.encode(list(told)))

    def open_told(self, context: Context, data: bytes) -> Told:
        """Decrypt what a writer told of a commit.

        Raises:
            KeyNotFoundError: its key was destroyed, or there are no keys.
            EncryptionError: it was changed or moved, or the key is a wrong one.
        """
        told = _CODEC.decode(self.open(context, data))
        if type(told) is list and len(told) == len(Told._fields):
            return Told._make(told)
        raise CorruptJournalError(f"{context}: not what a writer tells")

    def seal_event(self, context: Context, event: Event) -> Event:
        """Encrypt an event whole: its operation, its path and its value.

        What `open_event` takes as it is stays as it is.

        Raises:
            KeyNotFoundError: the session has no key.
        """
        if _is_open(event):
            return event
        return Event(Op.CIPHER, b"", self.seal(context, event.body))

    def open_event(self, context: Context, event: Event) -> Event:
        """Decrypt an event of an encrypted session.

        What erasing and pruning leave and record comes back as it is: that is nothing, and numbers and
        hashes, which are to be proved without a key.

        Raises:
            KeyNotFoundError: its key was destroyed, or there are no keys.
            EncryptionError: it is not encrypted, was changed or moved, or the key is a wrong one.
        """
        if _is_open(event):
            return event
        op, path, value = event
        if op != Op.CIPHER or path or value is None:
            raise EncryptionError(f"{context}: plaintext in an encrypted session")
        return _event(context, self.open(context, value))

    def _ring(self, context: Context) -> KeyRing:
        if self.keys is None:
            raise KeyNotFoundError(f"{context}: encrypted; open the store with keys=")
        return self.keys

    def _cipher(self, key: Key) -> AESGCM:
        # One is enough: most events that are read in a row are of one key, and a new one takes a microsecond.
        last = self._last
        if last is None or last[0] is not key:
            self._last = last = key, self._aead(key.secret)
        return last[1]


def _is_open(event: Event) -> bool:
    op, path, value = event
    return not path and (op in _RECORDS or (op == Op.GONE and value is None))


def _event(context: Context, plain: bytes) -> Event:
    """Take an event out of its `body`."""
    end = _HEAD + int.from_bytes(plain[1:_HEAD], "big")
    marker, value = plain[end : end + 1], plain[end + 1 :]
    if marker == b"\1" or (marker == b"\0" and not value):
        try:
            return Event(Op(plain[0]), plain[_HEAD:end], value if marker == b"\1" else None)
        except ValueError as error:
            raise CorruptJournalError(f"{context}: unknown operation {plain[0]}") from error
    raise CorruptJournalError(f"{context}: {len(plain)} bytes that are no event")


def _associated(context: Context) -> bytes:
    return _CODEC.encode(list(context))


def _unpacked(context: Context, data: bytes) -> tuple[str, bytes, bytes]:
    try:
        parts = _CODEC.decode(data)
    except EventStateError as error:
        raise EncryptionError(f"{context}: not encrypted, or damaged: {error}") from error
    if type(parts) is list and len(parts) == _PARTS:
        key_id, nonce, sealed = parts
        if (
            type(key_id) is str
            and type(nonce) is type(sealed) is bytes
            and len(nonce) == NONCE_SIZE
            and len(sealed) >= TAG_SIZE
        ):
            return key_id, nonce, sealed
    raise EncryptionError(f"{context}: not encrypted, or damaged")


def _package() -> tuple[type[AESGCM], type[Exception]]:
    """Give the cipher, and the error that says that a tag is not the right one."""
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise MissingPackageError(
            "encryption needs the package cryptography: pip install eventstate[encryption]"
        ) from error
    return AESGCM, InvalidTag
