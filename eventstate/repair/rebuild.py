"""What is derived, made anew in place: indexes, tags, deletions, snapshots and postings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventstate.errors import CorruptJournalError, KeyNotFoundError, StorageError
from eventstate.journal import postings
from eventstate.journal import statements as sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.journal.journal import Journal
    from eventstate.journal.records import Branch

_BATCH: Final = 64  # snapshots that wait in memory until they are written
_EVENTS: Final = 1 << 16  # that are listed in one transaction


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild changed."""

    indexes: bool
    """Whether indexes were damaged."""
    tags: int
    """Rows of tags that were missing or wrong."""
    deleted: int
    """Sessions that were deleted, or not, otherwise than their commits say."""
    dropped: int
    """Snapshots that were there."""
    made: int
    """Snapshots that were made, of the branches' newest states."""

    @property
    def changed(self) -> bool:
        """Whether anything was damaged, but for snapshots and postings."""
        return bool(self.indexes or self.tags or self.deleted)

    def __str__(self) -> str:
        indexes = "indexes mended" if self.indexes else "indexes whole"
        return (
            f"{indexes}, {self.tags} tags and {self.deleted} deletions mended,"
            f" {self.dropped} snapshots dropped, {self.made} made"
        )


def rebuild(journal: Journal, progress: Callable[[int, int], None] | None = None) -> Rebuilt:
    """Make anew what is derived from commits and events, which are never touched.

    Args:
        journal: to be written to.
        progress: called with the number of branches looked at and of all branches.

    Raises:
        CorruptJournalError: commits or events are damaged, so that not all of it can be made.
    """
    connection = journal.connection
    try:
        with connection.write():
            found = _structure(journal)
            connection.all(sql.INDEXES)
            tags = [*connection.all(sql.WRONG_TAGS), *connection.all(sql.MISSING_TAGS)]
            deleted = connection.all(sql.MEND_DELETED)
            leaked = _check(journal)
            [(dropped,)] = connection.all(sql.COUNT_SNAPSHOTS)
            journal.snapshots.drop()
            journal.postings.drop()
    except (CorruptJournalError, StorageError) as error:
        if isinstance(error, PermissionError):
            raise
        raise CorruptJournalError(
            f"{connection.path}: more than what is derived is damaged, and nothing was changed;"
            f" save it into a new file: {error}"
        ) from error
    journal.forget()
    if leaked:  # parts of a damaged index
        connection.all(sql.VACUUM)
    made = _make_snapshots(journal, progress)
    return Rebuilt(bool(found), len({name for (name,) in tags}), len(deleted), dropped, made)


def _check(journal: Journal) -> bool:
    """See that nothing is left that can't be made anew; and say whether pages are left that nobody uses."""
    found = _structure(journal)
    for line in found:
        if not line.endswith("never used"):
            raise CorruptJournalError(line)
    if journal.connection.all(sql.LOST_TAGS):
        raise CorruptJournalError("a tag names a branch that is missing")
    return bool(found)


def _structure(journal: Journal) -> list[str]:
    try:
        rows = journal.connection.all(sql.INTEGRITY_CHECK)
    except CorruptJournalError as error:  # worse than what it was made to tell
        return [str(error)]
    lines = [line for (text,) in rows for line in text.splitlines()]
    return [line for line in lines if line != "ok" and not line.startswith("***")]


def _make_snapshots(journal: Journal, progress: Callable[[int, int], None] | None) -> int:
    """Fold each branch, and keep the states that took long."""
    numbers = [number for (number,) in journal.connection.all(sql.LIST_BRANCH_IDS)]
    broken: list[CorruptJournalError] = []
    for done, number in enumerate(numbers, 1):
        branch = journal.branches.get(number)
        tip = journal.branches.tip(branch)
        if tip is None:
            broken.append(CorruptJournalError(f"branch {number} has no commits"))
            continue
        try:
            head = journal.take_head(branch, tip)
        except KeyNotFoundError:  # of an encrypted session: it goes without, as before
            continue
        except CorruptJournalError as error:
            broken.append(error)
            continue
        journal.snapshots.refresh(head)
        journal.put_head(head)
        _make_postings(journal, branch, tip.commit.version)
        if done % _BATCH == 0:
            _write(journal)
        if progress is not None:
            progress(done, len(numbers))
    _write(journal)
    if broken:
        raise CorruptJournalError(
            f"{journal.connection.path}: {len(broken)} branches can't be folded; save what can be proven into"
            f" a new file: {broken[0]}"
        )
    [(made,)] = journal.connection.all(sql.COUNT_SNAPSHOTS)
    return int(made)


def _make_postings(journal: Journal, branch: Branch, upto: int) -> None:
    """List a branch's events, if they are many; some at a time, so that others may write between."""
    start = max(branch.parent_version, journal.branches.pruned(branch)[0])
    whole = branch.sealed is not None or upto - start < postings.STEP
    while not whole:
        with journal.connection.write():
            whole = journal.postings.extend(branch, upto, limit=_EVENTS)


def _write(journal: Journal) -> None:
    if journal.snapshots.pending:
        with journal.connection.write():
            rows = journal.snapshots.write()
        journal.snapshots.written(rows)
