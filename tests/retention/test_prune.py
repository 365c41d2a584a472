"""Pruning by example: what it keeps and drops, what it says, and the space that it gives back."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import MISSING, RoundNotFoundError, StateStore
from tests.retention.raw import marker, rows
from tests.stores import NOON, Clock, ids

if TYPE_CHECKING:
    from pathlib import Path

    from tests.retention.raw import Peeper
from tests.retention.pasts import counted, numbers, verified

pytestmark = pytest.mark.proves("prune")


def test_the_past_is_folded_to_one_state_and_the_rest_goes_on(path: Path) -> None:
    with StateStore(path, clock=Clock()) as store:
        session, seal = counted(store), store.seal()
        plan = session.prune(keep_rounds=3, dry_run=True)
        assert ids(session) == list(range(1, 11))
        told = session.prune(keep_rounds=3, actor="clerk", reason="old", metadata={"n": 1})
        assert (told.rounds, told.commits, told.events, told.version, told.round, told.kept) == (
            7,
            7,
            16,
            16,
            8,
            (),
        )
        assert (plan.rounds, plan.commits, plan.events, plan.version, plan.round) == (7, 7, 16, 16, 8)
        assert numbers(session) == {8: 8, 9: 9, 10: 10}
        assert (plan.dry_run, told.dry_run, plan.freed) == (True, False, 0)
        for turn in range(1, 8):
            with pytest.raises(RoundNotFoundError):
                session.state(turn)
        assert session.state(version=0) == {}
        for version in range(1, 16):
            with pytest.raises(RoundNotFoundError, match="pruned"):
                session.state(version=version)
        last = list(store.commits())[-1]
        assert (last.kind, last.actor, last.reason, last.metadata, last.events) == (
            "prune",
            "clerk",
            "old",
            {"n": 1},
            1,
        )
        assert [commit.position for commit in store.commits()] == [8, 9, 10, 11]
        assert [change.seq for change in session.history("n")] == [17, 19]
        assert [change.before for change in session.history("n")] == [8, 9]
        change = session.blame()["n"]
        assert (change.before, change.after) == (9, 10)
        found = session.bisect(lambda state: state["n"] < 9)
        assert found is not None
        assert found.id == 9
        session.undo()
        assert session.state()["n"] == 9
        verified(store, seal)
    with StateStore(path) as store:
        assert numbers(store.session("alice")) == {8: 8, 9: 9, 10: 10, 11: 9}
        verified(store, seal)


def test_an_attribute_that_was_last_set_in_the_pruned_past_is_blamed_on_its_end(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store)
        session.update(lambda state: state.update(new=1))
        session.prune(keep_rounds=2)
        change = session.blame()["n"]
        assert (change.round, change.before, change.after) == (10, MISSING, 10)
        assert session.blame()["new"].round == 11


def test_undoing_into_the_pruned_past_is_refused_and_not_taken_for_the_beginning(path: Path) -> None:
    with StateStore(path, clock=Clock()) as store:
        session = counted(store)
        session.prune(keep_rounds=1)
        before = list(store.commits())
        with pytest.raises(RoundNotFoundError, match="before round 10 was pruned"):
            session.undo()
        for at in (3, NOON - timedelta(days=1)):
            with pytest.raises(RoundNotFoundError):
                session.rollback(at)
        assert list(store.commits()) == before


def test_a_round_that_a_tag_a_fork_or_a_merge_needs_is_kept(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store)
        session.tag("three", at=3)
        fork = session.fork("fork", at=5)
        fork.save({"n": 50})
        theirs = session.fork("theirs", at=7)
        theirs.save({"n": 70})
        session.merge(theirs, lambda conflict: conflict.theirs)
        session.save({"n": 12})
        session.merge(fork, lambda conflict: conflict.ours)
        seal = store.seal()
        told = session.prune(keep_rounds=1)
        assert told.kept == (3, 5, 7, 11)
        assert numbers(session) == {3: 3, 5: 5, 7: 7, 11: 70, 13: 12}
        assert session.state("three")["n"] == 3
        assert numbers(fork) == {3: 3, 5: 5, 6: 50}
        assert numbers(theirs) == {3: 3, 5: 5, 7: 7, 8: 70}
        fork.save({"n": 51})
        assert session.merge(fork, lambda conflict: conflict.theirs).round is not None
        assert session.state() == {"n": 51}
        again = session.fork("again", at="three")
        assert (again.state()["n"], again.save({"n": 1}).id) == (3, 4)
        verified(store, seal)


def test_a_fork_is_pruned_by_itself_and_its_parent_for_itself(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store)
        fork = session.fork("fork", at=5)
        for n in range(4):
            fork.save({"n": 100 + n})
        seal = store.seal()
        told = fork.prune(keep_rounds=2)
        assert (told.round, told.rounds) == (8, 2)
        assert numbers(fork) == {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 8: 102, 9: 103}
        assert numbers(session) == {n: n for n in range(1, 11)}
        session.prune(keep_rounds=1)
        assert numbers(fork) == {5: 5, 8: 102, 9: 103}
        assert numbers(session) == {5: 5, 10: 10}
        verified(store, seal)


def test_a_fork_of_nothing_but_unchanged_rounds_can_be_pruned(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store, 3)
        fork = session.fork("fork")
        for _ in range(3):
            fork.save(fork.state())
        seal = store.seal()
        told = fork.prune(keep_rounds=1)
        assert (told.rounds, told.events) == (2, 0)
        assert numbers(fork) == {1: 1, 2: 2, 3: 3, 6: 3}
        verified(store, seal)


def test_the_name_that_a_round_had_is_never_taken_for_the_one_it_has(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store, 3)
        session.tag("old two", at=2)
        session.save({"n": 22}, round_id=2)
        session.save({"n": 4})
        session.prune(keep_rounds=1)
        assert numbers(session) == {2: 22, 4: 4}
        assert session.state("old two")["n"] == 2
        verified(store)


def test_a_fork_sees_the_names_that_rounds_had_when_it_was_made(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store, 2)
        session.save({"n": "first"}, round_id=3)
        session.tag("first")
        session.save({"n": "second"}, round_id=3)
        session.save({"n": 4})
        fork = session.fork("fork")
        session.save({"n": "third"}, round_id=3)
        session.tag("third", at=3)
        session.save({"n": 5})
        session.save({"n": 6})
        session.prune(keep_rounds=1)
        assert (fork.state(3), session.state(3)) == ({"n": "second"}, {"n": "third"})
        assert (session.state("first"), session.state("third")) == ({"n": "first"}, {"n": "third"})
        verified(store)


def test_a_tag_between_rounds_still_belongs_to_the_round_before_it(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store, 4)
        session.tag("noted", version=session.note("noted"))
        session.save({"n": 5})
        session.save({"n": 6})
        assert session.prune(keep_rounds=1).kept == (4,)
        assert session.fork("after", at="noted").save({"n": 0}).id == 5
        verified(store)


def test_where_a_pruned_fork_starts_is_still_proven(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store, 4)
        fork = session.fork("fork", at=3)
        for n in range(3):
            fork.save({"n": n})
        fork.prune(keep_rounds=1)
        verified(store)
    for column, value in (("name", "other"), ("origin_round", 2), ("parent_version", 4)):
        copy = path.with_name(f"{column}.db")
        shutil.copy(path, copy)
        with closing(sqlite3.connect(copy)) as db:
            db.execute(f"UPDATE branches SET {column} = ? WHERE id = 2", (value,))  # noqa: S608 - a column
            db.commit()
        with StateStore(copy) as store:
            assert not store.verify().ok


def test_undo_never_takes_a_lower_round_for_what_a_higher_one_was(path: Path) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        session.save({"n": "twenty"}, round_id=20)
        session.save({"n": "five"}, round_id=5)
        session.save({"n": "seven"}, round_id=7)
        session.save({"n": "twenty again"}, round_id=20)
        session.prune(keep_rounds=2)
        assert session.state() == {"n": "twenty again"}
        session.undo()
        assert session.state() == {"n": "twenty"}
        verified(store)


def test_a_moment_before_the_cut_is_not_found_and_one_after_it_is_as_it_was(path: Path) -> None:
    clock = Clock()
    with StateStore(path, clock=clock) as store:
        session = counted(store)
        session.tag("three", at=3)
        times = {turn.id: turn.recorded_at for turn in session.rounds()}
        session.prune(older_than=times[8])
        assert ids(session) == [3, 8, 9, 10]
        for turn, time in times.items():
            for moment in (time, time + timedelta(milliseconds=500)):
                if turn < 8:
                    with pytest.raises(RoundNotFoundError, match=r"nothing yet|pruned"):
                        session.state(moment)
                else:
                    assert session.state(moment)["n"] == turn
        told = session.prune(older_than=timedelta(seconds=0))
        assert (told.round, ids(session)) == (10, [3, 10])


def test_both_limits_together_drop_only_what_neither_keeps(path: Path) -> None:
    with StateStore(path, clock=Clock()) as store:
        session = counted(store)
        eighth = next(session.rounds(start=8)).recorded_at
        assert session.prune(keep_rounds=1, older_than=eighth, dry_run=True).round == 8
        assert session.prune(keep_rounds=5, older_than=eighth, dry_run=True).round == 6
        assert session.prune(keep_rounds=10, dry_run=True).rounds == 0
        seal, first = store.seal(), session.history("n")[0]
        assert session.prune(keep_rounds=99).version == 0
        assert (store.seal(), first.after) == (seal, 1)


@pytest.mark.parametrize("limits", [{}, {"keep_rounds": 0}, {"keep_rounds": True}, {"keep_rounds": -1}])
def test_what_makes_no_sense_is_refused(path: Path, limits: dict[str, Any]) -> None:
    with StateStore(path) as store:
        session = counted(store)
        with pytest.raises(ValueError, match="keep"):
            session.prune(**limits)
        with pytest.raises(RoundNotFoundError):
            store.session("nobody").prune(keep_rounds=1)
        assert len(ids(session)) == 10


def test_a_dry_run_writes_nothing(path: Path, peeper: Peeper) -> None:
    with StateStore(path) as store:
        session = counted(store)
        before = peeper.parts(path)
        session.prune(keep_rounds=1, dry_run=True)
        assert peeper.parts(path) == before


def test_the_disk_gets_its_space_back_and_what_is_folded_is_gone(path: Path, peeper: Peeper) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        for n in range(200):
            session.save({"n": n, "text": "".join(map(marker, range(100 * n, 100 * n + 100)))})
        size = len(b"".join(peeper.parts(path)))
        told = session.prune(keep_rounds=2)
        after = len(b"".join(peeper.parts(path)))
        assert told.freed > 200 * 2400 * 0.9
        assert after < 110_000 < size - told.freed + 110_000
        assert store.stats().file == after
    assert path.stat().st_size < 110_000
    assert len(rows(path, "husks")) == 198


def test_pruning_again_folds_further(path: Path) -> None:
    with StateStore(path) as store:
        session, seal = counted(store, 20), store.seal()
        for keep in (15, 15, 7, 1, 1):
            session.prune(keep_rounds=keep)
            assert numbers(session) == {n: n for n in range(21 - keep, 21)}
            verified(store, seal)
        assert session.prune(keep_rounds=1).commits == 0
        assert [len(store._journal.snapshots.roots(session._writer.branch()))] == [1]
