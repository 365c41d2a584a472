"""The library eventsourcing with a snapshot of the aggregate after each 100 events."""

from __future__ import annotations

from benchmarks.contestant import main
from benchmarks.peers.eventsourcing import Conversation, Conversations, EventSourcing


class SnapshottedConversations(Conversations):
    """The application with the interval of its snapshots."""

    snapshotting_intervals = {Conversation: 100}  # noqa: RUF012 - the library's own name and type


class SnapshottedEventSourcing(EventSourcing):
    """The contestant with snapshots."""

    application = SnapshottedConversations
    snapshots = "a snapshot each 100 events"


if __name__ == "__main__":
    main(SnapshottedEventSourcing)
