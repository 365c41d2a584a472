"""However a session was pruned: what is kept reads as before, and what was dropped is never read wrongly."""

from __future__ import annotations

import contextlib
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstate import RoundNotFoundError, StateStore
from tests.retention.lives import Life, Step, steps
from tests.stores import Clock, packed

if TYPE_CHECKING:
    from eventstate import Session
    from eventstate.removed import Pruned

pytestmark = pytest.mark.proves("prune")

few = settings(max_examples=max(settings().max_examples // 2, 10))
limits = st.one_of(st.none(), st.integers(1, 4)), st.one_of(st.none(), st.integers(0, 30))
keeping = st.lists(
    st.tuples(st.integers(0, 5), *limits),
    min_size=1,
    max_size=3,
)  # fmt: skip


def answers(life: Life) -> dict[Any, Any]:
    """Give the answer to every question that has one: what was at a round, tag, version or moment."""
    found: dict[Any, Any] = {}

    def ask(*question: Any, **arguments: Any) -> None:
        try:
            found[question] = packed(life.session(question[0]).state(**arguments))
        except RoundNotFoundError:
            return

    moments = sorted({commit.recorded_at for commit in life.store.commits()})
    for name in life.branches:
        session = life.session(name)
        ask(name, "latest")
        for turn in session.rounds():
            ask(name, "round", turn.id, at=turn.id)
            found[name, "told", turn.id] = (turn.version, turn.kind, turn.recorded_at, turn.tags, turn.hash)
        for tag in session.tags():
            ask(name, "tag", tag, at=tag)
        for version in range(session.version + 1):
            ask(name, "version", version, version=version)
        for moment in moments:
            for later in (timedelta(), timedelta(seconds=0.5)):
                ask(name, "moment", moment + later, at=moment + later)
        found[name, "notes"] = [(note.seq, note.data) for note in session.notes()]
    return found


def outcome(session: Session, what: str, other: Session | None = None) -> Any:
    """Give what comes of something, or that it can't be done."""
    try:
        if what == "undo":
            return packed(session.state(session.undo()))
        if what == "merge" and other is not None:
            session.merge(other, lambda conflict: conflict.ours)
            return packed(session.state()), session.latest.id if session.latest else None
        return packed(session.fork("from " + what, at=what).state())
    except RoundNotFoundError:
        return None


def copied(path: Path, name: str) -> Path:
    target = path.with_name(name)
    with StateStore(path) as store:
        store.backup(target)
    return target


def outcomes(path: Path, branches: list[str]) -> dict[Any, Any]:
    """Give what comes of every undo, of every merge and of a fork at every tag, each on a copy of its own."""
    found: dict[Any, Any] = {}
    whats: list[tuple[str, str, str | None]] = [(name, "undo", None) for name in branches]
    whats += [(one, "merge", other) for one in branches for other in branches if one != other][:6]
    for one, what, other in whats:
        copy = copied(path, "copy.db")
        with StateStore(copy, durability="normal", clock=Clock()) as store:
            session = store.session("alice", "trip", one)
            theirs = None if other is None else store.session("alice", "trip", other)
            found[one, what, other] = outcome(session, what, theirs)
        copy.unlink()
    return found


@few
@given(steps=steps, keeping=keeping, more=steps, erase=st.booleans())
def test_what_a_pruning_keeps_reads_as_before_and_what_it_drops_is_not_found(
    steps: list[Step],
    keeping: list[Any],
    more: list[Step],
    erase: bool,  # noqa: FBT001 - a case
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "agent.db")
        life = Life.at(path)
        life.live(steps)
        for which, rounds, age in keeping:
            if rounds is None and age is None:
                continue
            session = life.session(life.branches[which % len(life.branches)])
            before, seal = answers(life), life.store.seal()
            done = outcomes(path, life.branches[:3])
            clock = life.store._journal.appender.clock
            older = None if age is None else clock.now - timedelta(seconds=age)  # type: ignore[attr-defined]
            plan = session.prune(keep_rounds=rounds, older_than=older, dry_run=True)
            assert answers(life) == before
            told = session.prune(keep_rounds=rounds, older_than=older, reason="old")
            check(life, session, before, told, plan)
            report = life.store.verify(seal=seal)
            assert report.ok, str(report)
            for what, result in outcomes(path, life.branches[:3]).items():
                assert result is None or result == done[what], what
            if erase:
                with contextlib.suppress(RoundNotFoundError):
                    life.session().erase(range(1, 2))
            life.live(more[:3])
            report = life.store.verify(seal=seal)
            assert report.ok, str(report)
        life.store.close()
        with StateStore(path) as store:
            assert store.verify().ok


def check(life: Life, session: Session, before: dict[Any, Any], told: Pruned, plan: Pruned) -> None:
    now = answers(life)
    counts = (plan.rounds, plan.commits, plan.events, plan.version, plan.round, plan.kept)
    assert (told.rounds, told.commits, told.events, told.version, told.round, told.kept) == counts
    for question, answer in now.items():
        if question in before and question[1] != "notes":
            assert answer == before[question], question
        elif question[1] == "version":  # of the pruning's own commit
            assert question[2] == life.session(question[0]).version
    lost = {question for question in before if question not in now}
    rounds = {question[2] for question in lost if question[:2] == (session.branch, "round")}
    assert len(rounds) == told.rounds
    for question in lost:
        assert question[1] in {"round", "told", "version", "moment"}
        if question[1] == "version" and question[0] == session.branch:
            assert question[2] < told.version
    if told.version:
        assert (session.branch, "version", told.version) in now
        assert told.round is not None
        for question, answer in before.items():
            if question[:2] == (session.branch, "version") and question[2] >= told.version:
                assert now[question] == answer
