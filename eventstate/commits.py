"""What a writer says of a commit beside the state: options, checked once for all ways of writing."""

from __future__ import annotations

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

    __slots__ = ("actor", "commit_id", "expected_version", "if_changed", "metadata", "reason", "round_id")

    def __init__(
        self,
        *,
        round_id: int | None = None,
        expected_version: int | None = None,
        commit_id: str | None = None,
        if_changed: bool = False,
        actor: str | None = None,
        reason: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if round_id is not None:
            check_round(round_id)
        if expected_version is not None and type(expected_version) is not int:
            raise TypeError(f"expected_version is an integer, not {expected_version!r}")
        for name, value in (("commit_id", commit_id), ("actor", actor), ("reason", reason)):
            if value is not None:
                check_text(value, name)
        if metadata is not None and type(metadata) is not dict:
            raise TypeError(f"metadata is a dict, not {type(metadata).__name__}")
        self.round_id: Final = round_id
        self.expected_version: Final = expected_version
        self.commit_id: Final = commit_id
        self.if_changed: Final = if_changed
        self.actor: Final = actor
        self.reason: Final = reason
        self.metadata: Final = metadata

    def having(self, metadata: dict[str, Any] | None) -> CommitOptions:
        """Give the same options with other metadata."""
        return CommitOptions(
            round_id=self.round_id,
            expected_version=self.expected_version,
            commit_id=self.commit_id,
            if_changed=self.if_changed,
            actor=self.actor,
            reason=self.reason,
            metadata=metadata,
        )

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
