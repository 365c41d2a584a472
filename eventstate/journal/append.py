"""The write path: the only place that adds a commit."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from eventstate.errors import (
    BranchExistsError,
    BranchNotFoundError,
    ConflictError,
    CorruptJournalError,
    InvalidStateError,
    RoundNotFoundError,
    SessionDeletedError,
    StorageError,
)
from eventstate.journal import chain
from eventstate.journal import statements as sql
from eventstate.journal.branches import MAX_ROUND, Branches, Tip, View
from eventstate.journal.cipher import Context, Told
from eventstate.journal.connection import TransactionLostError
from eventstate.journal.events import weight
from eventstate.journal.records import LOW, Branch, Commit, Draft, ForkPoint, row_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventstate.journal.cipher import Cipher
    from eventstate.journal.connection import Connection
    from eventstate.journal.postings import Postings
    from eventstate.journal.snapshots import Snapshots

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAIN: Final = "main"


class Appended(NamedTuple):
    """What came of a draft."""

    branch: Branch
    commit: Commit
    fresh: bool
    """False if the draft's `commit_id` had been seen: then nothing was written."""
    key: str | None
    """The id of the session's key, if it is encrypted."""


class Request(NamedTuple):
    """A draft, and where it goes."""

    user_id: str
    session_id: str
    branch_name: str
    draft: Draft
    known: Branch | None = None
    """The branch, if the caller has looked it up."""
    follows: bool = False
    """Whether it was planned to follow on those of its branch before it among those appended at one time."""


