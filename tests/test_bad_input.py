"""What is refused: the error says what and where, nothing is written, and the store goes on."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from eventstate import (
    CorruptJournalError,
    InvalidStateError,
    NewerFormatError,
    ReadOnlyError,
    Session,
    StateStore,
    StorageError,
    UnsupportedValueError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAN = float("nan")


def cyclic_list() -> list[Any]:
    value: list[Any] = [1]
    value.append([value])
    return value


def cyclic_dict() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["deeper"] = {"again": value}
    return value


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


class Text(str):
    """A string that would come back as a plain one."""

    __slots__ = ()


# What can't be stored, and where the error has to point, from the value on.
UNSTORABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "an object": (object, ""),
    "an object in a list": (lambda: [1, {"b": object()}], "/1/b"),
    "a function": (lambda: {"call": print}, "/call"),
    "a generator": (lambda: [iter(())], "/0"),
    "a subclass of str": (lambda: [Text("x")], "/0"),
    "an object in a set": (lambda: {"s": {1, print}}, "/s"),
    "an object as a key": (lambda: {"d": {print: 1}}, "/d"),
    "a NaN key": (lambda: {"d": {NAN: 1}}, "/d/nan"),
    "a decimal NaN key": (lambda: [{Decimal("NaN"): 1}], "/0/NaN"),
    "a tuple with NaN as a key": (lambda: {(1, NAN): 1}, "/(1, nan)"),
    "a cyclic list": (cyclic_list, "/1/0"),
    "a cyclic dict": (cyclic_dict, "/deeper/again"),
    "a value 300 lists deep": (lambda: nested(300), "/0/0/0"),
    "a value 100,000 lists deep": (lambda: nested(100_000), "/0/0/0"),
}


def in_round(session: Session, value: Any) -> None:
    with session.round() as state:
        state["n"] = 2
        state["bad"] = value


WAYS: dict[str, Callable[[Session, Any], object]] = {
    "save": lambda session, value: session.save({**session.state(), "bad": value}),
    "update": lambda session, value: session.update(lambda state: state.update(bad=value)),
    "round": in_round,
    "nested": lambda session, value: session.update(lambda state: state["list"][1].update(bad=value)),
}

PLACES = {"save": "/bad", "update": "/bad", "round": "/bad", "nested": "/list/1/bad"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore(tmp_path / "a.db", durability="normal") as opened:
        opened.session("u").save({"n": 1, "list": [0, {}]})
        yield opened


def assert_untouched(store: StateStore) -> None:
    session = store.session("u")
    assert session.version == 2
    assert session.state() == {"n": 1, "list": [0, {}]}
    assert len(list(store.commits())) == 1
    session.save({"n": 2, "list": [0, {}]})
    assert session.state() == {"n": 2, "list": [0, {}]}
    assert store.verify().ok


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", UNSTORABLE)
def test_an_unstorable_value_is_refused_with_its_path_and_nothing_is_written(
    store: StateStore, what: str, way: str
) -> None:
    make, where = UNSTORABLE[what]
    with pytest.raises(UnsupportedValueError) as caught:
        WAYS[way](store.session("u"), make())
    assert str(caught.value).startswith(PLACES[way] + where)
    assert isinstance(caught.value, TypeError)
    assert_untouched(store)


@pytest.mark.parametrize("what", UNSTORABLE)
def test_an_unstorable_value_is_refused_in_notes_and_metadata(store: StateStore, what: str) -> None:
    make, where = UNSTORABLE[what]
    with pytest.raises(UnsupportedValueError) as caught:
        store.session("u").note("tool.called", make())
    assert str(caught.value).startswith("/note/1" + where)
    with pytest.raises(UnsupportedValueError) as caught:
        store.session("u").save({"n": 1, "list": [0, {}]}, metadata={"m": make()})
    assert str(caught.value).startswith("/metadata/m" + where)
    assert_untouched(store)


@pytest.mark.parametrize("state", [None, [], [("a", 1)], "state", 1, object(), {1}, ("a",)])
def test_a_state_that_is_no_dict_is_refused(store: StateStore, state: Any) -> None:
    with pytest.raises(InvalidStateError, match=f"not {type(state).__name__}"):
        store.session("u").save(state)
    assert_untouched(store)


def test_a_deep_state_within_the_limit_is_stored(store: StateStore) -> None:
    session = store.session("u", "deep")
    session.save({"deep": nested(150)})
    assert session.state() == {"deep": nested(150)}
    session.update(lambda state: state.update(other=nested(150)))
    assert session.state(at=2) == {"deep": nested(150), "other": nested(150)}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"round_id": -1}, ValueError),
        ({"round_id": 1 << 70}, ValueError),
        ({"round_id": "1"}, TypeError),
        ({"round_id": True}, TypeError),
        ({"round_id": 1.0}, TypeError),
        ({"expected_version": "1"}, TypeError),
        ({"actor": 1}, TypeError),
        ({"reason": b"x"}, TypeError),
        ({"actor": "\ud800"}, ValueError),
        ({"commit_id": 1}, TypeError),
        ({"metadata": [1]}, TypeError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    store: StateStore, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        store.session("u").save({"n": 2}, **options)
    assert_untouched(store)


NAMES = {
    "empty": "",
    "very long": "x" * 100_000,
    "slashes": "../../etc/passwd",
    "quotes": "'; DROP TABLE events; --\"`",
    "NUL": "a\0b",
    "only NUL": "\0",
    "emoji": "👩‍🚀🇳🇴",
    "right to left": "\u202eabc",
    "combining": "e\u0301",
    "composed": "\u00e9",
    "blank": " ",
    "wildcards": "%_*?[a]",
    "upper case": "U",
}


def test_user_and_session_ids_are_stored_exactly_whatever_they_hold(tmp_path: Path) -> None:
    keys = [(user, name) for user in NAMES.values() for name in NAMES.values()]
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        for number, (user, name) in enumerate(keys):
            store.session(user, name).save({"n": number})
        fork = store.session("", "").fork(NAMES["quotes"])
        fork.tag(NAMES["emoji"])
    with StateStore(tmp_path / "a.db") as store:
        for number, (user, name) in enumerate(keys):
            assert store.session(user, name).state() == {"n": number}
        assert sorted((info.user_id, info.session_id) for info in store.sessions()) == sorted(keys)
        assert [info.session_id for info in store.sessions(NAMES["NUL"])] == sorted(
            NAMES.values(), key=lambda name: name.encode()
        )
        assert store.session("", "").branches() == ["main", NAMES["quotes"]]
        assert store.session("", "", branch=NAMES["quotes"]).state(at=NAMES["emoji"]) == {"n": 0}
        assert store.verify().ok


@pytest.mark.parametrize("name", [None, 1, b"bytes", Text("x"), "\ud800"])
def test_an_id_that_is_no_text_is_refused(store: StateStore, name: Any) -> None:
    for call in (
        lambda: store.session(name),
        lambda: store.session("u", name),
        lambda: store.session("u", branch=name),
        lambda: store.session("u").fork(name),
        lambda: store.session("u").tag(name),
        lambda: store.session("u").note(name),
    ):
        with pytest.raises((TypeError, ValueError), match=r"string|surrogate"):
            call()
    assert_untouched(store)


# Files


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 1000)
    before = path.read_bytes()
    with pytest.raises(CorruptJournalError, match=r"notes\.txt: not a database"):
        StateStore(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "setup", ["CREATE TABLE t (a)", "PRAGMA user_version = 3", "PRAGMA application_id = 77"]
)
def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, setup: str) -> None:
    path = tmp_path / "other.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE placeholder (a)")
    database.execute(setup)
    database.commit()
    database.close()
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(CorruptJournalError, match=r"other\.db: a database, but no journal"):
            StateStore(path, read_only=read_only)
    assert path.read_bytes() == before


def journal(path: Path, commits: int = 20) -> Path:
    with StateStore(path, durability="normal") as store:
        for number in range(commits):
            store.session("u").save({"n": number, "text": "x" * 1000})
    return path


def test_a_newer_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    path = journal(tmp_path / "a.db")
    database = apsw.Connection(str(path))
    database.pragma("user_version", 99)
    database.close()
    before = path.read_bytes()
    with pytest.raises(
        NewerFormatError, match=r"a\.db: written in format 99; this eventstate knows up to \d"
    ):
        StateStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("size", [1, 50, 99, 100, 512, 2000, 4095, 4096, 5000, 12_288, 20_000])
def test_a_truncated_file_is_refused_or_reported_never_taken_for_whole(tmp_path: Path, size: int) -> None:
    path = journal(tmp_path / "a.db")
    os.truncate(path, size)
    try:
        store = StateStore(path, read_only=True)
    except CorruptJournalError as error:
        told = str(error)
    else:
        with store:
            told = str(store.verify())
    assert "a.db" in told or "structure" in told


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch()
    with StateStore(path) as store:
        store.session("u").save({"a": 1})
    with StateStore(path) as store:
        assert store.session("u").state() == {"a": 1}


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a folder") as caught:
        StateStore(tmp_path)
    assert isinstance(caught.value, OSError)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere does not exist"):
        StateStore(tmp_path / "nowhere" / "a.db")


def test_a_device_is_no_journal() -> None:
    with pytest.raises(StorageError, match="not a regular file"):
        StateStore("/dev/null")


def test_a_missing_file_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        StateStore(tmp_path / "a.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="can't be a file's name"):
        StateStore(path)


@pytest.mark.parametrize("path", [b"a.db", 3, None])
def test_a_path_that_is_no_text_is_refused(path: Any) -> None:
    with pytest.raises(TypeError):
        StateStore(path)


def test_a_name_with_marks_of_a_uri_is_just_a_name(tmp_path: Path) -> None:
    for name in ("a?mode=memory", "file:a.db", "a#b%20c.db"):
        with StateStore(tmp_path / name) as store:
            store.session("u").save({"name": name})
        assert (tmp_path / name).stat().st_size > 0
        with StateStore(tmp_path / name, read_only=True) as store:
            assert store.session("u").state() == {"name": name}


def test_a_read_only_store_refuses_to_write_and_still_reads(tmp_path: Path) -> None:
    path = journal(tmp_path / "a.db")
    with StateStore(path, read_only=True) as store:
        session = store.session("u")
        for write in (
            lambda: session.save({}),
            lambda: session.update(lambda state: state.clear()),
            lambda: session.note("x"),
            lambda: session.tag("x"),
            lambda: session.fork("x"),
            session.undo,
            store.drop_snapshots,
        ):
            with pytest.raises(ReadOnlyError, match=r"a\.db: opened read-only") as caught:
                write()
            assert isinstance(caught.value, PermissionError)
        assert session.state()["n"] == 19


# As root everything is permitted, so these run as nobody.
AS_NOBODY = """
import json, os, sys
from eventstate import EventStateError, StateStore
from eventstate.journal import schema
with StateStore(":memory:") as store:  # imports all that is needed, from folders that nobody may not read
    store.session("u").save({})
