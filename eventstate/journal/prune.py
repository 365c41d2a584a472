"""How a branch's past is folded to a few states, from which its hashes go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventstate.errors import CorruptJournalError
from eventstate.journal import chain
from eventstate.journal import statements as sql
from eventstate.journal.bare import Bare
from eventstate.journal.branches import MAX_ROUND, Point, View
from eventstate.journal.pages import pages
from eventstate.journal.records import LOW, Branch, Commit, Draft, Event, row_id
from eventstate.journal.snapshots import Mark
from eventstate.values.delta import Op

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstate.journal.journal import Journal

_KEPT_KINDS = frozenset({"fork", "tag", "merge", "delete", "restore"})
"""Commits that say what else than a state holds now."""


@dataclass(slots=True)
class Pruning:
    """What a pruning will keep, and drop."""

    branch: Branch
    heads: dict[int, int]
    """The number of the last commit of each of the session's branches, of which it was planned."""
    cut: Commit | None = None
    """Of the oldest round that is kept whole; what was before it is folded to its state."""
    states: dict[int, tuple[Commit, dict[Any, Any]]] = field(default_factory=dict)
    """By version: the states that are kept, of the cut and of what forks, merges and tags need before it."""
    kept: list[Commit] = field(default_factory=list)
    """Commits up to the cut that are kept, without their events."""
    dropped: list[Commit] = field(default_factory=list)
    rounds: int = 0
    """How many rounds can't be read afterwards."""
    events: int = 0

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return self.cut is not None and bool(self.dropped)


