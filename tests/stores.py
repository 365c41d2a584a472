"""What tests of stores share: a clock that can be set, and what two states have to be to be the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from eventstate.values.codec import Codec

if TYPE_CHECKING:
    from eventstate import Session, StateStore

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

_CODEC = Codec()


class Clock:
    """A clock that says what it is told to, and goes a second further each time."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def packed(state: Any) -> bytes:
    """Give bytes that are equal for two states only if they are the same, type-strictly."""
    return _CODEC.encode(state)


def ids(session: Session, **arguments: Any) -> list[int]:
    """Give the numbers of a session's rounds."""
    return [turn.id for turn in session.rounds(**arguments)]


def grown(store: StateStore) -> Session:
    """Write a bit of everything."""
    session = store.session("alice", "trip")
    session.save({"n": 1, "list": [1, (2, {3})]}, metadata={"k": b"v"})
    session.update(lambda state: state["list"].append(4))
    session.note("tool.called", {"name": "search"})
    session.tag("early", at=1)
    other = session.fork("other", at=1)
    other.save({"n": 2, "list": []})
    session.merge(other, lambda conflict: conflict.ours)
    session.save({"n": 0}, round_id=2)
    store.session("bob").save({})
    return session


def everything(store: StateStore) -> list[Any]:
    """Give all that can be read of a store."""
    read: list[Any] = [*store.sessions(), *store.commits()]
    for info in store.sessions():
        for name in store.session(info.user_id, info.session_id).branches():
            session = store.session(info.user_id, info.session_id, name)
            read += [session.tags(), session.version, packed(session.state()), *session.rounds()]
            read += [packed(state) for _, state in session.replay()]
            read += [packed(session.state(version=version)) for version in range(session.version + 1)]
    return read
