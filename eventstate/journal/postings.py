"""Which events touch an attribute: lists of their numbers, so that its history costs what it is long.

Lists are derived: they may be dropped at any time, and lag behind the events. They are brought up to date
in a commit's own transaction, once in `STEP` events of a branch, which takes a few milliseconds; what
came after is scanned. An event is in one list: that of its path, or, where there are many names that come
seldom, as in a dict of facts, one that is shared by what is below a top-level attribute.

Nothing that they say is trusted: each event is looked at. What they leave out only a verification finds.
Of an encrypted session there are none, as they would tell its paths.
"""

from __future__ import annotations

import contextlib
import heapq
import zlib
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from eventstate.errors import CorruptJournalError
from eventstate.journal import statements as sql
from eventstate.journal.records import LOW, Branch, Commit, row_id
from eventstate.values.delta import Op

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventstate.journal.branches import Branches
    from eventstate.journal.connection import Connection

STEP: Final = 1024
"""After so many events of a branch its lists are brought up to date."""

FULL: Final = 384
"""The bytes after which a new row begins: with what it may grow by till then, it mostly fits into a page."""

LONGEST: Final = 4096
"""The bytes that a row's steps may take before they are compressed."""

KEY_SIZE: Final = 64
"""The bytes of a path that lists are kept by; longer ones share the lists of their beginning."""

NOTES: Final = b"\xc1"
"""The key of notes. No path has this byte, which MessagePack never uses."""

_PAGE: Final = 4096
_RARE: Final = 4  # attributes with fewer events in a page may share a list
_MANY: Final = 8  # if there is one of them for so many events
_DENSE: Final = 4  # of so many events one is looked up about as fast as all are scanned
_SHORT: Final = 32  # bytes that it does not pay to compress
_DEFLATED: Final = b"\0"  # no step is 0
_RAW: Final = -15  # zlib's window bits for a stream without header and checksum
_LISTED: Final = b""  # the key of the row that says which versions are in the lists
_MARK: Final = b"\xc1"
_SHARED: Final = b"\xc1\xc1"
_SEVEN: Final = 0x7F


class Posting(NamedTuple):
    """One row: numbers of events under a key, in order."""

    path: bytes
    first: int
    last: int
    data: bytes

    def seqs(self) -> list[int]:
        """Give the numbers.

        Raises:
            CorruptJournalError: they are none.
        """
        path, first, last, _ = self
        steps = self.steps()
        seqs = list(accumulate(steps if steps.isascii() else _read(steps), initial=first))
        if not path or not 0 < first <= last == seqs[-1] <= LOW:
            raise CorruptJournalError(f"a list of events from {first} to {last} ends with {seqs[-1]}")
        return seqs

    def steps(self) -> bytes:
        """Give what leads from each number to the next, encoded, but not compressed.

        Raises:
            CorruptJournalError: it is nothing that was written.
        """
        steps = self.data
        if steps[:1] == _DEFLATED:
            unpacker = zlib.decompressobj(_RAW)
            try:
                steps = unpacker.decompress(steps[1:], max_length=LONGEST)
            except zlib.error as error:
                raise CorruptJournalError(f"a list of events from {self.first}: {error}") from error
            if not unpacker.eof or unpacker.unused_data:
                raise CorruptJournalError(f"a list of events from {self.first} does not end")
        if len(steps) > LONGEST or 0 in steps:
            raise CorruptJournalError(f"a list of events from {self.first} has no steps")
        return steps

    def longer(self, seqs: list[int]) -> tuple[Posting, int]:
        """Give the row with as many more numbers as there is room for, and how many those are.

        Raises:
            CorruptJournalError: it is damaged.
        """
        if self.last >= seqs[0]:
            raise CorruptJournalError("lists of events do not rise")
        if len(self.data) >= FULL:
            return self, 0
        steps = self.steps()
        more, taken = _pack([high - low for low, high in pairwise([self.last, *seqs])], LONGEST - len(steps))
        if not taken:
            return self, 0
        steps += more
        deflated = steps
        if len(steps) > _SHORT:
            packer = zlib.compressobj(wbits=_RAW)
            deflated = _DEFLATED + packer.compress(steps) + packer.flush()
        return self._replace(last=seqs[taken - 1], data=min(steps, deflated, key=len)), taken


class Listed(NamedTuple):
    """The versions whose events are in a branch's lists: after the first, up to the last."""

    after: int
    upto: int


def key(op: int, path: bytes) -> bytes | None:
    """Give the key under which an event is listed; `None` if it touches no attribute and is no note."""
    if op < Op.ORDER:
        return path[:KEY_SIZE] or None
    if op == Op.ORDER:  # of a dict's keys: no matter of the attributes in it, so it is kept apart
        return path[:KEY_SIZE] + _MARK if path else None
    return NOTES if op == Op.NOTE else None


