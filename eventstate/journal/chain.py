"""The two hash chains: over a branch's commits, and over the commits of the whole store.

Commits are hashed by SHA-256 (FIPS 180-4), which processors have built in; until format 2 it was BLAKE2b
(RFC 7693), which all that is rare is hashed by. What is hashed is laid out in `schema/FORMAT.md`.
"""

from __future__ import annotations

from hashlib import blake2b, sha256, shake_128
from typing import TYPE_CHECKING, Any, Final

from eventstate.errors import CorruptJournalError
from eventstate.journal.records import LOW, Commit, Event
from eventstate.values.codec import Codec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

HASH_SIZE: Final = 32
SALT_SIZE: Final = 16
EMPTY_CHAIN: Final = bytes(HASH_SIZE)
STRIDE: Final = 16
"""The chain stands whole in the row of each so many-th commit of the store."""
TAG_SIZE: Final = 4
"""So many of its first bytes stand in the rows of the others."""
_SEED: Final = b"\3"  # what the salt begins with of a commit that is hashed as since format 3
_BLOCK: Final = 64  # salts

_CODEC: Final = Codec()


def digest(data: bytes) -> bytes:
    """Hash `data`."""
    return blake2b(data, digest_size=HASH_SIZE).digest()


def genesis(user_id: str, session_id: str, *, encrypted: bool = False) -> bytes:
    """Give what the first commit of a session's first branch follows on; it tells what is encrypted, too."""
    return digest(_CODEC.encode(["eventstate", user_id, session_id, *(["encrypted"] if encrypted else [])]))


def store_line() -> bytes:
    """Give what the first commit about the store as a whole follows on."""
    return digest(_CODEC.encode(["eventstate"]))


def fork_start(origin: bytes, name: str, own_round: int | None, named: int | None) -> bytes:
    """Give what the first commit of a fork follows on.

    Args:
        origin: the hash of the last commit of the branch on which the fork was made.
        name: of the fork.
        own_round: the round at which the fork was made, the highest that it sees of that branch.
        named: the key of the commit that named it.
    """
    return digest(origin + _CODEC.encode([name, own_round, named]))


def seed(entropy: bytes) -> bytes:
    """Give what stands as the salt of a new commit, made of `SALT_SIZE` random bytes."""
    return _SEED + entropy


