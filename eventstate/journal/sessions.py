"""Sessions, and the branches in them: what there is, by name and by number."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from eventstate.errors import CorruptJournalError, EventStateError, SessionDeletedError
from eventstate.journal import statements as sql
from eventstate.journal.pages import pages
from eventstate.journal.records import LOW, STORE, Branch, row_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstate.journal.connection import Connection

_CACHED: Final = 4096
_PAGE: Final = 256


class Sessions:
    """Finds sessions, and the branches in them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: OrderedDict[int, Branch] = OrderedDict()  # branches never change once made

    def session(self, user_id: str, session_id: str) -> int | None:
        """Give the number of a session."""
        row = self._connection.one(sql.FIND_SESSION, (user_id, session_id))
        return None if row is None else row[0]

    def sessions(
        self, user_id: str | None, *, deleted: bool = False
    ) -> Iterator[tuple[int, str, str, int | None]]:
        """Walk the sessions `(number, user_id, session_id, deleted)`, of one user or all, by name."""
        start: tuple[str, ...] = () if user_id is None else (user_id,)

        def fetch(after: tuple[str, ...]) -> list[Any]:
            statement = sql.list_sessions(by_user=user_id is not None, first=after == start)
            return self._connection.all(statement, (deleted, *after, _PAGE))

        return pages(fetch, start, lambda row: tuple(row[1:3]))

    def session_names(self, session: int) -> tuple[str, str]:
        """Give a session's user and name.

        Raises:
            CorruptJournalError: there is none of that number.
        """
        if session == STORE.session:
            return "", ""
        row = self._connection.one(sql.SESSION_NAMES, (session,))
        if row is None:
            raise CorruptJournalError(f"{self._connection.path}: session {session} is missing")
        return row[0], row[1]

    def find(self, session: int, name: str) -> Branch | None:
        """Find a session's branch by name."""
        row = self._connection.one(sql.FIND_BRANCH, (session, name))
        return None if row is None else self._branch(row)

    def get(self, branch: int) -> Branch:
        """Give a branch by its number.

        Raises:
            CorruptJournalError: there is none, though something refers to it.
        """
        if branch == STORE.id:
            return STORE
        known = self._known.get(branch)
        return known if known is not None else self._branch(self._row(branch))

    def names(self, session: int) -> list[str]:
        """List a session's branches in the order of their making."""
        return [name for (name,) in self._connection.all(sql.LIST_BRANCHES, (session,))]

    def ids(self, session: int) -> list[int]:
        """List the numbers of a session's branches, parents before their forks."""
        return [number for (number,) in self._connection.all(sql.SESSION_BRANCH_IDS, (session,))]

    def count(self, session: int) -> tuple[int, int, int]:
        """Count a session's branches, commits and events."""
        branches = self.ids(session)
        bounds = [(row_id(branch, 0), row_id(branch, LOW)) for branch in branches]
        counts = [self._connection.all(sql.COUNT_BETWEEN, pair)[0] for pair in bounds]
        return len(branches), sum(commits for commits, _ in counts), sum(events for _, events in counts)

    def forget(self) -> None:
        """Forget what was read of branches."""
        self._known = OrderedDict()  # another thread may be using the old one

    def _row(self, branch: int) -> Any:
        row = self._connection.one(sql.GET_BRANCH, (branch,))
        if row is None:
            raise CorruptJournalError(f"{self._connection.path}: branch {branch} is missing")
        return row

    def _branch(self, row: Any) -> Branch:
        known, found, rows = self._known, dict[int, Branch](), [row]
        for current in rows:  # the list grows as ancestors are found, so that no fork is too deep
            for above in {current[3], current[5]} - {None}:
                if above >= current[0]:
                    raise CorruptJournalError(
                        f"{self._connection.path}: branch {current[0]} starts from a later one"
                    )
                seen = known.get(above)
                if seen is None:
                    rows.append(self._row(above))
                else:
                    found[above] = seen
        for number, session, name, parent, version, origin, commit, ceiling, named, *names in sorted(rows):
            found[number] = known[number] = Branch(
                number,
                session,
                name,
                None if parent is None else found[parent],
                version or 0,
                None if origin is None else found[origin],
                commit or 0,
                ceiling,
                named,
                (names[0], names[1]) if names[0] is not None else None,
            )
        while len(known) > max(_CACHED, len(rows)):
            known.popitem(last=False)
        return found[row[0]]

    def gone(self, branch: Branch) -> EventStateError:
        """Give the error for a branch without commits: it was purged, or else the file is damaged."""
        if self._connection.one(sql.GET_BRANCH, (branch.id,)) is None:
            return SessionDeletedError(f"{self._connection.path}: branch {branch.name!r} was purged")
        return CorruptJournalError(f"{self._connection.path}: branch {branch.id} has no commits")

    def pruned(self, branch: Branch, upto: int = LOW) -> tuple[int, int]:
        """Give version and commit number of a branch's last root; nothing before the very last is whole."""
        row = self._connection.one(sql.LAST_ROOT, (row_id(branch.id, 0), row_id(branch.id, upto)))
        return (0, 0) if row is None else (row[0] & LOW, row[1])

    def epoch(self, position: int | None = None) -> int:
        """Tell how often payloads were removed from the store, or had been when a commit was made."""
        rows = (
            self._connection.all(sql.EPOCH)
            if position is None
            else self._connection.all(sql.EPOCH_AT, (position,))
        )
        [(epoch,)] = rows
        return epoch or 0
