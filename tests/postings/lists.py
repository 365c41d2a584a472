"""What tests of postings share: small lists, histories without them, and stores to look at."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import StateStore
from eventstate.journal import postings
from eventstate.journal.postings import Postings
from tests.retention.lives import PATHS
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eventstate import Session


@contextlib.contextmanager
def sizes(step: int = 3, **others: int) -> Iterator[None]:
    """Make lists early, and their rows and keys small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "STEP", step)
        for name, value in others.items():
            patch.setattr(postings, name, value)
        yield


@contextlib.contextmanager
def scanning() -> Iterator[None]:
    """Let nothing be found by lists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Postings, "find", lambda _, __, bounds, *___: (bounds[0], []))
        yield


def told(session: Session, path: Any) -> list[Any]:
    """Give all that a history tells."""
    return [
        (c.seq, c.round, c.recorded_at, c.actor, c.path, c.op, packed([_shown(c.before), _shown(c.after)]))
        for c in session.history(path)
    ]


def _shown(value: Any) -> Any:
    return "(missing)" if repr(value) == "MISSING" else [value]


def noted(session: Session) -> list[Any]:
    return [(note.seq, note.name, packed(note.data), note.recorded_at) for note in session.notes()]


def everything(store: StateStore) -> dict[Any, Any]:
    """Give the histories of all branches; blame reads them up to earlier versions, too."""
    found: dict[Any, Any] = {}
    for info in store.sessions():
        for branch in store.session(info.user_id, info.session_id).branches():
            session = store.session(info.user_id, info.session_id, branch)
            for path in PATHS:
                found[branch, path] = told(session, path)
            found[branch, "notes"] = noted(session)
            found[branch, "blame"] = [
                (path, change.seq, packed([_shown(change.before), _shown(change.after)]))
                for path, change in session.blame().items()
            ]
    return found


def read(store: StateStore, action: Callable[[], object]) -> tuple[int, int]:
    """Count the statements that an action runs, and the rows that they give."""
    connection = store._journal.connection
    statements, given = 0, 0
    everything, one = connection.all, connection.one

    def counted_all(statement: str, values: Any = ()) -> list[Any]:
        nonlocal statements, given
        found = everything(statement, values)
        statements, given = statements + 1, given + len(found)
        return found

    def counted_one(statement: str, values: Any = ()) -> Any:
        nonlocal statements, given
        statements, given = statements + 1, given + 1
        return one(statement, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "all", counted_all)
        patch.setattr(connection, "one", counted_one)
        action()
    return statements, given


def listed_of(session: Session) -> list[Any]:
    return list(session.history("x"))


def steps_of(store: StateStore, action: Callable[[], object]) -> int:
    """Count the steps of SQLite's machine, in tens, which looking at a row takes some of."""
    database = store._journal.connection._db
    assert database is not None
    count = 0

    def progress() -> bool:
        nonlocal count
        count += 1
        return False

    database.set_progress_handler(progress, 10)
    try:
        action()
    finally:
        database.set_progress_handler(None)
    return count


def filled(path: Path, turns: int, changes: int = 20) -> StateStore:
    """Write turns of four events, few of which change `x`."""
    store = StateStore(path, durability="normal")
    session = store.session("alice")
    session.save({"x": None, "m": [], "n": 0, "d": {}})
    for turn in range(turns):
        with session.round() as state:
            state["m"].append(turn)
            state["n"] = turn
            state["d"]["y"] = turn
            state["d"]["z"] = turn
            if turn % (turns // changes) == 1:
                state["x"] = turn
    return store
