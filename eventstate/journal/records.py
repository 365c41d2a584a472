"""What the journal's rows are in memory: plain, immutable data."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from eventstate.values.delta import Op

BRANCH_SHIFT: Final = 32
LOW: Final = (1 << BRANCH_SHIFT) - 1
"""The highest version, and the highest number of a commit, that a branch can have."""


def row_id(branch: int, number: int) -> int:
    """Give the key of a branch's event, commit or snapshot."""
    return branch << BRANCH_SHIFT | number


class Branch(NamedTuple):
    """A line of a session; a fork has a parent and shares its past."""

    id: int
    session: int
    name: str
    parent: Branch | None
    parent_version: int
    origin: Branch | None
    origin_commit: int
    origin_round: int | None
    origin_named: int | None
    sealed: tuple[str, str] | None = None
    """The names of its session, user's and own, if that is encrypted."""


STORE: Final = Branch(0, 0, "", None, 0, None, 0, None, None)
"""The line of commits that concern the store as a whole; it is of no session."""


class Commit(NamedTuple):
    """One transaction on one branch, as its row stands in the file."""

    id: int
    position: int
    version: int
    events: int
    weight: int
    recorded_at: int
    kind: str
    round: int | None
    source: int | None
    source_version: int | None
    tag: str | None
    actor: str | None
    reason: str | None
    commit_id: str | None
    metadata: bytes | None
    salt: bytes
    hash: bytes
    chain: bytes

    @property
    def branch(self) -> int:
        """The id of its branch."""
        return self.id >> BRANCH_SHIFT

    @property
    def number(self) -> int:
        """Its place among the branch's own commits, from 1."""
        return self.id & LOW


class Husk(NamedTuple):
    """What is left of a commit that is gone."""

    id: int
    position: int
    hash: bytes

    @property
    def branch(self) -> int:
        """The id of the branch that it was of."""
        return self.id >> BRANCH_SHIFT

    @property
    def number(self) -> int:
        """Its place among the branch's own commits, from 1."""
        return self.id & LOW


_OPS: Final = [bytes((number,)) for number in range(256)]


class Event(NamedTuple):
    """One event as it stands in the file: its path and value are still encoded."""

    op: Op
    path: bytes
    value: bytes | None

    @property
    def body(self) -> bytes:
        """All of it, to be hashed or encrypted: op, length of the path, path, then 0, or 1 and the value."""
        op, path, value = self
        size = len(path).to_bytes(4, "big")
        if value is None:
            return b"".join((_OPS[op], size, path, b"\0"))
        return b"".join((_OPS[op], size, path, b"\1", value))


GONE: Final = Event(Op.GONE, b"", None)
"""What is left of an event that was erased."""


class ForkPoint(NamedTuple):
    """Where a new branch starts."""

    name: str
    parent: Branch
    version: int
    origin: Branch
    named: Commit | None


class Draft(NamedTuple):
    """A commit to be: what the writer knows before the journal allots round, position and hash."""

    kind: str
    events: tuple[Event, ...] = ()
    base: int | None = None
    """The version that the events follow on; `None` if they fit any, as notes do."""
    round: int | None = None
    auto_round: bool = False
    actor: str | None = None
    reason: str | None = None
    commit_id: str | None = None
    metadata: bytes | None = None
    source: int | None = None
    source_version: int | None = None
    tag: str | None = None
    fork: ForkPoint | None = None
    epoch: int | None = None
    """How often payloads had been removed when its events were made of what stands on other branches, too."""


class Snapshot(NamedTuple):
    """A state folded at a version."""

    version: int
    number: int
    weight: int
    size: int
    state: dict[Any, Any]
