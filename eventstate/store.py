"""The store: one journal, its sessions, and what concerns them all."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from eventstate.checks import check_text
from eventstate.errors import CorruptJournalError, KeyNotFoundError
from eventstate.journal import statements as sql
from eventstate.journal.append import MAIN, moment
from eventstate.journal.branches import View
from eventstate.journal.cipher import Told
from eventstate.journal.journal import Durability, Journal
from eventstate.journal.pages import pages
from eventstate.journal.records import Commit as CommitRow
from eventstate.session import Session
from eventstate.values.registry import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from sqlite_utils import Database

    from eventstate.history import Commit
    from eventstate.inventory import SessionInfo, StoreStats
    from eventstate.journal.records import Event
    from eventstate.keys import KeyRing
    from eventstate.repair.rebuild import Rebuilt
    from eventstate.verify import VerifyReport
    from eventstate.verify.seal import Seal

_PAGE = 256
_LAST = (1 << 63) - 1
MEMORY = ":memory:"


def _now() -> datetime:
    return datetime.now(UTC)


def _file_name(path: str | os.PathLike[str]) -> str:
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"path is a string or a path of strings, not {path!r}")
    if not name or "\0" in name or name == MEMORY:
        raise ValueError(f"{name!r} can't be a file's name")
    return name


class StateStore:
    """An event-sourced state store in one SQLite file.

    Args:
        path: the file, made if it is not there; or `":memory:"`.
        durability: `"full"`: an acknowledged commit survives a power cut, at one fsync a commit;
            `"normal"`: the newest commits may be lost then, never consistency.
        read_only: open without the right to write.
        timeout: seconds to wait for another process's commit.
        types: the caller's own types that states may hold.
        keys: of encrypted sessions; a session is encrypted from its first commit, if it has a key by then.
        cache_bytes: how much of the newest states is kept in memory, by their packed size.
        snapshot_every: keep a snapshot after so many commits of a branch, beside those that the
            sizes ask for.
        clock: gives the time of a commit, with a time zone.
        entropy: gives so many random bytes, for salts, and for nonces, which must not repeat: with keys,
            leave it as it is.
        vfs: the name of a registered SQLite VFS.

    Raises:
        StorageError: the path is a folder, its folder is missing, or the disk refuses.
        ReadOnlyError: there is no permission.
        CorruptJournalError: the file is damaged, no database, or another program's.
        NewerFormatError: a newer eventstate wrote the file.
        MissingPackageError: there are keys, but not the package `cryptography`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "full",
        read_only: bool = False,
        timeout: float = 30.0,
        types: TypeRegistry | None = None,
        keys: KeyRing | None = None,
        cache_bytes: int = 64 * 1024 * 1024,
        snapshot_every: int | None = None,
        clock: Callable[[], datetime] = _now,
        entropy: Callable[[int], bytes] = os.urandom,
        vfs: str | None = None,
    ) -> None:
        name = path if path == MEMORY else _file_name(path)
        if durability not in ("full", "normal"):
            raise ValueError(f"durability is 'full' or 'normal', not {durability!r}")
        if snapshot_every is not None and snapshot_every < 1:
            raise ValueError(f"snapshot_every is at least 1, not {snapshot_every}")
        if keys is not None:
            from eventstate.keys import KeyRing

            if not isinstance(keys, KeyRing):
                raise TypeError(f"keys is a KeyRing, not {type(keys).__name__}")
        self.types = types if types is not None else TypeRegistry()
        self._journal = Journal(
            name,
            durability=durability,
            read_only=read_only,
            timeout=timeout,
            cache_bytes=cache_bytes,
            snapshot_every=snapshot_every,
            types=self.types,
            keys=keys,
            clock=clock,
            entropy=entropy,
            vfs=vfs,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<StateStore {self._journal.connection.path!r}{' (closed)' if self.closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._journal.connection.closed

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._journal.close()

    def session(
        self,
        user_id: str,
        session_id: str = "default",
        branch: str = MAIN,
        model: type[Any] | None = None,
    ) -> Session:
        """Give a session; it comes into being with its first commit, and this writes nothing.

        Args:
            user_id: any text.
            session_id: any text.
            branch: the branch to read and write; made by `Session.fork`.
            model: a pydantic model or a dataclass as the type of the state.
        """
        if model is None:
            return Session(self._journal, user_id, session_id, branch)
        from eventstate.model import StateModel

        return Session(self._journal, user_id, session_id, branch, StateModel(model))

    def sessions(self, user_id: str | None = None, *, deleted: bool = False) -> Iterator[SessionInfo]:
        """Walk the sessions, of one user or of all, in the order of their names; it reads in pages.

        Args:
            user_id: whose; everybody's if `None`.
            deleted: those that were deleted too.
        """
        from eventstate.inventory import SessionInfo

        if user_id is not None:
            check_text(user_id, "user_id")
        branches = self._journal.branches
        for number, user, name, gone in branches.sessions(user_id, deleted=deleted):
            main = branches.find(number, MAIN)
            tip = None if main is None else branches.tip(main)
            if main is None or tip is None:
                if branches.session(user, name) != number:  # purged since it was listed
                    continue
                raise CorruptJournalError(f"session {user!r}, {name!r}: its first branch is missing")
            head, latest = tip.commit, branches.latest(View(main))
            highest = None if latest is None else latest.round
            count = len(branches.names(number))
            recorded_at = moment(head.recorded_at)
            states = gone is not None, main.sealed is not None
            yield SessionInfo(user, name, count, head.version, highest, recorded_at, *states)

    def commits(self, after: int = 0) -> Iterator[Commit]:
        """Walk the commits of all sessions by position, from the one after `after`.

        A consumer keeps the position of the last commit that it has seen, and asks again. It goes on past
        encrypted sessions to which there is no key.
        """
        names: dict[int, tuple[str, str, str]] = {}
        for row in self._commit_rows(after):
            yield self._described(row, names)

    def _commit_rows(self, after: int) -> Iterator[CommitRow]:
        def fetch(position: int) -> list[Any]:
            return self._journal.connection.all(sql.LIST_COMMITS, (position, _PAGE))

        return map(CommitRow._make, pages(fetch, min(max(after, 0), _LAST), lambda row: int(row[1])))

    def _described(self, row: CommitRow, names: dict[int, tuple[str, str, str]]) -> Commit:
        from eventstate.history import Commit

        journal = self._journal
        branch = journal.branches.get(row.branch)
        if row.branch not in names:
            names[row.branch] = (*journal.branches.session_names(branch.session), branch.name)
        user_id, session_id, branch_name = names[row.branch]
        try:
            told, sealed = journal.told(branch, row), False
        except KeyNotFoundError:
            told, sealed = Told(None, None, None), True
        return Commit(
            position=row.position,
            user_id=user_id,
            session_id=session_id,
            branch=branch_name,
            version=row.version,
            events=row.events,
            round=row.round,
            kind=row.kind,
            tag=row.tag,
            actor=told.actor,
            reason=told.reason,
            commit_id=row.commit_id,
            metadata=journal.metadata(told),
            recorded_at=moment(row.recorded_at),
            hash=row.hash.hex(),
            sealed=sealed,
        )

    def verify(
        self, progress: Callable[[int, int], None] | None = None, *, seal: Seal | str | None = None
    ) -> VerifyReport:
        """Check the whole journal: structure, both hash chains, digests, folds and snapshots.

        Damage is reported, never raised.

        Args:
            progress: called now and then with the number of commits checked and of all commits.
            seal: what `seal` gave at some time: nothing up to there was rewritten or cut off since.

        Raises:
            StoreClosedError: the store is closed.
            ValueError: the seal is none.
        """
        from eventstate.verify import Verifier
        from eventstate.verify.seal import Seal

        known = Seal.parse(seal) if isinstance(seal, str) else seal
        while True:
            verifier = Verifier(self._journal, known, progress)
            report = verifier.run()
            if report.ok or not verifier.overtaken:
                return report

    def seal(self) -> Seal:
        """Give the position and the chained hash of the last commit, to be kept where nobody can change it.

        `verify(seal=...)` then proves that no commit up to this one was rewritten, or cut off.

        Raises:
            CorruptJournalError: the chain of the newest commits is broken.
        """
        from eventstate.verify.seal import Seal

        last = self._journal.branches.last_of_all()
        return Seal(last.position, last.chain.hex())

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the store, as of now, into a new file.

        Raises:
            FileExistsError: there is a file of that name.
            StorageError: it can't be written.
        """
        target = _file_name(path)
        if os.path.lexists(target):
            raise FileExistsError(f"{target}: exists; a backup goes into a new file")
        self._journal.connection.backup(target)

    def tables(self) -> Database:
        """Give all that happened as plain tables of an in-memory database, for SQL.

        It is a copy: nothing done to it reaches the store, and the live file is not opened for it.
        See `eventstate.tables.build` for the tables.
        """
        from eventstate.tables import build

        names = dict[int, tuple[str, str, str]]()
        pairs = ((self._described(row, names), self._events(row)) for row in self._commit_rows(0))
        return build(pairs, self._journal.events)

    def _events(self, row: CommitRow) -> list[tuple[int, Event]]:
        """Give a commit's events, as they stand in the file if there is no key."""
        try:
            return self._journal.reader.opened(row)
        except KeyNotFoundError:
            return self._journal.reader.commit_events(row)

    def drop_snapshots(self) -> None:
        """Drop all snapshots and lists of events; they are derived, and made again as sessions go on."""
        self._journal.drop_snapshots()

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> Rebuilt:
        """Make anew what is derived: indexes, tags, deletions, snapshots and lists of events.

        Commits and events stay.

        Args:
            progress: called with the number of branches looked at and of all branches.

        Raises:
            CorruptJournalError: more is damaged; see `eventstate.salvage`.
            ReadOnlyError: the store was opened read-only.
        """
        from eventstate.repair.rebuild import rebuild

        return rebuild(self._journal, progress)

    def scrub(self) -> bool:
        """Clean free pages and the log after erasures and purges, and say whether nothing is left in them.

        It is done with every erasure and purge; but as long as a reader of another connection holds the
        log, something is left, and this, a next commit or the store's closing does it later.
        """
        return self._journal.removals.finish()

    def stats(self) -> StoreStats:
        """Count what the store holds."""
        from eventstate.inventory import StoreStats

        heads = self._journal.heads
        [counts] = self._journal.connection.all(sql.STATS)
        sizes = dict(zip(StoreStats.__slots__, counts, strict=False))
        return StoreStats(**sizes, cached=len(heads), cache_hits=heads.hits, cache_misses=heads.misses)