class Pruner:
    """Folds the past of one branch, up to a round, to states."""

    def __init__(self, journal: Journal, branch: Branch) -> None:
        self._journal = journal
        self._bare = Bare(journal.connection, journal.cipher)
        self._branch = branch

    def plan(self, keep_rounds: int | None, since: int | None) -> Pruning:
        """Find what to drop: the rounds before the first that one of the two keeps.

        Args:
            keep_rounds: how many of the highest rounds to keep.
            since: keep also the rounds recorded from this time on, and those after them.
        """
        branch, heads = self._branch, self._journal.branches.heads(self._branch.session)
        plan = Pruning(branch, heads)
        own = [c for c in self._bare.branches.rounds(View(branch), 0, MAX_ROUND) if c.branch == branch.id]
        first = len(own) if keep_rounds is None else max(len(own) - keep_rounds, 0)
        if since is not None:
            first = min(first, next((i for i, c in enumerate(own) if c.recorded_at >= since), len(own)))
        kept = own[min(first, max(len(own) - 1, 0)) :]
        if not kept:
            return plan
        cut, past = self._cut(min(kept, key=lambda commit: commit.number))
        plan.cut = cut
        needed = {version for version in self._needed_versions() if version < cut.version}
        named = {commit.id for commit in own}
        kept_numbers = self._needed_commits() | _last_rounds(past, needed)
        for commit in past:
            if (
                commit.number in {cut.number} | kept_numbers
                or commit.kind in _KEPT_KINDS
                or (commit.id in named and commit.version in needed)
            ):
                plan.kept.append(commit)
        there = {commit.version for commit in plan.kept}
        plan.kept += {c.version: c for c in reversed(past) if c.version in needed - there}.values()
        self._keep_later_names(plan, past)
        numbers = {commit.number for commit in plan.kept}
        plan.dropped = [commit for commit in past if commit.number not in numbers]
        needed |= {commit.version for commit in plan.kept if commit.round is not None}
        for version in sorted({*needed, cut.version} - {branch.parent_version}):
            # At its version the cut's commit is the last one, as the rest of the past goes on from it.
            places = [commit for commit in plan.kept if commit.version == version]
            if not places:
                raise CorruptJournalError(f"{self._bare.reader.place(branch, version)}: ends no commit")
            plan.states[version] = places[-1], self._bare.reader.state(Point(branch, version))
        plan.rounds = sum(c.number not in numbers for c in own if c.number < cut.number)
        low, high = row_id(branch.id, 0), row_id(branch.id, cut.version)
        [(_, plan.events)] = self._journal.connection.all(sql.COUNT_BETWEEN, (low, high))
        return plan

    def _commits(self, cut: Commit) -> Iterator[Commit]:
        """Walk the branch's commits up to the cut, those that are there."""

        def fetch(after: int) -> list[Any]:
            return self._journal.connection.all(sql.COMMITS_UPTO, (after, cut.id))

        return map(Commit._make, pages(fetch, row_id(self._branch.id, 0), lambda row: int(row[0])))

    def _cut(self, cut: Commit) -> tuple[Commit, list[Commit]]:
        """Give the commit up to which the past is folded, and the commits up to it.

        It is one that named the latest round when it was made; else nobody could tell afterwards which
        round was the latest just after it, as a higher one that was written anew later would be gone.
        """
        while True:
            past = [*self._commits(cut)]
            latest = max(past, key=lambda c: (-1 if c.round is None else c.round, c.number))
            if latest.number == cut.number:
                return cut, past
            cut = latest

    def _needed_versions(self) -> set[int]:
        """Find which of the branch's own versions forks, tags and merges refer to."""
        rows = self._journal.connection.all(sql.REFERRED_VERSIONS, (self._branch.id, self._branch.session))
        return {version for (version,) in rows if (version or 0) > self._branch.parent_version}

    def _needed_commits(self) -> set[int]:
        """Find which of the branch's commits forks refer to."""
        rows = self._journal.connection.all(sql.REFERRED_COMMITS, (self._branch.id,))
        return {number & LOW for row in rows for number in row if number is not None}

    def _keep_later_names(self, plan: Pruning, past: list[Commit]) -> None:
        """Keep later commits that gave the same rounds other versions, else the older ones would show."""
        first: dict[int, int] = {}
        for commit in sorted(plan.kept):
            if commit.round is not None:
                first.setdefault(commit.round, commit.number)
        known = {commit.number for commit in plan.kept}
        plan.kept += [
            commit
            for commit in past
            if commit.number not in known
            and commit.round is not None
            and commit.number > first.get(commit.round, LOW)
        ]
        plan.kept.sort()

    def write(self, plan: Pruning, draft: Draft) -> int | None:
        """Carry a plan out, inside the caller's transaction.

        Returns:
            The position of the commit that says so; `None` if the session has moved since the plan.
        """
        journal, branch, cut = self._journal, plan.branch, plan.cut
        if journal.branches.heads(branch.session) != plan.heads or cut is None:
            return None
        connection = journal.connection
        last = journal.branches.last_of_all()  # now, as the chain can't be read through what is gone
        low, high = row_id(branch.id, 0), row_id(branch.id, cut.version)
        redacted = {key: digest for key, digest, _ in connection.all(sql.LIST_REDACTIONS, (low, high))}
        digests = [pair for commit in plan.kept for pair in self._digests(commit, redacted)]
        connection.all(sql.DROP_REDACTIONS, (low, high))
        connection.many(sql.ADD_REDACTION, ((key, digest, None) for key, digest in digests))
        connection.many(sql.SET_SALT, ((_header_salt(commit), commit.id) for commit in plan.kept))
        connection.all(sql.DROP_EVENTS, (low, high))
        connection.many(sql.ADD_HUSK, ((commit.id, commit.position, commit.hash) for commit in plan.dropped))
        connection.many(sql.DROP_COMMIT, ((commit.id,) for commit in plan.dropped))
        for number in plan.heads:  # later ones, and those of forks, may refer to what is gone
            connection.all(sql.DROP_SNAPSHOTS_OF, (row_id(number, 0), row_id(number, LOW)))
        connection.all(sql.DROP_ROOTS, (low, row_id(branch.id, LOW)))
        roots = []
        for version, (commit, state) in plan.states.items():
            place = Mark(version, commit.number, commit.weight)
            salt = journal.appender.entropy(chain.SALT_SIZE)
            row = self._bare.snapshots.root_row(branch, place, salt, state)
            connection.all(sql.ADD_ROOT, row)
            roots.append([version, row[5]])
        journal.postings.remake(branch)
        names = journal.branches.session_names(branch.session)
        tip = journal.branches.tip(branch)
        # What the first commit proves, if that is gone: whose session it is.
        genesis = journal.branches.beginning(branch, names) if branch.origin is None else None
        record = Event(Op.PRUNE, b"", self._bare.codec.encode([cut.version, roots, genesis]))
        return journal.appender.add(branch, tip, draft._replace(events=(record,)), names, last).position

    def _digests(self, commit: Commit, redacted: dict[int, bytes]) -> Iterator[tuple[int, bytes]]:
        """Give the digests of a commit's events as they were written, by key."""
        events = dict(self._bare.reader.commit_events(commit))
        for seq in range(commit.version - commit.events + 1, commit.version + 1):
            key = row_id(commit.branch, seq)
            if key in redacted:
                yield key, redacted[key]
            else:
                yield key, chain.written_digest(commit, seq, events[seq])


def _header_salt(commit: Commit) -> bytes:
    """Give the salts that are left of a commit whose events are gone."""
    return chain.salts_without(commit, range(commit.version - commit.events + 1, commit.version + 1))


def _last_rounds(past: list[Commit], versions: set[int]) -> set[int]:
    """Give the numbers of the commits that named the last round up to each of these versions.

    A fork or tag that starts there belongs to that round.
    """
    found, last, rest = set[int](), None, sorted(versions)
    for commit in past:
        while rest and rest[0] < commit.version:
            rest.pop(0)
            if last is not None:
                found.add(last)
        if commit.round is not None:
            last = commit.number
    return found
