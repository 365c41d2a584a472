"""A history costs what it is long, and lists cost next to nothing."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import pytest

from eventstate import StateStore
from tests.postings.lists import filled, listed_of, noted, read, scanning, sizes, steps_of, told
from tests.retention.raw import rows
from tests.statements import statements

if TYPE_CHECKING:
    from pathlib import Path


def test_a_history_costs_what_it_is_long_and_not_what_others_are(tmp_path: Path) -> None:
    costs, found = [], []
    for turns in (1000, 3000):  # of both, as many events come after what is listed
        with sizes(64), filled(tmp_path / f"{turns}.db", turns) as store:
            action = functools.partial(listed_of, store.session("alice"))
            found.append(len(action()))
            costs.append((*read(store, action), steps_of(store, action)))
    assert found == [21, 21]
    (statements, rows_given, taken), later = costs
    assert later[:2] == (statements, rows_given)
    assert later[2] <= 1.1 * taken
    assert statements < 3 * 21


@pytest.mark.parametrize("nested", [True, False])
def test_names_that_come_once_take_little_and_cost_others_nothing(tmp_path: Path, *, nested: bool) -> None:
    with sizes(256), StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("alice")
        session.save({"facts": {}, "x": 0, "d": {"a" * 40: 0}})
        costs = []
        for turn in range(40):
            with session.round() as state:
                for number in range(100):
                    facts = state["facts"] if nested else state["d"].setdefault(f"{number % 7}", {})
                    facts[f"a name of its own {turn} {number}"] = turn
                if turn % 10 == 0:
                    state["x"] = state["d"]["a" * 40] = turn
            if turn in {9, 39}:
                costs.append(read(store, functools.partial(listed_of, session)))
        names = ("facts", "a name of its own 20 50") if nested else ("d", "1", "a name of its own 20 50")
        for path in ("x", ("d", "a" * 40), names, ("facts",), ("d", "1")):
            found = told(session, path)
            with scanning():
                assert found == told(session, path)
        few, many = costs
        assert many[1] - few[1] <= 3 * 6
        assert store.verify().ok
    listed = rows(tmp_path / "a.db", "postings")
    assert sum(len(row["path"]) + len(row["data"]) + 12 for row in listed) < 0.7 * 4000


def test_an_attribute_that_changes_all_the_time_is_scanned(tmp_path: Path) -> None:
    with sizes(64), filled(tmp_path / "a.db", 100) as store:
        session = store.session("alice")
        walk, branch, last = store._journal.reader.attribute, session._writer.branch(), session.version
        statements, _ = read(store, lambda: list(walk(branch, 0, last, ("d",))))
        assert statements == 2  # what the lists are, and all events
        statements, _ = read(store, lambda: list(walk(branch, 0, last, ("d", "y"))))
        assert statements > 2


def test_notes_are_found_by_their_list(tmp_path: Path) -> None:
    with sizes(64), filled(tmp_path / "a.db", 200) as store:
        session = store.session("alice")
        session.note("one", 1)
        for turn in range(300):
            session.update(lambda state, n=turn: state.update(n=n))  # type: ignore[misc]
        session.note("two", 2)
        with scanning():
            expected, scanned = noted(session), steps_of(store, lambda: noted(session))
        assert noted(session) == expected
        assert [name for _, name, *_ in expected] == ["one", "two"]
        assert steps_of(store, lambda: noted(session)) < scanned / 3


def test_lists_take_about_nothing_of_a_file_whose_turns_change_the_same_attributes(tmp_path: Path) -> None:
    filled(tmp_path / "a.db", 1500).close()
    listed = rows(tmp_path / "a.db", "postings")
    events = max(row["last"] for row in listed)
    assert events > 5000
    assert sum(len(row["path"]) + len(row["data"]) + 12 for row in listed) < 0.1 * events


def test_a_turn_that_brings_lists_up_to_date_runs_no_transaction_of_its_own(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("alice")
        session.save({"n": 0})

        def take_turns() -> None:
            for turn in range(64):
                session.update(lambda state, n=turn: state.update(n=n))  # type: ignore[misc]

        with sizes(16):
            seen = statements(store, take_turns)
        assert sum(statement.startswith("BEGIN") for statement in seen) == 64
        assert sum("OR REPLACE INTO postings" in statement for statement in seen) == 2 * 4


def test_what_lags_behind_is_taken_in_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path, 500).close()
    with StateStore(path, durability="normal") as store, sizes(64):
        session = store.session("alice")
        store.drop_snapshots()
        branch = store._journal.branches.get(1)
        lists = store._journal.postings
        taken = [0]
        while taken[-1] < session.version - 64:
            session.update(lambda state: state.update(n=state["n"] + 1))
            listed = lists.listed(branch)
            taken.append(0 if listed is None else listed.upto)
        assert max(high - low for low, high in itertools.pairwise(taken)) <= 2 * 64
        assert session.version < 2200
        assert store.verify().ok


def test_a_large_commit_is_listed_with_it(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("alice")
        session.save({"x": 1})
        with session.round() as state:
            for number in range(9000):
                state[f"key {number}"] = number
        with session.round() as state:
            for number in range(9000):
                state["n"] = number
        session.update(lambda state: state.update(x=2))
        listed = store._journal.postings.listed(store._journal.branches.get(1))
        assert listed is not None
        assert listed.upto >= 9000
        costs = read(store, lambda: list(session.history("x")))
        assert costs < (20, 20)
        assert [c.seq for c in session.history(("key 77",))] == [79]
        assert store.verify().ok


def test_sessions_that_are_encrypted_have_none(tmp_path: Path) -> None:
    from eventstate import FileKeyRing

    keys = FileKeyRing(tmp_path / "keys")
    keys.create("alice", "default")
    with sizes(2), StateStore(tmp_path / "a.db", keys=keys) as store:
        session = store.session("alice")
        for turn in range(9):
            session.save({"n": turn})
        store.rebuild()
        for turn in range(9):
            session.save({"n": 9 + turn})
        assert len(list(session.history("n"))) == 18
    assert rows(tmp_path / "a.db", "postings") == []
