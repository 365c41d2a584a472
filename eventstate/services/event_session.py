"""Modules of agents saved and loaded by session, as AgentScope's sessions do it."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol, Self

from eventstate import aio
from eventstate.errors import InvalidStateError, StoreClosedError, UnsupportedValueError
from eventstate.services.faces import Faces
from eventstate.services.parameters import as_path
from eventstate.store import StateStore

if TYPE_CHECKING:
    from types import TracebackType

    from eventstate.rounds import Round

_logger = logging.getLogger("eventstate.services")


class Module(Protocol):
    """What can be saved and loaded."""

    def state_dict(self) -> dict[str, Any]:
        """Give the state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Take a state."""


class EventSession:
    """Keeps the states of modules by session; each save is a round, which holds them all.

    It takes the place of AgentScope's `JSONSession` and `RedisSession`, and may be used from several event
    loops, unless it stands on an `aio.StateStore`. A caller that left the user out means `""` here, as with
    `JSONSession`; to `RedisSession` that was `"default_user"`, which then has to be given.

    Args:
        store: an open store, plain or of `eventstate.aio`, which stays open; or a file's name, opened at
            first use and closed by `close`.

    Raises:
        TypeError: it is none of these.
    """

    def __init__(self, store: StateStore | aio.StateStore | str | os.PathLike[str]) -> None:
        if not isinstance(store, (StateStore, aio.StateStore, str, os.PathLike)):
            raise TypeError(f"store is a StateStore or a path, not {store!r}")
        self._given = as_path(store, "store") if isinstance(store, (str, os.PathLike)) else store
        self._faces = Faces(store) if isinstance(store, StateStore) else None
        self._lock = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<EventSession {self._given!r}{' (closed)' if self._closed else ''}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the saves of this event loop be made, and close the file if it was opened here.

        A second time does nothing, unless the first was cancelled.
        """
        self._closed = True
        faces = self._faces or await asyncio.to_thread(self._started)
        if faces is not None:
            await faces.close()

    def _started(self) -> Faces | None:
        with self._lock:  # which another task has while it opens the file
            return self._faces

    async def save_session_state(self, /, session_id: str, user_id: str = "", **modules: Module) -> None:
        """Save the states of `modules`, by their names, as a new round.

        The round holds nothing else: a module that is left out is not in it.

        Raises:
            TypeError: one of them has no `state_dict` or no `load_state_dict`; nothing is written.
            UnsupportedValueError: a state holds what could not come back exactly; nothing is written.
            SessionDeletedError: the session was deleted, and not restored.
        """
        _check(modules)
        session = await self._session(session_id, user_id)
        try:
            await session.save({name: _state(name, module) for name, module in modules.items()})
        except UnsupportedValueError as error:
            name = error.path[0] if error.path else "?"
            raise UnsupportedValueError(
                f"module {name!r} can't be saved: {error}", path=error.path
            ) from error

    async def load_session_state(
        self,
        /,
        session_id: str,
        user_id: str = "",
        allow_not_exist: bool = True,  # noqa: FBT001, FBT002 - AgentScope's own order
        **modules: Module,
    ) -> None:
        """Give `modules` the states that were saved last under their names.

        Modules that were not saved, and states without a module, are left alone; a session that was deleted
        is not there. If one of them refuses its state, all get back the one they had.

        Args:
            session_id: the session.
            user_id: whose.
            allow_not_exist: whether a session that is not there is only logged.
            **modules: by their names.

        Raises:
            TypeError: one of them has no `state_dict` or no `load_state_dict`; nothing is loaded.
            InvalidStateError: there is no such session, and `allow_not_exist` is false.
        """
        _check(modules)
        session = await self._session(session_id, user_id)
        states = await session.state()
        if states is None:
            missing = f"no session {session_id!r} of user {user_id!r}"
            if not allow_not_exist:
                raise InvalidStateError(f"{missing}: nothing to load")
            _logger.info("%s: nothing was loaded", missing)
            return
        _load(states, modules)

    async def load_round(
        self, /, session_id: str, round_id: int, user_id: str = "", **modules: Module
    ) -> None:
        """Give `modules` the states that a round holds, as `load_session_state` does.

        Raises:
            RoundNotFoundError: there is no such round.
        """
        _check(modules)
        session = await self._session(session_id, user_id)
        _load(await session.state(at=round_id), modules)

    async def rounds(self, session_id: str, user_id: str = "") -> list[Round]:
        """List what was saved, oldest number first."""
        session = await self._session(session_id, user_id)
        return [turn async for turn in session.rounds()]

    def session(self, session_id: str, user_id: str = "") -> aio.Session:
        """Give a session for everything else; a file is opened for it, if it was not yet."""
        return self._open().session(user_id, session_id)

    async def _session(self, session_id: str, user_id: str) -> aio.Session:
        if isinstance(self._given, str) and self._faces is None:
            await asyncio.to_thread(self._opened)
        return self.session(session_id, user_id)

    def _open(self) -> aio.StateStore:
        opened = self._opened()
        return opened if isinstance(opened, aio.StateStore) else opened.here()

    def _opened(self) -> Faces | aio.StateStore:
        with self._lock:
            if self._closed:
                raise StoreClosedError(f"{self!r} is closed")
            if isinstance(self._given, aio.StateStore):
                return self._given
            if self._faces is None:
                self._faces = Faces(StateStore(str(self._given)), owned=True)
            return self._faces


def _check(modules: dict[str, Any]) -> None:
    for name, module in modules.items():
        for method in ("state_dict", "load_state_dict"):
            if not callable(getattr(module, method, None)):
                raise TypeError(f"module {name!r} is {module!r}, which has no {method}()")


def _state(name: str, module: Module) -> dict[str, Any]:
    try:
        return module.state_dict()
    except Exception as error:
        error.add_note(f"module {name!r} gave no state; nothing was saved or loaded")
        raise


def _load(states: dict[str, Any], modules: dict[str, Module]) -> None:
    """Give the modules their states, all or none."""
    chosen = {name: module for name, module in modules.items() if name in states}
    before = {name: copy.deepcopy(_state(name, module)) for name, module in chosen.items()}
    begun: list[str] = []
    try:
        for name, module in chosen.items():
            begun.append(name)
            module.load_state_dict(states[name])
    except BaseException as error:
        error.add_note(f"module {begun[-1]!r} refused its state; each gets back the one that it had")
        for name in reversed(begun):
            try:
                chosen[name].load_state_dict(before[name])
            except Exception as failure:  # noqa: BLE001 - the others have to get theirs back all the same
                error.add_note(f"module {name!r} would not take that back: {failure!r}")
        raise
