"""Proof that a journal is whole: what is wrong is found, located and reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from eventstate.errors import CorruptJournalError, EventStateError
from eventstate.journal import chain
from eventstate.journal import statements as sql
from eventstate.journal.append import MAIN
from eventstate.journal.branches import Branches
from eventstate.journal.events import EventCodec, weight
from eventstate.journal.read import Reader
from eventstate.journal.records import BRANCH_SHIFT, LOW, Branch, Commit, row_id
from eventstate.journal.schema import expected_schema
from eventstate.journal.snapshots import Snapshots
from eventstate.values.codec import Codec
from eventstate.values.registry import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.journal.journal import Journal

_PAGE: Final = 256
_BEFORE_ALL: Final = -(1 << 63)
_FIRST: Final = Branch(0, 0, MAIN, None, 0, None, 0, None, None)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written, and where."""

    what: str
    user_id: str | None = None
    session_id: str | None = None
    branch: str | None = None
    round: int | None = None
    commit: int | None = None
    """The commit's position in the store."""

    def __str__(self) -> str:
        places = [
            f"{name} {value!r}"
            for name, value in (
                ("user", self.user_id),
                ("session", self.session_id),
                ("branch", self.branch),
                ("round", self.round),
                ("commit", self.commit),
            )
            if value is not None
        ]
        return f"{', '.join(places)}: {self.what}" if places else self.what


@dataclass(slots=True)
class VerifyReport:
    """What `StateStore.verify` found, and how much it looked at."""

    findings: list[Finding] = field(default_factory=list)
    sessions: int = 0
    branches: int = 0
    commits: int = 0
    events: int = 0
    snapshots: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __str__(self) -> str:
        seen = (
            f"{self.sessions} sessions, {self.branches} branches, {self.commits} commits,"
            f" {self.events} events, {self.snapshots} snapshots"
        )
        if self.ok:
            return f"ok: {seen}"
        return "\n".join([f"{len(self.findings)} findings in {seen}", *map(str, self.findings)])


