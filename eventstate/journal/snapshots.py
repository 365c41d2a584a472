"""States folded at a version: when one is made, how it is kept, and what happens when it is damaged.

A snapshot is derived: it may be dropped or damaged at any time, and the events give it back. It is
made outside of any transaction and written along with the next commit, so it costs no fsync.

It stores once more only what no event holds: a recipe refers to the rest. So snapshots are small, and made
often. A root, which stands for events that are gone, is whole.

Of an encrypted session it is whole, compressed, then sealed: its length tells how well the state
compresses. Its digest is that of the sealed bytes, so it is checked without a key, and nobody can check a
guess at the state.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.errors import CorruptJournalError, EncryptionError, StorageError
from eventstate.journal import recipes
from eventstate.journal import statements as sql
from eventstate.journal.chain import digest, state_digest
from eventstate.journal.cipher import Context
from eventstate.journal.read import segments
from eventstate.journal.recipes import FREE, LEVEL, MARK, MAX_RATIO, Recipe
from eventstate.journal.records import BRANCH_SHIFT, LOW, Branch, Commit, Snapshot, row_id
from eventstate.journal.references import Known, References

if TYPE_CHECKING:
    from eventstate.journal.branches import Branches, Point
    from eventstate.journal.cipher import Cipher
    from eventstate.journal.connection import Connection
    from eventstate.journal.heads import Head
    from eventstate.values.codec import Codec

MIN_EVENTS: Final = 128
MIN_WEIGHT: Final = 64 * 1024
"""Below this many events and this many bytes, folding them is as fast as reading a snapshot.

When the store is closed, the head is worth a new one from half as many events on.
"""

BYTES_PER_EVENT: Final = 8192
"""Of a state, about, are read in the time in which an event is folded, and written in that of a few."""

MAX_LINEAGE: Final = 8
"""How many branches a state may be folded through before its fork gets a snapshot of its own."""


class Mark(NamedTuple):
    """Where a branch's last snapshot stands."""

    version: int = 0
    number: int = 0
    weight: int = 0
    size: int = 0
    stored: int = 0
    """Its bytes in the file."""

    def tail(self, commit: Commit) -> tuple[int, int]:
        """Count the events since, and their bytes."""
        return commit.version - self.version, commit.weight - self.weight


class Marks(NamedTuple):
    """A branch's last kept snapshot, and its last of any kind."""

    kept: Mark
    head: Mark


