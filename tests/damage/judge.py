"""The verdict on a damaged journal: it is refused, or verify finds it, or nothing at all is different."""

from __future__ import annotations

import contextlib
import enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate import EventStateError, RoundNotFoundError, StateStore
from eventstate.journal.schema import expected_schema
from tests.damage.guard import Stuck, guarded
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eventstate import Session
    from tests.damage.images import Image

_TABLES: Final = [name for kind, name, _ in expected_schema() if kind == "table"]
_STEPS: Final = 50_000_000  # of SQLite's machine; a whole check takes some hundred thousand


class Outcome(enum.StrEnum):
    """What became of a damaged journal."""

    REFUSED = "refused"
    """It can't be opened."""
    FOUND = "found"
    """Verify has findings."""
    SHORTER = "shorter"
    """It is whole, but ends earlier: the journal as it was after one of its commits."""
    HARMLESS = "harmless"
    """Nothing that can be read is different."""


class WrongError(Exception):
    """A damaged journal did what none may do."""


class Whole(NamedTuple):
    """What there is to be read of a whole journal."""

    commits: list[str]
    names: list[str]
    states: dict[tuple[str, str, str, int], bytes]

    @classmethod
    def read(cls, store: StateStore) -> Whole:
        """Read everything."""
        commits = [f"{commit!r} {commit.hash}" for commit in store.commits()]
        names = [repr(info) for info in store.sessions()]
        states: dict[tuple[str, str, str, int], bytes] = {}
        for session in _sessions(store):
            names += [repr(session.tags()), *map(repr, session.rounds()), *map(repr, session.notes())]
            names.append(packed(session.state()).hex())
            for version in range(session.version, -1, -1):
                try:
                    states[session.user_id, session.session_id, session.branch, version] = packed(
                        session.state(version=version)
                    )
                except RoundNotFoundError:  # it is pruned
                    break
            names += [packed(state).hex() for _, state in session.replay()]
        return cls(commits, names, states)


class Judge:
    """Knows an image as it was, and compares with it what was made of it."""

    def __init__(self, image: Image, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, Outcome] = {}
        self._wal = image.wal
        with StateStore(image.write(folder), durability="normal", read_only=True) as store:
            report = store.verify()
            if not report.ok:
                raise WrongError(f"the original is damaged: {report}")
            self._whole = Whole.read(store)
            self._seal = store.seal()
            self._names = [
                (session.user_id, session.session_id, session.branch) for session in _sessions(store)
            ]

    def outcome(self, image: Image, *, read_only: bool) -> Outcome:
        """Open, verify and read a damaged image.

        Raises:
            WrongError: it is silently different, or something else than the library's errors came out.
        """
        path = image.write(self._folder)
        try:
            with guarded(_STEPS):
                outcome = self._opened(path, read_only=read_only)
        except Stuck as stuck:
            raise WrongError(f"it goes on without an end: {stuck}") from stuck
        except WrongError:
            raise
        except Exception as error:
            raise WrongError(f"not one of the library's errors: {error!r}") from error
        # Of a file that is empty nobody can say that it ever was a journal.
        if outcome is Outcome.SHORTER and image.wal == self._wal and image.file:
            raise WrongError("only what a log ends with may go without a trace in the file")
        return outcome

    def _opened(self, path: Path, *, read_only: bool) -> Outcome:
        try:
            store = StateStore(path, durability="normal", read_only=read_only, timeout=0.1)
        except EventStateError:
            return Outcome.REFUSED
        try:
            outcome = self._verified(store)
        finally:
            with contextlib.suppress(EventStateError):
                store.close()
        return outcome

    def _verified(self, store: StateStore) -> Outcome:
        report = store.verify()
        if not report.ok:
            for name in self._names:
                look(store.session(*name))
            with contextlib.suppress(EventStateError):
                list(store.commits())
            return Outcome.FOUND
        try:
            outcome = self._remembered(store)
        except EventStateError as error:
            raise WrongError(f"verify is content, but reading fails: {error!r}") from error
        if store.verify(seal=self._seal).ok != (outcome is Outcome.HARMLESS):
            raise WrongError("the seal does not tell a whole journal from one that ends earlier")
        if not store._journal.connection.read_only:
            session = store.session("alice", "trip")
            session.save({"after": 1})
            if session.state() != {"after": 1} or not (report := store.verify()).ok:
                raise WrongError(f"verify was content, but not after the next commit: {report}")
        return outcome

    def _remembered(self, store: StateStore) -> Outcome:
        """Compare what can be read, unless the same rows have been read before."""
        rows = repr([store._journal.connection.all(f"SELECT * FROM {table}") for table in _TABLES])  # noqa: S608 - our own names
        if rows not in self._seen:
            self._seen[rows] = self._compared(store)
        return self._seen[rows]

    def _compared(self, store: StateStore) -> Outcome:
        read = Whole.read(store)
        if read == self._whole:
            return Outcome.HARMLESS
        if read.commits != self._whole.commits[: len(read.commits)]:
            raise WrongError("verify is content, but commits are different")
        if read.commits == self._whole.commits:
            raise WrongError("verify is content, but something is different")
        if not read.states.items() <= self._whole.states.items():
            raise WrongError("verify is content, but a state is different")
        return Outcome.SHORTER


def look(session: Session) -> None:
    """Read what there is, and let no error through but the library's own."""
    calls: list[Callable[[], Any]] = [
        session.state,
        session.tags,
        lambda: list(session.replay()),
        lambda: [(change.before, change.after) for change in session.history("messages")],
        lambda: list(session.notes()),
        lambda: str(session.diff(1, 2)),
    ]
    for call in calls:
        with contextlib.suppress(EventStateError):
            call()


def _sessions(store: StateStore) -> Iterator[Session]:
    for info in list(store.sessions()):
        for name in store.session(info.user_id, info.session_id).branches():
            yield store.session(info.user_id, info.session_id, name)
