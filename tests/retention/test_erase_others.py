"""Erasing while others read and write, and when nothing is left in the file besides."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import (
    AttributeNotFoundError,
    ConflictError,
    Session,
    StateStore,
)
from tests.retention.raw import OtherError, marker, seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.retention.raw import Other, Peeper
from tests.retention.secrets import REST, SECRET, TWIN, talk, verified

pytestmark = pytest.mark.proves("erase")

# Other processes

WARM = (
    "store = StateStore(path, snapshot_every=1)",
    "session = store.session('alice')",
    "fork = store.session('alice', branch='fork')",
    "states = session.state(), fork.state()",
)


def test_a_process_with_all_it_has_read_in_memory_never_writes_the_secret_back(
    path: Path, peeper: Peeper, other: Other
) -> None:
    with StateStore(path) as store:
        session = talk(store)
        other.do(*WARM)
        # A snapshot of the secret waits to be written with the other's next commit.
        other.do("fork.update(lambda state: state.update(n=1))")
        assert other.do("store._journal.snapshots.pending") is True
        other.do("walk = session.replay(); first = next(walk)")
        other.do("old = session.history('card'); kept = session.history('name')")
        other.do("body = session.round(); live = body.__enter__(); live['plan'] = 'mine'")
        assert other.do("live['card']") is not None
        session.erase("card")
        assert not seen(peeper.everything(path), {SECRET, TWIN})
        assert all("card" not in state for state in other.do("[state for _, state in walk]"))
        with pytest.raises(OtherError, match="ConflictError"):
            other.do("body.__exit__(None, None, None)")
        assert (
            other.do("'card' in session.state(), 'card' in fork.state(), 'card' in fork.state(1)")
            == [False] * 3
        )
        assert other.do("[change.seq for change in session.history('card')]") == []
        assert other.do("[str(change) for change in kept]") == [str(c) for c in session.history("name")]
        for line in ("session", "fork"):
            other.do(f"{line}.update(lambda state: state.update(n=2))", f"{line}.note('noted')")
        other.do("store.close()")
        assert session.state() == {"name": REST, "log": session.state()["log"], "n": 2}
        assert not seen(peeper.everything(path), {SECRET, TWIN})
        verified(store)
    assert not seen(peeper.everything(path), {SECRET, TWIN})


REACHES: dict[str, Callable[[Session, Session], object]] = {
    "rollback": lambda main, _: main.rollback("theirs"),
    "a part of a rollback": lambda main, _: main.rollback("theirs", paths=["card"]),
    "merge": lambda main, fork: main.merge(fork),
}


@pytest.mark.parametrize("what", REACHES)
def test_what_was_read_of_another_branch_is_not_written_when_it_was_erased_meanwhile(
    path: Path, peeper: Peeper, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StateStore(path) as store, StateStore(path) as eraser:
        main = store.session("alice")
        main.save({"n": 1})
        fork = main.fork("fork")
        fork.update(lambda state: state.update(card=SECRET))
        main.tag("theirs", at=fork.latest)
        append, calls = store._journal.appender.append_all, list[Any]()

        def late(*arguments: Any) -> Any:
            if not calls:
                calls.append(eraser.session("alice").erase("card"))
                assert calls[0].branches == ("fork",)
            return append(*arguments)

        monkeypatch.setattr(store._journal.appender, "append_all", late)
        if "part" in what:
            with pytest.raises(AttributeNotFoundError):
                REACHES[what](main, fork)
        else:
            REACHES[what](main, fork)
        assert calls
        assert main.state() == {"n": 1}
        assert not seen(peeper.everything(path), {SECRET})
        verified(store)


def test_the_first_state_of_a_session_is_not_kept_if_it_was_erased_just_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StateStore(path) as store, StateStore(path) as eraser:
        begin = store._journal.begin_head

        def late(*arguments: Any) -> None:
            eraser.session("alice").erase("card")
            begin(*arguments)

        monkeypatch.setattr(store._journal, "begin_head", late)
        session = store.session("alice")
        session.save({"card": SECRET, "n": 1})
        assert session.state() == {"n": 1}


def test_a_round_of_the_same_store_that_was_open_conflicts(path: Path, peeper: Peeper) -> None:
    with StateStore(path, snapshot_every=1) as store:
        session = talk(store)
        with pytest.raises(ConflictError), session.round() as state:
            state["n"] = 1
            session.erase("card")
        assert "n" not in session.state()
        with session.round() as state:
            state["n"] = 2
        assert session.state()["n"] == 2
        store.close()
        assert not seen(peeper.everything(path), {SECRET, TWIN})


# When the file is clean

PIN = (
    "pin = apsw.Connection(path)",
    "pin.execute('begin')",
    "pin.execute('select count(*) from events').fetchall()",
)


@pytest.mark.parametrize("how", ["scrub", "commit", "close", "another store", "a store that was open"])
def test_a_reader_that_holds_the_log_leaves_it_pending_until_it_is_gone(
    path: Path, peeper: Peeper, other: Other, how: str
) -> None:
    with StateStore(path) as store, StateStore(path) as third:
        session = talk(store)
        third.session("alice").state()
        other.do(*PIN)
        assert session.erase("card").pending
        assert not store.scrub()
        session.note("still written")
        assert store._journal.removals.pending
        assert session.state() == {"name": REST, "log": session.state()["log"]}
        other.do("pin.close()")
        if how == "scrub":
            assert store.scrub()
        elif how == "commit":
            session.note("written")
        elif how == "close":
            third.close()
            store.close()
        elif how == "another store":
            with StateStore(path) as fourth:
                assert fourth.scrub()
        else:
            third.session("alice").update(lambda state: state.update(n=1))
        assert not seen(peeper.everything(path), {SECRET, TWIN})
        if not store.closed:
            assert store._journal.removals.stage() == 0
            assert store.scrub()


CRASH = """
import os, sys
from eventstate import StateStore
store = StateStore(sys.argv[1], snapshot_every=1)
truncate, run = store._journal.connection.truncate_log, store._journal.connection.all
def dying(statement, values=()):
    if statement == sys.argv[2]:
        os._exit(7)
    return run(statement, values)
