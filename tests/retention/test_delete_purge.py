"""Deleting can be taken back and lets nobody write; purging leaves hashes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import RoundNotFoundError, Session, SessionDeletedError, StateStore, UnsupportedValueError
from tests.retention.raw import OtherError, marker, rows, seen
from tests.stores import everything, packed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.retention.raw import Other, Peeper

pytestmark = pytest.mark.proves("delete")

NAMES = {
    name: marker(-number)
    for number, name in enumerate(
        ("user", "session", "value", "key", "reason", "actor", "metadata", "commit", "tag", "branch", "note"),
        1,
    )
}


def talk(store: StateStore, user: str = "alice") -> Session:
    session = store.session(user)
    session.save({"n": 1})
    session.fork("fork").save({"n": 2})
    session.save({"n": 3})
    return session


def full(store: StateStore) -> Session:
    """Write a session in which every text is one of its own."""
    session = store.session(NAMES["user"], NAMES["session"])
    session.save(
        {NAMES["key"]: [NAMES["value"]] * 3, "n": 0},
        reason=NAMES["reason"],
        actor=NAMES["actor"],
        metadata={"m": NAMES["metadata"]},
        commit_id=NAMES["commit"],
    )
    session.tag(NAMES["tag"])
    session.note(NAMES["note"], NAMES["value"])
    fork = session.fork(NAMES["branch"], reason=NAMES["reason"])
    for n in range(4):
        session.save({**session.state(), "n": n})
        fork.save({**fork.state(), "m": n})
    session.merge(fork)
    session.erase("m", reason=NAMES["reason"])
    session.prune(keep_rounds=2)
    return session


WRITES: dict[str, Callable[[Session], object]] = {
    "save": lambda session: session.save({"n": 9}),
    "an unchanged save": lambda session: session.save({"n": 3}, if_changed=True),
    "a save for the second time": lambda session: session.save({"n": 3}, commit_id="same"),
    "update": lambda session: session.update(lambda state: state.update(n=9)),
    "note": lambda session: session.note("late"),
    "fork": lambda session: session.fork("late", at=1),
    "tag": lambda session: session.tag("late", at=1),
    "rollback": lambda session: session.rollback(1),
    "undo": lambda session: session.undo(),
    "merge": lambda session: session.merge(Session(session._journal, "alice", "default", "fork")),
    "delete": lambda session: session.delete(),
}


def test_deleting_is_a_commit_and_the_past_stays_readable(path: Path) -> None:
    with StateStore(path) as store:
        session = talk(store)
        seal, fork = store.seal(), store.session("alice", branch="fork")
        fork.delete(actor="clerk", reason="asked for", metadata={"n": 1})
        last = list(store.commits())[-1]
        assert (last.branch, last.kind, last.actor, last.reason, last.metadata, last.events) == (
            "main",
            "delete",
            "clerk",
            "asked for",
            {"n": 1},
            0,
        )
        for line in (session, fork):
            assert not line.exists
            assert line.state() is None
            assert line.state(1) == {"n": 1}
        assert [state["n"] for _, state in session.replay()] == [1, 3]
        assert list(store.sessions()) == []
        assert [info.deleted for info in store.sessions(deleted=True)] == [True]
        assert store.verify(seal=seal).ok


@pytest.mark.parametrize("what", WRITES)
def test_nothing_is_written_to_a_deleted_session_whoever_writes(path: Path, what: str) -> None:
    with StateStore(path) as store, StateStore(path) as late:
        talk(store).save({"n": 3}, commit_id="same")
        stale = late.session("alice")
        stale.state()
        store.session("alice").delete()
        before = everything(store)
        for session in (
            stale,
            store.session("alice"),
            late.session("alice"),
            store.session("alice", branch="fork"),
        ):
            if what == "merge" and session.branch == "fork":
                continue
            with pytest.raises(SessionDeletedError):
                WRITES[what](session)
        assert everything(store) == before
        assert store.verify().ok


def test_a_round_that_was_open_and_another_process_do_not_bring_it_back(path: Path, other: Other) -> None:
    with StateStore(path) as store:
        session = talk(store)
        other.do("store = StateStore(path)", "session = store.session('alice'); session.state()")
        other.do("body = session.round(); live = body.__enter__(); live['n'] = 7")
        with pytest.raises(SessionDeletedError), session.round() as state:
            state["n"] = 8
            session.delete()
        count = len(list(store.commits()))
        for line in ("body.__exit__(None, None, None)", "session.save({'n': 9})", "session.note('late')"):
            with pytest.raises(OtherError, match="SessionDeletedError"):
                other.do(line)
        assert other.do("session.state(), session.exists") == [None, False]
        assert len(list(store.commits())) == count
        session.restore(reason="after all")
        assert other.do("session.state()") == {"n": 3}
        other.do("session.save({'n': 9})", "store.close()")
        assert session.state() == {"n": 9}
        assert store.verify().ok


def test_restoring_takes_it_back_once(path: Path) -> None:
    with StateStore(path) as store:
        session = talk(store)
        with pytest.raises(ValueError, match="not deleted"):
            session.restore()
        session.delete()
        store.session("alice", branch="fork").restore()
        assert session.state() == {"n": 3}
        assert [info.deleted for info in store.sessions()] == [False]
        assert [commit.kind for commit in store.commits()][-2:] == ["delete", "restore"]
        with pytest.raises(ValueError, match="not deleted"):
            session.restore()
        assert store.verify().ok


def test_what_was_never_written_can_be_neither_deleted_nor_restored_nor_purged(path: Path) -> None:
    with StateStore(path) as store:
        for act in (Session.delete, Session.restore, Session.purge):
            with pytest.raises(RoundNotFoundError):
                act(store.session("nobody"))
        assert list(store.commits()) == []


def test_a_purge_leaves_nothing_but_hashes(path: Path, peeper: Peeper) -> None:
    with StateStore(path, snapshot_every=1) as store:
        talk(store, "before")
        session = full(store)
        talk(store, "after")
        seal = store.seal()
        kept = [packed(store.session(user).state(version=1)) for user in ("before", "after")]
        hashes = {row.hash for row in store._commit_rows(0)}
        raw = peeper.everything(path)
        assert seen(raw, NAMES.values()) == set(NAMES.values())
        plan = session.purge(dry_run=True)
        assert session.exists
        told = session.purge(reason="asked for", metadata={"ticket": 7})
        assert (told.branches, told.commits, told.events) == (plan.branches, plan.commits, plan.events)
        assert not told.pending
        assert not seen(peeper.everything(path), NAMES.values())
        last = list(store.commits())[-1]
        counts = {"branches": told.branches, "commits": told.commits, "events": told.events}
        assert (last.user_id, last.branch, last.kind, last.reason) == ("", "", "purge", "asked for")
        assert last.metadata == {"ticket": 7, **counts}
        assert [packed(store.session(user).state(version=1)) for user in ("before", "after")] == kept
        report = store.verify(seal=seal)
        assert report.ok, str(report)
        assert report.pruned >= told.commits
        assert [info.user_id for info in store.sessions(deleted=True)] == ["after", "before"]
        store.session("after").purge()
        assert store.verify(seal=seal).ok
    assert {row["hash"] for table in ("husks", "commits") for row in rows(path, table)} >= hashes
    assert set(rows(path, "husks")[0]) == {"id", "position", "hash"}


def test_a_session_of_the_same_name_is_another_one(path: Path, other: Other) -> None:
    with StateStore(path) as store:
        session = talk(store)
        fork = store.session("alice", branch="fork")
        assert fork.exists
        other.do("store = StateStore(path)", "session = store.session('alice'); session.state()")
        other.do("body = session.round(); live = body.__enter__(); live['n'] = 7")
        branches = {row.branch for row in store._commit_rows(0)}
        seal, turn = store.seal(), session.latest
        session.purge()
        again = store.session("alice")
        assert (again.state(), again.exists, list(again.rounds()), again.branches()) == (None, False, [], [])
        again.save({"new": True})
        fresh = again.fork("fork")
        assert {again._writer.branch().id, fresh._writer.branch().id}.isdisjoint(branches)
        for stale in (session, fork):
            assert not stale.exists
            assert stale.state() is None
            writes = [act for what, act in WRITES.items() if what != "merge" or stale is session]
            writes += [Session.purge, Session.delete, lambda line: line.erase("n")]
            for act in writes:
                with pytest.raises((SessionDeletedError, RoundNotFoundError)):
                    act(stale)
        for line in ("body.__exit__(None, None, None)", "session.save({'n': 9})", "session.purge()"):
            with pytest.raises(OtherError, match="SessionDeletedError"):
                other.do(line)
        with pytest.raises(RoundNotFoundError):
            again.state(turn)
        assert again.state() == {"new": True}
        assert len(list(again.rounds())) == 1
        assert other.do("store.session('alice').state()") == {"new": True}
        assert store.verify(seal=seal).ok


def test_a_purge_that_comes_too_late_leaves_the_next_session_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StateStore(path) as store, StateStore(path) as second:
        session = talk(store)
        remove = store._journal.removals.remove

        def late(*arguments: Any, **options: Any) -> bool:
            second.session("alice").purge()
            second.session("bob").save({"n": 1})  # it may get the number of the one that is gone
            return remove(*arguments, **options)

        monkeypatch.setattr(store._journal.removals, "remove", late)
        with pytest.raises(SessionDeletedError):
            session.purge()
        assert second.session("bob").state() == {"n": 1}
        assert [commit.kind for commit in second.commits()] == ["purge", "save"]
        assert second.verify().ok


def test_a_purge_that_cannot_be_told_does_nothing(path: Path) -> None:
    with StateStore(path) as store:
        session = talk(store)
        before = everything(store)
        with pytest.raises(UnsupportedValueError):
            session.purge(metadata={"bad": object()})
        assert everything(store) == before
        assert session.state() == {"n": 3}


def test_who_takes_a_session_away_without_saying_so_is_found_out(path: Path) -> None:
    with StateStore(path) as store:
        talk(store, "before")
        number = talk(store)._writer.branch().id
        talk(store, "after").purge()
        seal = store.seal()
        assert store.verify(seal=seal).ok
    with closing(sqlite3.connect(path)) as db:
        gone = "SELECT id FROM branches WHERE session = (SELECT session FROM branches WHERE id = :branch)"
        for statement in (
            f"INSERT INTO husks SELECT id, position, hash FROM commits WHERE id >> 32 IN ({gone})",  # noqa: S608 - ours
            f"DELETE FROM commits WHERE id >> 32 IN ({gone})",  # noqa: S608 - ours
            f"DELETE FROM events WHERE id >> 32 IN ({gone})",  # noqa: S608 - ours
            "DELETE FROM sessions WHERE id = (SELECT session FROM branches WHERE id = :branch)",
            f"DELETE FROM branches WHERE id IN ({gone})",  # noqa: S608 - ours
        ):
            db.execute(statement, {"branch": number})
        db.commit()
    with StateStore(path) as store:
        report = store.verify(seal=seal)
        assert [str(finding) for finding in report.findings] == ["2 branches are gone, and no commit says so"]


def test_who_takes_a_deletion_away_without_saying_so_is_found_out(path: Path) -> None:
    with StateStore(path) as store:
        session = talk(store)
        session.save({"n": 4})
        assert session.prune(keep_rounds=1).commits == 1
        session.delete()
        seal = store.seal()
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO husks SELECT id, position, hash FROM commits WHERE kind = 'delete'")
        db.execute("DELETE FROM commits WHERE kind = 'delete'")
        db.execute("UPDATE sessions SET deleted = NULL")
        db.commit()
    with StateStore(path) as store:
        report = store.verify(seal=seal)
        assert [finding.what for finding in report.findings] == [
            "commit 5 of the branch is gone, and no commit says so"
        ]


def test_a_session_that_is_purged_while_sessions_are_listed_is_left_out(path: Path) -> None:
    with StateStore(path) as store:
        for name in ("p", "q", "r"):
            store.session("listed", name).save({"n": 1})
        walk = store.sessions("listed")
        assert next(walk).session_id == "p"
        store.session("listed", "q").purge()
        assert [info.session_id for info in walk] == ["r"]
