"""One open store for several event loops: each has an asyncio face of its own."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from eventstate import aio
from eventstate.aio.store import MAX_WAITING
from eventstate.errors import StoreClosedError

if TYPE_CHECKING:
    from eventstate.store import StateStore


class Faces:
    """The faces of `store`; safe for threads.

    Args:
        store: an open store.
        max_waiting: how many commits may wait in one event loop.
        owned: whether `close` closes the store, too.
    """

    def __init__(self, store: StateStore, max_waiting: int = MAX_WAITING, *, owned: bool = False) -> None:
        self.store = store
        self._max_waiting = max_waiting
        self._owned = owned
        self._lock = threading.Lock()
        self._faces: dict[asyncio.AbstractEventLoop, aio.StateStore] = {}
        self._closed = False

    def here(self) -> aio.StateStore:
        """Give the face for the running event loop.

        Raises:
            StoreClosedError: `close` was called.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise StoreClosedError(f"{self.store!r} is not used any more")
            face = self._faces.get(loop)
            if face is None:
                # Loops come and go, and a face can serve another one when its own was closed.
                gone = next((other for other in self._faces if other.is_closed()), None)
                face = self._faces.pop(gone) if gone is not None else self._new()
                self._faces[loop] = face
            return face

    def _new(self) -> aio.StateStore:
        return aio.StateStore.over(self.store, max_waiting=self._max_waiting)

    @property
    def closed(self) -> bool:
        """Whether `close` was called, and not cancelled while it waited."""
        return self._closed

    async def close(self) -> None:
        """Close all faces, once what waits in this event loop stands; and the store, if it is owned.

        What other event loops wait for is not waited for, but this one stands still until their threads have
        done what they have begun.
        If it is cancelled before that stands, all stay open. A second time does nothing.
        """
        with self._lock:
            self._closed = True
            mine = self._faces.get(asyncio.get_running_loop())
        try:
            if mine is not None:
                await mine.close()
        except BaseException:
            self._closed = False
            raise
        with self._lock:
            self._closed = True  # another caller may have been cancelled meanwhile
            faces, self._faces = list(self._faces.values()), {}
        for face in faces:
            await face.close()
        if self._owned:
            await asyncio.to_thread(self.store.close)
