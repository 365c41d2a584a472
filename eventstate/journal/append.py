"""The write path: the only place that adds a commit."""

from __future__ import annotations

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
from eventstate.journal.branches import MAX_ROUND, View
from eventstate.journal.cipher import Context, Told
from eventstate.journal.connection import TransactionLostError
from eventstate.journal.events import BARE_WEIGHT
from eventstate.journal.newest import Frontier
from eventstate.journal.records import LOW, Branch, Commit, Draft, ForkPoint, row_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventstate.journal.branches import Branches
    from eventstate.journal.cipher import Cipher
    from eventstate.journal.connection import Connection
    from eventstate.journal.newest import Last, Tip
    from eventstate.journal.postings import Postings
    from eventstate.journal.snapshots import Snapshots

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAIN: Final = "main"
_MICROSECOND: Final = timedelta(microseconds=1)


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
        connection = self._connection
        with connection.exclusive():  # until what is remembered of the newest commits is that of these
            with connection.write():
                frontier = Frontier(self._branches, connection.held_stamp())
                outcomes: list[Appended | Exception]
                if len(requests) == 1:
                    outcomes = [self._append(requests[0], frontier)]
                else:
                    outcomes = self._append_each(requests, frontier)
                for outcome in outcomes:
                    if isinstance(outcome, Appended) and outcome.fresh:
                        self._postings.follow(outcome.branch, outcome.commit)
                written = self._snapshots.write() if self._snapshots.pending else []
            frontier.publish(connection.held_stamp())
        if written:
            self._snapshots.written(written)
        return outcomes

    def _append_each(self, requests: Sequence[Request], frontier: Frontier) -> list[Appended | Exception]:
        """Append each in a savepoint, so that one that fails takes nothing with it."""
        outcomes: list[Appended | Exception] = []
        broken: set[tuple[str, str, str]] = set()  # the branches that one was lost of
        for request in requests:
            try:
                with self._connection.savepoint():
                    outcome = self._append(request, frontier, lost=request.follows and request[:3] in broken)
                outcomes.append(outcome)
                if not outcome.fresh:
                    broken.add(request[:3])
            except TransactionLostError:
                raise
            except Exception as error:  # noqa: BLE001 - it is that one's outcome
                outcomes.append(error)
                broken.add(request[:3])
        return outcomes

    def _append(self, request: Request, frontier: Frontier, *, lost: bool = False) -> Appended:
        user_id, session_id, branch_name, draft, known, _ = request
        if draft.fork is not None:
            branch, tip = self._fork(branch_name, draft.fork), None
            key = self._key(user_id, session_id, branch)
        else:
            branch = known or self._branch(user_id, session_id, branch_name)
            key = self._key(user_id, session_id, branch)
            tip = frontier.tip(branch)
            if tip is None and known is not None:
                raise self._branches.gone(branch)
            if tip is not None and tip.deleted is not None and draft.kind != "restore":
                raise self._deleted()
            if draft.commit_id is not None:
                seen = self._branches.find_commit(branch, draft.commit_id)
                if seen is not None:
                    return Appended(branch, seen, fresh=False, key=key)
            self._check_base(request, tip, lost=lost)
        if draft.source is not None:
            self._check_source(draft)
        commit = self.add(branch, tip, draft, (user_id, session_id), frontier.last)
        frontier.follow(branch, tip, commit)
        return Appended(branch, commit, fresh=True, key=key)

    def _key(self, user_id: str, session_id: str, branch: Branch) -> str | None:
        if branch.sealed is None and self._cipher.keys is None:
            return None
        return self._cipher.check(user_id, session_id, encrypted=branch.sealed is not None)

    def add(
        self,
        branch: Branch,
        tip: Tip | None,
        draft: Draft,
        names: tuple[str, str],
        last: Last | None = None,
    ) -> Commit:
        """Write a commit with its events inside the caller's transaction.

        Args:
            branch: on which.
            tip: its last commit; `None` if this is the first.
            draft: what to write.
            names: of the session.
            last: the store's last commit; read if `None`.
        """
        if last is None:
            last = self._branches.last_of_all()
        commit, draft = self._commit(branch, tip, draft, names, last)
        first = row_id(branch.id, commit.version - commit.events + 1)
        events = draft.events
        if len(events) == 1:
            self._connection.run(sql.ADD_EVENT, (first, *events[0]))
        elif events:
            self._connection.many(sql.ADD_EVENT, [(at, *event) for at, event in enumerate(events, first)])
        self._connection.run(sql.ADD_COMMIT, commit)
        if draft.tag is not None:
            self._tag(branch, commit, draft.tag)
        if draft.kind in {"delete", "restore"}:
            deleted = commit.id if draft.kind == "delete" else None
            self._connection.run(sql.SET_DELETED, (deleted, branch.session))
        return commit

    def _deleted(self) -> SessionDeletedError:
        return SessionDeletedError(
            f"{self._connection.path}: the session was deleted; restore it before anything is written"
        )

    def _check_base(self, request: Request, tip: Tip | None, *, lost: bool) -> None:
        draft, version = request.draft, 0 if tip is None else tip.commit.version
        # If what it follows on was lost, its version may be that of another's commit by chance.
        moved = draft.base is not None and (lost or draft.base != version)
        if moved or (draft.epoch is not None and tip is not None and draft.epoch != tip.epoch):
            expected = draft.base if moved else version
            what = (
                f"expected version {expected}, but it is at {version}"
                if moved
                else "what it was made of may have been removed"
            )
            where = f"session {request.user_id!r}, {request.session_id!r}, branch {request.branch_name!r}"
            raise ConflictError(f"{where}: {what}", expected=expected or 0, actual=version)

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
        if tip.deleted is not None:
            raise self._deleted()
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
        self, branch: Branch, tip: Tip | None, draft: Draft, names: tuple[str, str], last: Last
    ) -> tuple[Commit, Draft]:
        """Give the row of a commit, and the draft as it goes into the file."""
        if tip is None:
            number, version, heavy = 1, branch.parent_version, 0
            previous = self._branches.beginning(branch, names)
        else:
            head = tip.commit
            number, version, heavy, previous = head.number + 1, head.version, head.weight, head.hash
        version += len(draft.events)
        if version > LOW or number > LOW:
            raise StorageError(f"{self._connection.path}: branch {branch.name!r} is full: {LOW} versions")
        round_number = self._next_round(branch, tip) if draft.auto_round else draft.round
        if branch.sealed is not None:
            draft = self._sealed(branch, branch.sealed, draft, version, number)
        bodies = [event.body for event in draft.events]
        header = (
            row_id(branch.id, number),
            last.position + 1,
            version,
            len(draft.events),
            heavy + sum(map(len, bodies)) + BARE_WEIGHT * len(bodies),
            max(microseconds(self.clock()), last.recorded_at),
            draft.kind,
            round_number,
            draft.source,
            draft.source_version,
            draft.tag,
            draft.actor,
            draft.reason,
            draft.commit_id,
            draft.metadata,
        )
        salt = chain.seed(self.entropy(chain.SALT_SIZE))
        hashed = chain.new_hash(previous, header, salt, bodies)
        link = chain.kept(chain.link(last.chain, hashed), last.position + 1, draft.kind)
        return Commit(*header, salt, hashed, link), draft

    def _next_round(self, branch: Branch, tip: Tip | None) -> int:
        highest = tip.commit if tip is not None and tip.is_latest else self._branches.latest(View(branch))
        number = 1 if highest is None or highest.round is None else highest.round + 1
        if number > MAX_ROUND:
            raise InvalidStateError(f"no round comes after {MAX_ROUND}; give round_id")
        return number

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
        self._connection.run(sql.ADD_TAG, row)


def microseconds(moment: datetime) -> int:
    """Count the microseconds from 1970-01-01 UTC to `moment`.

    Raises:
        ValueError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()}: a time needs a zone, such as datetime.UTC")
    return (moment - EPOCH) // _MICROSECOND


def moment(stamp: int) -> datetime:
    """Give the time, in UTC, of so many microseconds since 1970.

    Raises:
        CorruptJournalError: no calendar has it.
    """
    try:
        return EPOCH + timedelta(microseconds=stamp)
    except OverflowError as error:
        raise CorruptJournalError(f"{stamp} microseconds are no time") from error
