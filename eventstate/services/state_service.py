"""States of agents by user, session and round, as AgentScope's runtime asks for them."""

from __future__ import annotations

import asyncio
import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from eventstate.aio.store import MAX_WAITING
from eventstate.checks import check_round, check_state, check_text
from eventstate.commits import CommitOptions
from eventstate.errors import (
    BranchExistsError,
    BranchNotFoundError,
    RoundNotFoundError,
    SessionDeletedError,
    StoreClosedError,
)
from eventstate.journal.append import MAIN
from eventstate.keys import KeyRing
from eventstate.services.faces import Faces
from eventstate.services.life import EndedError, as_now, is_deleted, life_of
from eventstate.services.parameters import as_choice, as_count, as_flag, as_path, as_seconds
from eventstate.store import MEMORY, StateStore
from eventstate.values.codec import Codec
from eventstate.values.delta import Edit, diff
from eventstate.values.registry import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from eventstate import aio
    from eventstate.history import Change
    from eventstate.inventory import SessionInfo
    from eventstate.rounds import Round
    from eventstate.session import Session
    from eventstate.writer import Opened

DEFAULT_SESSION = "default"
_CACHE = 64 * 1024 * 1024

T = TypeVar("T")


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
            "types": _checked(types, "types", TypeRegistry),
            "keys": _checked(keys, "keys", KeyRing),
            "vfs": None if vfs is None else check_text(vfs, "vfs"),
        }
        self._max_waiting = as_count(max_waiting, "max_waiting", 1)
        self._lock = threading.Lock()
        self._memory: StateStore | None = None
        self._faces: Faces | None = None
        self._file: _File | None = None

    def __repr__(self) -> str:
        return f"<StateService {self._path!r}{'' if self._faces is not None else ' (not started)'}>"

    async def start(self) -> None:
        """Open the store; a second time does nothing.

        Raises:
            StoreClosedError: `stop` was called, and waits for saves that are not made yet.
            EventStateError: as `eventstate.StateStore` does.
        """
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        with self._lock:
            if self._faces is not None and self._faces.closed:
                raise StoreClosedError(f"{self!r} is being stopped; start it again when that is done")
            if self._faces is None:
                store = self._memory or StateStore(self._path, **self._options)
                if self._path == MEMORY:
                    self._memory = store
                elif self._options["vfs"] is None:
                    self._file = _File(self._path)
                self._faces = Faces(store, self._max_waiting, owned=self._memory is None)

    async def stop(self) -> None:
        """Let the saves of this event loop be made, then close the store; a second time does nothing.

        If it is cancelled before the saves are made, the service stays started.
        """
        faces = self._faces or await asyncio.to_thread(self._started)
        if faces is not None:
            try:
                await faces.close()
            finally:
                if faces.closed and self._faces is faces:
                    self._faces = None

    def _started(self) -> Faces | None:
        with self._lock:  # which `start` has while it opens the store
            return self._faces

    async def health(self) -> bool:
        """Say whether the service was started, its store can be read, and the file still has its name.

        What is written to a file without its name, or whose name another file has now, is lost.
        """
        if self._faces is None:
            return False
        try:
            await self._face().seal()
            return self._file is None or await asyncio.to_thread(self._file.stands)
        except Exception:  # noqa: BLE001 - whatever it is, the store is not healthy
            return False

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
        codec = Codec(face.plain.types)
        packed = codec.encode_stored(check_state(state))  # other tasks may change what the caller has

        def edits(session: Session, opened: Opened) -> list[Edit]:
            branch = life_of(face.plain, names).session.branch
            if branch != session.branch:
                raise EndedError(branch)
            return diff(opened.state, codec.decode(packed), codec)

        branch = MAIN
        while True:
            session = face.session(*names, branch)
            try:
                turn = await session.attempt("save", options, partial(edits, session.plain))
            except EndedError as ended:
                branch = ended.branch
            except BranchNotFoundError:  # it was purged a moment ago
                branch = MAIN
            except SessionDeletedError:
                if await face.run(lambda store: is_deleted(store, names)):
                    raise
                branch = MAIN  # the same
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
        if round_id is not None:
            check_round(round_id)

        def read(session: Session) -> dict[Any, Any] | None:
            try:
                state: dict[Any, Any] = session.state(at=round_id)
            except RoundNotFoundError:
                return None
            return state

        return await self._read(user_id, session_id, read, None)

    async def list_sessions(self, user_id: str | None = None) -> list[SessionInfo]:
        """List the sessions that have a state, of one user or of all, in the order of their names."""
        face = self._face()
        found = []
        async for info in face.sessions(user_id):
            current = info if info.branches == 1 else await face.run(partial(as_now, info=info))
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
        return await self._read(
            user_id, session_id, lambda session: list(session.rounds(start, stop, limit=limit)), []
        )

    async def history(self, user_id: str, attribute: Any, session_id: str | None = None) -> list[Change]:
        """List every change of an attribute, a top-level key or a tuple of keys, oldest first."""
        return await self._read(user_id, session_id, lambda session: session.history(attribute), [])

    async def delete_state(self, user_id: str, session_id: str | None = None) -> bool:
        """Make a session one without a state, in which rounds begin anew.

        The journal keeps what was there: a session's next rounds are on a new branch, `after-deletion-1` and
        so on, which begins with nothing, and `StateStore.session` reads the branches of before. A fork of
        such a name, whoever makes it, is taken for a deletion. To remove them for good, there is
        `await service.session(user_id, session_id).purge()`.

        Returns:
            Whether there was anything to delete.
        """
        names = _names(user_id, session_id)

        def delete(store: StateStore) -> bool:
            life = life_of(store, names)
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
        return face.session(*names, life_of(face.plain, names).session.branch)

    async def _read(
        self, user_id: str, session_id: str | None, read: Callable[[Session], T], nothing: T
    ) -> T:
        """Give what `read` gives of a session's life of now, or `nothing` if that has no state."""
        names = _names(user_id, session_id)

        def work(store: StateStore) -> T:
            life = life_of(store, names)
            try:
                return nothing if life.last() is None else read(life.session)
            except (BranchNotFoundError, SessionDeletedError):  # it was purged a moment ago
                return nothing

        return await self._face().run(work)

    def _face(self) -> aio.StateStore:
        faces = self._faces
        if faces is None:
            raise StoreClosedError(f"{self!r}: call start() first")
        return faces.here()


class _File:
    """The file that has a name now."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()
        self._status = self._path.stat()

    def stands(self) -> bool:
        """Say whether it still has that name."""
        return os.path.samestat(self._path.stat(), self._status)


def _names(user_id: str, session_id: str | None) -> tuple[str, str]:
    name = DEFAULT_SESSION if session_id is None or session_id == "" else session_id
    return check_text(user_id, "user_id"), check_text(name, "session_id")


def _checked(value: Any, name: str, kind: type[object]) -> Any:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} is a {kind.__name__}, not {value!r}")
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