class Snapshots:
    """Makes, finds and drops snapshots.

    Args:
        every: also keep a snapshot after so many commits of a branch; `None` leaves it to the sizes.
    """

    def __init__(
        self, connection: Connection, branches: Branches, codec: Codec, cipher: Cipher, *, every: int | None
    ) -> None:
        self._connection = connection
        self._branches = branches
        self._codec = codec
        self._cipher = cipher
        self._references = References(connection)
        self._every = every
        self._pending: dict[int, tuple[Any, ...]] = {}

    def nearest(self, point: Point) -> Snapshot | None:
        """Find the last snapshot or root at or before a version; a damaged snapshot is passed over.

        Raises:
            CorruptJournalError: a root is damaged.
            EncryptionError: a root can't be decrypted.
        """
        branch: Branch | None = point.branch
        version = point.version
        while branch is not None:
            while version >= branch.parent_version:
                row = self._connection.one(
                    sql.FIND_SNAPSHOT, (row_id(branch.id, 0), row_id(branch.id, version))
                )
                if row is None:
                    break
                try:
                    return self.load(branch, row)
                except (CorruptJournalError, EncryptionError):
                    if row[4] is not None:
                        raise
                    # Derived data: verify reports it; the events stand in for it, or say what is wrong.
                    version = (row[0] & LOW) - 1
            version, branch = min(version, branch.parent_version), branch.parent
        return None

    def load(self, branch: Branch, row: Any) -> Snapshot:
        """Decode a row of a branch.

        Raises:
            CorruptJournalError: it is damaged.
            EncryptionError: it can't be decrypted.
        """
        state = self._codec.decode(self.packed(branch, row))
        if type(state) is not dict:
            raise CorruptJournalError(f"{_title(row)}: no state")
        return Snapshot(row[0] & LOW, row[1], row[2], row[3], state)

    def packed(self, branch: Branch, row: Any) -> bytes:
        """Give the packed state of a row of a branch.

        Raises:
            CorruptJournalError: it is damaged, or what it refers to is.
            EncryptionError: it can't be decrypted.
        """
        number, _, _, size, salt, checksum, data = row
        self.check(branch, row)
        if branch.sealed is not None:
            data = self._cipher.open(_place(branch, number & LOW, salt), data)
        elif _is_recipe(row):
            return self._told(branch, recipes.read(data, size, number & LOW))
        if size > max(FREE, MAX_RATIO * len(data)):
            raise CorruptJournalError(f"{_title(row)}: {len(data)} bytes for a state of {size}")
        unpacker = zlib.decompressobj()
        try:
            packed = unpacker.decompress(data, max_length=max(size, 1))
        except zlib.error as error:
            raise CorruptJournalError(f"{_title(row)}: {error}") from error
        if len(packed) != size or (branch.sealed is None and checksum != _digest(salt, packed)):
            raise CorruptJournalError(f"{_title(row)}: it is not what was written")
        return packed

    def _told(self, branch: Branch, recipe: Recipe) -> bytes:
        return recipes.join(recipe, self._references.told(branch, recipe.parts))

    def check(self, branch: Branch, row: Any) -> None:
        """Check a row of a branch as far as it can be without decoding it: all but what is plain and whole.

        Raises:
            CorruptJournalError: it is damaged.
        """
        *_, salt, checksum, data = row
        stored = branch.sealed is not None or _is_recipe(row)
        if stored and checksum != _digest(salt, data):
            raise CorruptJournalError(f"{_title(row)}: it is not what was written")

    def root_row(self, branch: Branch, mark: Mark, salt: bytes, state: dict[Any, Any]) -> tuple[Any, ...]:
        """Give the row of a root: a snapshot that stands for the events up to it.

        Args:
            branch: of which.
            mark: where it stands; its size is not read.
            salt: of its digest.
            state: what the events fold to.

        Raises:
            KeyNotFoundError: the session is encrypted, and there is no key.
        """
        packed = self._codec.encode(state)
        stored = self._stored(branch, mark.version, salt, packed)
        return row_id(branch.id, mark.version), mark.number, mark.weight, len(packed), salt, *stored

    def _stored(self, branch: Branch, version: int, salt: bytes | None, packed: bytes) -> tuple[bytes, bytes]:
        """Give the digest of a state, and the form in which it stands in the file."""
        data = zlib.compress(packed, LEVEL)
        if len(packed) > max(FREE, MAX_RATIO * len(data)):
            data = zlib.compress(packed, 0)
        if branch.sealed is None:
            return _digest(salt, packed), data
        data = self._cipher.seal(_place(branch, version, salt), data)
        return _digest(salt, data), data

    def marks(self, branch: Branch) -> Marks:
        """Find where a branch's last snapshots stand."""
        low, high = row_id(branch.id, 0), row_id(branch.id, LOW)
        found = []
        for head in (0, 1):
            row = self._connection.one(sql.LAST_SNAPSHOT, (low, high, head))
            start = Mark(version=branch.parent_version)
            found.append(start if row is None else Mark(row[0] & LOW, *row[1:]))
        return Marks(*found)

    def consider(self, head: Head) -> Marks:
        """Make a snapshot of the state that a head's last commit left behind, if the policy asks for one.

        A kept one comes when the tail outweighs what the last one takes in the file, so storage stays
        linear, and takes about as long to fold as the state to be read, so that an old round costs no more
        than a few times its own size, and making them no more than a share of what wrote the events.
        What can't be kept so often, as little of it stands in events, is renewed as the head's alone.
        """
        commit, marks = head.commit, head.marks
        events, weight = marks.kept.tail(commit)
        due = _is_due(events, weight, marks.kept.size) and weight >= marks.kept.stored
        if due or (self._every is not None and commit.number - marks.kept.number >= self._every and events):
            mark = self._make(head, kept=True)
            return marks if mark is None else Marks(mark, mark)
        events, weight = marks.head.tail(commit)
        if is_long(events) and _is_due(events, weight * 4, marks.head.size):
            mark = self._make(head, kept=False)
            return marks if mark is None else Marks(marks.kept, mark)
        return marks

    def refresh(self, head: Head) -> None:
        """Renew the head's snapshot, as at close, if enough events have come since the last."""
        events, weight = head.marks.head.tail(head.commit)
        if is_long(2 * events) or weight >= MIN_WEIGHT:
            self._make(head, kept=False)

    def flatten(self, head: Head) -> None:
        """Give a deep fork a snapshot of its own, so that its lineage need not be walked again."""
        if row_id(head.branch.id, head.commit.version) not in self._pending:
            self._make(head, kept=False)

    def _make(self, head: Head, *, kept: bool) -> Mark | None:
        """Make a snapshot to be written with the next commit; `None` if it can't be: the commit is made."""
        branch, commit, packed = head.branch, head.commit, self._codec.encode(head.state)
        try:
            stored = self._recipe(head, packed)
        except (CorruptJournalError, EncryptionError, StorageError):  # of the key ring, or of the file
            return None
        mark = Mark(commit.version, commit.number, commit.weight, len(packed), len(stored[1]))
        key = row_id(branch.id, commit.version)
        self._pending[key] = (
            head.epoch,
            key,
            int(not kept),
            commit.number,
            commit.weight,
            len(packed),
            *stored,
        )
        return mark

    def _recipe(self, head: Head, packed: bytes) -> tuple[bytes, bytes]:
        """Give the digest and the form of a head's state, which may refer to what stands in events."""
        branch, version = head.branch, head.commit.version
        if branch.sealed is not None:
            return self._stored(branch, version, None, packed)
        known = self._known(branch, version) if head.known is None else head.known
        recipe = self._references.find(branch, version, packed, known)
        head.known, data = Known(version, recipe, packed), recipe.stored()
        return _digest(None, data), data

    def _known(self, branch: Branch, version: int) -> Known | None:
        """Read the last snapshot up to a version, if it tells what it refers to."""
        for owner, low, high in reversed(segments(branch, 0, version)):
            bounds = row_id(owner.id, low), row_id(owner.id, high)
            row = self._connection.one(sql.NEWEST_SNAPSHOT, bounds)
            if row is not None:
                if not _is_recipe(row):
                    return None
                try:
                    self.check(owner, row)
                    recipe = recipes.read(row[-1], row[3], row[0] & LOW)
                    return Known(row[0] & LOW, recipe, self._told(owner, recipe))
                except CorruptJournalError:
                    return None  # verify reports it, and this one is made without it
        return None

    @property
    def pending(self) -> bool:
        """Whether a snapshot waits to be written."""
        return bool(self._pending)

    def write(self) -> list[tuple[Any, ...]]:
        """Write what waits, inside the caller's transaction; after its commit, `written` gets the rows."""
        rows = list(self._pending.values())
        epoch = self._branches.epoch() if rows else 0
        for made, *row in rows:
            if made != epoch:  # it may hold what was removed since
                continue
            branch = row[0] >> BRANCH_SHIFT
            self._connection.all(sql.DROP_HEAD_SNAPSHOTS, (row_id(branch, 0), row_id(branch, LOW)))
            self._connection.all(sql.ADD_SNAPSHOT, row)
        return rows

    def written(self, rows: list[tuple[Any, ...]]) -> None:
        """Forget what waited and is in the file now."""
        for row in rows:
            if self._pending.get(row[1]) is row:
                del self._pending[row[1]]

    def roots(self, branch: Branch) -> list[Snapshot]:
        """Give the states to which a branch's pruned past was folded, oldest first."""
        rows = self._connection.all(sql.LIST_ROOTS, (row_id(branch.id, 0), row_id(branch.id, LOW)))
        return [self.load(branch, self._connection.one(sql.GET_ROOT, row)) for row in rows]

    def forget(self) -> None:
        """Forget what waits to be written."""
        self._pending.clear()

    def drop(self) -> None:
        """Drop all snapshots, inside the caller's transaction."""
        self._pending.clear()
        self._connection.all(sql.DROP_SNAPSHOTS)


def _digest(salt: bytes | None, data: bytes) -> bytes:
    return digest(data) if salt is None else state_digest(salt, data)


def is_long(events: int) -> bool:
    """Say whether so many events take so long to fold that a snapshot is worth its making."""
    return events >= MIN_EVENTS


def _is_due(events: int, weight: int, size: int) -> bool:
    """Say whether folding a tail takes so long that reading a state of that size is worth its making."""
    if is_long(events) and events * BYTES_PER_EVENT >= size:
        return True
    return weight >= max(MIN_WEIGHT, size)


def _is_recipe(row: Any) -> bool:
    """Say whether a row of snapshots tells its state by reference; a root never does."""
    return row[4] is None and row[-1].startswith(MARK)


def _place(branch: Branch, version: int, salt: bytes | None) -> Context:
    if branch.sealed is None:
        raise TypeError(f"branch {branch.id} is of no encrypted session")
    return Context("snapshot" if salt is None else "root", *branch.sealed, branch.id, version)


def _title(row: Any) -> str:
    number, salt = row[0], row[4]
    return f"snapshot {number & LOW}" if salt is None else f"root {number & LOW}"
