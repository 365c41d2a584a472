"""What a round is told as."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Round:
    """A numbered turn: a name for a version, and what is known of the commit that named it."""

    id: int
    version: int
    recorded_at: datetime
    kind: str
    actor: str | None
    reason: str | None
    tags: tuple[str, ...]
    metadata: dict[str, Any] = field(hash=False)
    hash: str = field(repr=False)
    branch: str = field(repr=False)
    """The branch on which it was written; a fork sees rounds of the branch that it was made of."""
    position: int = field(repr=False)
    """Of its commit, in the order of the whole store."""
