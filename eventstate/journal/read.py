"""The read path: events of a lineage, and the states that they fold to."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from eventstate.errors import CorruptJournalError, EncryptionError, EventStateError, RoundNotFoundError
from eventstate.journal import statements as sql
from eventstate.journal.cipher import Context
from eventstate.journal.pages import pages
from eventstate.journal.postings import NOTES
from eventstate.journal.records import LOW, Branch, Commit, Event, row_id
from eventstate.values.delta import Edit, Op, apply, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from eventstate.journal.branches import Branches, Point
    from eventstate.journal.cipher import Cipher
    from eventstate.journal.connection import Connection
    from eventstate.journal.events import EventCodec
    from eventstate.journal.postings import Postings
    from eventstate.journal.snapshots import Snapshots
    from eventstate.journal.walk import Ahead
    from eventstate.values.paths import Path

_PAGE: Final = 4096
_NEAR: Final = 64  # events that are looked through first for what set an attribute
_FARTHER: Final = 8  # times as many next
_AHEAD: Final = 64
_CIPHER: Final = int(Op.CIPHER)
_SET: Final = int(Op.SET)
_NOTE: Final = int(Op.NOTE)
_PRUNE: Final = int(Op.PRUNE)


class Reader:
    """Reads events and folds states; a state that it gives is the caller's own.

    Of an encrypted session neither operations nor paths can be looked for in the file: there, what goes by
    them reads all events.
    """

    def __init__(
        self,
        connection: Connection,
        branches: Branches,
        snapshots: Snapshots,
        postings: Postings,
        events: EventCodec,
        *,
        cipher: Cipher,
    ) -> None:
        self._connection = connection
        self._branches = branches
        self._snapshots = snapshots
        self._postings = postings
        self._codec = events
        self._cipher = cipher

    def state(self, point: Point, epoch: int | None = None) -> dict[Any, Any]:
        """Fold the state at a version, from the nearest snapshot before it.

        Args:
            point: the version.
            epoch: the store's when the point was found.

        Raises:
            RoundNotFoundError: the version was pruned.
        """
        return self.fold(point, epoch)[0]

    def fold(self, point: Point, epoch: int | None = None) -> tuple[dict[Any, Any], int]:
        """Fold a state as `state` does, and tell how many events were folded."""
        before = self._branches.epoch() if epoch is None else epoch
        while True:
            try:
                snapshot = self._snapshots.nearest(point)
                state, start = ({}, 0) if snapshot is None else (snapshot.state, snapshot.version)
                self.advance(state, point.branch, start, point.version)
            except EventStateError:
                if self._branches.epoch() == before:
                    raise
            epoch, before = before, self._branches.epoch()
            if before == epoch:  # else it may be of before and after a removal
                return state, point.version - start

    def start(self, branch: Branch, upto: int) -> int:
        """Give the version from which a lineage's events are there: that of the last root before them."""
        for owner, _, high in reversed(segments(branch, 0, upto)):
            version, _ = self._branches.pruned(owner, high)
            if version:
                return version
        return 0

    def advance(
        self, state: dict[Any, Any], branch: Branch, after: int, upto: int, ahead: Ahead | None = None
    ) -> dict[Any, Any]:
        """Apply to `state`, in place, a branch's events after one version up to another.

        Args:
            state: at the one version.
            branch: whose events they are, or its parents'.
            after: the one version.
            upto: the other.
            ahead: keeps what is read beyond the other, for who goes on from there.
        """
        path_of, decode = self._codec.path, self._codec.codec.decode
        for owner, low, rows in self._pages(branch, after, upto, ahead):
            last, sealed = row_id(owner.id, low), owner.sealed is not None
            for number, op, path, value in rows:
                last += 1
                if number != last:
                    raise self._missing(owner, last & LOW)
                if sealed or op == _CIPHER:
                    op, path, value = self._opened(owner, last & LOW, Event(op, path, value))  # noqa: PLW2901
                if _NOTE <= op <= _PRUNE:  # it changes nothing, and may hold types unknown here
                    continue
                try:
                    where, told = path_of(path), None if value is None else decode(value)
                    if op == _SET and len(where) == 1:  # what `apply` would do, and most events ask for
                        state[where[0]] = told
                    else:
                        apply(state, (where, op, told))
                except CorruptJournalError as error:
                    raise CorruptJournalError(f"{self.place(owner, last & LOW)}: {error}") from error
        return state

    def events(self, branch: Branch, after: int, upto: int) -> Iterator[tuple[Branch, int, Event]]:
        """Walk a lineage's events after one version up to another: `(owner, seq, event)`, read in pages.

        Raises:
            CorruptJournalError: one is missing.
            RoundNotFoundError: it was pruned.
            EncryptionError: it can't be decrypted, or is not encrypted and should be, or the other way round.
        """
        for owner, low, rows in self._pages(branch, after, upto):
            seq, sealed = low, owner.sealed is not None
            for number, op, path, value in rows:
                seq += 1
                if number & LOW != seq:
                    raise self._missing(owner, seq)
                event = Event(op, path, value)
                yield owner, seq, self._opened(owner, seq, event) if sealed or op == _CIPHER else event

    def _pages(
        self, branch: Branch, after: int, upto: int, ahead: Ahead | None = None
    ) -> Iterator[tuple[Branch, int, list[Any]]]:
        """Read a lineage's events in pages: `(owner, the version before the first, rows)`.

        Raises:
            CorruptJournalError: the last ones are missing; others are not looked for.
            RoundNotFoundError: they were pruned.
        """
        for owner, low, high in segments(branch, after, upto):
            start, last = low, row_id(owner.id, high)
            while start < high:
                first = row_id(owner.id, start)
                if ahead is None or owner.id != branch.id:
                    rows = self._connection.all(sql.LIST_EVENTS, (first, last, _PAGE))
                else:
                    if ahead.after != first or not ahead.rows:
                        values = first, max(last, row_id(owner.id, LOW)), _AHEAD
                        ahead.keep(first, self._connection.all(sql.LIST_EVENTS, values))
                    rows = ahead.take(high - start)
                if not rows:
                    raise self._missing(owner, start + 1)
                yield owner, start, rows
                start += len(rows)

    def _opened(self, owner: Branch, seq: int, event: Event) -> Event:
        """Give an event in the clear.

        Args:
            owner: the branch whose own it is.
            seq: its number.
            event: as it stands in the file.
        """
        if owner.sealed is not None:
            return self._cipher.open_event(Context("event", *owner.sealed, owner.id, seq), event)
        if event.op == _CIPHER:
            raise EncryptionError(f"{self.place(owner, seq)}: encrypted, in a session that is not")
        return event

    def _missing(self, owner: Branch, seq: int) -> EventStateError:
        if seq <= self._branches.pruned(owner)[0]:
            return RoundNotFoundError(f"{self.place(owner, seq)}: pruned")
        return CorruptJournalError(f"{self.place(owner, seq)}: missing")

    def commit_events(self, commit: Commit) -> list[tuple[int, Event]]:
        """Give the events of one commit, those that are there, by `seq`, as they stand in the file.

        Raises:
            CorruptJournalError: it can't have written so many.
        """
        if not 0 <= commit.events <= commit.version <= LOW:
            counts = f"{commit.events} events up to version {commit.version}"
            raise CorruptJournalError(f"{self._connection.path}: commit {commit.position}: {counts}")
        last = row_id(commit.branch, commit.version)
        rows = self._connection.all(sql.LIST_EVENTS, (last - commit.events, last, max(commit.events, 1)))
        return [(number & LOW, Event(op, path, value)) for number, op, path, value in rows]

    def opened(self, commit: Commit) -> list[tuple[int, Event]]:
        """Give the events of one commit, those that are there, by `seq`, in the clear."""
        owner = self._branches.get(commit.branch)
        return [(seq, self._opened(owner, seq, event)) for seq, event in self.commit_events(commit)]

    def event(self, owner: Branch, seq: int) -> Event:
        """Give one event of a branch, as it stands in the file."""
        row = self._connection.one(sql.GET_EVENT, (row_id(owner.id, seq),))
        if row is None:
            raise self._missing(owner, seq)
        return Event._make(row)

    def edits(self, owner: Branch, seqs: list[int]) -> list[Edit]:
        """Give events of a branch, decoded.

        Raises:
            CorruptJournalError: one is missing, or damaged.
            RoundNotFoundError: one was pruned.
        """
        found: dict[int, Event] = {}
        for at in range(0, len(seqs), sql.BATCH):
            keys = [row_id(owner.id, seq) for seq in seqs[at : at + sql.BATCH]]
            rows = self._connection.all(sql.EVENTS_AT, keys + keys[-1:] * (sql.BATCH - len(keys)))
            found.update((number & LOW, Event(op, path, value)) for number, op, path, value in rows)
        for seq in seqs:
            if seq not in found:
                raise self._missing(owner, seq)
        return [self._codec.decode(self._opened(owner, seq, found[seq])) for seq in seqs]

    def edit(self, owner: Branch, seq: int) -> Edit:
        """Give one event of a branch, decoded."""
        return self._codec.decode(self._opened(owner, seq, self.event(owner, seq)))

    def _rows(
        self,
        owner: Branch,
        bounds: tuple[int, int],
        statement: str,
        values: tuple[Any, ...],
        wanted: Callable[[int, bytes], bool],
    ) -> Iterable[Any]:
        """Give those of a branch's own rows `(key, op, path, ...)` that are asked for, in the clear.

        Args:
            owner: the branch.
            bounds: after which `seq`, and up to which.
            statement: finds them where nothing is encrypted.
            values: what it takes after the bounds.
            wanted: says of an operation and a path what the statement would, where all has to be decrypted.
        """
        low, high = (row_id(owner.id, seq) for seq in bounds)
        if owner.sealed is None:
            return self._connection.all(statement, (low, high, *values))
        rows = pages(
            lambda after: self._connection.all(sql.LIST_EVENTS, (after, high, _PAGE)),
            low,
            lambda row: int(row[0]),
        )
        opened = ((key, *self._opened(owner, key & LOW, Event._make(event))) for key, *event in rows)
        return (row for row in opened if wanted(row[1], row[2]))

    def paths(self, branch: Branch, after: int, upto: int) -> Iterator[tuple[Branch, int, Op, Path]]:
        """Walk a lineage's events without their values: `(owner, seq, op, path)`."""
        for owner, low, high in segments(branch, after, upto):
            for key, op, path, *_ in self._rows(owner, (low, high), sql.LIST_PATHS, (), _changes):
                yield owner, key & LOW, self._codec.op(op), self._codec.path(path)

    def attribute(
        self, branch: Branch, after: int, upto: int, path: Path
    ) -> Iterator[tuple[Branch, int, Op, Path]]:
        """Walk the changes of an attribute, of what is below it and of what it stands in."""
        data = self._codec.path_bytes(path)
        above = [self._codec.path_bytes(path[:depth]) for depth in range(1, len(path))]
        # No path is deeper than 200 keys, so none below the attribute sorts after this.
        end = data + b"\xff" * 256
        statement = sql.list_attribute(len(above))

        def touches(op: int, where: bytes) -> bool:
            return op < Op.NOTE and (data <= where < end or (op < Op.ORDER and where in above))

        for owner, low, high in segments(branch, after, upto):
            start, listed = self._listed(owner, (low, high), data, above, sql.PATHS_AT)
            tail = self._rows(owner, (start, high), statement, (data, end, *above), touches)
            for key, op, where, *_ in chain(listed, tail):
                if touches(op, where):
                    yield owner, key & LOW, self._codec.op(op), self._codec.path(where)

    def value(self, point: Point, path: Path) -> Any:
        """Give the value of one attribute at a version, or `MISSING`; it is the caller's own.

        Only what touched it is folded, from the event on that last set it as a whole.

        Raises:
            RoundNotFoundError: the version was pruned.
        """
        branch, upto = point
        start, size = self.start(branch, upto), _NEAR
        while True:
            after = max(start, upto - size)
            events = list(self.attribute(branch, after, upto, path))
            last = next((at for at in reversed(range(len(events))) if _replaces(events[at], path)), None)
            if last is not None:
                return look(self._folded(events[last:]), path)
            if after == start:
                break
            size *= _FARTHER
        if start:  # what it was before is in a root
            return look(self.state(point), path)
        return look(self._folded(events), path)

    def _folded(self, events: list[tuple[Branch, int, Op, Path]]) -> dict[Any, Any]:
        """Fold events of which the first sets or deletes something, with nothing around that."""
        state: dict[Any, Any] = {}
        for at, (owner, seq, op, path) in enumerate(events):
            if at == 0:
                node = state
                for key in path[:-1]:
                    node = node.setdefault(key, {})
            if at or op != Op.DELETE:
                apply(state, self.edit(owner, seq))
        return state

    def _listed(
        self, owner: Branch, bounds: tuple[int, int], path: bytes, above: list[bytes], statement: str
    ) -> tuple[int, list[Any]]:
        """Give what postings know of a branch's own events, and the version up to which they do."""
        if owner.sealed is not None:
            return bounds[0], []
        return self._postings.find(owner, bounds, path, above, statement)

    def notes(self, branch: Branch, after: int, upto: int) -> Iterator[tuple[Branch, int, Event]]:
        """Walk a lineage's notes after one version up to another: `(owner, seq, event)`."""
        for owner, low, high in segments(branch, max(after, self.start(branch, upto)), upto):
            start, listed = self._listed(owner, (low, high), NOTES, [], sql.EVENTS_AT)
            tail = self._rows(owner, (start, high), sql.LIST_NOTES, (), _is_note)
            for key, *event in chain(listed, tail):
                yield owner, key & LOW, Event._make(event)

    def changed(self, branch: Branch, after: int, upto: int) -> bool:
        """Say whether the events after one version up to another change the state: notes do not."""
        return self._any(branch, after, upto, sql.ANY_CHANGE, _changes)

    def erased(self, branch: Branch, after: int, upto: int) -> bool:
        """Say whether something was erased after one version up to another, so that it is in no state now."""
        return self._any(branch, after, upto, sql.ANY_ERASURE, _is_erasure)

    def _any(
        self, branch: Branch, after: int, upto: int, statement: str, wanted: Callable[[int, bytes], bool]
    ) -> bool:
        return any(
            next(iter(self._rows(owner, (low, high), statement, (), wanted)), None) is not None
            for owner, low, high in segments(branch, after, upto)
        )

    def place(self, owner: Branch, seq: int) -> str:
        """Say in words where an event stands."""
        return f"{self._connection.path}: session {owner.session}, branch {owner.name!r}, event {seq}"


def _changes(op: int, _: bytes) -> bool:
    return op < Op.NOTE


def _is_erasure(op: int, _: bytes) -> bool:
    return op == Op.ERASE


def _is_note(op: int, _: bytes) -> bool:
    return op == Op.NOTE


def _replaces(event: tuple[Branch, int, Op, Path], path: Path) -> bool:
    """Say whether nothing of what the attribute was before matters after this event."""
    _, _, op, where = event
    return op in {Op.SET, Op.DELETE} and len(where) <= len(path)


def segments(branch: Branch, after: int, upto: int) -> list[tuple[Branch, int, int]]:
    """Split a lineage's versions into runs `(owner, after, upto)` of a branch's own events, oldest first."""
    runs: list[tuple[Branch, int, int]] = []
    at: Branch | None = branch
    while at is not None and upto > after:
        low = max(after, at.parent_version)
        if upto > low:
            runs.append((at, low, upto))
        upto, at = min(upto, at.parent_version), at.parent
    return runs[::-1]