steps = schema.migrations()
schema.migrations = lambda: steps
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
told = {}
for name, path, read_only in json.loads(sys.argv[1]):
    try:
        with StateStore(path, read_only=read_only) as store:
            told[name] = store.session("u").state()
            if not read_only:
                store.session("u").save({"written": True})
    except EventStateError as error:
        told[name] = f"{type(error).__name__}: {error}"
print(json.dumps(told))
"""


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that anybody can reach: pytest's own are private."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == tmp_path.owner() and folder != Path("/tmp"):  # noqa: S108 - compared, not written to
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


def as_nobody(*cases: tuple[str, Path, bool]) -> dict[str, Any]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            AS_NOBODY,
            json.dumps([(name, str(path), mode) for name, path, mode in cases]),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_files_and_folders_without_permission_are_told_apart(open_folder: Path) -> None:
    state = {"n": 0, "text": "x" * 1000}
    secret, locked, fixed = (
        journal(open_folder / name, 1) for name in ("secret.db", "locked.db", "fixed.db")
    )
    folder = open_folder / "folder"
    folder.mkdir()
    media = journal(folder / "media.db", 1)
    secret.chmod(0o000)
    for path in (locked, fixed, media):
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        told = as_nobody(
            ("unreadable", secret, False),
            ("write to a read-only file", locked, False),
            ("new file in a read-only folder", folder / "new.db", False),
            ("read from a read-only disk", media, True),
        )
    finally:
        folder.chmod(0o755)
        secret.chmod(0o644)
    assert told["unreadable"] == f"ReadOnlyError: {secret}: no permission to read it"
    assert told["write to a read-only file"].startswith(f"ReadOnlyError: {locked}: no permission to write it")
    assert told["new file in a read-only folder"].startswith("ReadOnlyError: ")
    assert "no permission to make files in" in told["new file in a read-only folder"]
    assert told["read from a read-only disk"] == state
