"""A damaged journal as it is read: what can't be read is not there, and the rest is."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.errors import CorruptJournalError, NewerFormatError, ReadOnlyError, StorageError
from eventstate.journal import statements as sql
from eventstate.journal.connection import Connection
from eventstate.journal.records import BRANCH_SHIFT, LOW, STORE, Commit, Event, Husk, row_id
from eventstate.journal.schema import APPLICATION_ID, expected_schema, migrations, schema
from eventstate.repair.disk import MendedDisk, layouts

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE: Final = 256
_NEAR: Final = 4096  # so many keys after an unreadable one are tried one by one
_LAST: Final = (1 << 63) - 1


class Redaction(NamedTuple):
    """What is left of an event as it was written."""

    digest: bytes
    salt: bytes | None


class Source:
    """Reads rows one by one where pages are damaged, and by their keys where an index is.

    Args:
        path: the file; nothing is written to it.

    Attributes:
        torn: whether some of the commits' table could not be read.

    Raises:
        CorruptJournalError: not even its tables can be found.
        NewerFormatError: it was written by a newer eventstate.
    """

    def __init__(self, path: str) -> None:
        self._disk: MendedDisk | None = None
        self._ahead: dict[int, Commit] = {}
        self._seen = range(0)
        self._places: dict[int, list[tuple[bool, int]]] | None = None
        self._copies: dict[str, dict[int, tuple[Any, ...]]] = {}
        self.torn = False
        try:
            self._open(path, None)
        except ReadOnlyError:
            raise
        except (CorruptJournalError, StorageError) as error:
            self._open_mended(path, error)

    def _open_mended(self, path: str, error: Exception) -> None:
        """Open a file that SQLite does not take for one, or in which it does not find the tables."""
        try:
            self._open(path, MendedDisk())
        except (CorruptJournalError, StorageError):
            scores = [self._score(path, first) for first in layouts()]
            if not any(scores):
                raise CorruptJournalError(f"{path}: not even its tables can be found: {error}") from error
            self._open(path, MendedDisk(layouts()[scores.index(max(scores))]))

    def _score(self, path: str, first: bytes) -> int:
        """Count the first commits that are where tables begin if this page is the one that names them."""
        try:
            self._open(path, MendedDisk(first))
        except (CorruptJournalError, StorageError):
            return 0
        found = [self.first(position) for position in range(1, _PAGE)]
        commits = [item for item in found if isinstance(item, Commit) and 0 < item.events <= item.version]
        score = sum(
            bool(self._row(sql.GET_EVENT, row_id(commit.branch, commit.version))) for commit in commits
        )
        self.close()
        self._ahead, self._seen = {}, range(0)
        return score

    def _open(self, path: str, disk: MendedDisk | None) -> None:
        vfs = None if disk is None else disk.name
        try:
            connection = Connection(path, read_only=True, durability="normal", timeout=30, vfs=vfs)
            try:
                self._tables = _tables(connection)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            if disk is not None:
                disk.unregister()
            raise
        self._connection, self._disk = connection, disk

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        if self._disk is not None:
            self._disk.unregister()
            self._disk = None

    def _all(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any] | None:
        """Give the rows of a statement; `None` if they can't be read."""
        try:
            return self._connection.all(statement, values)
        except (CorruptJournalError, StorageError):
            return None

    def _row(self, statement: str, key: int) -> Any | None:
        rows = self._all(statement, (key,))
        return rows[0] if rows else None

    # Commits

    def items(self, position: int) -> Iterator[Commit | Husk]:
        """Give what is at a position, as the index has it, then what else says that it is there."""
        given: set[int] = set()
        for item in (self._indexed(position), self._husk(sql.HUSK_AT_POSITION, position)):
            if item is not None:
                given.add(item.id)
                yield item
        for is_husk, key in self.places().get(position, ()):
            item = self.husk(key) if is_husk else self.commit(key)
            if item is not None and item.id not in given:
                yield item

    def first(self, position: int) -> Commit | Husk | None:
        """Give what is most likely at a position."""
        return self._indexed(position) or self._husk(sql.HUSK_AT_POSITION, position)

    def _indexed(self, position: int) -> Commit | None:
        if position not in self._seen:
            rows = self._all(sql.LIST_COMMITS, (position - 1, _PAGE))
            if rows is None:
                row = self._row(sql.COMMIT_AT_POSITION, position)
                return None if row is None else Commit._make(row)
            self._seen = range(position, rows[-1][1] + 1 if rows else position)
            self._ahead = {row[1]: Commit._make(row) for row in rows}
        return self._ahead.get(position)

    def husk(self, key: int) -> Husk | None:
        """Give what is left of a commit by its key."""
        return self._husk(sql.GET_HUSK, key)

    def _husk(self, statement: str, key: int) -> Husk | None:
        row = self._row(statement, key) if "husks" in self._tables else None
        return None if row is None else Husk._make(row)

    def commit(self, key: int) -> Commit | None:
        """Give a commit by its key."""
        row = self._row(sql.GET_COMMIT, key)
        return None if row is None else Commit._make(row)

    def places(self) -> dict[int, list[tuple[bool, int]]]:
        """Give for each position the keys of the rows that say to be there: `(is it a husk, key)`."""
        if self._places is None:
            self._places = {}
            tables = [(False, sql.COMMIT_PLACES)]
            if "husks" in self._tables:
                tables.append((True, sql.HUSK_PLACES))
            for is_husk, statement in tables:
                for key, position in self._scan(statement):
                    self._places.setdefault(position, []).append((is_husk, key))
        return self._places

    def _scan(self, statement: str) -> Iterator[tuple[int, int]]:
        """Walk a table's rows by their keys, past what can't be read."""
        key, size = 0, _PAGE
        while key <= _LAST:
            rows = self._all(statement, (key, size))
            if rows == []:
                return
            if rows:
                yield from rows
                key, size = max(key, *(row[0] for row in rows)) + 1, min(size * 2, _PAGE)
            elif size > 1:
                size //= 2
            else:
                self.torn = True
                key = self._past(statement, key)

    def _past(self, statement: str, bad: int) -> int:
        """Give the next key from which on there is something to be read, or the end."""

        def good(key: int) -> bool:
            return key > _LAST or self._all(statement, (key, 1)) is not None

        near = range(bad + 1, bad + _NEAR)
        found = next(filter(good, near), None)
        if found is not None:
            return found
        # It may be the beginning of a later branch: a page of short branches, or the end of a long one.
        branch = bad >> BRANCH_SHIFT
        starts = (row_id(later, 0) for later in range(branch + 1, branch + _NEAR))
        start = next(filter(good, starts), None)
        if start is not None:
            before = max(start - (1 << BRANCH_SHIFT), bad)
            return next(filter(good, range(before + 1, before + _NEAR)), start)
        step = _NEAR << BRANCH_SHIFT
        while not good(bad + step):
            step *= 2
        low, high = bad, min(bad + step, _LAST + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if good(middle) else (middle, high)
        return high

    def beyond(self, position: int) -> Iterator[tuple[bool, int]]:
        """Give the rows that say to be after a position, `(is it a husk, key)`, or of which an index does."""
        found = {row for place, rows in self.places().items() if place > position for row in rows}
        found |= {(False, key) for (key,) in self._all(sql.COMMITS_BEYOND, (position,)) or ()}
        yield from sorted(found)

    def trailing(self, branch: int, version: int) -> bool:
        """Say whether there are events of a branch after a version."""
        return bool(self._all(sql.LIST_EVENTS, (row_id(branch, version), row_id(branch, LOW), 1)))

    # What belongs to a commit

    def written(self, commit: Commit) -> tuple[dict[int, Event], dict[int, Redaction]]:
        """Give a commit's events, and what is left of those that were replaced, by `seq`."""
        last = row_id(commit.branch, commit.version)
        bounds = last - commit.events, last
        rows = self._all(sql.LIST_EVENTS, (*bounds, max(commit.events, 1)))
        left = self._all(sql.LIST_REDACTIONS, bounds) if "redactions" in self._tables else []
        if rows is not None and left is not None:
            return (
                {key & LOW: Event(*event) for key, *event in rows},
                {key & LOW: Redaction(*redaction) for key, *redaction in left},
            )
        # One by one, up to the first of which nothing is there.
        events: dict[int, Event] = {}
        redactions: dict[int, Redaction] = {}
        for key in range(bounds[0] + 1, bounds[1] + 1):
            event = self._row(sql.GET_EVENT, key)
            redaction = self._row(sql.GET_REDACTION, key) if "redactions" in self._tables else None
            if event is None and redaction is None:
                break
            if event is not None:
                events[key & LOW] = Event._make(event)
            if redaction is not None:
                redactions[key & LOW] = Redaction._make(redaction)
        return events, redactions

    def root(self, key: int) -> Any | None:
        """Give the row of a root."""
        return self._row(sql.GET_ROOT, key) if "roots" in self._tables else None

    # Whose it is

    def branches(self, number: int) -> Iterator[tuple[Any, ...]]:
        """Give the columns of a branch after its number, then what an index has of them."""
        row = self._row(sql.READ_BRANCH, number) if 0 <= number <= _LAST else None
        if row is not None:
            yield tuple(row[1:])
        copy = self._copy(sql.BRANCH_NAMES).get(number)
        if copy is not None and (row is None or copy != tuple(row[1:3])):
            yield (*copy, *((None,) * 6 if row is None else row[3:]))

    def sessions(self, number: int) -> Iterator[tuple[str, str, int]]:
        """Give the names of a session, and whether it is encrypted; then what an index has of that."""
        if number <= STORE.session:
            return
        statement = sql.READ_SESSION if "husks" in self._tables else sql.READ_SESSION_1
        row = self._row(statement, number)
        if row is not None:
            yield row
            yield (row[0], row[1], int(not row[2]))
        copy = self._copy(sql.ALL_SESSION_NAMES).get(number)
        if copy is not None:
            yield (copy[0], copy[1], 0)
            yield (copy[0], copy[1], 1)

    def all_sessions(self) -> Iterator[int]:
        """Give the numbers of all sessions that an index has."""
        yield from self._copy(sql.ALL_SESSION_NAMES)

    def _copy(self, statement: str) -> dict[int, tuple[Any, ...]]:
        if statement not in self._copies:
            rows: list[Any] = []
            with contextlib.suppress(CorruptJournalError, StorageError):
                rows = self._connection.all(statement)
            self._copies[statement] = {number: tuple(names) for number, *names in rows}
        return self._copies[statement]


def _tables(connection: Connection) -> set[str]:
    """Give the tables' names, if they are those of a journal that this eventstate can read."""
    tables = {name for (name,) in connection.all(sql.TABLES)}
    if not {"sessions", "branches", "commits", "events"} <= tables:
        raise CorruptJournalError(f"{connection.path}: no journal of eventstate")
    version, known = int(connection.pragma("user_version")), len(migrations())
    newer = connection.pragma("application_id") == APPLICATION_ID and version > known
    # One damaged byte makes it look newer, too.
    if newer and schema(connection) != expected_schema():
        raise NewerFormatError(
            f"{connection.path}: written in format {version}; this eventstate knows up to {known}"
        )
    return tables
