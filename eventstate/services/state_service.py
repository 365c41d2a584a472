"""States of agents by user, session and round, as AgentScope's runtime asks for them."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from eventstate.aio.store import MAX_WAITING
from eventstate.checks import check_round, check_text
from eventstate.commits import CommitOptions
from eventstate.errors import (
    BranchExistsError,
    BranchNotFoundError,
    InvalidStateError,
    KeyNotFoundError,
    RoundNotFoundError,
    SessionDeletedError,
    StoreClosedError,
)
from eventstate.journal.append import MAIN
from eventstate.services.faces import Faces
from eventstate.services.parameters import as_choice, as_count, as_flag, as_path, as_seconds
from eventstate.store import MEMORY, StateStore
from eventstate.values.codec import Codec, Live
from eventstate.values.delta import Edit, diff

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from eventstate import aio
    from eventstate.history import Change, Round
    from eventstate.keys import KeyRing
    from eventstate.session import Session
    from eventstate.store import SessionInfo
    from eventstate.values.registry import TypeRegistry
    from eventstate.writer import Opened

DEFAULT_SESSION = "default"
_CACHE = 64 * 1024 * 1024


class StateService:
    """Keeps states of agents in one SQLite file; rounds of a session are numbered, each has a whole state.

    It takes the place of a `StateService` of AgentScope's runtime; see `register`. Making one does nothing
    yet: `start` opens the file, `stop` closes it, and it may be started again. What `":memory:"` holds stays
    until the service itself goes. It may be used from several event loops and threads, and several services
    may share a file, in other processes too.

    Every parameter may be text, as it comes from the environment, but for `types` and `keys`.

    Args:
        path: the file, made if it is not there; or `":memory:"`.
        durability: `"full"` or `"normal"`, see `eventstate.StateStore`.
        timeout: seconds to wait for another process's commit.
        read_only: open without the right to write.
        cache_bytes: how much of the newest states is kept in memory.
        snapshot_every: keep a snapshot after so many commits, beside those that the sizes ask for; empty
            text means `None`.
        max_waiting: how many saves may wait for their transaction in one event loop; those that come later
            wait for a place first.
        types: the caller's own types that states may hold.
        keys: of encrypted sessions.
        vfs: the name of a registered SQLite VFS.

    Raises:
        TypeError: a parameter is of another type.
        ValueError: a parameter makes no sense; its name is in the text.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = MEMORY,
        *,
        durability: str = "full",
        timeout: float | str = 30.0,
        read_only: bool | str = False,
        cache_bytes: int | str = _CACHE,
        snapshot_every: int | str | None = None,
        max_waiting: int | str = MAX_WAITING,
        types: TypeRegistry | None = None,
        keys: KeyRing | None = None,
        vfs: str | None = None,
    ) -> None:
        self._path = as_path(path, "path")
        self._options: dict[str, Any] = {
            "durability": as_choice(durability, "durability", ("full", "normal")),
            "timeout": as_seconds(timeout, "timeout"),
            "read_only": as_flag(read_only, "read_only"),
            "cache_bytes": as_count(cache_bytes, "cache_bytes", 0),
            "snapshot_every": None
            if snapshot_every in (None, "")
            else as_count(snapshot_every, "snapshot_every", 1),
            "types": _checked(types, "types", "TypeRegistry"),
            "keys": _checked(keys, "keys", "KeyRing"),
            "vfs": None if vfs is None else check_text(vfs, "vfs"),
        }
        self._max_waiting = as_count(max_waiting, "max_waiting", 1)
        self._lock = threading.Lock()
        self._memory: StateStore | None = None
        self._faces: Faces | None = None

    def __repr__(self) -> str:
        return f"<StateService {self._path!r}{'' if self._faces is not None else ' (not started)'}>"

    async def start(self) -> None:
        """Open the store; a second time does nothing.

        Raises:
            EventStateError: as `eventstate.StateStore` does.
        """
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        with self._lock:
            if self._faces is None:
                store = self._memory or StateStore(self._path, **self._options)
                if self._path == MEMORY:
                    self._memory = store
                self._faces = Faces(store, self._max_waiting)

    async def stop(self) -> None:
        """Let the saves of this event loop be made, then close the store; a second time does nothing."""
        faces, self._faces = self._faces, None
        if faces is None:
            return
        try:
            await faces.close()
        finally:
            if faces.store is not self._memory:
                await asyncio.to_thread(faces.store.close)

    async def health(self) -> bool:
        """Say whether the service was started and its store can be read."""
        if self._faces is None:
            return False
        try:
            await self._face().seal()
            return await asyncio.to_thread(self._stands)
        except Exception:  # noqa: BLE001 - whatever it is, the store is not healthy
            return False

    def _stands(self) -> bool:
        """Say whether the file that was opened still has its name: what is written without it is lost."""
        return self._path == MEMORY or self._options["vfs"] is not None or Path(self._path).exists()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def save_state(
        self, user_id: str, state: dict[Any, Any], session_id: str | None = None, round_id: int | None = None
    ) -> int:
        """Save a whole state as a round; the caller's own may change at once.

        Args:
            user_id: whose.
            state: a dict of anything storable.
            session_id: the session; `"default"` if `None` or empty.
            round_id: the number of the round, whose state is replaced if it is there; if `None`, the one
                after the highest, and at first 1.

        Returns:
            The round's number.

        Raises:
            StoreClosedError: the service is not started.
            InvalidStateError: the state is no dict.
            UnsupportedValueError: it holds what could not come back exactly.
            SessionDeletedError: the session was deleted by other means than `delete_state`.
        """
        face, names = self._face(), _names(user_id, session_id)
        options = CommitOptions(round_id=round_id)
        if type(state) is not dict and not (isinstance(state, dict) and isinstance(state, Live)):
            raise InvalidStateError(f"a state is a dict, not {type(state).__name__}")
        codec = Codec(face.plain.types)
        packed = codec.encode_stored(state)  # other tasks may change what the caller has

        def edits(session: Session, opened: Opened) -> list[Edit]:
            life = _life(face.plain, names)
            if life.session.branch != session.branch:
                raise _Ended(life.session.branch)
            return diff(opened.state, codec.decode(packed), codec)

        branch = MAIN
        while True:
            session = face.session(*names, branch)
            try:
                turn = await session.attempt("save", options, partial(edits, session.plain))
            except _Ended as ended:
                branch = ended.branch
            except BranchNotFoundError:  # it was purged a moment ago
                branch = MAIN
            else:
                return turn.id

    async def export_state(
        self, user_id: str, session_id: str | None = None, round_id: int | None = None
    ) -> dict[Any, Any] | None:
        """Give the state of a round as the caller's own copy.

        Args:
            user_id: whose.
            session_id: the session; `"default"` if `None` or empty.
            round_id: the number of the round; the highest if `None`.

        Returns:
            The state; `None` if there is no such round.

        Raises:
            StoreClosedError: the service is not started.
        """
        face, names = self._face(), _names(user_id, session_id)
        if round_id is not None:
            check_round(round_id)

        def read(store: StateStore) -> Any:
            life = _life(store, names)
            try:
                return life.session.state(at=round_id) if life.last() is not None else None
            except (BranchNotFoundError, RoundNotFoundError):
                return None

        state: dict[Any, Any] | None = await face.run(read)
        return state

    async def list_sessions(self, user_id: str | None = None) -> list[SessionInfo]:
        """List the sessions that have a state, of one user or of all, in the order of their names."""
        face = self._face()
        found = []
        async for info in face.sessions(user_id):
            current = info if info.branches == 1 else await face.run(partial(_current, info))
            if current.round is not None:
                found.append(current)
        return found

    async def list_rounds(
        self,
        user_id: str,
        session_id: str | None = None,
        start: int | None = None,
        stop: int | None = None,
        limit: int | None = None,
    ) -> list[Round]:
        """List the rounds from number `start` to before `stop`, at most `limit` of them."""
        names = _names(user_id, session_id)

        def read(store: StateStore) -> list[Round]:
            life = _life(store, names)
            return [] if life.last() is None else list(life.session.rounds(start, stop, limit=limit))

        return await self._face().run(read)

    async def history(self, user_id: str, attribute: Any, session_id: str | None = None) -> list[Change]:
        """List every change of an attribute, a top-level key or a tuple of keys, oldest first."""
        names = _names(user_id, session_id)

        def read(store: StateStore) -> list[Change]:
            life = _life(store, names)
            return [] if life.last() is None else life.session.history(attribute)

        return await self._face().run(read)

    async def delete_state(self, user_id: str, session_id: str | None = None) -> bool:
        """Make a session one without a state, in which rounds begin anew.

        The journal keeps what was there: a session's next rounds are on a new branch, which begins with
        nothing, and `StateStore.session` reads the branches of before. To remove them for good, there is
        `await service.session(user_id, session_id).purge()`.

        Returns:
            Whether there was anything to delete.
        """
        names = _names(user_id, session_id)

        def delete(store: StateStore) -> bool:
            life = _life(store, names)
            if life.last() is None:
                return False
            try:
                store.session(*names).fork(life.next, version=0, reason="deleted")
            except (BranchExistsError, BranchNotFoundError, RoundNotFoundError, SessionDeletedError):
                return False  # another caller was faster
            return True

        return await self._face().run(delete)

    def session(self, user_id: str, session_id: str | None = None) -> aio.Session:
        """Give a session for everything else: its history, tags, forks, and what is to be kept of it.

        It stands on the branch of the state as it is now, which is looked up at once; after `delete_state`,
        ask again. Tags of before a deletion still name what they did.
        """
        face, names = self._face(), _names(user_id, session_id)
        return face.session(*names, _life(face.plain, names).session.branch)

    def _face(self) -> aio.StateStore:
        faces = self._faces
        if faces is None:
            raise StoreClosedError(f"{self!r}: call start() first")
        return faces.here()


