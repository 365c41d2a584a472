"""Proof that a journal is whole: what is wrong is found, located and reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstate.errors import EventStateError
from eventstate.journal import statements as sql
from eventstate.journal.records import BRANCH_SHIFT, LOW, Commit
from eventstate.journal.schema import expected_schema, schema
from eventstate.values.delta import Op
from eventstate.verify.commits import Commits
from eventstate.verify.folds import Folds
from eventstate.verify.inquiry import Inquiry
from eventstate.verify.lists import Lists
from eventstate.verify.report import Finding, VerifyReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.journal.journal import Journal
    from eventstate.verify.seal import Seal

__all__ = ["Finding", "Verifier", "VerifyReport"]


class Verifier:
    """Checks a journal from its first commit to its last, without using what it derived.

    Args:
        journal: what to check.
        seal: what was kept of it before, if it shall be compared.
        progress: called now and then with the number of commits checked and of all commits.
    """

    def __init__(
        self, journal: Journal, seal: Seal | None = None, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self._inquiry = Inquiry(journal)
        self._connection = journal.connection
        self._find = self._inquiry.find
        self._commits = Commits(self._inquiry, seal, progress)
        self._folds = Folds(self._inquiry)
        self._lists = Lists(self._inquiry)
        self._epoch = 0
        self.overtaken = False
        """Whether payloads were removed while it ran, so that what it found may be none."""

    def run(self) -> VerifyReport:
        """Check everything, and report.

        Raises:
            StoreClosedError: there is nothing to look at.
        """
        self._connection.check_usable()
        checks = (
            self._begin,
            self._structure,
            self._commits.check,
            self._commits.check_redactions,
            self._strays,
            self._mixed,
            self._tags,
            self._deleted,
            self._folds.check,
            self._lists.check,
            self._end,
        )
        for check in checks:
            try:
                check()
            except (EventStateError, OverflowError) as error:
                self._find(str(error))
        return self._inquiry.report

    def _begin(self) -> None:
        self._epoch = self._inquiry.branches.epoch()

    def _end(self) -> None:
        self.overtaken = self._inquiry.branches.epoch() != self._epoch

    def _structure(self) -> None:
        # Those that others make meanwhile are not looked for: their first commits may come too late.
        self._folds.numbers = [number for (number,) in self._connection.all(sql.LIST_BRANCH_IDS)]
        for (line,) in self._connection.all(sql.INTEGRITY_CHECK):
            if line != "ok":
                self._find(f"structure: {line}")
        for kind, name, _ in sorted(expected_schema() ^ schema(self._connection)):
            self._find(f"structure: the {kind} {name} is not what eventstate makes")
        for table, row, parent, _ in self._connection.all(sql.FOREIGN_KEY_CHECK):
            self._find(f"structure: row {row} of {table} refers to a missing row of {parent}")

    def _strays(self) -> None:
        for user_id, session_id in self._connection.all(sql.STRAY_SESSIONS):
            what = "the session has no first branch"
            self._inquiry.report.findings.append(Finding(what, user_id=user_id, session_id=session_id))
        for what, statement in (("snapshot", sql.STRAY_SNAPSHOTS), ("root", sql.STRAY_ROOTS)):
            for (number,) in self._connection.all(statement):
                self._find(f"{what} {number & LOW} belongs to no branch")
        for (number,) in self._connection.all(sql.STRAY_EVENTS):
            branch = self._inquiry.branch(number >> BRANCH_SHIFT)
            self._find(f"event {number & LOW} belongs to no commit", branch)

    def _mixed(self) -> None:
        for number, op in self._connection.all(sql.MIXED_EVENTS):
            branch, mixed = self._inquiry.branch(number >> BRANCH_SHIFT), "plaintext in an encrypted session"
            if op == Op.CIPHER:
                mixed = "encrypted, in a session that is not"
            self._find(f"event {number & LOW} is {mixed}", branch)

    def _tags(self) -> None:
        for number, name, source, version, commit_number in self._connection.all(sql.ALL_TAGS):
            branch = self._inquiry.branch(number)
            commit = None if branch is None else self._inquiry.own(branch, commit_number)
            told = None if commit is None else (commit.tag, commit.source, commit.source_version)
            if told != (name, source, version):
                self._find(f"tag {name!r} is not what was written", branch, commit)
        for commit in map(Commit._make, self._connection.all(sql.LOST_TAGS)):
            self._find(f"tag {commit.tag!r} is missing", self._inquiry.branch(commit.branch), commit)

    def _deleted(self) -> None:
        for user_id, session_id in self._connection.all(sql.MISTAKEN_DELETED):
            what = "whether it was deleted is not what its commits say"
            self._inquiry.report.findings.append(Finding(what, user_id=user_id, session_id=session_id))
