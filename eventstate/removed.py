"""What removals did, or would do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did, or would do."""

    events: int
    """Of which nothing is left."""
    rewritten: int
    """Of which something is left."""
    branches: tuple[str, ...]
    """Those that had any of it in their past; each got a commit that says so."""
    pending: bool
    """Whether a reader still holds the log, which will be cleaned later; see `StateStore.scrub`."""
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning dropped, or would drop."""

    rounds: int
    commits: int
    """Of which only the hash is left."""
    events: int
    version: int
    """Up to which the past was folded; 0 if there was nothing to drop."""
    round: int | None
    """The oldest that is whole."""
    kept: tuple[int, ...]
    """Older rounds that are kept for forks, merges and tags."""
    freed: int
    """Bytes by which the file shrank; 0 as long as other connections hold it."""
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge removed, or would remove."""

    branches: int
    commits: int
    events: int
    pending: bool
    """Whether a reader still holds the log, which will be cleaned later; see `StateStore.scrub`."""
    dry_run: bool