class Verifier:
    """Checks a journal from its first commit to its last, without using what it derived."""

    def __init__(self, journal: Journal, progress: Callable[[int, int], None] | None = None) -> None:
        self._connection = journal.connection
        self._progress = progress
        # Caches and the caller's types are left aside: the proof is about what is in the file.
        codec = Codec(TypeRegistry(unknown="keep"))
        self._codec = codec
        self._events = EventCodec(codec)
        self._branches = Branches(journal.connection)
        self._snapshots = Snapshots(journal.connection, codec, every=None)
        self._reader = Reader(journal.connection, self._branches, self._snapshots, self._events)
        self._names: dict[int, tuple[str, str]] = {}
        self._heads: dict[int, Commit] = {}
        self._numbers: list[int] = []
        self._report = VerifyReport()

    def run(self) -> VerifyReport:
        """Check everything, and report.

        Raises:
            StoreClosedError: there is nothing to look at.
        """
        self._connection.check_usable()
        for check in (self._structure, self._commits, self._strays, self._tags, self._folds):
            try:
                check()
            except (EventStateError, OverflowError) as error:
                self._find(str(error))
        return self._report

    def _find(self, what: str, branch: Branch | None = None, commit: Commit | None = None) -> None:
        user_id, session_id = (
            self._names.get(branch.session, (None, None)) if branch is not None else (None, None)
        )
        self._report.findings.append(
            Finding(
                what,
                user_id,
                session_id,
                None if branch is None else branch.name,
                None if commit is None else commit.round,
                None if commit is None else commit.position,
            )
        )

    def _structure(self) -> None:
        # Those that others make meanwhile are not looked for: their first commits may come too late.
        self._numbers = [number for (number,) in self._connection.all(sql.LIST_BRANCH_IDS)]
        for (line,) in self._connection.all(sql.INTEGRITY_CHECK):
            if line != "ok":
                self._find(f"structure: {line}")
        written, found = (set(rows) for rows in (expected_schema(), self._connection.all(sql.SCHEMA)))
        for kind, name, _ in sorted(written ^ found):
            self._find(f"structure: the {kind} {name} is not what eventstate makes")
        for table, row, parent, _ in self._connection.all(sql.FOREIGN_KEY_CHECK):
            self._find(f"structure: row {row} of {table} refers to a missing row of {parent}")

    def _commits(self) -> None:
        [(total,)] = self._connection.all(sql.COUNT_COMMITS)
        position, link, recorded_at = 0, chain.EMPTY_CHAIN, 0
        last = _BEFORE_ALL
        while rows := self._connection.all(sql.LIST_COMMITS, (last, _PAGE)):
            for commit in map(Commit._make, rows):
                last = commit.position
                if commit.position < 1:
                    self._find("the commit stands before the first", self._branch(commit.branch), commit)
                    continue
                if commit.position != position + 1:
                    self._find(f"commits {position + 1} to {commit.position - 1} of the store are missing")
                elif chain.link(link, commit.hash) != commit.chain:
                    self._find("the store's chain is broken", self._branch(commit.branch), commit)
                if commit.recorded_at < recorded_at:
                    self._find("recorded before the one that it follows", self._branch(commit.branch), commit)
                position, link, recorded_at = commit.position, commit.chain, commit.recorded_at
                self._commit(commit)
                self._report.commits += 1
                if self._report.commits % _PAGE == 0:
                    self._tell(total)
        self._tell(total)

    def _tell(self, total: int) -> None:
        if self._progress is not None:
            self._progress(self._report.commits, max(total, self._report.commits))

    def _branch(self, number: int) -> Branch | None:
        try:
            branch = self._branches.get(number)
        except CorruptJournalError:
            return None
        if branch.session not in self._names:
            row = self._connection.one(sql.SESSION_NAMES, (branch.session,))
            if row is None:
                return None
            self._names[branch.session] = row
        return branch

    def _commit(self, commit: Commit) -> None:
        branch = self._branch(commit.branch)
        if branch is None:
            self._find(f"commit {commit.position}: its branch or session is missing")
            return
        before = self._heads.get(branch.id)
        self._heads[branch.id] = commit
        number, version, total = (
            (before.number, before.version, before.weight)
            if before is not None
            else (0, branch.parent_version, 0)
        )
        if commit.number != number + 1:
            self._find(
                f"commits {number + 1} to {commit.number - 1} of the branch are missing", branch, commit
            )
            return
        try:
            events = self._reader.commit_events(commit)
            previous = before.hash if before is not None else self._first(branch, commit)
            hashed = chain.commit_hash(previous, commit, events)
        except (EventStateError, ValueError, TypeError, OverflowError) as error:
            self._find(f"unreadable: {error}", branch, commit)
            return
        self._report.events += len(events)
        if len(events) != commit.events:
            self._find(f"{commit.events} events were written, {len(events)} are there", branch, commit)
        elif hashed != commit.hash:
            self._find("the commit or its events are not what was written", branch, commit)
        elif commit.version != version + commit.events or commit.weight != total + sum(map(weight, events)):
            self._find("its version does not follow on the commit before", branch, commit)

    def _first(self, branch: Branch, commit: Commit) -> bytes:
        if branch.origin is None:
            if branch.name != MAIN or branch._replace(id=0, session=0) != _FIRST:
                raise CorruptJournalError("a fork without an origin")
            return chain.genesis(*self._names[branch.session])
        if branch.parent is None or (commit.source, commit.source_version) != (
            branch.parent.id,
            branch.parent_version,
        ):
            raise CorruptJournalError("the branch does not start where it was forked")
        if not branch.session == branch.origin.session == branch.parent.session:
            raise CorruptJournalError("the branch starts from one of another session")
        origin = self._branches.get_commit(branch.origin, branch.origin_commit)
        return chain.fork_start(origin.hash, branch.name, branch.origin_round, branch.origin_named)

    def _strays(self) -> None:
        for user_id, session_id in self._connection.all(sql.STRAY_SESSIONS):
            what = "the session has no first branch"
            self._report.findings.append(Finding(what, user_id=user_id, session_id=session_id))
        for (number,) in self._connection.all(sql.STRAY_SNAPSHOTS):
            self._find(f"snapshot {number & LOW} belongs to no branch")
        for (number,) in self._connection.all(sql.STRAY_EVENTS):
            self._find(f"event {number & LOW} belongs to no commit", self._branch(number >> BRANCH_SHIFT))

    def _tags(self) -> None:
        for number, name, source, version, commit_number in self._connection.all(sql.ALL_TAGS):
            branch = self._branch(number)
            commit = None if branch is None else self._own(branch, commit_number)
            told = None if commit is None else (commit.tag, commit.source, commit.source_version)
            if told != (name, source, version):
                self._find(f"tag {name!r} is not what was written", branch, commit)
        for commit in map(Commit._make, self._connection.all(sql.LOST_TAGS)):
            self._find(f"tag {commit.tag!r} is missing", self._branch(commit.branch), commit)

    def _own(self, branch: Branch, number: int) -> Commit | None:
        if not 0 < number <= LOW:
            return None
        row = self._connection.one(sql.GET_COMMIT, (row_id(branch.id, number),))
        return None if row is None else Commit._make(row)

    def _folds(self) -> None:
        """Fold every branch once, from the events alone, and compare its snapshots."""
        branches = [self._branches.get(number) for number in self._numbers]
        self._report.branches = len(branches)
        self._report.sessions = len({branch.session for branch in branches})
        starts: dict[int, list[Branch]] = {}
        for branch in branches:
            if branch.id not in self._heads:
                self._find("the branch has no commits", branch)
            if branch.parent is not None:
                starts.setdefault(branch.parent.id, []).append(branch)
        packed: dict[int, bytes] = {}
        for branch in branches:  # parents come before their forks
            try:
                self._fold(branch, packed, starts.get(branch.id, []))
            except (EventStateError, OverflowError) as error:
                self._find(f"the state can't be folded: {error}", branch)

    def _fold(self, branch: Branch, packed: dict[int, bytes], forks: list[Branch]) -> None:
        start = packed.pop(branch.id, None)
        if start is None and branch.parent is not None:
            raise CorruptJournalError("its parent can't be folded up to the fork")
        state: dict[Any, Any] = {} if start is None else self._codec.decode(start)
        head = self._heads.get(branch.id)
        version = branch.parent_version
        stops: dict[int, list[Any]] = {} if head is None else {head.version: []}
        for (number,) in self._connection.all(
            sql.LIST_SNAPSHOTS, (row_id(branch.id, 0), row_id(branch.id, LOW))
        ):
            stops.setdefault(number & LOW, []).append(number)
        for fork in forks:
            stops.setdefault(fork.parent_version, []).append(fork)
        for stop in sorted(stops):
            if stop > version:
                state = self._reader.advance(state, branch, version, stop)
                version = stop
            for item in stops[stop]:
                if isinstance(item, int):
                    self._snapshot(branch, item, state)
                else:
                    packed[item.id] = self._codec.encode(state)

    def _snapshot(self, branch: Branch, number: int, state: dict[Any, Any]) -> None:
        row = self._connection.one(sql.FIND_SNAPSHOT, (number, number))
        if row is None:  # dropped, or replaced by a newer one, since it was listed
            return
        self._report.snapshots += 1
        try:
            snapshot = self._snapshots.load(row)
        except CorruptJournalError as error:
            self._find(f"{error}; it is passed over, and the events stand in for it", branch)
            return
        commit = self._own(branch, snapshot.number)
        if commit is None or (commit.version, commit.weight) != (snapshot.version, snapshot.weight):
            self._find(f"the snapshot of version {snapshot.version} is of another commit", branch, commit)
        if not self._codec.same(snapshot.state, state):
            self._find(f"the snapshot of version {snapshot.version} is not what the events fold to", branch)