class _Ended(Exception):  # noqa: N818 - never seen by a caller
    """A session was deleted, and goes on, on another branch."""

    def __init__(self, branch: str) -> None:
        super().__init__(branch)
        self.branch = branch


class _Life(NamedTuple):
    """A session from one deletion to the next."""

    session: Session
    next: str
    """The branch on which it goes on after a deletion."""

    def last(self) -> Round | None:
        """Give the latest round; `None` if there is no state."""
        try:
            return self.session.latest if self.session.exists else None
        except BranchNotFoundError:  # it was purged a moment ago
            return None


def _life(store: StateStore, names: tuple[str, str]) -> _Life:
    ends = _ends(store.session(*names).branches())
    return _Life(store.session(*names, _branch(ends)), _branch(ends + 1))


def _current(info: SessionInfo, store: StateStore) -> SessionInfo:
    """Tell of a session as it is since it was deleted, if it was."""
    life = _life(store, (info.user_id, info.session_id))
    if life.session.branch == MAIN:
        return info
    try:
        last = life.last()
        if last is None:
            return dataclasses.replace(info, round=None)
        version = life.session.version
    except KeyNotFoundError:  # there is no telling, and the others have to be listed
        return info
    return dataclasses.replace(info, version=version, round=last.id, recorded_at=last.recorded_at)