def event_salt(commit: Commit, seq: int) -> bytes:
    """Give the salt of one of a commit's events, or of its header, which has the number 0.

    It is derived from the commit's, unless the commit has a list of salts instead: the header's and
    its events', from which some can be destroyed.

    Raises:
        CorruptJournalError: the commit can't have such an event, or such salts.
    """
    place = seq - commit.version + commit.events if seq else 0
    if seq >= 0 and 0 <= place <= commit.events <= LOW:
        seeded = _is_seeded(commit)
        salt = commit.salt[len(_SEED) :] if seeded else commit.salt
        if len(salt) == SALT_SIZE and seeded:
            return _block(commit.salt, place // _BLOCK, place % _BLOCK + 1)[-SALT_SIZE:]
        if len(salt) == SALT_SIZE:
            return blake2b(seq.to_bytes(8, "big"), key=salt, digest_size=SALT_SIZE).digest()
        if len(salt) == (1 + commit.events) * SALT_SIZE:
            return salt[place * SALT_SIZE : (place + 1) * SALT_SIZE]
    raise CorruptJournalError(f"commit {commit.position}: no salt for event {seq}")


def _is_seeded(commit: Commit) -> bool:
    """Say whether a commit is hashed as since format 3."""
    return len(commit.salt) % SALT_SIZE == len(_SEED) and commit.salt.startswith(_SEED)


def _block(salt: bytes, number: int, count: int) -> bytes:
    """Derive the first salts of a block of them: a few hundred bytes, so that one is found without all."""
    return shake_128(salt + number.to_bytes(4, "big")).digest(count * SALT_SIZE)


def salts_without(commit: Commit, seqs: Collection[int]) -> bytes:
    """Give the list of a commit's salts, with nothing but zeros for these of its events."""
    if not commit.events:
        return commit.salt
    first = commit.version - commit.events + 1
    numbers = [0, *range(first, commit.version + 1)]
    salts = b"".join(bytes(SALT_SIZE) if seq in seqs else event_salt(commit, seq) for seq in numbers)
    return _SEED + salts if _is_seeded(commit) else salts


def event_digest(salt: bytes, event: Event) -> bytes:
    """Hash what stands in the place of an event under a salt of its own.

    Without the salt, no guess at the payload can be checked.
    """
    return blake2b(event.body, key=salt, digest_size=HASH_SIZE).digest()


def written_digest(commit: Commit, seq: int, event: Event) -> bytes:
    """Hash an event of a commit as it was written, under its own salt."""
    salt = event_salt(commit, seq)
    return sha256(salt + event.body).digest() if _is_seeded(commit) else event_digest(salt, event)


def event_digests(commit: Commit, events: Iterable[Event]) -> Iterator[bytes]:
    """Hash a commit's events, given all of them in order."""
    for seq, event in enumerate(events, commit.version - commit.events + 1):
        yield written_digest(commit, seq, event)


def state_digest(salt: bytes, packed: bytes) -> bytes:
    """Hash a state to which a past was folded.

    Raises:
        CorruptJournalError: the salt is none.
    """
    if len(salt) != SALT_SIZE:
        raise CorruptJournalError(f"a salt of {len(salt)} bytes")
    return blake2b(packed, key=salt, digest_size=HASH_SIZE).digest()


def commit_hash(previous: bytes, commit: Commit, digests: Iterable[bytes]) -> bytes:
    """Hash a commit: the branch's previous commit, its own header and its events' digests.

    Args:
        previous: the hash that it follows on.
        commit: its `hash` and `chain` are not read.
        digests: of its events, in order.
    """
    header, salt = commit[: Commit._fields.index("salt")], event_salt(commit, 0)
    # Salted like an event: without the salt no reason or name can be guessed.
    if _is_seeded(commit):
        return _hash(previous, salt, header, digests)
    packed = blake2b(_CODEC.encode(list(header)), key=salt, digest_size=HASH_SIZE).digest()
    return digest(b"".join((previous, packed, *digests)))


def new_hash(previous: bytes, header: tuple[Any, ...], seeded: bytes, bodies: Sequence[bytes]) -> bytes:
    """Hash a commit that is about to be made, as `commit_hash` does.

    Args:
        previous: the hash that it follows on.
        header: its columns up to the salt.
        seeded: its salt, made by `seed`.
        bodies: of its events.
    """
    salts = _block(seeded, 0, min(len(bodies) + 1, _BLOCK))
    first, digests, at = salts[:SALT_SIZE], [], SALT_SIZE
    for number, body in enumerate(bodies, 1):
        if at == len(salts):
            salts, at = _block(seeded, number // _BLOCK, min(len(bodies) + 1 - number, _BLOCK)), 0
        digests.append(sha256(salts[at : at + SALT_SIZE] + body).digest())
        at += SALT_SIZE
    return _hash(previous, first, header, digests)


def _hash(previous: bytes, salt: bytes, header: tuple[Any, ...], digests: Iterable[bytes]) -> bytes:
    packed = sha256(salt + _CODEC.encode(list(header))).digest()
    return sha256(b"".join((previous, packed, *digests))).digest()


def link(chain: bytes, commit: bytes) -> bytes:
    """Add a commit's hash to the store's chain."""
    return digest(chain + commit)


def kept(chain: bytes, position: int, kind: str) -> bytes:
    """Give what of the store's chain stands in the row of a commit.

    It can be made anew from the hashes since the last whole one. So that this never has to go back through
    what is gone, commits that say that others are gone have it whole, too.

    Args:
        chain: up to the commit.
        position: the commit's.
        kind: the commit's.
    """
    return chain if _is_whole(position, kind) else chain[:TAG_SIZE]


def fits(chain: bytes, commit: Commit) -> bool:
    """Say whether a commit's row has the store's chain, of which older formats have all in each row."""
    return commit.chain == chain or (
        commit.chain == chain[:TAG_SIZE] and not _is_whole(commit.position, commit.kind)
    )


def _is_whole(position: int, kind: str) -> bool:
    return position % STRIDE == 0 or kind in {"prune", "purge", "repair"}
