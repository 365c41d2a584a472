"""Which branch, which round, which version: the names of a session's past."""

from __future__ import annotations

import bisect
import functools
import heapq
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.errors import CorruptJournalError, EventStateError, SessionDeletedError
from eventstate.journal import statements as sql
from eventstate.journal.records import LOW, STORE, Branch, Commit, row_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventstate.journal.connection import Connection

MAX_ROUND: Final = (1 << 62) - 1
_CACHED: Final = 4096
_PAGE: Final = 256


class View(NamedTuple):
    """A branch as of one of its commits, with its rounds up to a number."""

    branch: Branch
    limit: int = LOW
    ceiling: int = MAX_ROUND

    def inherited(self) -> View | None:
        """What the branch sees of its parent; `None` if nothing."""
        branch = self.branch
        if branch.origin is None or branch.origin_round is None:
            return None
        return View(branch.origin, branch.origin_commit, min(self.ceiling, branch.origin_round))


class Point(NamedTuple):
    """A version of a branch: what a state is folded up to."""

    branch: Branch
    version: int


class Tip(NamedTuple):
    """A branch's last commit."""

    commit: Commit
    is_latest: bool
    """Whether its round is the latest, so that nothing more has to be looked up."""
    deleted: int | None
    """The key of the commit that deleted the session."""
    epoch: int
    """How often payloads were removed from the store; what was read in another epoch is void."""


