"""How payloads leave the past: events are rewritten without them, along with commits that say so."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventstate.errors import RoundNotFoundError
from eventstate.journal import chain
from eventstate.journal import statements as sql
from eventstate.journal.bare import Bare
from eventstate.journal.branches import Point
from eventstate.journal.cipher import Context
from eventstate.journal.read import segments
from eventstate.journal.records import GONE, LOW, Branch, Commit, Draft, Event, row_id
from eventstate.journal.snapshots import Mark
from eventstate.values.delta import Op
from eventstate.values.redact import Redactor

if TYPE_CHECKING:
    from eventstate.journal.journal import Journal
    from eventstate.values.paths import Path


@dataclass(slots=True)
class Erasure:
    """What an erasure will put in the place of what is there."""

    heads: dict[int, int] = field(default_factory=dict)
    """The number of each branch's last commit, of which it was planned."""
    events: dict[int, dict[int, Event]] = field(default_factory=dict)
    """By branch and `seq`."""
    roots: dict[int, dict[int, dict[Any, Any]]] = field(default_factory=dict)
    """By branch and version, the states without what is erased."""
    branches: list[Branch] = field(default_factory=list)
    """Those that have any of it in their past."""

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.branches)

    @property
    def gone(self) -> int:
        """How many events nothing is left of."""
        return sum(event == GONE for events in self.events.values() for event in events.values())

    @property
    def rewritten(self) -> int:
        """How many events something is left of."""
        return sum(map(len, self.events.values())) - self.gone


class Eraser:
    """Erases an attribute, or what a range of events put in place, from all branches of a session."""

    def __init__(self, journal: Journal, session: int) -> None:
        self._journal = journal
        self._bare = Bare(journal.connection, journal.cipher)
        self._session = session

    def plan_path(self, path: Path) -> Erasure:
        """Find what becomes of a session's events without an attribute and what is below it."""
        return self._plan(path, {})

    def plan_range(self, branch: Branch, versions: range) -> Erasure:
        """Find what becomes of a session's events without what some of a branch's put in place.

        Raises:
            RoundNotFoundError: some of them are not there, or were pruned.
        """
        last = self._journal.branches.head(branch).version
        if versions.step != 1 or not 0 < versions.start < versions.stop <= last + 1:
            raise RoundNotFoundError(f"{versions}: a range of versions lies between 1 and {last + 1}")
        doomed = {
            owner.id: (low, high)
            for owner, low, high in segments(branch, versions.start - 1, versions.stop - 1)
        }
        for owner, low, _ in segments(branch, versions.start - 1, versions.stop - 1):
            if low < self._journal.branches.pruned(owner)[0]:
                raise RoundNotFoundError(f"{versions}: version {low + 1} was pruned")
        return self._plan((), doomed)

    def _plan(self, path: Path, doomed: dict[int, tuple[int, int]]) -> Erasure:
        plan, branches = Erasure(), self._journal.branches
        lines = [branches.get(number) for number in branches.ids(self._session)]
        starts: dict[int, Redactor] = {}
        for line in lines:  # parents come before their forks
            head = branches.head(line)
            plan.heads[line.id] = head.number
            forks = [fork for fork in lines if fork.parent is not None and fork.parent.id == line.id]
            _Walk(self._bare, plan, path, doomed.get(line.id, (0, 0))).run(line, head.version, forks, starts)
        touched = {
            line.id: plan.events.get(line.id, {}).keys() | plan.roots.get(line.id, {}).keys()
            for line in lines
        }
        for line in lines:
            past = segments(line, 0, LOW)
            if any(low < version <= high for owner, low, high in past for version in touched[owner.id]):
                plan.branches.append(line)
        return plan

    def write(self, plan: Erasure, draft: Draft) -> int | None:
        """Carry a plan out, inside the caller's transaction.

        Returns:
            The position of the first commit that says so; `None` if the session has moved since the plan.
        """
        journal, positions = self._journal, list[int]()
        if journal.branches.heads(self._session) != plan.heads:
            return None
        names = journal.branches.session_names(self._session)
        for line in plan.branches:
            told = self._replace_all(line, plan.events.get(line.id, {}))
            roots = [
                self._refold(line, version, state) for version, state in plan.roots.get(line.id, {}).items()
            ]
            tip = journal.branches.tip(line)
            record = Event(Op.ERASE, b"", self._bare.codec.encode([told, roots]))
            commit = journal.appender.add(line, tip, draft._replace(events=(record,)), names)
            positions.append(commit.position)
        for number in plan.heads:
            journal.connection.all(sql.DROP_SNAPSHOTS_OF, (row_id(number, 0), row_id(number, LOW)))
            journal.postings.remake(journal.branches.get(number))
        return min(positions, default=None)

    def _replace_all(self, line: Branch, events: dict[int, Event]) -> list[Any]:
        """Put events in the place of others; the salts of those go with them, once for each commit."""
        told, order, at = list[Any](), sorted(events), 0
        while at < len(order):
            commit = self._commit(line, order[at])
            seqs = order[at : bisect.bisect_right(order, commit.version, at)]
            at += len(seqs)
            told += [self._replace(line, commit, seq, events[seq]) for seq in seqs]
            self._journal.connection.all(sql.SET_SALT, (chain.salts_without(commit, set(seqs)), commit.id))
        return told

    def _replace(self, line: Branch, commit: Commit, seq: int, event: Event) -> list[Any]:
        """Put an event in the place of another, and tell the digest of what stands there now."""
        connection, key = self._journal.connection, row_id(line.id, seq)
        digest = chain.written_digest(commit, seq, self._bare.reader.event(line, seq))
        salt = None if event == GONE else self._journal.appender.entropy(chain.SALT_SIZE)
        if line.sealed is not None:
            place = Context("event", *line.sealed, line.id, seq)
            event = self._journal.cipher.seal_event(place, event)
        connection.all(sql.ADD_REDACTION, (key, digest, salt))
        connection.all(sql.SET_EVENT, (*event, key))
        return [seq, None if salt is None else chain.event_digest(salt, event)]

    def _commit(self, line: Branch, seq: int) -> Commit:
        commit = self._journal.branches.commit_of(Point(line, seq))
        if commit is None:
            raise RoundNotFoundError(f"event {seq} belongs to no commit")
        return commit

    def _refold(self, line: Branch, version: int, state: dict[Any, Any]) -> list[Any]:
        """Put a state in the place of a root's."""
        journal = self._journal
        [(number, weight)] = journal.connection.all(sql.ROOT_PLACE, (row_id(line.id, version),))
        salt = journal.appender.entropy(chain.SALT_SIZE)
        row = self._bare.snapshots.root_row(line, Mark(version, number, weight), salt, state)
        journal.connection.all(sql.ADD_ROOT, row)
        return [version, row[5]]


