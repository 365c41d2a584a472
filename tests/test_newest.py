"""What is remembered of the newest commits holds at one stamp of the connection, and at no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import StateStore
from eventstate.journal.newest import Last, Newest, Tip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tip(tmp_path: Path) -> Tip:
    with StateStore(tmp_path / "a.db") as store:
        session = store.session("a")
        session.save({"n": 1})
        tip = store._journal.branches.tip(session._writer.branch())
        assert tip is not None
        return tip


def test_a_tip_is_known_at_its_stamp_only(tip: Tip) -> None:
    newest = Newest()
    newest.learn(5, 1, tip)
    assert newest.tip(5, 1) == tip
    assert newest.tip(5, 2) is newest.tip(6, 1) is newest.tip(None, 1) is None


def test_a_tip_that_was_read_before_others_were_known_is_not_kept(tip: Tip) -> None:
    newest = Newest()
    newest.follow(5, 6, {1: tip}, Last(9))
    older = tip._replace(epoch=99)
    newest.learn(5, 1, older)
    newest.learn(None, 1, older)
    assert newest.tip(6, 1) == tip
    assert newest.last(6) == Last(9)


def test_a_commit_keeps_what_is_known_of_other_branches_unless_somebody_else_wrote(tip: Tip) -> None:
    newest = Newest()
    newest.learn(5, 1, tip)
    newest.follow(5, 6, {2: tip}, Last(9))
    assert newest.tip(6, 1) == newest.tip(6, 2) == tip
    newest.follow(7, 8, {3: tip, 2: None}, Last(11))
    assert newest.tip(8, 3) == tip
    assert newest.tip(8, 1) is newest.tip(8, 2) is None
    assert newest.last(7) is None


def test_a_stamp_rises_with_each_commit_whoever_makes_it(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db") as one, StateStore(tmp_path / "a.db") as other:
        connection = one._journal.connection
        seen = [connection.stamp()]
        for store in (one, other, one, other):
            store.session("a").update(lambda state: state.update(n=state.get("n", 0) + 1))
            seen.append(connection.stamp())
            assert seen[-1] == connection.stamp()
        assert len(set(seen)) == len(seen)
        with connection.write():
            assert connection.stamp() is None
