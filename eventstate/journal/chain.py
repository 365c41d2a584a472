"""The two hash chains: over a branch's commits, and over the commits of the whole store.

All hashes are BLAKE2b with 32 bytes (RFC 7693). What is hashed is laid out in `schema/FORMAT.md`.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from eventstate.journal.records import Commit, Event
from eventstate.values.codec import Codec

if TYPE_CHECKING:
    from collections.abc import Iterable

HASH_SIZE: Final = 32
SALT_SIZE: Final = 16
EMPTY_CHAIN: Final = bytes(HASH_SIZE)

_CODEC: Final = Codec()


def digest(data: bytes) -> bytes:
    """Hash `data`."""
    return blake2b(data, digest_size=HASH_SIZE).digest()


def genesis(user_id: str, session_id: str) -> bytes:
    """Give what the first commit of a session's first branch follows on."""
    return digest(_CODEC.encode(["eventstate", user_id, session_id]))


def fork_start(origin: bytes, name: str, own_round: int | None, named: int | None) -> bytes:
    """Give what the first commit of a fork follows on.

    Args:
        origin: the hash of the last commit of the branch on which the fork was made.
        name: of the fork.
        own_round: the round at which the fork was made, the highest that it sees of that branch.
        named: the key of the commit that named it.
    """
    return digest(origin + _CODEC.encode([name, own_round, named]))


def event_salt(salt: bytes, seq: int) -> bytes:
    """Derive an event's salt from its commit's, so that it can be revealed or destroyed alone."""
    return blake2b(seq.to_bytes(8, "big"), key=salt, digest_size=SALT_SIZE).digest()


def event_digest(salt: bytes, event: Event) -> bytes:
    """Hash one event under its own salt: without the salt, no guess at the payload can be checked."""
    hasher = blake2b(key=salt, digest_size=HASH_SIZE)
    hasher.update(bytes((event.op,)) + len(event.path).to_bytes(4, "big") + event.path)
    hasher.update(b"\0" if event.value is None else b"\1" + event.value)
    return hasher.digest()


def commit_hash(previous: bytes, commit: Commit, events: Iterable[Event]) -> bytes:
    """Hash a commit: the branch's previous commit, its own header and its events' digests.

    Args:
        previous: the hash that it follows on.
        commit: its `hash` and `chain` are not read.
        events: of this commit, in order.
    """
    header = _CODEC.encode(list(commit[: Commit._fields.index("salt")]))
    hasher = blake2b(previous, digest_size=HASH_SIZE)
    # Salted like an event, which are numbered from 1: without the salt no reason or name can be guessed.
    hasher.update(blake2b(header, key=event_salt(commit.salt, 0), digest_size=HASH_SIZE).digest())
    first = commit.version - commit.events + 1
    for seq, event in enumerate(events, first):
        hasher.update(event_digest(event_salt(commit.salt, seq), event))
    return hasher.digest()


def link(chain: bytes, commit: bytes) -> bytes:
    """Add a commit's hash to the store's chain."""
    return digest(chain + commit)