class _Walk:
    """Goes through one branch's own events and finds what has to take the place of each."""

    def __init__(self, bare: Bare, plan: Erasure, path: Path, doomed: tuple[int, int]) -> None:
        self._bare = bare
        self._events = bare.events
        self._plan = plan
        self._path = path
        self._doomed = doomed

    def run(self, line: Branch, upto: int, forks: list[Branch], starts: dict[int, Redactor]) -> None:
        """Walk a branch from its start, or from its root, and leave starts for its forks."""
        redactor, after = starts.pop(line.id, Redactor(self._events.codec)), line.parent_version
        self._leave(redactor, forks, after, starts)
        for root in self._bare.snapshots.roots(line):
            redactor, after = Redactor(self._events.codec, root.state, self._path), root.version
            if not self._bare.codec.same(root.state, redactor.state):
                left = self._bare.codec.copy(redactor.state)
                self._plan.roots.setdefault(line.id, {})[root.version] = left
            self._leave(redactor, forks, after, starts)
        waiting = {fork.parent_version for fork in forks if fork.parent_version > after}
        for owner, seq, event in self._bare.reader.events(line, after, upto):
            self._event(redactor, owner, seq, event)
            if seq in waiting:
                self._leave(redactor, forks, seq, starts)

    def _leave(
        self, redactor: Redactor, forks: list[Branch], version: int, starts: dict[int, Redactor]
    ) -> None:
        for fork in forks:
            if fork.parent_version == version:
                starts[fork.id] = redactor.copy()

    def _event(self, redactor: Redactor, owner: Branch, seq: int, event: Event) -> None:
        if event.op >= Op.NOTE:
            if event.op == Op.NOTE and self._is_doomed(seq):
                self._plan.events.setdefault(owner.id, {})[seq] = GONE
            return
        edit = self._events.decode(event)
        if self._path:
            new = redactor.erase_path(edit, self._path)
        elif self._is_doomed(seq):
            new = redactor.erase(edit)
        else:
            new = redactor.keep(edit)
        if new is not edit:
            encoded = GONE if new is None else self._events.encode(new)
            self._plan.events.setdefault(owner.id, {})[seq] = encoded

    def _is_doomed(self, seq: int) -> bool:
        low, high = self._doomed
        return low < seq <= high
