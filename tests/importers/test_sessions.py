"""What an import writes: whole sessions, once, and again only what changed.

The files in `tests/files/sessions` are AgentScope's JSONSession's own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import FileKeyRing, StateStore
from eventstate.errors import ImportFailedError
from eventstate.writer import Writer
from tests.importers.bringing import KEY, STATES, all_packed, bring, dumped, replayed
from tests.importers.forge import DUMPS, FILES
from tests.importers.test_rdb import BOB, TRIP

if TYPE_CHECKING:
    from pathlib import Path


# What is written


@pytest.mark.proves("exact")
@pytest.mark.parametrize("name", [name for name in DUMPS if "others" not in name])
def test_each_round_of_a_state_service_is_a_round_of_its_number(store: StateStore, name: str) -> None:
    result = bring(store, FILES / name)
    assert result.ok
    assert replayed(store.session("alice", "trip")) == all_packed(TRIP)
    assert replayed(store.session("bob")) == all_packed({n: json.loads(data) for n, data in BOB.items()})
    assert replayed(store.session("carol", "x:a:b")) == all_packed({"0": {"c": 1}})
    assert result.ambiguous == ["user_state:carol:x:a:b"]
    assert (result.sessions, result.rounds, result.added) in {(3, 6, 6), (4, 9, 9)}
    assert store.verify().ok


def test_a_commit_says_where_it_came_from(store: StateStore, path: Path) -> None:
    bring(store, path)
    commits = list(store.commits())
    assert [(commit.kind, commit.actor, commit.round) for commit in commits] == [
        ("import", "agentscope", number) for number in (1, 2, 3)
    ]
    assert len({commit.commit_id for commit in commits}) == 3
    told = commits[0].metadata
    assert len(told.pop("digest")) == 64
    assert told == {"source": "dump.rdb", "kind": "redis-state", "database": 0, "key": KEY}


@pytest.mark.parametrize("name", [name for name in DUMPS if "others" in name])
def test_a_key_of_a_redis_session_is_round_1_and_other_keys_are_counted(store: StateStore, name: str) -> None:
    result = bring(store, FILES / name)
    assert store.session("erin", "chat").state(at=1) == {
        "agent": {"v": [1, "ö"]},
        "memory": {"v": {"k": ""}},
    }
    assert store.session("erin2", "chat").state(at=1)["memory"] == {"v": {"k": "prod:"}}
    assert (result.sessions, result.rounds, result.added, result.ignored) == (2, 2, 2, 18)


def test_keys_of_another_prefix_or_database_are_left_alone(store: StateStore) -> None:
    result = bring(store, FILES / "redis-7-others.rdb", prefix="prod:")
    assert ([info.user_id for info in store.sessions()], result.ignored) == (["erin2"], 19)
    result = bring(store, FILES / "redis-7-listpack.rdb", database=1)
    assert (result.sessions, result.ignored) == (0, 3)


@pytest.mark.proves("exact")
def test_a_folder_of_json_sessions_is_read_with_all_that_json_lacks(store: StateStore) -> None:
    result = bring(store, FILES / "sessions")
    assert (result.sessions, result.rounds, result.added, result.ok) == (2, 2, 2, True)
    trip = store.session("", "alice_trip_home")
    assert replayed(trip) == all_packed(
        {
            "1": {
                "agent": {"v": {"plan": None, "n": float("nan"), "big": 1 << 80}},
                "memory": {"v": ["Grüße", 1, 1.0, True]},
            }
        }
    )
    assert store.session("", "default").state() == {"agent": {"v": "\ud800 alone"}}


def test_users_that_are_known_say_whose_a_file_is(store: StateStore) -> None:
    bring(store, FILES / "sessions", users=["bob", "alice"])
    assert [(info.user_id, info.session_id) for info in store.sessions()] == [
        ("", "default"),
        ("alice", "trip_home"),
    ]


def test_users_that_are_known_say_whose_a_key_is(store: StateStore) -> None:
    result = bring(store, FILES / "redis-7-listpack.rdb", users=["carol:x"])
    assert store.session("carol:x", "a:b").state() == {"c": 1}
    assert result.ambiguous == []


def test_a_single_file_is_what_it_looks_like_or_what_was_said(store: StateStore, tmp_path: Path) -> None:
    bring(store, FILES / "sessions" / "default.json")
    assert store.session("", "default").exists
    document = tmp_path / "dump.json"
    document.write_text(json.dumps({KEY: {n: json.dumps(state) for n, state in STATES.items()}}))
    bring(store, document)
    assert replayed(store.session("alice", "trip")) == all_packed(STATES)
    bring(store, document, kind="json-session")
    assert store.session("", "dump").state(at=1) == json.loads(document.read_text())
    with pytest.raises(ImportFailedError, match=r"dump\.json, byte 0: no RDB file"):
        bring(store, document, kind="rdb")
    with pytest.raises(ImportFailedError, match="a folder, which is no rdb"):
        bring(store, tmp_path, kind="rdb")


def test_other_files_of_a_folder_are_counted_and_left_alone(store: StateStore, tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "trip.json").write_text('{"a": 1}')
    result = bring(store, tmp_path)
    assert (result.sessions, result.ignored) == (1, 2)


def test_rounds_are_in_ascending_order_whatever_the_order_of_the_hash(
    store: StateStore, tmp_path: Path
) -> None:
    bring(store, dumped(tmp_path, {"10": {"n": 10}, "9": {"n": 9}, "0": {}}))
    assert [commit.round for commit in store.commits()] == [0, 9, 10]
    assert store.session("alice", "trip").state() == {"n": 10}


def test_a_session_that_has_a_key_is_encrypted(tmp_path: Path, path: Path) -> None:
    keys = FileKeyRing(tmp_path / "agent.keys")
    keys.create("alice", "trip")
    with StateStore(tmp_path / "agent.db", keys=keys) as store:
        assert bring(store, path).added == 3
        assert [info.encrypted for info in store.sessions()] == [True]
        assert bring(store, path).added == 0
    with StateStore(tmp_path / "agent.db") as store:
        result = bring(store, path)
        assert (result.refused, result.added) == (1, 0)
        assert "trip" in result.problems[0].message


# Again


@pytest.mark.parametrize("name", [*DUMPS, "sessions"])
def test_an_import_that_is_repeated_adds_nothing(store: StateStore, name: str) -> None:
    first = bring(store, FILES / name)
    before = store.seal()
    second = bring(store, FILES / name)
    assert (second.added, second.rounds, second.sessions) == (0, first.rounds, first.sessions)
    assert store.seal() == before


def test_a_dump_in_another_form_is_the_same(store: StateStore, path: Path, tmp_path: Path) -> None:
    bring(store, path)
    lines = tmp_path / "lines.jsonl"
    value = {number: json.dumps(state) for number, state in STATES.items()}
    lines.write_text(json.dumps({"key": KEY, "type": "hash", "value": value}) + "\n")
    assert bring(store, lines).added == 0


def test_what_changed_in_the_source_becomes_a_new_commit_of_the_same_round(
    store: StateStore, tmp_path: Path
) -> None:
    session = store.session("alice", "trip")
    bring(store, dumped(tmp_path, STATES))
    old = session.version
    changed = STATES | {"2": {"n": "changed"}, "4": {"n": 4}}
    assert bring(store, dumped(tmp_path, changed)).added == 2
    assert replayed(session) == all_packed(changed)
    assert session.state(version=old) == STATES["3"]
    assert bring(store, dumped(tmp_path, changed)).added == 0


def test_a_source_that_goes_back_to_what_it_was_is_followed(store: StateStore, tmp_path: Path) -> None:
    session = store.session("alice", "trip")
    for number, state in enumerate(({"n": 1}, {"n": 2}, {"n": 1}, {"n": 2}, {"n": 1}), 1):
        assert bring(store, dumped(tmp_path, {"1": state})).added == 1
        assert session.state() == state
        assert store.stats().commits == number


def test_a_change_that_makes_an_old_round_new_leaves_the_latest_state(
    store: StateStore, tmp_path: Path
) -> None:
    bring(store, dumped(tmp_path, STATES))
    session = store.session("alice", "trip")
    for late in (True, False):
        assert bring(store, dumped(tmp_path, STATES | {"1": {"late": late}})).added == 1
        assert session.state() == STATES["3"]
        assert session.state(at=1) == {"late": late}


def test_rounds_that_the_source_has_no_more_stay(store: StateStore, tmp_path: Path) -> None:
    bring(store, dumped(tmp_path, STATES))
    assert bring(store, dumped(tmp_path, {"3": STATES["3"]})).added == 0
    assert replayed(store.session("alice", "trip")) == all_packed(STATES)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_import_that_was_interrupted_goes_on_where_it_stopped(
    store: StateStore, path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    count = 0
    commit = Writer.commit

    def interrupted(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == stop:
            raise KeyboardInterrupt
        return commit(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bring(store, path)
    assert store.stats().commits == stop - 1
    assert bring(store, path).added == 3 - (stop - 1)
    assert replayed(store.session("alice", "trip")) == all_packed(STATES)
    assert store.stats().commits == 3
