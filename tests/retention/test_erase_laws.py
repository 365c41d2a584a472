"""Whatever a session lived through: what is erased is nowhere, and nothing else is missing."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstate import AttributeNotFoundError, StateStore
from eventstate.values.delta import MISSING
from tests.retention.lives import PATHS, Life, State, Step, held, steps, texts, without
from tests.retention.raw import seen
from tests.stores import packed

if TYPE_CHECKING:
    from eventstate import Session
    from tests.retention.raw import Peeper

pytestmark = pytest.mark.proves("erase")

few = settings(max_examples=max(settings().max_examples // 2, 10))
some = st.lists(st.tuples(st.sampled_from(PATHS), st.integers(0, 5)), min_size=1, max_size=3)
options = st.sampled_from([{}, {"snapshot_every": 1}, {"snapshot_every": 3, "cache_bytes": 0}])


def told(value: Any) -> Any:
    return None if value is MISSING else packed(value)


def history(session: Session, path: Any) -> list[Any]:
    return [(c.seq, c.path, c.op, told(c.before), told(c.after)) for c in session.history(path)]


def apart(one: Any, other: Any) -> bool:
    """Say whether neither attribute is in the other."""
    one, other = ((path,) if isinstance(path, str) else path for path in (one, other))
    return any(mine != theirs for mine, theirs in zip(one, other, strict=False))


def markers_in(states: dict[tuple[str, int], State], path: Any) -> set[str]:
    return set().union(*(held(state, path) for state in states.values()))


def check_reads(life: Life) -> None:
    """Check that all ways of reading agree, and that the file is whole."""
    for name in life.branches:
        session = life.session(name)
        for turn, state in session.replay():
            assert packed(session.state(turn)) == packed(state)
            if turn.branch == name:  # a fork sees rounds that were written after its start, too
                assert packed(session.state(version=turn.version)) == packed(state)
        for path, change in session.blame().items():
            assert change.after is not MISSING, path
        for note in session.notes():
            assert note.name == "noted"
        turns = list(session.rounds())
        if len(turns) > 1:
            edits = session.diff(turns[0], turns[-1])
            assert len(edits) >= 0
            assert session.bisect(lambda _: True) is None
    report = life.store.verify()
    assert report.ok, str(report)


@few
@given(steps=steps, erased=some, more=steps, options=options)
def test_an_erased_attribute_is_absent_from_all_states_and_from_the_file(
    steps: list[Step],
    erased: list[tuple[Any, int]],
    more: list[Step],
    options: dict[str, Any],
    peeper: Peeper,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "agent.db")
        life = Life.at(path, **options)
        other = StateStore(path, durability="normal", **options)
        with life.store, other:
            life.live(steps)
            for what, which in erased:
                before, named = life.states(), list(life.named())
                branch = life.branches[which % len(life.branches)]
                theirs = other.session("alice", "trip", branch)
                theirs.state()
                seal = life.store.seal()
                around = {
                    (name, kept): history(life.session(name), kept)
                    for name in life.branches
                    for kept in PATHS
                    if apart(kept, what)
                }
                session = life.session(branch)
                try:
                    plan = session.erase(what, dry_run=True)
                except AttributeNotFoundError:
                    assert not any(packed(without(s, what)) != packed(s) for s in before.values())
                    continue
                gone = session.erase(what, reason="asked for")
                assert (gone.events, gone.rewritten, gone.branches) == (
                    plan.events,
                    plan.rewritten,
                    plan.branches,
                )
                assert not gone.pending
                for (name, version), state in before.items():
                    now = life.session(name).state(version=version)
                    assert packed(now) == packed(without(state, what)), (name, version)
                had = {name for (name, _), state in before.items() if without(state, what) != state}
                assert had <= set(gone.branches)
                for (name, at, state), (_, again, now) in zip(named, life.named(), strict=True):
                    assert (at, packed(without(state, what))) == (again, packed(now)), name
                for (name, kept), changes in around.items():
                    assert history(life.session(name), kept) == changes, (name, kept)
                assert all(history(life.session(name), what) == [] for name in life.branches)
                assert packed(theirs.state()) == packed(session.state())
                assert packed(theirs.state(version=theirs.version)) == packed(
                    session.state(version=session.version)
                )
                # What stood elsewhere too, as after a rollback of another attribute, may be there still.
                left = {text for state in life.states().values() for text in texts(state)}
                secret = {m for m in markers_in(before, what) if not any(m in text for text in left)}
                raw = peeper.everything(path)
                assert not seen(raw, secret)
                assert life.store.verify(seal=seal).ok
                check_reads(life)
                life.live(more[:2])
            life.live(more)
            check_reads(life)


@few
@given(steps=steps, where=st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 4)), more=steps)
def test_what_a_range_of_events_wrote_is_nowhere_and_all_else_is_where_it_was(
    steps: list[Step], where: tuple[int, int, int], more: list[Step], peeper: Peeper
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "agent.db")
        life = Life.at(path, snapshot_every=2)
        with life.store:
            life.live(steps)
            session = life.session(life.branches[where[2] % len(life.branches)])
            start = where[0] % max(session.version, 1) + 1
            doomed = range(start, start + 1 + where[1] % max(session.version - start + 1, 1))
            before, seal = life.states(), life.store.seal()
            reader, branch = life.store._journal.reader, session._writer.branch()
            events = list(reader.events(branch, 0, session.version))
            values = {
                n: b"" if event.value is None else event.value for n, (_, _, event) in enumerate(events, 1)
            }
            every = {
                row.position: [e.value or b"" for _, e in reader.commit_events(row)]
                for row in life.store._commit_rows(0)
            }
            everywhere = [value for some in every.values() for value in some]
            written = {n: {m for m in life.markers if m.encode() in value} for n, value in values.items()}
            # A marker that another event wrote too, as a rollback does, is also that one's.
            times = Counter(m for value in everywhere for m in life.markers if m.encode() in value)
            secret = {m for n in doomed for m in written[n] if times[m] == 1}
            touched = set().union(*(written[n] for n in doomed))
            plan = session.erase(doomed, dry_run=True)
            gone = session.erase(doomed, reason="asked for")
            assert (gone.events, gone.rewritten, gone.branches) == (
                plan.events,
                plan.rewritten,
                plan.branches,
            )
            assert not seen(peeper.everything(path), secret)
            for (name, version), old in before.items():
                now = life.session(name).state(version=version)
                left = {m for m in life.markers if any(m in text for text in texts(now))}
                had = {m for m in life.markers if any(m in text for text in texts(old))}
                assert left <= had
                assert not left & secret
                # What is top-level text of none of these events stays as it is.
                for key, value in old.items():
                    if isinstance(value, str) and not {m for m in touched if m in value}:
                        assert now[key] == value
            assert life.store.verify(seal=seal).ok
            check_reads(life)
            life.live(more)
            check_reads(life)
