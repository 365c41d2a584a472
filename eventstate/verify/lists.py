"""The proof of postings: they list every event that they tell of, once, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eventstate.errors import CorruptJournalError
from eventstate.journal import statements as sql
from eventstate.journal.pages import pages
from eventstate.journal.postings import Listed, Posting, Postings, belongs
from eventstate.journal.records import LOW, Branch, row_id
from eventstate.verify.inquiry import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstate.verify.inquiry import Inquiry

_TRIES: Final = 3
_START: Final = (b"", -(1 << 63))


class Lists:
    """Compares the lists of each branch with its events.

    Each event that is listed is looked at, and none may come twice; so all are, if they are as many as there
    are.
    """

    def __init__(self, inquiry: Inquiry) -> None:
        self._inquiry = inquiry
        self._connection = inquiry.connection
        self._postings = Postings(inquiry.connection, inquiry.branches)

    def check(self) -> None:
        """Check the lists of all branches."""
        for (number,) in self._connection.all(sql.STRAY_POSTINGS):
            self._inquiry.find(f"lists of events belong to branch {number}, which is not there")
        for (number,) in self._connection.all(sql.LIST_BRANCH_IDS):
            branch = self._inquiry.branch(number)
            if branch is None:
                continue
            for _ in range(_TRIES):  # others may drop them meanwhile, and make them anew
                wrong = self._wrong(branch)
                if wrong is None:
                    break
            else:
                self._inquiry.find(f"{wrong}; drop the snapshots, and all lists go with them", branch)

    def _wrong(self, branch: Branch) -> str | None:
        """Say what is wrong with a branch's lists."""
        listed = self._postings.listed(branch)
        rows = pages(lambda after: self._page(branch, after), _START, lambda row: (row[0], row[1]), PAGE)
        if listed is None or branch.sealed is not None:
            if next(iter(rows), None) is None:
                return None
            what = "do not say up to which version" if listed is None else "tell of an encrypted session"
            return f"lists of events {what}"
        try:
            return self._compared(branch, listed, (Posting._make(row) for row in rows if row[0]))
        except CorruptJournalError as error:
            return str(error)

    def _page(self, branch: Branch, after: tuple[bytes, int]) -> list[Any]:
        return self._connection.all(sql.LIST_POSTINGS, (branch.id, *after, PAGE))

    def _compared(self, branch: Branch, listed: Listed, postings: Iterator[Posting]) -> str | None:
        bounds = row_id(branch.id, listed.after), row_id(branch.id, listed.upto)
        [(events, there)] = self._connection.all(sql.COUNT_LISTABLE, bounds)
        if events != listed.upto - listed.after:
            return "lists tell of events that are not there"
        seen, count, highest, last, path = bytearray(events // 8 + 1), 0, 0, 0, b""
        for posting in postings:
            seqs = posting.seqs()
            if posting.path == path and seqs[0] <= last:
                return "lists of events do not rise"
            path, last, highest = posting.path, seqs[-1], max(highest, seqs[-1])
            seqs = [seq for seq in seqs if listed.after < seq <= listed.upto]
            if not self._belong(branch, posting.path, seqs):
                return f"a list has events that belong elsewhere, or are not there: {posting.path.hex()}"
            for seq in seqs:
                at, bit = divmod(seq - listed.after - 1, 8)
                if seen[at] >> bit & 1:
                    return "lists have an event twice"
                seen[at] |= 1 << bit
            count += len(seqs)
        if count != there:
            return f"lists have {count} of {there} events"
        # More may have been listed, and added, meanwhile.
        now, head = self._postings.listed(branch), self._inquiry.branches.head(branch)
        if now is not None and not highest <= now.upto <= head.version:
            return "lists tell of events that are not there"
        return None

    def _belong(self, branch: Branch, path: bytes, seqs: list[int]) -> bool:
        for at in range(0, len(seqs), sql.BATCH):
            some = seqs[at : at + sql.BATCH]
            keys = [row_id(branch.id, seq) for seq in some]
            rows = self._connection.all(sql.PATHS_AT, keys + keys[-1:] * (sql.BATCH - len(keys)))
            if [row[0] & LOW for row in rows] != some or not all(belongs(path, *row[1:]) for row in rows):
                return False
        return True