class Appender:
    """Turns drafts into commits.

    Args:
        clock: gives the time, with a zone.
        entropy: gives so many random bytes.
    """

    def __init__(
        self,
        connection: Connection,
        branches: Branches,
        snapshots: Snapshots,
        postings: Postings,
        cipher: Cipher,
        *,
        clock: Callable[[], datetime],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._connection = connection
        self._branches = branches
        self._snapshots = snapshots
        self._postings = postings
        self._cipher = cipher
        self.clock = clock
        self.entropy = entropy

    def append(
        self, user_id: str, session_id: str, branch_name: str, draft: Draft, known: Branch | None = None
    ) -> Appended:
        """Write a commit with its events, whole or not at all.

        The session and its first branch come into being with their first commit, encrypted if there is
        a key for them; with `draft.fork`, the commit is the first of a new branch of that name.

        Args:
            user_id: whose session it is.
            session_id: its name.
            branch_name: the name of the branch.
            draft: what to write.
            known: the branch, if the caller has looked it up.

        Raises:
            ConflictError: the branch is not at `draft.base` any more.
            BranchExistsError: the name of the fork or tag is taken.
            BranchNotFoundError: there is no such branch.
            RoundNotFoundError: what it refers to was pruned.
            EncryptionError: the session is encrypted and there is no key, or the other way round.
        """
        [outcome] = self.append_all([Request(user_id, session_id, branch_name, draft, known)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def append_all(self, requests: Sequence[Request]) -> list[Appended | Exception]:
        """Write commits in one transaction, each whole or not at all; `append` tells more.

        Returns:
            What came of each, or the error with which it alone failed.

        Raises:
            StoreBusyError: another process holds the write lock.
            StorageError: the disk refuses; nothing was written.
        """
        outcomes: list[Appended | Exception] = []
        broken: set[tuple[str, str, str]] = set()  # the branches that one was lost of
        alone = len(requests) == 1
        with self._connection.write():
            for request in requests:
                try:
                    with contextlib.nullcontext() if alone else self._connection.savepoint():
                        outcome = self._append(request, lost=request.follows and request[:3] in broken)
                    outcomes.append(outcome)
                    if not outcome.fresh:
                        broken.add(request[:3])
                except TransactionLostError:
                    raise
                except Exception as error:
                    if alone:
                        raise
                    outcomes.append(error)
                    broken.add(request[:3])
            for made in outcomes:
                if not isinstance(made, Exception) and made.fresh:
                    self._postings.follow(made.branch, made.commit)
            written = self._snapshots.write()
        self._snapshots.written(written)
        return outcomes

    def _append(self, request: Request, *, lost: bool) -> Appended:
        user_id, session_id, branch_name, draft, known, _ = request
        if draft.fork is not None:
            branch, tip = self._fork(branch_name, draft.fork), None
            key = self._key(user_id, session_id, branch)
        else:
            branch = known or self._branch(user_id, session_id, branch_name)
            key = self._key(user_id, session_id, branch)
            tip = self._branches.tip(branch)
            if tip is None and known is not None:
                raise self._branches.gone(branch)
            if draft.kind != "restore":
                self._check_alive(tip)
            if draft.commit_id is not None:
                seen = self._branches.find_commit(branch, draft.commit_id)
                if seen is not None:
                    return Appended(branch, seen, fresh=False, key=key)
            self._check_base(draft, tip, f"{user_id!r}, {session_id!r}, branch {branch_name!r}", lost=lost)
        if draft.source is not None:
            self._check_source(draft)
        commit = self.add(branch, tip, draft, (user_id, session_id))
        return Appended(branch, commit, fresh=True, key=key)

    def _key(self, user_id: str, session_id: str, branch: Branch) -> str | None:
        return self._cipher.check(user_id, session_id, encrypted=branch.sealed is not None)

    def add(self, branch: Branch, tip: Tip | None, draft: Draft, names: tuple[str, str]) -> Commit:
        """Write a commit with its events inside the caller's transaction.

        Args:
            branch: on which.
            tip: its last commit; `None` if this is the first.
            draft: what to write.
            names: of the session.
        """
        commit, draft = self._commit(branch, tip, draft, names)
        first = row_id(branch.id, commit.version - commit.events + 1)
        self._connection.many(sql.ADD_EVENT, ((first + i, *event) for i, event in enumerate(draft.events)))
        self._connection.all(sql.ADD_COMMIT, commit)
        if draft.tag is not None:
            self._tag(branch, commit, draft.tag)
        if draft.kind in {"delete", "restore"}:
            deleted = commit.id if draft.kind == "delete" else None
            self._connection.all(sql.SET_DELETED, (deleted, branch.session))
        return commit

    def _check_alive(self, tip: Tip | None) -> None:
        if tip is not None and tip.deleted is not None:
            raise SessionDeletedError(
                f"{self._connection.path}: the session was deleted; restore it before anything is written"
            )

    def _check_base(self, draft: Draft, tip: Tip | None, where: str, *, lost: bool) -> None:
        version = tip.commit.version if tip is not None else 0
        # If what it follows on was lost, its version may be that of another's commit by chance.
        if draft.base is not None and (lost or draft.base != version):
            raise ConflictError(
                f"session {where}: expected version {draft.base}, but it is at {version}",
                expected=draft.base,
                actual=version,
            )
        if draft.epoch is not None and tip is not None and draft.epoch != tip.epoch:
            raise ConflictError(
                f"session {where}: what it was made of may have been removed",
                expected=version,
                actual=version,
            )

    def _check_source(self, draft: Draft) -> None:
        """Raise if what a fork, merge or tag refers to was pruned, perhaps since it was looked up."""
        source, version = self._branches.get(draft.source or 0), draft.source_version or 0
        cut, _ = self._branches.pruned(source)
        if version < cut and self._branches.pruned(source, version)[0] != version > 0:
            raise RoundNotFoundError(f"{self._connection.path}: version {version} was pruned")
        if draft.fork is not None and draft.fork.named is not None:
            self._branches.at_key(draft.fork.named.id)

    def _branch(self, user_id: str, session_id: str, name: str) -> Branch:
        session = self._branches.session(user_id, session_id)
        branch = self._branches.find(session, name) if session is not None else None
        if branch is not None:
            return branch
        if name != MAIN:
            raise BranchNotFoundError(f"session {user_id!r}, {session_id!r}: no branch {name!r}")
        if session is None:
            encrypted = self._cipher.key_id(user_id, session_id) is not None
            session = self._insert(sql.ADD_SESSION, (user_id, session_id, int(encrypted)))
            sealed = (user_id, session_id) if encrypted else None
        else:
            sealed = None
        number = self._insert(sql.ADD_BRANCH, (session, MAIN, None, None, None, None, None, None))
        return Branch(number, session, MAIN, None, 0, None, 0, None, None, sealed)

    def _fork(self, name: str, fork: ForkPoint) -> Branch:
        origin = fork.origin
        if self._branches.find(origin.session, name) is not None:
            raise BranchExistsError(f"a branch {name!r} exists in this session")
        tip = self._branches.tip(origin)
        if tip is None:
            raise self._branches.gone(origin)
        self._check_alive(tip)
        limit = tip.commit.number
        named = (None, None) if fork.named is None else (fork.named.round, fork.named.id)
        number = self._insert(
            sql.ADD_BRANCH,
            (origin.session, name, fork.parent.id, fork.version, origin.id, limit, *named),
        )
        start = (fork.parent, fork.version, origin, limit)
        return Branch(number, origin.session, name, *start, named[0], named[1], origin.sealed)

    def _insert(self, statement: str, values: tuple[object, ...]) -> int:
        row = self._connection.one(statement, values)
        if row is None:
            raise CorruptJournalError(f"{self._connection.path}: nothing was inserted")
        return int(row[0])

    def _commit(
        self, branch: Branch, tip: Tip | None, draft: Draft, names: tuple[str, str]
    ) -> tuple[Commit, Draft]:
        """Give the row of a commit, and the draft as it goes into the file."""
        head = None if tip is None else tip.commit
        last = self._connection.one(sql.LAST_COMMIT) or (0, 0, chain.EMPTY_CHAIN)
        round_number = draft.round
        if draft.auto_round:
            highest = head if tip is not None and tip.is_latest else self._branches.latest(View(branch))
            round_number = 1 if highest is None or highest.round is None else highest.round + 1
            if round_number > MAX_ROUND:
                raise InvalidStateError(f"no round comes after {MAX_ROUND}; give round_id")
        version = (head.version if head is not None else branch.parent_version) + len(draft.events)
        number = head.number + 1 if head is not None else 1
        if version > LOW or number > LOW:
            raise StorageError(f"{self._connection.path}: branch {branch.name!r} is full: {LOW} versions")
        if branch.sealed is not None:
            draft = self._sealed(branch, branch.sealed, draft, version, number)
        commit = Commit(
            id=row_id(branch.id, number),
            position=last[0] + 1,
            version=version,
            events=len(draft.events),
            weight=(head.weight if head is not None else 0) + sum(map(weight, draft.events)),
            recorded_at=max(microseconds(self.clock()), last[1]),
            kind=draft.kind,
            round=round_number,
            source=draft.source,
            source_version=draft.source_version,
            tag=draft.tag,
            actor=draft.actor,
            reason=draft.reason,
            commit_id=draft.commit_id,
            metadata=draft.metadata,
            salt=self.entropy(chain.SALT_SIZE),
            hash=b"",
            chain=b"",
        )
        previous = head.hash if head is not None else self._branches.beginning(branch, names)
        hashed = chain.commit_hash(previous, commit, chain.event_digests(commit, draft.events))
        return commit._replace(hash=hashed, chain=chain.link(last[2], hashed)), draft

    def _sealed(
        self, branch: Branch, names: tuple[str, str], draft: Draft, version: int, number: int
    ) -> Draft:
        """Encrypt what a draft holds; hashes and weights are then of what stands in the file."""
        first = version - len(draft.events) + 1
        events = tuple(
            self._cipher.seal_event(Context("event", *names, branch.id, seq), event)
            for seq, event in enumerate(draft.events, first)
        )
        draft = draft._replace(events=events)
        told = Told(draft.actor, draft.reason, draft.metadata)
        if not any(part is not None for part in told):
            return draft
        place = Context("metadata", *names, branch.id, number)
        return draft._replace(actor=None, reason=None, metadata=self._cipher.seal_told(place, told))

    def _tag(self, branch: Branch, commit: Commit, name: str) -> None:
        if self._branches.find_tag(View(branch), name) is not None:
            raise BranchExistsError(f"a tag {name!r} exists in branch {branch.name!r}")
        row = (branch.id, name, commit.source, commit.source_version, commit.number)
        self._connection.all(sql.ADD_TAG, row)


def microseconds(moment: datetime) -> int:
    """Count the microseconds from 1970-01-01 UTC to `moment`.

    Raises:
        ValueError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()}: a time needs a zone, such as datetime.UTC")
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(stamp: int) -> datetime:
    """Give the time, in UTC, of so many microseconds since 1970.

    Raises:
        CorruptJournalError: no calendar has it.
    """
    try:
        return EPOCH + timedelta(microseconds=stamp)
    except OverflowError as error:
        raise CorruptJournalError(f"{stamp} microseconds are no time") from error
