"""Erasing by example: what is left, what others see, and when the file is clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import (
    AttributeNotFoundError,
    ReadOnlyError,
    RoundNotFoundError,
    StateStore,
)
from tests.retention.raw import seen
from tests.stores import everything

if TYPE_CHECKING:
    from pathlib import Path

    from tests.retention.raw import Peeper
from tests.retention.secrets import REST, SECRET, TWIN, talk, verified

pytestmark = pytest.mark.proves("erase")


def test_an_erased_attribute_is_absent_everywhere_and_its_commits_stay(path: Path, peeper: Peeper) -> None:
    with StateStore(path, snapshot_every=1) as store:
        session, seal = talk(store), store.seal()
        rounds, commits = list(session.rounds()), list(store.commits())
        assert seen(peeper.everything(path), {SECRET, TWIN}) == {SECRET, TWIN}
        told = session.erase("card", actor="clerk", reason="asked for", metadata={"ticket": 7})
        assert (told.branches, told.pending, told.dry_run) == (("main", "fork", "deep"), False, False)
        assert told.events + told.rewritten >= 4
        assert not seen(peeper.everything(path), {SECRET, TWIN})
        for name in session.branches():
            line = store.session("alice", branch=name)
            for version in range(line.version + 1):
                assert "card" not in line.state(version=version)
            assert line.history("card") == line.history(("card", "number")) == []
        assert session.state(1) == {"name": REST, "log": []}
        assert [turn.hash for turn in session.rounds()] == [turn.hash for turn in rounds]
        new = list(store.commits(len(commits)))
        assert [(c.branch, c.kind, c.actor, c.reason, c.metadata, c.round, c.events) for c in new] == [
            (name, "erase", "clerk", "asked for", {"ticket": 7}, None, 1) for name in told.branches
        ]
        assert list(store.commits())[: len(commits)] == commits
        assert store.verify(seal=seal).erased == told.events + told.rewritten
        verified(store, seal)
        assert len(session.diff(1, 2)) == 1
        assert session.blame()["name"].round == 1
        assert not seen(repr([list(table.rows) for table in store.tables().tables]).encode(), {SECRET, TWIN})
        session.undo()
        session.rollback("early")
        session.fork("again", at=2).save({"n": 1})
        session.merge(store.session("alice", branch="again"), lambda conflict: conflict.ours)
        assert session.bisect(lambda state: "card" not in state) is None
        verified(store, seal)
    with StateStore(path) as store:
        verified(store, seal)
        assert not seen(peeper.everything(path), {SECRET, TWIN})


def test_a_value_inside_what_an_ancestor_set_is_taken_out_of_it(path: Path, peeper: Peeper) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        session.save({"person": {"name": "Ann", "bank": {"iban": SECRET, "bic": REST}}})
        told = session.erase(("person", "bank", "iban"))
        assert (told.events, told.rewritten) == (0, 1)
        assert session.state(1) == {"person": {"name": "Ann", "bank": {"bic": REST}}}
        assert seen(peeper.everything(path), {SECRET, REST}) == {REST}
        verified(store)


def test_a_range_takes_what_its_events_put_in_place_with_their_notes_and_nothing_else(
    path: Path, peeper: Peeper
) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        session.save({"log": [REST], "n": 1})
        session.update(lambda state: state["log"].append(SECRET))
        noted = session.note("tool.called", {"with": TWIN})
        session.update(lambda state: state["log"].insert(0, "first"))
        told = session.erase(range(noted - 1, noted + 1))
        assert told.events == 2
        assert [turn["log"] for _, turn in session.replay()] == [[REST], [REST], ["first", REST]]
        assert list(session.notes()) == []
        assert seen(peeper.everything(path), {SECRET, TWIN, REST}) == {REST}
        verified(store)


def test_what_the_parent_wrote_is_erased_from_its_fork(path: Path, peeper: Peeper) -> None:
    with StateStore(path) as store:
        main = store.session("alice")
        main.save({"card": SECRET, "n": 1})
        fork = main.fork("fork")
        fork.update(lambda state: state.update(n=2))
        assert fork.erase("card").branches == ("main", "fork")
        assert (main.state(), fork.state()) == ({"n": 1}, {"n": 2})
        fork.erase(range(1, 3))
        assert (main.state(), fork.state()) == ({}, {"n": 2})
        assert not seen(peeper.everything(path), {SECRET})
        verified(store)


def test_erasures_may_overlap(path: Path, peeper: Peeper) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        session.save({"a": {"x": SECRET, "y": TWIN}, "b": REST})
        session.update(lambda state: state["a"].update(x=TWIN, z=SECRET))
        seal = store.seal()
        session.erase(("a", "x"))
        session.erase("a")
        assert session.state() == session.state(1) == {"b": REST}
        session.erase(range(1, session.version + 1))
        assert session.state() == session.state(1) == {}
        assert not seen(peeper.everything(path), {SECRET, TWIN, REST})
        verified(store, seal)
        with pytest.raises(AttributeNotFoundError):
            session.erase("a")


def test_a_root_of_a_pruned_past_is_erased_too_and_so_is_what_is_pruned_after(
    path: Path, peeper: Peeper
) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        session.save({"card": SECRET, "n": 0})
        session.fork("fork").save({"card": TWIN})
        for n in range(1, 5):
            session.save({**session.state(), "n": n})
        seal = store.seal()
        session.prune(keep_rounds=2)
        told = session.erase("card")
        assert told.branches == ("main", "fork")
        assert (session.state(1), session.state(4), session.state()) == ({"n": 0}, {"n": 3}, {"n": 4})
        assert store.session("alice", branch="fork").state() == {}
        assert not seen(peeper.everything(path), {SECRET, TWIN})
        verified(store, seal)
        session.save({"n": 5, "new": SECRET})
        session.erase("new")
        session.prune(keep_rounds=1)
        assert session.state() == {"n": 5}
        assert not seen(peeper.everything(path), {SECRET, TWIN})
        verified(store, seal)


def test_a_deleted_session_and_a_store_in_memory_can_be_erased_from(path: Path, peeper: Peeper) -> None:
    for place in (path, ":memory:"):
        with StateStore(place) as store:
            session = store.session("alice")
            session.save({"card": SECRET, "n": 1})
            session.delete()
            assert not session.erase("card").pending
            assert session.state() is None
            assert session.state(1) == {"n": 1}
            session.restore()
            assert session.state() == {"n": 1}
            verified(store)
    assert not seen(peeper.everything(path), {SECRET})


@pytest.mark.parametrize(
    "wrong", [range(4), range(2, 2), range(1, 5), range(3, 1), range(1, 4, 2), range(-1, 2)]
)
def test_a_range_lies_within_the_versions(path: Path, wrong: range) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        session.save({"a": 1, "b": 2, "c": 3})
        before = everything(store)
        with pytest.raises(RoundNotFoundError, match="between 1 and 4"):
            session.erase(wrong)
        assert everything(store) == before


def test_what_never_was_there_is_not_found_and_nothing_is_written(path: Path) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        with pytest.raises(RoundNotFoundError, match="nothing was written"):
            session.erase("card")
        session.save({"cards": 1, "deep": {"card": 1}, "n": 2})
        before = everything(store)
        for attribute in ("card", ("deep", "cards"), ("n", "card"), 1):
            with pytest.raises(AttributeNotFoundError, match="never was there"):
                session.erase(attribute)
        with pytest.raises(ValueError, match="at least one key"):
            session.erase(())
        assert everything(store) == before
        assert store._journal.removals.stage() == 0


def test_a_dry_run_tells_the_same_and_writes_nothing(path: Path, peeper: Peeper) -> None:
    with StateStore(path) as store:
        session = talk(store)
        before = peeper.parts(path)
        for what in ("card", range(2, 5)):
            plan = session.erase(what, dry_run=True)
            assert plan.dry_run
            assert plan.events + plan.rewritten > 0
        assert peeper.parts(path) == before
        plan = session.erase("card", dry_run=True)
        told = session.erase("card")
        assert (plan.events, plan.rewritten, plan.branches) == (told.events, told.rewritten, told.branches)


def test_a_store_for_reading_refuses_to_erase(path: Path) -> None:
    with StateStore(path) as store:
        talk(store)
    with StateStore(path, read_only=True) as store:
        assert store.session("alice").erase("card", dry_run=True).branches
        with pytest.raises(ReadOnlyError):
            store.session("alice").erase("card")
