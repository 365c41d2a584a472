"""What happened, as plain tables in memory: for SQL in a notebook, without touching the live file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlite_utils

from eventstate.values.delta import Op
from eventstate.values.patch import to_json
from eventstate.values.paths import pointer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventstate.history import Commit
    from eventstate.journal.events import EventCodec
    from eventstate.journal.records import Event
    from eventstate.values.codec import Codec


def build(
    commits: Iterable[tuple[Commit, list[tuple[int, Event]]]], codec: EventCodec
) -> sqlite_utils.Database:
    """Make an in-memory database with the tables `commits` and `changes`.

    `commits` has a row for each commit of the feed; `changes` has one for each event, with the
    commit's `position`, the `seq`, the attribute as a JSON Pointer, the operation and its value as JSON.
    What is encrypted, and has no key, is `sealed` in `commits`, and a `cipher` without path and value in
    `changes`.
    """
    database = sqlite_utils.Database(memory=True)
    kept = list(commits)
    database.table("commits").insert_all((_commit(commit, codec.codec) for commit, _ in kept), pk="position")
    rows = (row for commit, events in kept for row in _changes(commit, events, codec))
    database.table("changes").insert_all(
        rows, pk=("position", "seq"), foreign_keys=[("position", "commits", "position")]
    )
    return database


def _commit(commit: Commit, codec: Codec) -> dict[str, Any]:
    return {
        "position": commit.position,
        "user_id": commit.user_id,
        "session_id": commit.session_id,
        "branch": commit.branch,
        "version": commit.version,
        "round": commit.round,
        "kind": commit.kind,
        "tag": commit.tag,
        "actor": commit.actor,
        "reason": commit.reason,
        "recorded_at": commit.recorded_at.isoformat(),
        "metadata": json.dumps(to_json(commit.metadata, codec)),
        "hash": commit.hash,
        "sealed": commit.sealed,
    }


def _changes(commit: Commit, events: list[tuple[int, Event]], codec: EventCodec) -> Iterator[dict[str, Any]]:
    for seq, event in events:
        path, op, value = codec.decode(event)
        sealed = op == Op.CIPHER
        yield {
            "position": commit.position,
            "seq": seq,
            "path": None if sealed else to_json(pointer(path)),  # SQLite takes no lone surrogate
            "op": op.name.lower(),
            "value": None if sealed else json.dumps(to_json(value, codec.codec)),
        }
