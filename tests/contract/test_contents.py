"""What a store tells of all its sessions: lists, the feed, notes, counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstate import StateStore
from tests.stores import grown

if TYPE_CHECKING:
    from pathlib import Path


def test_sessions_are_listed_by_name_with_what_their_first_branch_says(store: StateStore) -> None:
    session = grown(store)
    alice, bob = store.sessions()
    assert (alice.user_id, alice.session_id, alice.branches) == ("alice", "trip", 2)
    assert (alice.version, alice.round) == (session.version, 3)
    assert (bob.user_id, bob.session_id, bob.round, bob.version) == ("bob", "default", 1, 0)
    assert alice.recorded_at < bob.recorded_at
    assert [info.user_id for info in store.sessions("bob")] == ["bob"]
    assert list(store.sessions("nobody")) == []


def test_more_sessions_than_a_page_holds_are_listed_whole(store: StateStore) -> None:
    names = [(f"user-{number % 3}", f"session-{number:04}") for number in range(600)]
    names += [("user-1", ""), ("", "x"), ("user-1\0", "y"), ("user-10", "z")]
    for user, name in names:
        store.session(user, name).note("made")
    assert [(info.user_id, info.session_id) for info in store.sessions()] == sorted(names)
    mine = sorted(name for user, name in names if user == "user-1")
    assert [info.session_id for info in store.sessions("user-1")] == mine


def test_sessions_made_during_the_walk_do_not_disturb_it(store: StateStore) -> None:
    for number in range(300):
        store.session("u", f"{number:03}").note("made")
    walk = store.sessions()
    seen = [next(walk).session_id]
    store.session("a").note("before")
    store.session("u", "1500").note("after")
    seen += [info.session_id for info in walk]
    assert len(seen) == len(set(seen))
    assert {f"{number:03}" for number in range(300)} <= set(seen)


def test_the_feed_tells_every_commit_once_in_order(store: StateStore) -> None:
    grown(store)
    commits = list(store.commits())
    assert [commit.position for commit in commits] == list(range(1, len(commits) + 1))
    assert [(commit.kind, commit.branch, commit.round) for commit in commits] == [
        ("save", "main", 1),
        ("update", "main", 2),
        ("note", "main", None),
        ("tag", "main", None),
        ("fork", "other", None),
        ("save", "other", 2),
        ("merge", "main", 3),
        ("save", "main", 2),
        ("save", "main", 1),
    ]
    assert commits[0].metadata == {"k": b"v"}
    assert (commits[-1].user_id, commits[-1].session_id) == ("bob", "default")
    assert list(store.commits(after=4)) == commits[4:]
    assert list(store.commits(after=len(commits))) == []
    store.session("carol").save({"n": 1}, commit_id="x", actor="a", reason="r")
    [new] = store.commits(after=commits[-1].position)
    assert (new.user_id, new.events, new.commit_id, new.actor, new.reason) == ("carol", 1, "x", "a", "r")


def test_a_feed_longer_than_a_page_is_told_whole(store: StateStore) -> None:
    session = store.session("alice")
    for number in range(700):
        session.note("n", number)
    assert [commit.position for commit in store.commits(after=100)] == list(range(101, 701))


def test_notes_are_told_with_their_data_in_order(store: StateStore) -> None:
    session = store.session("alice")
    session.note("reply.started", actor="planner", reason="asked")
    session.save({"n": 1})
    other = session.fork("other")
    other.note("tool.called", {"name": "search", "args": (1, 2)})
    session.note("elsewhere")
    told = [(note.name, note.data, note.seq, note.actor, note.reason) for note in other.notes()]
    assert told == [
        ("reply.started", None, 1, "planner", "asked"),
        ("tool.called", {"name": "search", "args": (1, 2)}, 3, None, None),
    ]
    assert [note.seq for note in other.notes("tool.called")] == [3]
    assert [note.name for note in session.notes()] == ["reply.started", "elsewhere"]
    assert [note.seq for note in other.notes(after=2)] == [note.seq for note in other.notes() if note.seq > 2]
    assert [note.seq for note in other.notes("tool.called", after=3)] == []
    assert list(store.session("nobody").notes()) == []


def test_stats_count_what_is_there(store: StateStore) -> None:
    empty = store.stats()
    assert (empty.sessions, empty.commits, empty.events, empty.payload, empty.cached) == (0, 0, 0, 0, 0)
    grown(store)
    stats = store.stats()
    assert (stats.sessions, stats.branches, stats.commits) == (2, 3, len(list(store.commits())))
    assert stats.events == sum(commit.events for commit in store.commits())
    assert stats.payload > 0
    assert (stats.snapshots, stats.snapshot_size, stats.snapshot_stored) == (0, 0, 0)
    assert stats.file > 0
    assert stats.cached > 0
    assert stats.cache_hits > 0
    assert stats.cache_misses > 0


def test_the_cache_stays_within_its_bytes(path: Path) -> None:
    with StateStore(path, durability="normal", cache_bytes=10_000) as store:
        for number in range(50):
            store.session(f"user-{number}").save({"text": "x" * 1000})
        for number in range(50):
            assert store.session(f"user-{number}").state() == {"text": "x" * 1000}
        assert 0 < store.stats().cached <= 10
    with StateStore(path, cache_bytes=0) as store:
        store.session("user-1").update(lambda state: state.update(n=1))
        assert store.stats().cached == 0
