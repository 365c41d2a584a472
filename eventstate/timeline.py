"""Where in a session's past: what a round number, tag, time or version stands for."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from eventstate.checks import check_round, check_text
from eventstate.errors import RoundNotFoundError
from eventstate.journal.append import microseconds, moment
from eventstate.journal.branches import MAX_ROUND, Point, View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstate.journal.journal import Journal
    from eventstate.journal.records import Branch, Commit
    from eventstate.rounds import Round

At: TypeAlias = "int | str | datetime | Round"
"""A round's number, a tag, a moment, or a `Round`."""


class Timeline:
    """Resolves points of one branch, and describes its rounds."""

    def __init__(self, journal: Journal, branch: Branch, title: str) -> None:
        self._journal = journal
        self._branches = journal.branches
        self.branch = branch
        self.view = View(branch)
        self._title = title

    def resolve(self, at: At | None = None, version: int | None = None) -> Point:
        """Give the point that is meant; with neither argument, the latest round's.

        Raises:
            RoundNotFoundError: there is no such round, tag, moment or version.
        """
        if version is None:
            return self._named(at)[0]
        if at is not None:
            raise ValueError("give at or version, not both")
        return self._version(version)

    def start(self, at: At | None = None, version: int | None = None) -> tuple[Point, Commit | None]:
        """Give the point that is meant, for a fork or tag, and the commit that named its round.

        Raises:
            RoundNotFoundError: there is no such round, tag or moment, or the version is not that of a
                whole commit.
        """
        if version is None:
            return self._named(at)
        point = self.resolve(at, version)
        commit = self._branches.commit_of(point)
        if commit is not None and commit.version != version:
            what = f"version {version} is in the middle of a commit, or pruned"
            raise RoundNotFoundError(f"{self._title}: {what}")
        return point, self._branches.round_at(self.view, version)

    def _named(self, at: At | None) -> tuple[Point, Commit | None]:
        if isinstance(at, datetime):
            return self._moment(at)
        if isinstance(at, str):
            check_text(at, "tag")
            tagged = self._branches.find_tag(self.view, at)
            if tagged is None:
                raise RoundNotFoundError(f"{self._title}: no tag {at!r}")
            return tagged, self._branches.round_at(self._view_of(tagged), tagged.version)
        if at is None:
            named = self._branches.latest(self.view)
            point = self._branches.point_of_latest(self.view, named)
            if point is None:
                raise RoundNotFoundError(f"{self._title}: no rounds yet")
            return point, named
        if not isinstance(at, int):
            from eventstate.rounds import Round

            if isinstance(at, Round):
                commit = self._known(at)
                return self._branches.point(commit), commit
        number = check_round(at)
        named = self._branches.find_round(self.view, number)
        if named is None:
            raise RoundNotFoundError(f"{self._title}: no round {number}")
        return self._branches.point(named), named

    def origin(self, named: Commit | None) -> Branch:
        """Give the branch whose rounds a fork at a round sees: this one, if it sees that one."""
        view: View | None = self.view
        while named is not None and view is not None:
            seen = named.number <= view.limit and (named.round or 0) <= view.ceiling
            if view.branch.id == named.branch and seen:
                return self.branch
            view = view.inherited()
        return self.branch if named is None else self._branches.get(named.branch)

    def _version(self, version: int) -> Point:
        last = self._branches.head(self.branch).version
        if type(version) is not int or not 0 <= version <= last:
            raise RoundNotFoundError(f"{self._title}: no version {version!r}, the last is {last}")
        return Point(self.branch, version)

    def _view_of(self, point: Point) -> View:
        """Give the rounds to which a point belongs: this branch's, if it is in its past."""
        mine = self._branches.version_on(self.branch, point) is not None
        return self.view if mine else View(self._branches.owner(point).branch)

    def _known(self, turn: Round) -> Commit:
        commit = self._branches.at_position(turn.position)
        if commit is None or commit.hash.hex() != turn.hash:
            raise RoundNotFoundError(f"{self._title}: round {turn.id} is of another store, or pruned")
        if self._branches.get(commit.branch).session != self.branch.session:
            raise RoundNotFoundError(f"{self._title}: round {turn.id} is of another session")
        return commit

    def _moment(self, at: datetime) -> tuple[Point, Commit]:
        found = self._branches.latest_at(self.branch, microseconds(at))
        if found is None:
            raise RoundNotFoundError(f"{self._title}: nothing yet at {at.isoformat()}")
        return found

    def latest(self) -> Round | None:
        """Describe the latest round."""
        commit = self._branches.latest(self.view)
        return None if commit is None else self.describe(commit)

    def before(self, commit: Commit) -> Point | None:
        """Find what the latest round named just before `commit` was made."""
        owner = self._branches.get(commit.branch)
        ceiling = MAX_ROUND
        branch = self.branch
        while branch.id != owner.id and branch.origin is not None:
            ceiling = min(ceiling, branch.origin_round if branch.origin_round is not None else -1)
            branch = branch.origin
        view = View(owner, commit.number - 1, ceiling)
        if not self._branches.is_whole(view):
            raise RoundNotFoundError(f"{self._title}: what was before round {commit.round} was pruned")
        return self._branches.latest_point(view)

    def rounds(
        self, start: int | None = None, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[Round, Commit]]:
        """Walk the rounds from `start` to before `stop` in the order of their numbers."""
        last = MAX_ROUND if stop is None else stop - 1
        tags = self._tags()
        for commit in self._branches.rounds(self.view, max(start or 0, 0), last, reverse=reverse):
            yield self._describe(commit, tags), commit

    def describe(self, commit: Commit) -> Round:
        """Give the round that `commit` names."""
        return self._describe(commit, self._tags())

    def _tags(self) -> dict[tuple[int, int], list[str]]:
        tags: dict[tuple[int, int], list[str]] = {}
        for name, point in self._branches.tags(self.view).items():
            owner, version = self._branches.owner(point)
            tags.setdefault((owner.id, version), []).append(name)
        return tags

    def _describe(self, commit: Commit, tags: dict[tuple[int, int], list[str]]) -> Round:
        owner, version = self._branches.owner(self._branches.point(commit))
        names = tuple(tags.get((owner.id, version), ()))
        return described(self._journal, self._branches.get(commit.branch), commit, names)


def described(journal: Journal, branch: Branch, commit: Commit, tags: tuple[str, ...]) -> Round:
    """Give the round that a commit of a branch names, and that has these tags."""
    if commit.round is None:
        raise RoundNotFoundError(f"branch {branch.name!r}: commit {commit.position} names no round")
    from eventstate.rounds import Round

    told = journal.told(branch, commit)
    return Round(
        id=commit.round,
        version=commit.version,
        recorded_at=moment(commit.recorded_at),
        kind=commit.kind,
        actor=told.actor,
        reason=told.reason,
        tags=tags,
        metadata=journal.metadata(told),
        hash=commit.hash.hex(),
        branch=branch.name,
        position=commit.position,
    )
