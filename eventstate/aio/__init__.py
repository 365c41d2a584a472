"""The store and its sessions for asyncio: the same nouns, with `await`.

What blocks is done in a thread of the store's own; commits that wait at the same time share a transaction
and an fsync, and each is whole by itself.
"""

from __future__ import annotations

from eventstate.aio.session import Session
from eventstate.aio.store import StateStore

__all__ = ["Session", "StateStore"]
