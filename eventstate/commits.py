"""What a writer says of a commit beside the state: options, checked once for all ways of writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict

from eventstate.checks import check_round, check_text
from eventstate.journal.records import Draft, Event

if TYPE_CHECKING:
    from eventstate.journal.journal import Journal


class CommitKeywords(TypedDict, total=False):
    """The keyword arguments that `save`, `round` and `update` share."""

    round_id: int | None
    expected_version: int | None
    commit_id: str | None
    if_changed: bool
    actor: str | None
    reason: str | None
    metadata: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class CommitOptions:
    """How a commit is to be made.

    Args:
        round_id: the round that it names; the next one if `None`.
        expected_version: the version that the writer saw; any if `None`.
        commit_id: makes the commit idempotent within its branch: a second one with the same id
            writes nothing and gives the first one's round.
        if_changed: make no commit at all if the state stays the same.
        actor: who did it.
        reason: why.
        metadata: anything else that is storable.
    """

    round_id: int | None = None
    expected_version: int | None = None
    commit_id: str | None = None
    if_changed: bool = False
    actor: str | None = None
    reason: str | None = None
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.round_id is not None:
            check_round(self.round_id)
        if self.expected_version is not None and type(self.expected_version) is not int:
            raise TypeError(f"expected_version is an integer, not {self.expected_version!r}")
        for name in ("commit_id", "actor", "reason"):
            value = getattr(self, name)
            if value is not None:
                check_text(value, name)
        if self.metadata is not None and type(self.metadata) is not dict:
            raise TypeError(f"metadata is a dict, not {type(self.metadata).__name__}")

    def draft(self, journal: Journal, kind: str, events: tuple[Event, ...], base: int) -> Draft:
        """Give the commit to be, with `events` that follow on version `base`."""
        return Draft(
            kind=kind,
            events=events,
            base=base,
            round=self.round_id,
            auto_round=self.round_id is None,
            actor=self.actor,
            reason=self.reason,
            commit_id=self.commit_id,
            metadata=journal.codec.encode_stored(self.metadata, ("metadata",)) if self.metadata else None,
        )


NO_OPTIONS: Final = CommitOptions()
"""Nothing but what is so by default."""
