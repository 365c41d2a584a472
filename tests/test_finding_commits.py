"""The commit that wrote an event is found by where it should stand, and by a search where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import StateStore
from eventstate.journal import branches as module
from eventstate.journal.branches import Point
from eventstate.journal.origins import Origins

if TYPE_CHECKING:
    from pathlib import Path

    from eventstate.journal.records import Commit


@given(
    sizes=st.lists(st.sampled_from([0, 1, 1, 2, 3, 30]), min_size=1, max_size=25),
    fork=st.integers(0, 30),
    prune=st.booleans(),
    around=st.integers(0, 3),
    tries=st.integers(0, 5),
)
def test_every_event_leads_to_the_commit_that_wrote_it(
    sizes: list[int], fork: int, around: int, tries: int, *, prune: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch, StateStore(":memory:") as store:
        patch.setattr(module, "_AROUND", around)
        patch.setattr(module, "_TRIES", tries)
        patch.setattr("eventstate.journal.origins._AROUND", around)
        patch.setattr("eventstate.journal.origins._WORTH", 1 + tries)
        session = store.session("alice")
        session.save({"n": 0})
        for at, size in enumerate(sizes):
            if at == fork:
                session = session.fork("other")
            with session.round() as state:
                for number in range(size):
                    state[f"{at} {number}"] = at
            if size == 0:
                session.tag(f"tag {at}")
        if prune:
            session.prune(keep_rounds=2)
        branch = session._writer.branch()
        written: dict[int, Commit] = {}
        found = store._journal.branches
        origins = Origins(store._journal.connection, found)
        for commit in origins.after(found.head(branch)._replace(id=branch.id << 32), 1 << 20):
            for seq in range(commit.version - commit.events + 1, commit.version + 1):
                written[seq] = commit
        first = max(branch.parent_version, found.pruned(branch)[0])
        near: list[Any] = [None, *written.values()]
        for seq in range(first + 1, found.head(branch).version + 1):
            for start in {None, near[seq % len(near)], written.get(seq - 1)}:
                assert found.commit_of(Point(branch, seq), start) == written[seq]
        assert found.commit_of(Point(branch, found.head(branch).version + 1)) is None
        some = range(first + 1, found.head(branch).version + 1, 1 + fork % 3)
        assert list(origins.of_all(branch, some)) == [written[seq] for seq in some]


def test_a_scattered_history_takes_few_statements_to_find_its_commits(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("alice")
        session.save({"n": 0})
        for turn in range(600):
            with session.round() as state:
                for number in range(1 + turn % 7):
                    state[f"n{number}"] = turn
        found, branch = store._journal.branches, session._writer.branch()
        last = found.head(branch)
        statements: list[str] = []
        connection = store._journal.connection
        one = connection.one

        def counted(statement: str, values: Any = ()) -> Any:
            statements.append(statement)
            return one(statement, values)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection, "one", counted)
            seqs = range(50, last.version, 60)
            for seq in seqs:
                found.commit_of(Point(branch, seq), None, last)
        assert len(statements) <= 1.2 * len(seqs)


def test_all_changes_of_a_history_have_their_own_rounds(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("alice")
        at = []
        for turn in range(1, 400):
            often = turn < 100 or turn % 37 == 0 or 200 < turn < 210
            session.update(lambda state, n=turn: state.update({"x" if often else "y": n, "z": n}))  # type: ignore[misc] # noqa: B023
            if often:
                at.append(turn)
        assert [(change.round, change.after) for change in session.history("x")] == [(n, n) for n in at]