class Branches:
    """Reads branches, and finds commits by round, tag, version and time."""

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
        after: tuple[str, ...] = () if user_id is None else (user_id,)
        first = True
        while rows := self._connection.all(
            sql.list_sessions(by_user=user_id is not None, first=first), (deleted, *after, _PAGE)
        ):
            yield from rows
            after, first = rows[-1][1:3], False

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
        self._known.clear()

    def _row(self, branch: int) -> Any:
        row = self._connection.one(sql.GET_BRANCH, (branch,))
        if row is None:
            raise CorruptJournalError(f"{self._connection.path}: branch {branch} is missing")
        return row

    def _branch(self, row: Any) -> Branch:
        rows = [row]
        for current in rows:  # the list grows as ancestors are found, so that no fork is too deep
            for above in {current[3], current[5]} - {None}:
                if above >= current[0]:
                    raise CorruptJournalError(
                        f"{self._connection.path}: branch {current[0]} starts from a later one"
                    )
                if above not in self._known:
                    rows.append(self._row(above))
        for number, session, name, parent, version, origin, commit, ceiling, named in sorted(rows):
            self._known[number] = Branch(
                number,
                session,
                name,
                self._known.get(parent),
                version or 0,
                self._known.get(origin),
                commit or 0,
                ceiling,
                named,
            )
        branch = self._known[row[0]]
        while len(self._known) > max(_CACHED, len(rows)):
            self._known.popitem(last=False)
        return branch

    def head(self, branch: Branch) -> Commit:
        """Give a branch's last commit."""
        commit = self.last(View(branch))
        if commit is None:
            raise self.gone(branch)
        return commit

    def gone(self, branch: Branch) -> EventStateError:
        """Give the error for a branch without commits: it was purged, or else the file is damaged."""
        if self._connection.one(sql.GET_BRANCH, (branch.id,)) is None:
            return SessionDeletedError(f"{self._connection.path}: branch {branch.name!r} was purged")
        return CorruptJournalError(f"{self._connection.path}: branch {branch.id} has no commits")

    def tip(self, branch: Branch) -> Tip | None:
        """Give a branch's last commit, with what else a reader or writer has to know."""
        row = self._connection.one(
            sql.TIP, (branch.id, row_id(branch.id, 0), row_id(branch.id, LOW), branch.session)
        )
        if row is None:
            return None
        *columns, latest, deleted, epoch = row
        commit = Commit._make(columns)
        inherited = -1 if branch.origin_round is None else branch.origin_round
        is_latest = latest == commit.id and commit.round is not None and commit.round >= inherited
        return Tip(commit, is_latest, deleted, epoch or 0)

    def pruned(self, branch: Branch, upto: int = LOW) -> tuple[int, int]:
        """Give version and commit number of a branch's last root; nothing before the very last is whole."""
        row = self._connection.one(sql.LAST_ROOT, (row_id(branch.id, 0), row_id(branch.id, upto)))
        return (0, 0) if row is None else (row[0] & LOW, row[1])

    def epoch(self) -> int:
        """Tell how often payloads were removed from the store."""
        return self._connection.one(sql.EPOCH)[0] or 0  # type: ignore[index] # an aggregate has a row

    def last(self, view: View) -> Commit | None:
        """Give the last commit of a view."""
        branch = view.branch.id
        return self._commit(sql.HEAD_COMMIT, (row_id(branch, 0), row_id(branch, view.limit)))

    def get_commit(self, branch: Branch, number: int) -> Commit:
        """Give a branch's own commit by number."""
        commit = self._commit(sql.GET_COMMIT, (row_id(branch.id, number),))
        if commit is None:
            raise CorruptJournalError(
                f"{self._connection.path}: commit {number} of branch {branch.id} is missing"
            )
        return commit

    def find_round(self, view: View, number: int) -> Commit | None:
        """Find the commit that a round's number names."""
        at: View | None = view
        while at is not None and number <= at.ceiling:
            branch = at.branch.id
            commit = self._commit(sql.FIND_ROUND, (branch, number, row_id(branch, at.limit)))
            if commit is not None:
                return commit
            if number == at.branch.origin_round:
                return self._own(at.branch)
            at = at.inherited()
        return None

    def _own(self, fork: Branch) -> Commit:
        """Give the commit of the round at which a fork was made, even if another took its name later."""
        return self.at_key(fork.origin_named)

    def latest(self, view: View) -> Commit | None:
        """Find the commit of the highest round."""
        found: Commit | None = None
        at: View | None = view
        while at is not None and (found is None or (found.round or 0) < at.ceiling):
            branch = at.branch.id
            commit = self._commit(sql.HIGHEST_ROUND, (branch, at.ceiling, row_id(branch, at.limit)))
            if commit is not None and (found is None or (commit.round or 0) > (found.round or 0)):
                found = commit
            own = at.branch.origin_round
            if own is not None and own <= at.ceiling and (found is None or (found.round or 0) < own):
                return self._own(at.branch)
            at = at.inherited()
        return found

    def latest_point(self, view: View) -> Point | None:
        """Find what the highest round names; a fork without rounds of its own stands where it was made."""
        return self.point_of_latest(view, self.latest(view))

    def point_of_latest(self, view: View, commit: Commit | None) -> Point | None:
        """Find what the highest round names, given the commit that `latest` found."""
        branch = view.branch
        if branch.parent is not None and (commit is None or commit.branch != branch.id):
            own = -1 if branch.origin_round is None else branch.origin_round
            if view.ceiling >= own and self.last(view) is not None:
                return Point(branch.parent, branch.parent_version)
        return None if commit is None else self.point(commit)

    def point(self, commit: Commit) -> Point:
        """Give the version that a commit made."""
        return Point(self.get(commit.branch), commit.version)

    def rounds(self, view: View, start: int, stop: int, *, reverse: bool = False) -> Iterator[Commit]:
        """Walk the commits that rounds `start` to `stop` (inclusive) name, in the order of their numbers.

        It reads in pages, so that no statement stays open between two steps.
        """
        walks: list[Iterable[tuple[int, int, int, int]]] = []
        at: View | None = view
        while at is not None:
            walks.append(self._own_rounds(at, len(walks), start, stop, reverse=reverse))
            own, named = at.branch.origin_round, at.branch.origin_named
            if own is not None and named is not None and start <= own <= min(stop, at.ceiling):
                walks.append([(-own if reverse else own, len(walks), own, named)])
            at = at.inherited()
        previous = None
        for _, _, number, commit in heapq.merge(*walks):
            if number != previous:  # the level nearest to the branch comes first
                previous = number
                yield self.at_key(commit)

    def _own_rounds(
        self, view: View, depth: int, start: int, stop: int, *, reverse: bool
    ) -> Iterator[tuple[int, int, int, int]]:
        stop = min(stop, view.ceiling)
        limit = row_id(view.branch.id, view.limit)
        statement = sql.LIST_ROUNDS_BACKWARDS if reverse else sql.LIST_ROUNDS
        while start <= stop:
            page = self._connection.all(statement, (view.branch.id, start, stop, limit, _PAGE))
            for number, commit in page:
                yield (-number if reverse else number), depth, number, commit
            if len(page) < _PAGE:
                return
            start, stop = (start, page[-1][0] - 1) if reverse else (page[-1][0] + 1, stop)

    def at_key(self, commit_id: int | None) -> Commit:
        """Give the commit with a key.

        Raises:
            CorruptJournalError: it is missing.
        """
        commit = self._commit(sql.GET_COMMIT, (commit_id,))
        if commit is None:
            raise CorruptJournalError(f"{self._connection.path}: commit {commit_id} is missing")
        return commit

    def find_tag(self, view: View, name: str) -> Point | None:
        """Find the version that a tag names."""
        at: View | None = view
        while at is not None:
            row = self._connection.one(sql.FIND_TAG, (at.branch.id, name, at.limit))
            if row is not None:
                return Point(self.get(row[0]), row[1])
            at = View(at.branch.origin, at.branch.origin_commit) if at.branch.origin is not None else None
        return None

    def tags(self, view: View) -> dict[str, Point]:
        """Give all tags with what they name, those of the origin as of the fork."""
        found: dict[str, Point] = {}
        at: View | None = view
        while at is not None:
            for name, source, version in self._connection.all(sql.LIST_TAGS, (at.branch.id, at.limit)):
                found.setdefault(name, Point(self.get(source), version))
            at = View(at.branch.origin, at.branch.origin_commit) if at.branch.origin is not None else None
        return dict(sorted(found.items(), key=lambda item: (item[1].version, item[0])))

    def commit_of(self, point: Point) -> Commit | None:
        """Find the commit that wrote the event at a version; `None` for version 0."""
        branch, version = self.owner(point)
        if version == 0:
            return None
        last = self.head(branch)
        first = 2 if branch.parent is not None else 1  # a fork's first commit only says where it starts
        number = bisect.bisect_left(
            range(last.number + 1), version, lo=first, key=lambda n: self._stamp(branch, n)[1]
        )
        return None if number > last.number else self.get_commit(branch, self._stamp(branch, number)[0] & LOW)

    def commits_from(self, commit: Commit) -> list[Commit]:
        """Give a commit and the next ones of its branch, a page of them."""
        last = row_id(commit.branch, LOW)
        return list(map(Commit._make, self._connection.all(sql.COMMITS_FROM, (commit.id, last, _PAGE))))

    def find_commit(self, branch: Branch, commit_id: str) -> Commit | None:
        """Find a branch's commit by the id that its writer gave it."""
        return self._commit(sql.SEEN_COMMIT, (branch.id, commit_id))

    def at_position(self, position: int) -> Commit | None:
        """Find the commit at a position of the store."""
        return self._commit(sql.COMMIT_AT_POSITION, (position,))

    def merges(self, point: Point) -> list[tuple[int, int]]:
        """List the merges into a branch up to a version: `(source branch, its version)`."""
        return self._connection.all(sql.LIST_MERGES, (point.branch.id, point.version))

    def version_on(self, branch: Branch, point: Point) -> int | None:
        """Give the version of a branch that a point is; `None` if it is not in the branch's past."""
        wanted, version = self.owner(point)
        at: Branch | None = branch
        limit = LOW
        while at is not None:
            if at.id == wanted.id:
                return version if version <= limit else None
            limit, at = min(limit, at.parent_version), at.parent
        return None

    def owner(self, point: Point) -> Point:
        """Find the branch whose own event a version is."""
        branch, version = point
        while branch.parent is not None and version <= branch.parent_version:
            branch = branch.parent
        return Point(branch, version)

    def round_at(self, view: View, version: int) -> Commit | None:
        """Find the last commit with a round, in the order of writing, up to a version."""
        at: View | None = view
        while at is not None:
            branch, limit, ceiling = at
            commit = self._commit(
                sql.ROUND_BEFORE, (row_id(branch.id, 0), row_id(branch.id, limit), version, ceiling)
            )
            if commit is not None:
                return commit
            version, at = min(version, branch.parent_version), at.inherited()
        return None

    def latest_at(self, branch: Branch, recorded_at: int) -> tuple[Point, Commit] | None:
        """Find what the highest round named at a moment (microseconds since 1970), with its commit."""
        ceiling, limit = MAX_ROUND, LOW
        while True:
            last = self.last(View(branch, limit))
            count = 0 if last is None else last.number
            number = bisect.bisect_right(
                range(count + 1), recorded_at, lo=1, key=functools.partial(self._recorded_at, branch)
            )
            if number > 1:
                view = View(branch, number - 1, ceiling)
                commit = self.latest(view)
                point = self.point_of_latest(view, commit)
                return None if commit is None or point is None else (point, commit)
            own = branch.origin_round
            if branch.origin is None or own is None:
                return None
            if own <= ceiling:
                named = self._own(branch)
                if named.recorded_at <= recorded_at:
                    return self.point(named), named
                ceiling = own
            branch, limit = branch.origin, branch.origin_commit

    def _recorded_at(self, branch: Branch, number: int) -> int:
        return int(self._stamp(branch, number)[2])

    def _stamp(self, branch: Branch, number: int) -> Any:
        """Give key, version and time of a branch's first commit from a number on; some may be pruned."""
        row = self._connection.one(sql.STAMP, (row_id(branch.id, number), row_id(branch.id, LOW)))
        if row is None:
            raise CorruptJournalError(
                f"{self._connection.path}: commit {number} of branch {branch.id} is missing"
            )
        return row

    def _commit(self, statement: str, values: tuple[Any, ...]) -> Commit | None:
        row = self._connection.one(statement, values)
        return None if row is None else Commit._make(row)
