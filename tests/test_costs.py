"""What things cost, in counts that do not depend on the machine: statements, pages, bytes, calls, rows read.

These are a guard: whoever makes one of them dearer has to say so here. How long things take, beside what
nothing can go below and beside others, is measured by `python -m benchmarks`.
"""

from __future__ import annotations

import random
import statistics
import string
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from eventstate import StateStore
from eventstate.testing import FaultyDisk
from tests.calls import calls
from tests.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eventstate import Session

PAGE = 4096
FRAME = PAGE + 24
"""What a page takes in the write-ahead log."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def store(path: Path) -> Iterator[StateStore]:
    with StateStore(path, durability="normal") as store:
        yield store


def turn(session: Session, number: int) -> int:
    """Append a message of 500 characters that can't be compressed, and set three small attributes.

    Returns:
        The bytes of what changed, packed.
    """
    letters = random.Random(number).choices(string.ascii_letters + string.digits, k=500)
    message = {"role": "user" if number % 2 else "assistant", "content": "".join(letters)}
    small = {"turn": number, "last_role": message["role"], "score": number / 7}
    with session.round() as state:
        state.setdefault("messages", []).append(message)
        state.update(small)
    return sum(len(msgpack.packb(value)) for value in (message, *small.values()))


def talked(store: StateStore, turns: int, name: str = "a") -> Session:
    session = store.session(name)
    for number in range(turns):
        turn(session, number)
    return session


def verbs(ran: list[str]) -> list[str]:
    return [" ".join(statement.split()[:3]) for statement in ran]


# Writing


def test_a_live_turn_asks_the_file_whether_others_wrote_and_writes_its_rows(store: StateStore) -> None:
    for turns in (20, 1000):
        session = talked(store, turns, str(turns))
        assert verbs(statements(store, lambda: turn(session, turns))) == [  # noqa: B023 - it runs at once
            "PRAGMA data_version",
            "BEGIN IMMEDIATE",
            *["INSERT INTO events"] * 4,
            "INSERT INTO commits",
            "COMMIT",
        ]


def test_a_store_that_another_one_wrote_to_looks_for_the_newest_commit_again(
    store: StateStore, path: Path
) -> None:
    session = talked(store, 5)
    with StateStore(path, durability="normal") as other:
        turn(other.session("a"), 5)
    ran = verbs(statements(store, lambda: turn(session, 6)))
    assert ran.count("INSERT INTO commits") == 1
    assert any(statement.startswith("SELECT id, position") for statement in ran)
    assert len(session.state()["messages"]) == 7


@pytest.mark.parametrize("turns", [20, 1000])
def test_a_live_turn_makes_so_many_calls_however_long_the_session_is(store: StateStore, turns: int) -> None:
    session = talked(store, turns)

    def change() -> None:
        with session.round() as state:
            state["messages"].append({"role": "user", "content": "x" * 500})
            state["turn"] = state["turn"] + 1
            state["score"] = state["score"] / 7

    assert statistics.median(calls(change) for _ in range(9)) < 360


def test_a_live_turn_writes_five_pages_at_most(path: Path) -> None:
    with FaultyDisk() as disk, StateStore(path, durability="full", vfs=disk.name) as store:
        session, written = talked(store, 20), []
        for number in range(20, 100):
            disk.forget()
            turn(session, number)
            written.append(disk.written("a.db-wal"))
            assert disk.fsyncs.total() == 1
        # The last pages of events and commits and of the two indexes; sometimes one of them begins another.
        assert statistics.median(written) <= 5 * FRAME


def test_a_save_writes_what_changed_and_one_without_a_change_no_event(store: StateStore) -> None:
    session = talked(store, 50)
    state = session.state()
    ran = verbs(statements(store, lambda: session.save(state)))
    assert [verb for verb in ran if verb.startswith("INSERT")] == ["INSERT INTO commits"]
    assert "BEGIN IMMEDIATE" not in statements(store, lambda: session.save(state, if_changed=True))
    state["turn"] = -1
    assert verbs(statements(store, lambda: session.save(state))).count("INSERT INTO events") == 1


@pytest.mark.parametrize("act", ["fork", "tag", "rollback"])
def test_forks_tags_and_rollbacks_run_as_many_statements_in_a_long_session(
    store: StateStore, act: str
) -> None:
    acts: dict[str, Any] = {
        "fork": lambda session: session.fork("other", at=10),
        "tag": lambda session: session.tag("here", at=10),
        "rollback": lambda session: session.rollback(10, paths=["turn"]),
    }
    counts = []
    for turns in (50, 1500):
        session = talked(store, turns, f"{act} {turns}")
        session.update(lambda state: state.update(turn=-1))
        counts.append(len(statements(store, lambda: acts[act](session))))  # noqa: B023 - it runs at once
    # Where something is found in lists, that takes a few statements more.
    assert counts[1] <= counts[0] + 8
    assert counts[0] <= 30


# The file


@pytest.mark.parametrize("turns", [1000, 3000])
def test_a_closed_file_takes_little_more_than_what_changed(path: Path, turns: int) -> None:
    with StateStore(path, durability="normal") as store:
        session = store.session("a")
        packed = sum(turn(session, number) for number in range(turns))
        snapshots = store.stats().snapshot_stored
    assert path.stat().st_size < 1.78 * packed
    assert snapshots < 0.03 * packed
    with StateStore(path) as store:
        assert len(store.session("a").state()["messages"]) == turns


def test_tokens_of_one_message_are_one_event(path: Path) -> None:
    with StateStore(path, durability="normal") as store:
        session = store.session("a")
        session.save({"messages": [{"content": ""}]})
        with session.round() as state:
            for number in range(5000):
                state["messages"][0]["content"] += f"token{number} "
        assert session.version == 2
        size = len(session.state()["messages"][0]["content"])
    assert path.stat().st_size < 2 * size + 24 * PAGE


# Reading


def test_the_latest_state_is_read_from_a_snapshot_and_a_short_tail(path: Path) -> None:
    with StateStore(path, durability="normal") as store:
        talked(store, 2500)
    with StateStore(path, read_only=True) as store:
        session = store.session("a")
        ran = statements(store, session.state)
        assert len(ran) <= 16
        assert len(session.state()["messages"]) == 2500


def test_rows_of_an_old_round_are_read_once(path: Path) -> None:
    with StateStore(path, durability="normal") as store:
        session = talked(store, 1200)
        most = max(len(statements(store, lambda at=at: session.state(at=at))) for at in range(1, 1200, 97))  # type: ignore[misc]
        assert most <= 24
