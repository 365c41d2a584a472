"""One attribute's value at a version is what the whole state has there, and costs what touched it."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import AttributeNotFoundError, EventStateError, RoundNotFoundError, StateStore
from eventstate.journal import postings, read
from eventstate.journal.branches import Point
from eventstate.values.delta import MISSING, look
from eventstate.values.paths import as_path
from tests.retention.lives import PATHS, Life, steps
from tests.statements import statements
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate import Session


def shown(value: Any) -> bytes | None:
    return None if value is MISSING else packed(value)


removals = st.lists(st.tuples(st.sampled_from(["erase", "prune"]), st.integers(0, 99), steps), max_size=2)


def lived(folder: str, start: Any, more: Any) -> Life:
    """Give a session that has erasures and a pruned past."""
    life = Life.at(Path(folder) / "a.db")
    life.live(start)
    for what, pick, script in more:
        session = life.session(life.branches[pick % len(life.branches)])
        with contextlib.suppress(EventStateError):
            if what == "erase":
                session.erase(PATHS[pick % len(PATHS)])
            else:
                session.prune(keep_rounds=1 + pick % 4)
        life.live(script)
    return life


@given(steps, removals, st.integers(1, 3))
def test_an_attribute_is_what_the_state_has_at_every_version(start: Any, more: Any, near: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "_NEAR", near)
        patch.setattr(read, "_FARTHER", 2)
        patch.setattr(postings, "STEP", 2 * near)
        life = lived(folder, start, more)
        for name in life.branches:
            session = life.session(name)
            branch, reader = session._writer.branch(), session._journal.reader
            for version in range(session.version + 1):
                try:
                    state = session.state(version=version)
                except RoundNotFoundError:  # it was pruned
                    continue
                for path in map(as_path, PATHS):
                    found = reader.value(Point(branch, version), path)
                    assert shown(found) == shown(look(state, path)), (version, path)
        life.store.close()


def rolled_back(session: Session, turn: int, paths: list[Any]) -> tuple[bytes, type | None]:
    """Give the state after a rollback of attributes, and the error if that failed."""
    failure = None
    try:
        session.rollback(turn, paths=paths)
    except AttributeNotFoundError as error:  # one of them is in neither state
        failure = type(error)
    return packed(session.state()), failure


@given(steps, removals, st.data())
def test_a_rollback_of_attributes_does_what_a_comparison_of_the_states_would_do(
    start: Any, more: Any, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = lived(folder, start, more)
        session = life.session()
        turn = data.draw(st.sampled_from([turn.id for turn in session.rounds()]))
        paths = data.draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3))
        twin = session.fork("compared")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(session), "_changed_back", lambda *_: None)
            expected = rolled_back(twin, turn, paths)
        assert rolled_back(session, turn, paths) == expected
        life.store.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        yield store


def talk(session: Session, turns: int) -> None:
    for turn in range(turns):
        with session.round() as state:
            state.setdefault("messages", []).append(f"{turn:06} " * 20)
            state["turn"] = turn
            if turn == 1:
                state["seldom"] = "set once"


@pytest.mark.parametrize("attribute", ["turn", "seldom"])
def test_a_rollback_of_an_attribute_reads_as_much_in_a_long_session_as_in_a_short_one(
    store: StateStore, attribute: str
) -> None:
    def cost(turns: int) -> tuple[int, int]:
        session = store.session("user", str(turns))
        talk(session, turns)
        rows = 0
        connection = store._journal.connection
        plain: Callable[..., list[Any]] = connection.all

        def counted(*arguments: Any) -> list[Any]:
            nonlocal rows
            found = plain(*arguments)
            rows += len(found)
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection, "all", counted)
            ran = statements(store, lambda: session.rollback(3, paths=[attribute]))
        return len(ran), rows

    (short, few), (long, many) = cost(40), cost(4000)
    assert long <= short + 12
    assert many <= few + 250
