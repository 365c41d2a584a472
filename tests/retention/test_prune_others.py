"""Pruning while others read, write and refer to what is pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eventstate import CorruptJournalError, RoundNotFoundError, StateStore
from tests.retention.raw import OtherError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.retention.raw import Other
from tests.retention.pasts import counted, numbers, verified

pytestmark = pytest.mark.proves("prune")


def test_another_process_reads_on_and_what_it_held_of_the_past_is_not_found(path: Path, other: Other) -> None:
    with StateStore(path) as store:
        session = counted(store)
        other.do("store = StateStore(path)", "session = store.session('alice'); session.state()")
        other.do("walk = session.replay(); rounds = session.rounds(); first = next(walk); next(rounds)")
        other.do("changes = session.history('n'); turn = next(session.rounds())")
        session.prune(keep_rounds=2)
        for line in (
            "next(walk)",
            "next(rounds)",
            "changes[5].before",
            "session.state(turn)",
            "session.diff(1, 9)",
        ):
            with pytest.raises(OtherError, match="RoundNotFoundError"):
                other.do(line)
        assert other.do("[state['n'] for _, state in session.replay()]") == [9, 10]
        other.do("session.update(lambda state: state.update(n=11)); store.close()")
        assert numbers(session) == {9: 9, 10: 10, 11: 11}
        verified(store)


@pytest.mark.parametrize("what", ["fork", "tag", "merge", "fork at a version"])
def test_what_is_pruned_while_somebody_refers_to_it_is_not_referred_to(
    path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StateStore(path) as store, StateStore(path) as second:
        session = counted(store)
        fork = session.fork("fork", at=10)
        append = store._journal.appender.append_all

        def late(*arguments: Any) -> Any:
            second.session("alice").prune(keep_rounds=1)
            return append(*arguments)

        monkeypatch.setattr(store._journal.appender, "append_all", late)
        if what == "merge":
            second.session("alice").save({"n": 11})
            assert fork.merge(session).round is not None
        else:
            acts: dict[str, Callable[[], object]] = {
                "fork": lambda: session.fork("new", at=4),
                "tag": lambda: session.tag("new", at=4),
                "fork at a version": lambda: session.fork("new", version=6),
            }
            with pytest.raises(RoundNotFoundError, match="pruned"):
                acts[what]()
            assert (session.branches(), session.tags()) == (["main", "fork"], {})
        verified(second)


def test_a_version_in_the_pruned_past_cannot_be_forked_or_tagged(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store)
        session.fork("at four", at=4)
        session.note("noted")
        session.update(lambda state: state.update(n=11))
        session.prune(keep_rounds=1)
        for version in (1, 2, 9, 18, 21):
            with pytest.raises(RoundNotFoundError):
                session.fork("new", version=version)
            with pytest.raises(RoundNotFoundError):
                session.tag("new", version=version)
        session.fork("old", version=8)
        assert session.fork("empty", version=0).state() == {}
        assert store.session("alice", branch="old").state()["n"] == 4
        verified(store)


def test_a_prune_that_meets_a_writer_is_planned_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StateStore(path) as store, StateStore(path) as second:
        session = counted(store)
        remove, calls = store._journal.removals.remove, list[int]()

        def late(*arguments: Any, **options: Any) -> bool:
            if len(calls) < 6:
                calls.append(second.session("alice").save({"n": 11 + len(calls)}).id)
            return remove(*arguments, **options)

        monkeypatch.setattr(store._journal.removals, "remove", late)
        told = session.prune(keep_rounds=2)
        assert calls == [11, 12, 13, 14]
        assert (told.round, numbers(session)) == (13, {13: 13, 14: 14})
        verified(store)


def test_a_damaged_root_is_an_error_and_reported(path: Path) -> None:
    with StateStore(path) as store:
        session = counted(store)
        session.prune(keep_rounds=1)
        with store._journal.connection.write():
            store._journal.connection.all("UPDATE roots SET data = zeroblob(20)")
        store._journal.forget()
        with pytest.raises(CorruptJournalError, match="root 20"):
            session.state()
        assert not store.verify().ok


@pytest.mark.parametrize("more", [0, 3])
def test_a_state_that_is_read_while_its_past_is_pruned_is_right(
    path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    with StateStore(path) as store, StateStore(path) as second:
        session = counted(store)
        second.session("alice").save({"n": 11})
        advance = store._journal.reader.advance

        def late(*arguments: Any) -> Any:
            monkeypatch.undo()
            for n in range(12, 12 + more):
                second.session("alice").save({"n": n})
            second.session("alice").prune(keep_rounds=1)
            return advance(*arguments)

        monkeypatch.setattr(store._journal.reader, "advance", late)
        assert session.state() == {"n": 11 + more}
        assert numbers(session) == {11 + more: 11 + more}