store._journal.connection.all = dying
if sys.argv[2] == "truncate":
    store._journal.connection.truncate_log = lambda timeout: os._exit(7)
getattr(store.session("alice"), sys.argv[3])(*sys.argv[4:])
"""


@pytest.mark.parametrize("at", ["VACUUM", "truncate"])
@pytest.mark.parametrize("what", [["erase", "card"], ["purge"]])
def test_after_a_crash_before_the_cleaning_the_next_to_open_and_close_cleans(
    path: Path, peeper: Peeper, at: str, what: list[str]
) -> None:
    with StateStore(path) as store:
        talk(store)
    done = subprocess.run([sys.executable, "-c", CRASH, path, at, *what], check=False, timeout=60)
    assert done.returncode == 7
    assert seen(peeper.everything(path), {SECRET, TWIN}) == {SECRET, TWIN}
    with StateStore(path) as store:
        assert store._journal.removals.pending
        verified(store)
    assert not seen(peeper.everything(path), {SECRET, TWIN})
    with StateStore(path) as store:
        assert not store._journal.removals.pending


def test_what_another_removes_while_the_file_is_being_rebuilt_is_not_taken_for_clean(
    path: Path, peeper: Peeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StateStore(path) as store, StateStore(path) as second:
        session = talk(store)
        store.session("bob").save({"card": REST, "more": marker(-4)})
        run, calls = store._journal.connection.all, list[int]()

        def late(statement: str, values: Any = ()) -> Any:
            rows = run(statement, values)
            if statement == "VACUUM" and not calls:
                calls.append(1)
                monkeypatch.setattr(second._journal.removals, "finish", lambda *_: False)
                second.session("bob").erase("more")
            return rows

        monkeypatch.setattr(store._journal.connection, "all", late)
        assert session.erase("card").pending
        monkeypatch.undo()
        assert store.scrub()
        assert not seen(peeper.everything(path), {SECRET, TWIN, marker(-4)})


def test_values_looked_at_later_are_those_of_after_the_erasure(path: Path) -> None:
    with StateStore(path) as store:
        session = store.session("alice")
        session.save({"log": ["a", "b"]})
        session.update(lambda state: state["log"].insert(0, SECRET))
        session.update(lambda state: state["log"].append("c"))
        changes = session.history("log")
        assert changes[1].after == [SECRET, "a", "b"]
        session.erase(range(2, 3))
        assert (changes[2].before, changes[2].after) == (["a", "b"], ["a", "b", "c"])
        assert changes[1].before == changes[1].after == ["a", "b"]
