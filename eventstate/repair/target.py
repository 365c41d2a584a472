"""The new file that gets what is kept."""

from __future__ import annotations

import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from eventstate.journal import chain
from eventstate.journal import statements as sql
from eventstate.journal.journal import Journal
from eventstate.journal.newest import Last
from eventstate.journal.records import GONE, LOW, STORE, Branch, Commit, Draft, Event, row_id
from eventstate.values.registry import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from eventstate.repair.lines import Line
    from eventstate.repair.source import Redaction, Source

_SIZE: Final = 3
_PART: Final = 1 << 16


class Target:
    """Writes rows with the keys, hashes and salts that they had.

    Args:
        path: of the new file.
        clock: gives the time of the commits that tell of the repair.
        entropy: gives so many random bytes, for their salts.
    """

    def __init__(self, path: str, clock: Callable[[], datetime], entropy: Callable[[int], bytes]) -> None:
        self.journal = Journal(
            path,
            durability="normal",
            read_only=False,
            timeout=30,
            cache_bytes=0,
            snapshot_every=None,
            types=TypeRegistry(unknown="keep"),
            clock=clock,
            entropy=entropy,
            keys=None,
            vfs=None,
        )
        self._connection = self.journal.connection
        self._last = Last()

    # While the walk goes on

    def keep(self, commit: Commit, events: dict[int, Event], redactions: dict[int, Redaction]) -> None:
        """Add a commit with its events, and with what is left of those that were replaced."""
        branch = commit.branch
        self._connection.many(sql.ADD_EVENT, ((row_id(branch, seq), *event) for seq, event in events.items()))
        self._connection.many(
            sql.PUT_REDACTION,
            ((row_id(branch, seq), *redaction) for seq, redaction in redactions.items()),
        )
        self._connection.all(sql.ADD_COMMIT, commit)

    def husk(self, key: int | None, position: int, hashed: bytes) -> None:
        """Add what is left of a commit; without a key, of one that is given up."""
        self._connection.all(sql.ADD_HUSK, (-position if key is None else key, position, hashed))

    def commit(self, key: int) -> Commit | None:
        """Give a commit that is kept."""
        row = self._connection.one(sql.GET_COMMIT, (key,))
        return None if row is None else Commit._make(row)

    def seen(self, branch: int, commit_id: str) -> bool:
        """Say whether a commit of a branch has an id of its writer's."""
        return self._connection.one(sql.SEEN_COMMIT, (branch, commit_id)) is not None

    def head(self, branch: int, number: int) -> Commit | None:
        """Give the last commit of a branch up to a number."""
        row = self._connection.one(sql.HEAD_COMMIT, (row_id(branch, 0), row_id(branch, number)))
        return None if row is None else Commit._make(row)

    def at(self, position: int) -> Commit | None:
        """Give the commit that is kept at a position."""
        return self.journal.branches.at_position(position)

    def commits(self) -> int:
        """Count the commits that are kept."""
        [(count,)] = self._connection.all(sql.COUNT_COMMITS)
        return int(count)

    # When it is known what can be kept

    def cut(self, line: Line) -> None:
        """Give up all of a branch after the last number that is kept."""
        low, high = row_id(line.id, line.last), row_id(line.id, LOW)
        [(commits, _)] = self._connection.all(sql.COUNT_BETWEEN, (low + 1, high))
        line.lost += commits
        for statement in sql.GIVE_UP:
            self._connection.all(statement, (low, high))
        head = self.head(line.id, line.last)
        version = 0 if head is None else head.version
        for statement in sql.GIVE_UP_EVENTS:
            self._connection.all(statement, (row_id(line.id, version), high))

    def name(self, line: Line) -> None:
        """Add the rows of a branch, and of its session."""
        start = line.start
        if start is None or line.id == STORE.id or self.head(line.id, LOW) is None:
            return
        if self._connection.one(sql.READ_SESSION, (start.session,)) is None:
            names = (start.session, start.user_id, start.session_id, start.encrypted)
            self._connection.all(sql.PUT_SESSION, names)
        self._connection.all(sql.PUT_BRANCH, (line.id, *start[3:]))

    def roots(self, line: Line, source: Source) -> None:
        """Add the states to which a branch's past was folded."""
        told = line.told()
        for version, digest in told.roots.items():
            row = root(source, row_id(line.id, version), digest)
            head = self._at(line, version)
            if row is not None and head is not None:
                self._connection.all(sql.ADD_ROOT, (row[0], head.number, head.weight, *row[_SIZE:]))

    def _at(self, line: Line, version: int) -> Commit | None:
        rows = self._connection.all(sql.COMMITS_OF_VERSION, (line.id, row_id(line.id, line.last), version))
        return Commit._make(rows[0]) if rows else None

    def finish(self, position: int, link: bytes, metadata: dict[str, Any], *, whole: bool) -> None:
        """Number what was given up, make anew what is derived, and put the loss on record.

        Args:
            position: the last.
            link: the store's chain there.
            metadata: of the commit that says so.
            whole: whether there is nothing to say.
        """
        husks = [key for (key,) in self._connection.all(sql.GIVEN_UP)]
        [(last,)] = self._connection.all(sql.LAST_NUMBER)
        lost = row_id(last + 1, 0)
        self._connection.many(sql.RENUMBER_HUSK, ((lost + place, key) for place, key in enumerate(husks, 1)))
        self._connection.all(sql.MISSING_TAGS)
        self._connection.all(sql.MEND_DELETED)
        gone = self._unaccounted()
        if whole and not gone:
            return
        [(recorded_at,)] = self._connection.all(sql.LAST_TIME)
        self._last = Last(position, recorded_at or 0, link)
        for branch, version in self._connection.all(sql.MERGED_VERSIONS):
            self._burn(branch, version)
        packed = self.journal.codec.encode(metadata | {"branches": gone})
        self._add(STORE, Draft("repair", metadata=packed), ("", ""))

    def _unaccounted(self) -> int:
        """Count the branches of which nothing but husks is left, and no commit says so yet."""
        [(gone,)] = self._connection.all(sql.COUNT_GONE)
        told = self._connection.all(sql.TOLD_GONE)
        accounts = (self.journal.codec.decode(metadata).get("branches", 0) for (metadata,) in told)
        return max(int(gone) - sum(map(int, accounts)), 0)

    def _add(self, branch: Branch, draft: Draft, names: tuple[str, str]) -> None:
        """Add a commit; what it follows on may be given up, and can't be read."""
        tip = self.journal.branches.tip(branch)
        self._last = self._last.then(self.journal.appender.add(branch, tip, draft, names, self._last))

    def _burn(self, number: int, version: int) -> None:
        """Fill a branch up to a version that was merged elsewhere: what is written next was not merged."""
        head = self.head(number, LOW)
        if head is None or head.version >= version:
            return
        branch = self.journal.branches.get(number)
        names = self.journal.branches.session_names(branch.session)
        self._add(branch, Draft("repair", events=(GONE,) * (version - head.version)), names)

    def place(self, line: Line) -> tuple[int | None, int | None]:
        """Give the version and the highest round up to which a branch is kept."""
        head = self.head(line.id, line.last)
        [(highest,)] = self._connection.all(sql.HIGHEST_OWN_ROUND, (line.id,))
        return (None, None) if head is None else (head.version, highest)


def root(source: Source, key: int, digest: bytes) -> tuple[Any, ...] | None:
    """Give the row of a root if its state is what a commit says; what else it holds is made anew."""
    row = source.root(key)
    if row is None or row[4] is None or len(row[4]) != chain.SALT_SIZE:
        return None
    _, number, weight, size, salt, _, data = row
    if chain.state_digest(salt, data) == digest:  # of an encrypted session
        return key, number, weight, size, salt, digest, data
    found = _unpacked(salt, data)
    return (key, number, weight, found[0], salt, digest, data) if found[1] == digest else None


def _unpacked(salt: bytes, data: bytes) -> tuple[int, bytes]:
    """Give size and digest of what a zlib stream holds, however much that is; no digest if it is none."""
    hasher, unpacker = blake2b(key=salt, digest_size=chain.HASH_SIZE), zlib.decompressobj()
    size = 0
    try:
        while not unpacker.eof:
            part = unpacker.decompress(data, max_length=_PART)
            if not part and not unpacker.eof:
                return size, b""
            hasher.update(part)
            size, data = size + len(part), unpacker.unconsumed_tail
    except zlib.error:
        return size, b""
    return size, hasher.digest()
