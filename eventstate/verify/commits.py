"""The proof of commits: both chains of hashes, and what takes the place of removed payloads."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from eventstate.errors import CorruptJournalError, EventStateError
from eventstate.journal import chain
from eventstate.journal import statements as sql
from eventstate.journal.append import MAIN
from eventstate.journal.events import weight
from eventstate.journal.pages import pages
from eventstate.journal.records import BRANCH_SHIFT, GONE, LOW, STORE, Branch, Commit, Event, Husk, row_id
from eventstate.values.delta import Op
from eventstate.verify.inquiry import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate.verify.inquiry import Inquiry
    from eventstate.verify.seal import Seal

Row = TypeVar("Row", Commit, Husk)

_BEFORE_ALL: Final = -(1 << 63)
_FIRST: Final = Branch(0, 0, MAIN, None, 0, None, 0, None, None)


class _Last(NamedTuple):
    """What the next commit of a branch follows on; version and weight are unknown after a husk."""

    number: int
    hash: bytes | None
    version: int | None
    weight: int | None


class Commits:
    """Walks all commits, and what is left of those that are gone, in the order of their positions."""

    def __init__(
        self, inquiry: Inquiry, seal: Seal | None, progress: Callable[[int, int], None] | None
    ) -> None:
        self._inquiry = inquiry
        self._connection = inquiry.connection
        self._find = inquiry.find
        self._report = inquiry.report
        self._seal = seal
        self._progress = progress
        self._last: dict[int, _Last] = {}
        self._records: dict[int, bytes | None] = {}
        self._redacted: set[int] = set()
        self._husks: dict[int, int] = {}
        """The last of each branch."""
        self._purged = 0
        """How many branches were purged, as commits say."""

    def check(self) -> None:
        """Check every commit's hash, and the store's chain over them."""
        [(total,)] = self._connection.all(sql.COUNT_COMMITS)
        position, recorded_at, told = 0, 0, False
        link: bytes | None = chain.EMPTY_CHAIN  # unknown after a gap, until a row has it whole
        commits: Iterator[Commit | Husk] = self._rows(sql.LIST_COMMITS, Commit)
        husks: Iterator[Commit | Husk] = self._rows(sql.LIST_HUSKS, Husk)
        for item in heapq.merge(commits, husks, key=lambda item: item.position):
            branch = self._inquiry.branch(item.branch)
            if item.position < 1:
                self._find("the commit stands before the first", branch, item)
                continue
            if item.position != position + 1:
                gap = f"commits {position + 1} to {item.position - 1} of the store are missing"
                self._find(gap, None, item)
                link = None
            link = None if link is None else chain.link(link, item.hash)
            if isinstance(item, Husk):
                self._husk(item)
            else:
                broken = link is not None and not chain.fits(link, item)
                if broken and not told:  # the rest of it up to a whole one may be, too, because of this
                    self._find("the store's chain is broken", branch, item)
                told = broken
                if len(item.chain) == chain.HASH_SIZE:
                    link, told = item.chain, False
                if item.recorded_at < recorded_at:
                    self._find("recorded before the one that it follows", branch, item)
                recorded_at = item.recorded_at
                self._commit(branch, item)
                self._report.commits += 1
                if self._report.commits % PAGE == 0:
                    self._tell(total)
            position = item.position
            self._compare_seal(position, link)
        if self._seal is not None and position < self._seal.position:
            what = f"the seal is of commit {self._seal.position}, the last is {position}"
            self._find(f"the newest commits are missing: {what}")
        self._check_husks()
        self._tell(total)

    def _compare_seal(self, position: int, link: bytes | None) -> None:
        if self._seal is None or position != self._seal.position:
            return
        if link is None or link.hex() != self._seal.chain:
            self._find(f"the commits up to {position} are not those that were sealed")

    def _rows(self, statement: str, kind: type[Row]) -> Iterator[Row]:
        def fetch(after: int) -> list[Row]:
            return list(map(kind._make, self._connection.all(statement, (after, PAGE))))

        return pages(fetch, _BEFORE_ALL, lambda item: int(item.position))

    def _tell(self, total: int) -> None:
        if self._progress is not None:
            self._progress(self._report.commits, max(total, self._report.commits))

    def _husk(self, husk: Husk) -> None:
        self._report.pruned += 1
        before = self._last.get(husk.branch)
        if husk.number != (0 if before is None else before.number) + 1:
            self._find("commits before it are missing", self._inquiry.branch(husk.branch), husk)
        self._last[husk.branch] = _Last(husk.number, husk.hash, None, None)
        self._husks[husk.branch] = husk.number

    def _check_husks(self) -> None:
        """Check that commits say of all that is gone why it is: it was pruned or purged."""
        purged = 0
        for number, husk in self._husks.items():
            branch = self._inquiry.branch(number)
            if branch is None:
                purged += 1
                continue
            _, cut = self._inquiry.branches.pruned(branch)
            if branch.id not in self._inquiry.pruned or husk > (cut or husk):
                self._find(f"commit {husk} of the branch is gone, and no commit says so", branch)
        if purged > self._purged:
            self._find(f"{purged - self._purged} branches are gone, and no commit says so")

    def _commit(self, branch: Branch | None, commit: Commit) -> None:
        if branch is None:
            self._find(f"commit {commit.position}: its branch or session is missing")
            return
        before = self._last.get(branch.id, _Last(0, None, branch.parent_version, 0))
        self._last[branch.id] = _Last(commit.number, commit.hash, commit.version, commit.weight)
        self._inquiry.heads[branch.id] = commit
        if commit.number != before.number + 1:
            what = f"commits {before.number + 1} to {commit.number - 1} of the branch are missing"
            self._find(what, branch, commit)
            return
        try:
            events = dict(self._inquiry.reader.commit_events(commit))
            redacted = self._redactions(commit)
            previous = before.hash if before.hash is not None else self._first(branch, commit)
            digests = list(_digests(commit, events, redacted))
            hashed = chain.commit_hash(previous, commit, digests)
            self._take_records(branch, commit, events)
            if branch.id == STORE.id and commit.kind in {"purge", "repair"} and commit.metadata is not None:
                self._purged += self._inquiry.codec.decode(commit.metadata)["branches"]
        except (EventStateError, ValueError, TypeError, OverflowError, LookupError) as error:
            self._find(f"unreadable: {error}", branch, commit)
            return
        if branch.sealed is not None and (commit.actor, commit.reason) != (None, None):
            self._find("actor or reason is plaintext in an encrypted session", branch, commit)
        self._report.events += len(events)
        if len(digests) != commit.events:
            self._find(f"{commit.events} events were written, {len(digests)} are there", branch, commit)
        elif hashed != commit.hash:
            self._find("the commit or its events are not what was written", branch, commit)
        elif before.version not in {None, commit.version - commit.events} or not (
            redacted or before.weight in {None, commit.weight - sum(map(weight, events.values()))}
        ):
            self._find("its version does not follow on the commit before", branch, commit)

    def _redactions(self, commit: Commit) -> dict[int, bytes]:
        if not commit.events:
            return {}
        last = row_id(commit.branch, commit.version)
        rows = self._connection.all(sql.LIST_REDACTIONS, (last - commit.events, last))
        self._redacted.update(number for number, _, _ in rows)
        return {number & LOW: digest for number, digest, _ in rows}

    def _first(self, branch: Branch, commit: Commit) -> bytes:
        if branch.id != STORE.id:
            self._check_start(branch, commit)
        return self._inquiry.branches.beginning(branch, self._inquiry.names[branch.session])

    def _check_start(self, branch: Branch, commit: Commit) -> None:
        """Raise if the branch's row says another start than its first commit, or none that can be."""
        if branch.origin is None:
            if branch.name != MAIN or branch._replace(id=0, session=0, sealed=None) != _FIRST:
                raise CorruptJournalError("a fork without an origin")
            return
        if branch.parent is None or (commit.source, commit.source_version) != (
            branch.parent.id,
            branch.parent_version,
        ):
            raise CorruptJournalError("the branch does not start where it was forked")
        if not branch.session == branch.origin.session == branch.parent.session:
            raise CorruptJournalError("the branch starts from one of another session")

    def _take_records(self, branch: Branch, commit: Commit, events: dict[int, Event]) -> None:
        """Take in what the commit says of payloads that were removed."""
        for event in events.values():
            if event.op not in {Op.ERASE, Op.PRUNE}:
                continue
            value = self._inquiry.events.decode(event).value
            if event.op == Op.ERASE:
                told, roots = value
                self._records.update({row_id(branch.id, seq): digest for seq, digest in told})
            else:
                version, roots, genesis = value
                if genesis is not None and genesis != self._first(branch, commit):
                    self._find("the names of its session are not what was written", branch, commit)
                self._inquiry.pruned[branch.id] = version
                low, high = row_id(branch.id, 0), row_id(branch.id, LOW)
                for key in [key for key in self._inquiry.root_digests if low <= key <= high]:
                    del self._inquiry.root_digests[key]
            for version, digest in roots:
                self._inquiry.root_digests[row_id(branch.id, version)] = digest

    def check_redactions(self) -> None:
        """Check that what stands in the place of erased events is what a commit says."""
        for key, _, salt in self._connection.all(sql.LIST_REDACTIONS, (-1, 1 << 62)):
            branch = self._inquiry.branch(key >> BRANCH_SHIFT)
            seq = key & LOW
            if branch is None or key not in self._redacted:
                self._find(f"what is left of event {seq} belongs to no commit", branch)
                continue
            if seq <= self._inquiry.pruned.get(branch.id, 0):
                if salt is not None:
                    self._find(f"event {seq} is pruned, and has a salt", branch)
                continue
            self._report.erased += 1
            row = self._connection.one(sql.GET_EVENT, (key,))
            if key not in self._records:
                self._find(f"event {seq} was replaced, and no commit says so", branch)
                continue
            told = self._records[key]
            event = None if row is None else Event._make(row)
            left = _digest(salt, event) if event is not None and event != GONE else None
            if event is None or told != left or (salt is None) != (told is None):
                self._find(f"event {seq} is not what its erasure left", branch)


def _digest(salt: Any, event: Event) -> bytes:
    try:
        return chain.event_digest(salt, event)
    except (TypeError, ValueError, OverflowError):
        return b""  # no digest that a commit could name


def _digests(commit: Commit, events: dict[int, Event], redacted: dict[int, bytes]) -> Iterator[bytes]:
    """Give the digests of a commit's events as they were written, of those that are there."""
    for seq in range(commit.version - commit.events + 1, commit.version + 1):
        if seq in redacted:
            yield redacted[seq]
        elif seq in events:
            yield chain.written_digest(commit, seq, events[seq])
        else:
            return
