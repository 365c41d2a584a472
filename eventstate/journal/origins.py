"""Which commits wrote events: many are looked up at one time."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Final

from eventstate.errors import CorruptJournalError
from eventstate.journal import statements as sql
from eventstate.journal.branches import Branches, Point
from eventstate.journal.records import LOW, Branch, Commit, row_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventstate.journal.connection import Connection

_AROUND: Final = 16
_WORTH: Final = 8  # events that it pays for
_AHEAD: Final = 256  # commits that are read at one time


class Origins:
    """Finds the commits of events that are asked for in order."""

    def __init__(self, connection: Connection, branches: Branches) -> None:
        self._connection = connection
        self._branches = branches
        self._page: list[Commit] = []  # of one branch, the one that was found last coming first
        self._ahead = 1
        self._last: Commit | None = None  # of that branch

    def of(self, owner: Branch, seq: int) -> Commit:
        """Find the commit of an event: among the next ones, or by search.

        How many of those are read goes by how often that helped.

        Args:
            owner: the branch whose own it is.
            seq: its number.

        Raises:
            CorruptJournalError: there is none.
        """
        if not self._advance(owner, seq):
            near = self._page[-1] if self._page else None
            found = self._branches.commit_of(Point(owner, seq), near, self._head(owner, seq))
            if found is None:
                raise CorruptJournalError(f"event {seq} of branch {owner.id} belongs to no commit")
            self._page, self._ahead = [found], 1
        return self._page[0]

    def of_all(self, owner: Branch, seqs: Sequence[int]) -> Iterator[Commit]:
        """Find the commits of a branch's own events, which rise: many by one statement.

        Each is looked for where it should stand if commits had about as many events as those around; those
        that do not stand there are found one by one.

        Raises:
            CorruptJournalError: there is none of one.
        """
        for at in range(0, len(seqs), sql.BATCH):
            some = seqs[at : at + sql.BATCH]
            commits = self._expected(owner, some) if len(some) >= _WORTH else []
            versions = [commit.version for commit in commits]
            for seq in some:
                place = bisect.bisect_left(versions, seq)
                if place < len(commits) and seq > commits[place].version - commits[place].events:
                    self._page, self._ahead = [commits[place]], 1
                    yield commits[place]
                else:
                    yield self.of(owner, seq)

    def _expected(self, owner: Branch, seqs: Sequence[int]) -> list[Commit]:
        """Look for commits between that of the first of some events and that of the last."""
        last = self._head(owner, seqs[-1])
        first = self._branches.commit_of(Point(owner, seqs[0]), self._page[-1] if self._page else None, last)
        final = self._branches.commit_of(Point(owner, seqs[-1]), first, last)
        if first is None or final is None:
            return []
        (low, below), span = (first.number, first.version), max(final.version - first.version, 1)
        wanted: list[int] = []
        for seq in seqs:
            guess = low + (final.number - low) * (seq - below) // span
            start, stop = (min(max(guess + ahead, 0), LOW) for ahead in (-_AROUND, _AROUND))
            wanted += row_id(owner.id, start), row_id(owner.id, stop), seq
        wanted += [1, 0, 0] * (sql.BATCH - len(seqs))  # what is between 1 and 0: nothing
        return list(map(Commit._make, self._connection.all(sql.COMMITS_REACHING, wanted)))

    def _head(self, owner: Branch, seq: int) -> Commit:
        if self._last is None or self._last.branch != owner.id or seq > self._last.version:
            self._last = self._branches.head(owner)
        return self._last

    def _advance(self, owner: Branch, seq: int) -> bool:
        """Go on to the commit of an event, if it is among the next few."""
        if (
            not self._page
            or self._page[0].branch != owner.id
            or seq <= self._page[0].version - self._page[0].events
        ):
            return False
        if seq > self._page[-1].version:
            following = self.after(self._page[-1], self._ahead)
            self._ahead = min(2 * self._ahead, _AHEAD)
            self._page = following or self._page
        at = bisect.bisect_left(self._page, seq, key=lambda commit: commit.version)
        if at == len(self._page):
            return False
        del self._page[:at]
        return seq > self._page[0].version - self._page[0].events

    def after(self, commit: Commit, limit: int) -> list[Commit]:
        """Give the next commits of a commit's branch, so many at most."""
        last = row_id(commit.branch, LOW)
        return list(map(Commit._make, self._connection.all(sql.COMMITS_FROM, (commit.id + 1, last, limit))))