def shared(where: bytes) -> bytes | None:
    """Give the key that an event may be listed under instead, if its own comes seldom, as names made up do.

    It is shared by all that is below a top-level attribute, so that the histories of others stay as cheap;
    `None` if there is none.
    """
    if not where or not 0xA0 <= where[0] <= 0xBF:  # noqa: PLR2004 - MessagePack's strings of up to 31 bytes
        return None
    top, below = where[: where[0] - 0x9F], where[where[0] - 0x9F :]
    return None if below in {b"", _MARK} else top + _SHARED


class Postings:
    """Keeps the lists, and finds events by them."""

    def __init__(self, connection: Connection, branches: Branches) -> None:
        self._connection = connection
        self._branches = branches
        self._behind: set[int] = set()
        """Branches whose lists lag by more than one commit has taken in."""
        self._broken = False
        """Whether a page of lists is damaged, so that nothing that touches them can be committed."""

    # Reading

    def find(
        self, branch: Branch, bounds: tuple[int, int], path: bytes, above: list[bytes], statement: str
    ) -> tuple[int, list[Any]]:
        """Find a branch's own events that may touch an attribute: of itself, below it and above it.

        Args:
            branch: whose they are.
            bounds: the version that they come after, and the last one that matters.
            path: the attribute, or `NOTES`.
            above: the paths that it stands in.
            statement: `PATHS_AT`, or `EVENTS_AT` for values too.

        Returns:
            The version up to which lists told of all of them, and the rows `(key, op, path, ...)`.
        """
        after, upto = bounds
        low = path[:KEY_SIZE]
        high = low + b"\xff" * KEY_SIZE
        # What it stands in and shares its beginning with is in that range.
        above = [data for data in above if len(data) < KEY_SIZE]
        above += [where for where in (shared(low),) if where is not None]
        try:
            rows = self._connection.all(sql.find_postings(len(above)), (branch.id, low, high, *above))
            listed = _listed(row for row in rows if row[0] == _LISTED)
            if listed is None or listed.after > after or listed.upto <= after:
                return after, []
            upto = min(upto, listed.upto)
            lists = [Posting._make(row) for row in rows if row[0] != _LISTED and row[1] <= upto]
            if sum(1 + len(posting.steps()) for posting in lists) * _DENSE > upto - after:
                return after, []
            return upto, list(self._rows(branch, _merged(lists, after, upto), statement))
        except CorruptJournalError:  # derived data: verify reports it; the events stand in for it
            return after, []

    def _rows(self, branch: Branch, listed: Iterator[tuple[int, bytes]], statement: str) -> Iterator[Any]:
        """Give the rows of events `(seq, key)`, as long as each is what its list says."""
        last = 0
        while batch := dict(islice(listed, sql.BATCH)):
            seqs = list(batch)
            if seqs[0] <= last:
                raise CorruptJournalError("lists have an event twice")
            last = seqs[-1]
            keys = [row_id(branch.id, seq) for seq in seqs]
            found = self._connection.all(statement, keys + keys[-1:] * (sql.BATCH - len(keys)))
            if [row[0] & LOW for row in found] != seqs:
                raise CorruptJournalError("lists of events do not rise, or have some that are not there")
            for row in found:
                if not belongs(batch[row[0] & LOW], row[1], row[2]):
                    raise CorruptJournalError("lists of events have some that belong elsewhere")
                yield row

    # Writing, inside the caller's transaction

    def follow(self, branch: Branch, commit: Commit) -> None:
        """Bring lists up to a commit that was just added, if it is time.

        Of what they lag behind only some is taken in with each commit, and more with a larger one.

        Raises:
            CorruptJournalError: SQLite found a damaged page, and will not commit; the next ones do without
                lists.
        """
        before = commit.version - commit.events
        if branch.sealed is not None or not commit.events or self._broken:
            return
        if commit.version // STEP == before // STEP and branch.id not in self._behind:
            return
        self._behind.discard(branch.id)
        try:
            with self._mending(branch):
                if not self.extend(branch, commit.version, before, max(2 * STEP, 2 * commit.events)):
                    self._behind.add(branch.id)
        except CorruptJournalError:
            self._broken = True
            raise

    @contextlib.contextmanager
    def _mending(self, branch: Branch) -> Iterator[None]:
        """Drop a branch's lists if what is in them is damaged, and let a commit be made without."""
        try:
            with self._connection.savepoint():
                yield
        except CorruptJournalError as error:
            if isinstance(error.__cause__, apsw.CorruptError):
                raise
            self.drop_of(branch)
            self._behind.add(branch.id)

    def extend(self, branch: Branch, upto: int, seen: int = LOW, limit: int | None = None) -> bool:
        """Take in a branch's own events.

        Args:
            branch: whose they are.
            upto: the last version.
            seen: no version after this one can be listed yet.
            limit: how many to take in at most.

        Returns:
            Whether there are no more.

        Raises:
            CorruptJournalError: the lists are damaged.
        """
        listed = self.listed(branch)
        if listed is not None and listed.upto > seen:
            raise CorruptJournalError("lists tell of events that were not there yet")
        if listed is None:
            self.drop_of(branch)
            start = max(branch.parent_version, self._branches.pruned(branch)[0])
            listed = Listed(start, start)
        at, stop = listed.upto, upto if limit is None else min(upto, listed.upto + limit)
        while at < stop:
            low, size = row_id(branch.id, at), min(_PAGE, stop - at)
            rows = self._connection.all(sql.LIST_KEYS, (low, low + size))
            if len(rows) < size:  # some are missing: what comes after is not to be told of
                break
            groups: dict[bytes, list[int]] = {}
            for number, op, path in rows:
                where = key(op, path)
                if where is not None:
                    groups.setdefault(where, []).append(number & LOW)
            _share(groups, size // _MANY)
            grown = [row for where in sorted(groups) for row in self._appended(branch, where, groups[where])]
            self._connection.many(sql.PUT_POSTING, grown)
            at += size
        if at > listed.upto:
            self._connection.all(sql.PUT_POSTING, (branch.id, _LISTED, listed.after, at, b""))
        return at < stop or stop >= upto

    def _appended(self, branch: Branch, where: bytes, seqs: list[int]) -> Iterator[tuple[Any, ...]]:
        """Give the rows that take in more numbers: the last one, made longer, and new ones."""
        row, at = self._connection.one(sql.LAST_POSTING, (branch.id, where)), 0
        if row is not None:
            posting, at = Posting._make(row).longer(seqs)
            if at:
                yield branch.id, *posting
        while at < len(seqs):
            posting, taken = Posting(where, seqs[at], seqs[at], b""), 0
            if at + 1 < len(seqs):
                posting, taken = posting.longer(seqs[at + 1 :])
            yield branch.id, *posting
            at += 1 + taken

    def listed(self, branch: Branch) -> Listed | None:
        """Tell which of a branch's versions are in its lists; `None` if there are none, or no telling."""
        return _listed(self._connection.all(sql.LISTED, (branch.id,)))

    def remake(self, branch: Branch) -> None:
        """Make a branch's lists anew, if it has any, after events were removed or replaced."""
        listed = self.listed(branch)
        self.drop_of(branch)
        if listed is not None:
            self.extend(branch, listed.upto)

    def drop_of(self, branch: Branch) -> None:
        """Drop a branch's lists."""
        self._connection.all(sql.DROP_POSTINGS_OF, (branch.id,))

    def drop(self) -> None:
        """Drop all lists."""
        self._behind.clear()
        self._connection.all(sql.DROP_POSTINGS)
        self._broken = False


def _listed(rows: Iterable[Any]) -> Listed | None:
    found = list(rows)
    if len(found) != 1:
        return None
    _, after, upto, data = found[0]
    return Listed(after, upto) if 0 <= after <= upto <= LOW and not data else None


def belongs(where: bytes, op: int, path: bytes) -> bool:
    """Say whether an event may be listed under a key."""
    own = key(op, path)
    return own is not None and where in {own, shared(own)}


def _share(groups: dict[bytes, list[int]], limit: int) -> None:
    """Bring rare attributes together, where there are more of them than a limit below a top-level one."""
    rare: dict[bytes, list[bytes]] = {}
    for where, seqs in groups.items():
        common = shared(where) if len(seqs) < _RARE else None
        if common is not None:
            rare.setdefault(common, []).append(where)
    for common, keys in rare.items():
        if len(keys) > limit:
            groups[common] = sorted(seq for where in keys for seq in groups.pop(where))


def _merged(postings: list[Posting], after: int, upto: int) -> Iterator[tuple[int, bytes]]:
    """Walk the numbers after one version up to another, in order, with their keys."""
    lists: dict[bytes, list[Posting]] = {}
    for posting in sorted(postings):
        if posting.last > after:
            lists.setdefault(posting.path, []).append(posting)
    return heapq.merge(*(_walk(postings, after, upto) for postings in lists.values()))


def _walk(postings: list[Posting], after: int, upto: int) -> Iterator[tuple[int, bytes]]:
    for posting in postings:
        for seq in posting.seqs():
            if after < seq <= upto:
                yield seq, posting.path


def _pack(steps: list[int], room: int) -> tuple[bytes, int]:
    """Encode as many numbers as there is room for: seven bits a byte, the lowest first, as LEB128 has it."""
    if all(step <= _SEVEN for step in steps[:room]):
        return bytes(steps[:room]), min(len(steps), room)
    packed, taken = bytearray(), 0
    for step in steps:
        rest, data = step, bytearray()
        while rest > _SEVEN:
            data.append(rest & _SEVEN | 0x80)
            rest >>= 7
        data.append(rest)
        if len(packed) + len(data) > room:
            break
        packed += data
        taken += 1
    return bytes(packed), taken


def _read(data: bytes) -> Iterator[int]:
    step = shift = 0
    for byte in data:
        step |= (byte & _SEVEN) << shift
        shift += 7
        if byte <= _SEVEN:
            yield step
            step = shift = 0
        elif shift > 32:  # noqa: PLR2004 - the bits of a version
            raise CorruptJournalError("a list of events has too large a step")
    if shift:
        raise CorruptJournalError("a list of events ends in the middle of a step")