def _ends(branches: list[str]) -> int:
    """Count how often a session with these branches was deleted."""
    count = 0
    while _branch(count + 1) in branches:
        count += 1
    return count


def _branch(ends: int) -> str:
    return MAIN if ends == 0 else f"after-deletion-{ends}"


def _names(user_id: str, session_id: str | None) -> tuple[str, str]:
    name = DEFAULT_SESSION if session_id is None or session_id == "" else session_id
    return check_text(user_id, "user_id"), check_text(name, "session_id")


def _checked(value: Any, name: str, kind: Literal["TypeRegistry", "KeyRing"]) -> Any:
    if value is None:
        return None
    from eventstate.keys import KeyRing
    from eventstate.values.registry import TypeRegistry

    wanted = {"TypeRegistry": TypeRegistry, "KeyRing": KeyRing}[kind]
    if not isinstance(value, wanted):
        raise TypeError(f"{name} is a {kind}, not {value!r}")
    return value


def register(factory: Any, name: str = "eventstate") -> None:
    """Register `StateService` with the `StateServiceFactory` of AgentScope's runtime.

    With `STATE_BACKEND=eventstate` and `STATE_EVENTSTATE_PATH=agent.db` in the environment, its `create` then
    makes one; every parameter can be given like that. (Whoever asks for it has to start it.)

    Args:
        factory: the factory's class.
        name: of the backend.

    Raises:
        TypeError: it is no such factory.
    """
    add = getattr(factory, "register_backend", None)
    if not callable(add):
        raise TypeError(f"a factory with register_backend is expected, not {factory!r}")
    add(check_text(name, "name"), StateService)
