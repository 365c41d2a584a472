"""Which branch, which round, which version: the names of a session's past."""

from __future__ import annotations

import bisect
import functools
import heapq
import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.errors import CorruptJournalError, RoundNotFoundError
from eventstate.journal import chain
from eventstate.journal import statements as sql
from eventstate.journal.newest import Last, Newest, Tip
from eventstate.journal.pages import pages
from eventstate.journal.records import LOW, STORE, Branch, Commit, row_id
from eventstate.journal.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventstate.journal.connection import Connection

MAX_ROUND: Final = (1 << 62) - 1
_PAGE: Final = 256
_TRIES: Final = 4
_AROUND: Final = 32


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


class Branches(Sessions):
    """Finds a branch's commits by round, tag, version and time, beside the branch itself."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.newest = Newest()

    def forget(self) -> None:
        """Forget what was read."""
        super().forget()
        self.newest.forget()

    def head(self, branch: Branch) -> Commit:
        """Give a branch's last commit."""
        commit = self.last(View(branch))
        if commit is None:
            raise self.gone(branch)
        return commit

    def tip(self, branch: Branch) -> Tip | None:
        """Give a branch's last commit, with what else a reader or writer has to know."""
        stamp = self._connection.stamp()
        tip = self.newest.tip(stamp, branch.id)
        if tip is None:
            tip = self.read_tip(branch)
            if tip is not None:
                self.newest.learn(stamp, branch.id, tip)
        return tip

    def read_tip(self, branch: Branch) -> Tip | None:
        """Give a branch's last commit as `tip` does, as it stands in the file now."""
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

    def last_of_all(self) -> Last:
        """Give what the store's next commit follows on.

        Raises:
            CorruptJournalError: the chain up to there is broken.
        """
        last = Last.of(self._connection.all(sql.LAST_COMMITS))
        if last is None:
            raise CorruptJournalError(f"{self._connection.path}: the chain of its newest commits is broken")
        return last

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

    def heads(self, session: int) -> dict[int, int]:
        """Give the number of the last commit of each branch of a session, by the branch's number."""
        return {number: self.head(self.get(number)).number for number in self.ids(session)}

    def beginning(self, branch: Branch, names: tuple[str, str]) -> bytes:
        """Give the hash that a branch's first commit follows on; `names` are its session's."""
        if branch.id == STORE.id:
            return chain.store_line()
        if branch.origin is None:
            return chain.genesis(*names, encrypted=branch.sealed is not None)
        origin = self.get_commit(branch.origin, branch.origin_commit)
        return chain.fork_start(origin.hash, branch.name, branch.origin_round, branch.origin_named)

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
        # The level nearest to the branch comes first.
        keys = (next(level)[3] for _, level in itertools.groupby(heapq.merge(*walks), lambda row: row[2]))
        for first in keys:  # alone, as there may be no need for more
            yield self.at_key(first)
            while page := list(itertools.islice(keys, sql.BATCH)):
                rows = self._connection.all(sql.COMMITS_OF, page + page[-1:] * (sql.BATCH - len(page)))
                found = {row[0]: row for row in rows}
                for key in page:
                    yield Commit._make(found[key]) if key in found else self.at_key(key)

    def _own_rounds(
        self, view: View, depth: int, start: int, stop: int, *, reverse: bool
    ) -> Iterator[tuple[int, int, int, int]]:
        stop = min(stop, view.ceiling)
        limit = row_id(view.branch.id, view.limit)
        statement = sql.LIST_ROUNDS_BACKWARDS if reverse else sql.LIST_ROUNDS
        sign = -1 if reverse else 1

        def fetch(after: int) -> list[Any]:
            low, high = (start, -after - 1) if reverse else (after + 1, stop)
            rows = self._connection.all(statement, (view.branch.id, low, high, limit, _PAGE))
            if any(number is None for number, _ in rows):
                raise CorruptJournalError(f"{self._connection.path}: an index has a round without a number")
            return rows

        first = -stop - 1 if reverse else start - 1
        for number, commit in pages(fetch, first, lambda row: sign * int(row[0]), _PAGE):
            yield sign * number, depth, number, commit

    def at_key(self, commit_id: int | None) -> Commit:
        """Give the commit with a key.

        Raises:
            RoundNotFoundError: it was pruned or purged, perhaps since the key was read.
            CorruptJournalError: it is missing.
        """
        commit = self._commit(sql.GET_COMMIT, (commit_id,))
        if commit is None:
            if self._connection.one(sql.FIND_HUSK, (commit_id,)) is not None:
                raise RoundNotFoundError(f"{self._connection.path}: commit {commit_id} was pruned")
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

    def commit_of(
        self, point: Point, near: Commit | None = None, last: Commit | None = None
    ) -> Commit | None:
        """Find the commit that wrote the event at a version; `None` for version 0.

        Args:
            point: the version.
            near: a commit before it, from which to look.
            last: the branch's last commit, if the caller has looked it up.
        """
        branch, version = self.owner(point)
        if version == 0:
            return None
        last = self.head(branch) if last is None else last
        found = self._expected(branch, version, near, last)
        if found is not None:
            return found
        first = 2 if branch.parent is not None else 1  # a fork's first commit only says where it starts
        number = bisect.bisect_left(
            range(last.number + 1), version, lo=first, key=lambda n: self._stamp(branch, n)[1]
        )
        return None if number > last.number else self.get_commit(branch, self._stamp(branch, number)[0] & LOW)

    def _expected(self, branch: Branch, seq: int, near: Commit | None, last: Commit) -> Commit | None:
        """Look for the commit that wrote an event where it should stand if all had about as many.

        One statement finds it then, and a few if they differ; `None` says that it takes a search.
        """
        low, below = 0, branch.parent_version
        if near is not None and near.branch == branch.id and near.version < seq:
            low, below = near.number, near.version
        high, top = last.number, last.version
        for _ in range(_TRIES):
            if not below < seq <= top:
                break
            guess = low + (high - low) * (seq - below) // (top - below)
            start, stop = (min(max(guess + ahead, low), high) for ahead in (-_AROUND, _AROUND))
            bounds = row_id(branch.id, start), row_id(branch.id, stop)
            commit = self._commit(sql.COMMIT_REACHING, (*bounds, seq))
            if commit is None:
                number, below, _ = self._stamp(branch, stop)
                low = number & LOW
            elif seq > commit.version - commit.events:
                return commit
            else:
                high, top = commit.number - 1, commit.version - commit.events
        return None

    def find_commit(self, branch: Branch, commit_id: str) -> Commit | None:
        """Find a branch's commit by the id that its writer gave it."""
        return self._commit(sql.SEEN_COMMIT, (branch.id, commit_id))

    def at_position(self, position: int) -> Commit | None:
        """Find the commit at a position of the store."""
        return self._commit(sql.COMMIT_AT_POSITION, (position,))

    def merges(self, point: Point) -> list[tuple[int, int]]:
        """List the merges into a branch up to a version: `(source branch, its version)`."""
        rows = self._connection.all(sql.LIST_MERGES, (point.branch.id, point.version))
        if any(None in row for row in rows):
            raise CorruptJournalError(
                f"{self._connection.path}: a merge of branch {point.branch.id} names nothing"
            )
        return rows

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
        """Find what the highest round named at a moment (microseconds since 1970), with its commit.

        Before a fork was made, it is what its origin was then, as far as the fork sees that: its own round
        as it was named where the fork was made, never as it was later, and the rounds below.
        """
        ceiling, limit = MAX_ROUND, LOW
        while True:
            last = self.last(View(branch, limit))
            count = 0 if last is None else last.number
            number = bisect.bisect_right(
                range(count + 1), recorded_at, lo=1, key=functools.partial(self._recorded_at, branch)
            )
            if number > 1:
                view = View(branch, number - 1, ceiling)
                if not self.is_whole(view):
                    return None
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

    def is_whole(self, view: View) -> bool:
        """Say whether a view's latest round can be told: it is not if a higher one may have been pruned."""
        _, number = self.pruned(view.branch)
        if not number:
            return True
        return view.limit >= number and view.ceiling >= (self.get_commit(view.branch, number).round or 0)

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
