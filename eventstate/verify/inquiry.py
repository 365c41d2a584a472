"""What all checks of a verification share: how the file is read, and where findings go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstate.errors import CorruptJournalError
from eventstate.journal import statements as sql
from eventstate.journal.bare import Bare
from eventstate.journal.records import LOW, Branch, Commit, Husk, row_id
from eventstate.verify.report import Finding, VerifyReport

if TYPE_CHECKING:
    from eventstate.journal.journal import Journal

PAGE: Final = 256


class Inquiry(Bare):
    """Reads a journal without using its caches or the caller's types: the proof is about what is in the file.

    Attributes:
        heads: the last commit that was seen of each branch, by the branch's number.
        pruned: up to which version the events of a branch are pruned.
        root_digests: what commits say of each root, by its key.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal.connection, journal.cipher)
        self.report = VerifyReport()
        self.names: dict[int, tuple[str, str]] = {}
        self.heads: dict[int, Commit] = {}
        self.pruned: dict[int, int] = {}
        self.root_digests: dict[int, bytes] = {}

    def find(self, what: str, branch: Branch | None = None, commit: Commit | Husk | None = None) -> None:
        """Report what is wrong, and where."""
        names = None if branch is None else self.names.get(branch.session)
        user_id, session_id = names or (None, None)
        self.report.findings.append(
            Finding(
                what,
                user_id,
                session_id,
                branch.name or None if branch is not None else None,
                commit.round if isinstance(commit, Commit) else None,
                None if commit is None else commit.position,
            )
        )

    def branch(self, number: int) -> Branch | None:
        """Give a branch whose session is there too."""
        try:
            branch = self.branches.get(number)
            if branch.session not in self.names:
                self.names[branch.session] = self.branches.session_names(branch.session)
        except CorruptJournalError:
            return None
        return branch

    def own(self, branch: Branch, number: int) -> Commit | None:
        """Give a branch's own commit, if it is there."""
        if not 0 < number <= LOW:
            return None
        row = self.connection.one(sql.GET_COMMIT, (row_id(branch.id, number),))
        return None if row is None else Commit._make(row)
