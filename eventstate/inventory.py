"""What a store tells of what it holds: its sessions and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as `StateStore.sessions` lists it: what its first branch says of it."""

    user_id: str
    session_id: str
    branches: int
    version: int
    round: int | None
    """The highest round of `main`."""
    recorded_at: datetime
    """Of the newest commit of `main`."""
    deleted: bool = False
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store holds; sizes in bytes."""

    sessions: int
    branches: int
    commits: int
    events: int
    payload: int
    """Of the events' paths and values."""
    snapshots: int
    snapshot_size: int
    """Of the snapshots' states, packed."""
    snapshot_stored: int
    """Of the same, as they stand in the file: what is in no event, and compressed."""
    file: int
    """Of the database's pages."""
    free: int
    """Of the pages that hold nothing."""
    cached: int
    """Branches whose newest state is in memory."""
    cache_hits: int
    cache_misses: int
