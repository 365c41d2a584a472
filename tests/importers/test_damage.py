"""What can't be brought in is told, and nothing of its session is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from eventstate import Session, StateStore
from eventstate.errors import ImportFailedError
from eventstate.importers import Problem
from tests.importers.bringing import KEY, STATES, all_packed, bring, dumped, replayed
from tests.importers.forge import FILES, file, hashes

BAD: dict[str, Any] = {
    "2": b"{",
    "x": {},
    "-1": {},
    "01": {},
    "²": {},
    "9" * 30: {},
    str(1 << 62): {},
    "3": [],
    "4": b'{"a": 1, "a": 2}',
    "5": b"\xff",
}


def test_a_session_with_damaged_rounds_is_refused_whole_and_the_others_are_written(
    store: StateStore, tmp_path: Path
) -> None:
    damaged = {"1": {"n": 1}} | BAD
    path = file(tmp_path / "x.rdb", hashes({"user_state:bob:x": {"1": {}}, KEY: damaged}))
    result = bring(store, path)
    assert (result.sessions, result.refused, result.added, result.skipped) == (2, 1, 1, 0)
    assert {(problem.source, problem.key) for problem in result.problems} == {(str(path), KEY)}
    assert {problem.field for problem in result.problems} == BAD.keys()
    assert [info.user_id for info in store.sessions()] == ["bob"]
    told = {problem.field: problem.message for problem in result.problems}
    assert told["x"] == told["-1"] == told["01"] == told["²"] == "not the number of a round"
    assert told["3"] == "not a JSON object"
    assert str(Problem("x.rdb", KEY, "3", "bad")) == f"x.rdb, '{KEY}', field '3': bad"


def test_damaged_rounds_can_be_left_out(store: StateStore, tmp_path: Path) -> None:
    path = dumped(tmp_path, {"1": {"n": 1}} | BAD | {"7": {"n": 7}})
    result = bring(store, path, skip_damaged=True)
    assert (result.ok, result.added, result.rounds, result.skipped) == (True, 2, 2, len(BAD))
    assert len(result.problems) == len(BAD)
    assert replayed(store.session("alice", "trip")) == all_packed({"1": {"n": 1}, "7": {"n": 7}})


def test_what_a_json_dump_has_instead_of_a_string_is_damaged(store: StateStore, tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps({KEY: {"1": {"n": 1}}}))
    assert [problem.message for problem in bring(store, path).problems] == ["not a string"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a": {}, "a": {}}'])
def test_a_damaged_file_of_a_session_is_told_and_the_others_are_written(
    store: StateStore, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    (tmp_path / "good.json").write_text('{"agent": {"n": 1}}')
    for options in ({}, {"skip_damaged": True}):
        result = bring(store, tmp_path, **options)
        assert [problem.key for problem in result.problems] == ["bad"]
        assert (result.refused, result.skipped) == ((0, 1) if options else (1, 0))
        assert [info.session_id for info in store.sessions()] == ["good"]
    assert bring(store, tmp_path / "bad.json").problems[0].key == "bad"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0" + b"\x15user_state:alice:trip\2{}", "of the type string, and not hash"),
        (b"\1" + b"\x15user_state:alice:trip\1\1a", "of the type list, and not hash"),
        (b"\4" + b"\x20user_id:alice:session:trip:state\1\x011\2{}", "of the type hash, and not string"),
        (b"\4" + b"\x15user_state:al\xffce:trip\1\x011\2{}", "user_id .* lone surrogate"),
        (b"\4" + b"\x15user_state:alice:tr\xffp\1\x011\2{}", "session_id .* lone surrogate"),
    ],
)
def test_a_key_that_is_no_session_after_all_is_told_and_refused(
    store: StateStore, tmp_path: Path, data: bytes, message: str
) -> None:
    for skip in (False, True):
        result = bring(store, file(tmp_path / "x.rdb", data), skip_damaged=skip)
        assert result.refused == 1
        assert list(store.sessions()) == []
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(str(result.problems[0]))


def test_a_session_in_two_places_is_refused_with_both_of_them(store: StateStore, tmp_path: Path) -> None:
    other = file(tmp_path / "other.rdb", b"\0\x20user_id:alice:session:trip:state\2{}")
    result = bring(store, dumped(tmp_path, STATES), other)
    assert (result.sessions, result.refused, result.added) == (2, 2, 0)
    for problem in result.problems:
        assert f"dump.rdb, '{KEY}'" in problem.message
        assert "other.rdb, 'user_id:alice:session:trip:state'" in problem.message
    assert bring(store, dumped(tmp_path, STATES)).added == 3


def test_databases_with_the_same_key_can_be_told_apart(store: StateStore, tmp_path: Path) -> None:
    parts = (hashes({KEY: {"1": {"n": 0}}}), b"\xfe\1", hashes({KEY: {"1": {"n": 1}}}))
    path = file(tmp_path / "x.rdb", *parts)
    assert bring(store, path).refused == 2
    assert bring(store, path, database=1).added == 1
    assert store.session("alice", "trip").state() == {"n": 1}
    assert bring(store, path, database=0).refused == 1


def test_nothing_is_written_if_one_of_the_dumps_is_damaged(
    store: StateStore, path: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.rdb"
    bad.write_bytes((FILES / "redis-7-table.rdb").read_bytes()[:-9])
    with pytest.raises(ImportFailedError, match=r"bad\.rdb, byte [0-9]+: "):
        bring(store, path, bad)
    assert store.stats().commits == 0


def test_compressed_values_are_looked_at_before_all_writing(store: StateStore, tmp_path: Path) -> None:
    torn = b"\4\x13user_state:bob:trip\1\x011\xc3\2\x3f\0x"
    path = file(tmp_path / "x.rdb", hashes({KEY: STATES}), torn)
    with pytest.raises(ImportFailedError, match="LZF does not give the 63 bytes"):
        bring(store, path)
    assert store.stats().commits == 0


@pytest.mark.parametrize(
    ("name", "content"), [("x", b"what is this"), ("x.rdb", b""), ("x.txt", b"\xff\xfe")]
)
def test_a_file_that_is_nothing_of_all_that_is_refused(
    store: StateStore, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImportFailedError, match=rf"{name}, byte 0: neither an RDB file nor JSON"):
        bring(store, tmp_path / name)


def test_a_path_that_is_no_file_is_refused(store: StateStore, tmp_path: Path) -> None:
    with pytest.raises(ImportFailedError, match=r"missing: neither a file nor a folder"):
        bring(store, tmp_path / "missing")


@pytest.mark.parametrize(
    ("become", "message"),
    [
        (lambda path: path.write_text('{"n": 1}'), "changed while it was read"),
        (Path.unlink, "can't be read: .*trip.json"),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_refused_and_the_others_are_written(
    store: StateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, become: Any, message: str
) -> None:
    for name in ("a", "trip", "z"):
        (tmp_path / f"{name}.json").write_text("{}")
    rounds = Session.rounds

    def changing(session: Session) -> Any:
        if session.session_id == "trip":
            become(tmp_path / "trip.json")
        return rounds(session)

    monkeypatch.setattr(Session, "rounds", changing)
    result = bring(store, tmp_path)
    assert (result.added, result.refused) == (2, 1)
    [problem] = result.problems
    assert problem.source == str(tmp_path / "trip.json")
    assert re.match(message, problem.message)
    assert [info.session_id for info in store.sessions()] == ["a", "z"]


def test_a_file_that_can_not_be_read_is_told_and_the_others_are_written(
    store: StateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "trip", "z"):
        (tmp_path / f"{name}.json").write_text("{}")
    opened = Path.open

    def denied(path: Path, *arguments: Any) -> Any:
        if path.name == "trip.json":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments)

    monkeypatch.setattr(Path, "open", denied)
    result = bring(store, tmp_path)
    assert (result.added, result.refused) == (2, 1)
    assert result.problems[0].message.startswith("can't be read: [Errno 13] Permission denied")


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
def test_the_store_itself_is_no_source_and_is_not_opened(tmp_path: Path, end: str) -> None:
    with StateStore(tmp_path / "agent.json") as store:
        store.session("alice").save({"n": 1})
        (tmp_path / "a.json").write_text("{}")
        with pytest.raises(ImportFailedError, match="the store itself"):
            bring(store, tmp_path / f"agent.json{end}")
        with pytest.raises(ImportFailedError, match="the store itself"):
            bring(store, tmp_path)
        assert store.stats().commits == 1
