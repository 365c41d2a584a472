"""The journal: one file, its write path, its read path and its newest states."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Literal

from eventstate.errors import CorruptJournalError, EncryptionError, RoundNotFoundError, StoreBusyError
from eventstate.journal.append import Appended, Appender
from eventstate.journal.branches import Branches, Point
from eventstate.journal.cipher import Cipher, Context, Told
from eventstate.journal.connection import Connection
from eventstate.journal.events import EventCodec
from eventstate.journal.heads import Head, Heads
from eventstate.journal.postings import Postings
from eventstate.journal.read import Reader, segments
from eventstate.journal.removal import CLEAN, Removals
from eventstate.journal.schema import prepare
from eventstate.journal.snapshots import MAX_LINEAGE, Mark, Marks, Snapshots, is_long
from eventstate.values.codec import Codec
from eventstate.values.delta import apply

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from eventstate.journal.newest import Tip
    from eventstate.journal.records import Branch, Commit, Draft
    from eventstate.keys import KeyRing
    from eventstate.values.registry import TypeRegistry

Durability = Literal["full", "normal"]

_CLOSING = 0.2  # seconds


class Journal:
    """What the library's nouns stand on; see `eventstate.store.StateStore` for the arguments."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability,
        read_only: bool,
        timeout: float,
        cache_bytes: int,
        snapshot_every: int | None,
        types: TypeRegistry,
        keys: KeyRing | None,
        clock: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        vfs: str | None,
    ) -> None:
        self.cipher = Cipher(keys, entropy)
        self.codec = Codec(types)
        self.events = EventCodec(self.codec)
        self.lenient = Codec(types.keeping())
        """For metadata: a type that is not registered here must not hide the commit."""
        self.connection = Connection(
            os.fspath(path), read_only=read_only, durability=durability, timeout=timeout, vfs=vfs
        )
        self.branches = Branches(self.connection)
        self.snapshots = Snapshots(
            self.connection, self.branches, self.codec, self.cipher, every=snapshot_every
        )
        self.postings = Postings(self.connection, self.branches)
        self.reader = Reader(
            self.connection, self.branches, self.snapshots, self.postings, self.events, cipher=self.cipher
        )
        self.appender = Appender(
            self.connection,
            self.branches,
            self.snapshots,
            self.postings,
            self.cipher,
            clock=clock,
            entropy=entropy,
        )
        self.heads = Heads(cache_bytes)
        self.removals = Removals(self)
        try:
            prepare(self.connection)
            self.removals.pending = not read_only and self.removals.stage() != CLEAN
        except BaseException:
            self.connection.close()
            raise

    def take_head(self, branch: Branch, tip: Tip) -> Head:
        """Give the state at a branch's newest commit; the caller owns it until `put_head`.

        A cached state is bound to the key with which it was read, so that none outlives its key.

        Raises:
            KeyNotFoundError: the session is encrypted, and there is no key.
        """
        key = self._key(branch)
        head, commit = self.heads.take(branch), tip.commit
        self.removals.notice(tip.epoch)
        if head is None or head.commit.number > commit.number or head.epoch != tip.epoch or head.key != key:
            return self._load_head(branch, tip, key)
        if head.commit.number < commit.number:  # another process, or another head's owner, was here
            try:
                self.reader.advance(head.state, branch, head.commit.version, commit.version)
            except (CorruptJournalError, RoundNotFoundError):
                if self.branches.epoch() == tip.epoch:
                    raise
            if self.branches.epoch() != tip.epoch:  # what was read may be of before and after a removal
                return self._load_head(branch, tip, key)
            head.size += max(commit.weight - head.commit.weight, 0)
            head.commit = commit
        return head

    def glance(self, branch: Branch, tip: Tip) -> dict[Any, Any] | None:
        """Give the state at a branch's newest commit to one who wants it once; it is the caller's own.

        It takes no copy of the state, and keeps none, unless it took long to fold.

        Returns:
            `None` if it is in the cache, or had better be.

        Raises:
            RoundNotFoundError: it was removed since the commit was read.
            CorruptJournalError: so it was, or it is damaged.
            KeyNotFoundError: the session is encrypted, and there is no key.
        """
        if self.heads.wants(branch):
            return None
        key = self._key(branch)
        state, folded = self.reader.fold(Point(branch, tip.commit.version), tip.epoch)
        if is_long(folded) and not self.connection.read_only:
            self.heads.put(self._head(branch, tip.commit, tip.epoch, key, self.codec.copy(state)))
        return state

    def put_head(self, head: Head) -> None:
        """Give a head back, as it was taken or after `advance_head`."""
        self.heads.put(head)

    def begin_head(self, appended: Appended, draft: Draft) -> None:
        """Put a session's first state, made by its first commit, into the cache."""
        commit = appended.commit
        epoch = self.branches.epoch(commit.position)
        start = commit._replace(weight=0)
        marks = Marks(Mark(), Mark())
        nothing = Head(appended.branch, start, {}, 0, marks, epoch=epoch, key=appended.key)
        self.bring(nothing, draft)
        self.advance_head(nothing, appended)

    def advance_head(self, head: Head, appended: Appended) -> None:
        """Put a taken head back whose state was brought to the commit that was just made."""
        head.size += appended.commit.weight - head.commit.weight
        head.commit = appended.commit
        marks = self.snapshots.consider(head)
        if marks is not head.marks:
            known = 0 if head.known is None else len(head.known.packed)
            head.marks, head.size = marks, marks.head.size + known
        self.heads.put(head)

    def bring(self, head: Head, draft: Draft, accept: Callable[[], None] | None = None) -> None:
        """Bring the state of a taken head to where the events of `draft` lead.

        Args:
            head: the head.
            draft: holds the events.
            accept: does so without folding them.
        """
        if accept is None:
            self.fold(draft, head.state)
        else:
            accept()

    def fold(self, draft: Draft, state: dict[Any, Any]) -> None:
        """Fold the events of `draft` into a state.

        Raises:
            CorruptJournalError: one does not fit; those before it are in the state.
        """
        for event in draft.events:
            apply(state, self.events.decode(event))

    def _key(self, branch: Branch) -> str | None:
        """Give the id of the key that a branch's session has now; `None` if it is not encrypted."""
        return None if branch.sealed is None else self.cipher.check(*branch.sealed, encrypted=True)

    def _load_head(self, branch: Branch, tip: Tip, key: str | None) -> Head:
        epoch = self.branches.epoch()
        return self._head(
            branch, tip.commit, epoch, key, self.reader.state(Point(branch, tip.commit.version), epoch)
        )

    def _head(
        self, branch: Branch, commit: Commit, epoch: int, key: str | None, state: dict[Any, Any]
    ) -> Head:
        """Make the head of a state that was read."""
        marks = self.snapshots.marks(branch)
        if branch.parent is not None and not marks.head.size:
            # What a fork inherits weighs nothing in its own events, but in memory and in snapshots it does.
            size = len(self.codec.encode(state))
            marks = Marks(*(mark if mark.size else mark._replace(size=size) for mark in marks))
        size = marks.head.size + commit.weight - marks.head.weight
        head = Head(branch, commit, state, size, marks, epoch=epoch, key=key)
        deep = len(segments(branch, 0, commit.version)) > MAX_LINEAGE and not marks.head.number
        if deep and not self.connection.read_only:
            self.snapshots.flatten(head)
        return head

    def told(self, branch: Branch, commit: Commit) -> Told:
        """Give what the writer of a commit told of it, in the clear.

        Raises:
            EncryptionError: it can't be decrypted, or is plaintext in an encrypted session.
        """
        if branch.sealed is None:
            return Told(commit.actor, commit.reason, commit.metadata)
        place = Context("metadata", *branch.sealed, branch.id, commit.number)
        if (commit.actor, commit.reason) != (None, None):
            raise EncryptionError(f"{place}: plaintext in an encrypted session")
        if commit.metadata is None:
            return Told(None, None, None)
        return self.cipher.open_told(place, commit.metadata)

    def metadata(self, told: Told) -> dict[str, Any]:
        """Decode the metadata of a commit; a type that is not registered here must not hide it."""
        return {} if told.metadata is None else self.lenient.decode(told.metadata)

    def drop_snapshots(self) -> None:
        """Drop all snapshots, and all postings."""
        with self.connection.write():
            self.snapshots.drop()
            self.postings.drop()
        self.heads.clear()  # what the heads know of snapshots is void

    def forget(self) -> None:
        """Forget all that was read; of what is removed from the file nothing shall be left here."""
        self.heads.clear()
        self.snapshots.forget()
        self.branches.forget()
        self.events.forget()

    def close(self) -> None:
        """Write the heads' snapshots and close the file; a second time does nothing."""
        if self.connection.closed or self.connection.inherited:
            return
        try:
            for head in self.heads.drain():
                self.snapshots.refresh(head)
            if self.snapshots.pending and not self.connection.read_only:
                # They are derived: not worth a wait for another process, nor an error.
                with contextlib.suppress(StoreBusyError), self.connection.write(timeout=_CLOSING):
                    self.snapshots.written(self.snapshots.write())
            if self.removals.pending:
                self.removals.finish()
        finally:
            self.connection.close()
