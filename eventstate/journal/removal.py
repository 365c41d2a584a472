"""The removal of payloads: from the tables, as a commit says, and from all that the file keeps besides."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from eventstate.errors import StorageError, StoreBusyError
from eventstate.journal import statements as sql
from eventstate.journal.records import LOW, STORE, Draft, row_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.journal.journal import Journal

CLEAN: Final = 0
REBUILT: Final = 1
DIRTY: Final = 2
"""Nothing is left of what was removed; it may be in the log; it may be in free pages too."""

_PATIENCE: Final = 0.2  # seconds to wait for readers who hold the log


class Removals:
    """Removes payloads, and sees to it that nothing of them is left in free pages and in the log.

    SQLite leaves what was deleted in free pages and in the gaps of others, and what was written in the
    write-ahead log. So the file is rebuilt, and the log cut to nothing as soon as no reader needs it.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.pending = False
        """Whether something is known to be left."""
        self._seen = 0

    def notice(self, epoch: int) -> None:
        """Look for what others have removed and could not clean, when they did since the last time."""
        if epoch != self._seen:
            self._seen = epoch
            self.pending = not self._journal.connection.read_only and self.stage() != CLEAN

    def remove(self, act: Callable[[], int | None], *, scrub: bool = True) -> bool:
        """Run `act` in a transaction, and make void what was read before.

        Args:
            act: removes payloads and gives the position of the first commit that says so, or `None` if it
                has done nothing.
            scrub: whether free pages and the log are to be cleaned too.

        Returns:
            Whether `act` did something.
        """
        journal = self._journal
        with journal.connection.write():
            position = act()
            if position is None:
                return False
            journal.connection.all(sql.ADD_REMOVAL, (position, DIRTY if scrub else CLEAN))
        journal.forget()
        try:
            if scrub:
                self.finish()
            else:
                self._shrink()
        except StorageError as error:
            error.add_note("the payloads were removed; the file will be cleaned later")
            raise
        return True

    def _shrink(self) -> None:
        """Give free pages back to the disk, as far as nobody uses the file just now."""
        connection = self._journal.connection
        with contextlib.suppress(StoreBusyError), connection.hurry(_PATIENCE):
            connection.all(sql.INCREMENTAL_VACUUM)
            connection.truncate_log(_PATIENCE)

    def finish(self, timeout: float = _PATIENCE) -> bool:
        """Clean free pages and the log after removals, and say whether nothing is left.

        Readers of other connections may hold the log for a while; then it is done later: with a next
        commit, or when a store is opened or closed.

        Args:
            timeout: seconds to wait for others.
        """
        connection = self._journal.connection
        self.pending = True
        try:
            # Others may remove more meanwhile, which the file was not rebuilt for yet.
            stage, last = self.stage(), self._journal.branches.epoch()
            with connection.hurry(timeout):
                if stage == DIRTY:
                    connection.all(sql.VACUUM)
                    connection.all(sql.SET_STAGE, (REBUILT, DIRTY, last))
                if stage and not connection.truncate_log(timeout):
                    return False
                if stage:
                    connection.all(sql.SET_STAGE, (CLEAN, REBUILT, last))
        except StoreBusyError:
            return False
        self.pending = self.stage() != CLEAN
        return not self.pending

    def tidy(self) -> None:
        """Clean what is known to be left, after a commit, if it can be done at once."""
        if self.pending:
            with contextlib.suppress(StorageError):  # not that commit's; closing the store tries and tells
                self.finish(timeout=0)

    def stage(self) -> int:
        """Tell what may still hold something that was removed."""
        [(stage,)] = self._journal.connection.all(sql.STAGE)
        return stage or CLEAN

    def purge(self, session: int, draft: Draft) -> int:
        """Leave nothing of a session but the hashes of its commits, inside the caller's transaction.

        Returns:
            The position of the commit that says so.
        """
        journal = self._journal
        branches = journal.branches.ids(session)
        # First, as the chain goes on from the newest commits, some of which may be among these.
        position = journal.appender.add(STORE, journal.branches.tip(STORE), draft, ("", "")).position
        for statement in sql.PURGE:
            for branch in branches:
                journal.connection.all(statement, (row_id(branch, 0), row_id(branch, LOW)))
        for branch in reversed(branches):  # forks before what they refer to
            journal.connection.all(sql.PURGE_BRANCH, (branch,))
        journal.connection.all(sql.PURGE_SESSION, (session,))
        return position
