"""Key rings: what they give, who may read their file, and that nothing shows a secret."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import (
    EncryptionError,
    FileKeyRing,
    Key,
    KeyNotFoundError,
    KeyRing,
    MemoryKeyRing,
    NewerFormatError,
    StorageError,
)

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
SECRET = bytes(range(100, 132))

CREATE_TEN = """
import sys
from eventstate import FileKeyRing

path, name = sys.argv[1:]
ring = FileKeyRing(path)
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    ring.create(name, str(number))
"""

Ring = MemoryKeyRing | FileKeyRing


def counting() -> Callable[[int], bytes]:
    """Gives bytes that never repeat, and are known beforehand."""
    calls = iter(range(1, 1 << 16))
    return lambda size: next(calls).to_bytes(size, "big")


@pytest.fixture(params=["memory", "file"])
def ring(request: pytest.FixtureRequest, tmp_path: Path) -> Ring:
    return MemoryKeyRing() if request.param == "memory" else FileKeyRing(tmp_path / "keys")


def test_a_session_has_no_key_until_one_is_made(ring: Ring) -> None:
    assert ring.current("alice", "trip") is None
    key = ring.create("alice", "trip")
    assert ring.current("alice", "trip") == ring.find(key.id) == key
    assert ring.current("alice", "other") is None
    assert ring.current("trip", "alice") is None


def test_the_session_is_the_default_one_if_none_is_named(ring: Ring) -> None:
    assert ring.create("alice") == ring.current("alice", "default")
    assert ring.rotate("alice") == ring.current("alice", "default")
    assert len(ring.destroy("alice")) == 2
    assert ring.current("alice", "default") is None


def test_a_new_key_is_for_new_events_and_the_old_one_is_still_found(ring: Ring) -> None:
    old = ring.create("alice", "trip")
    new = ring.rotate("alice", "trip")
    assert old.id != new.id
    assert old.secret != new.secret
    assert ring.current("alice", "trip") == new
    assert ring.find(old.id) == old


def test_destroying_takes_all_keys_of_one_session_and_of_no_other(ring: Ring) -> None:
    other = ring.create("alice", "other")
    keys = [ring.create("alice", "trip"), ring.rotate("alice", "trip")]
    assert ring.destroy("alice", "trip") == tuple(key.id for key in keys)
    assert ring.current("alice", "trip") is None
    for key in keys:
        with pytest.raises(KeyNotFoundError, match=f"no key '{key.id}'"):
            ring.find(key.id)
    assert ring.find(other.id) == other
    assert ring.create("alice", "trip").id not in {key.id for key in keys}


def test_what_does_not_fit_is_refused_and_names_the_session(ring: Ring) -> None:
    with pytest.raises(KeyNotFoundError, match="'alice', 'trip': it has no key; create"):
        ring.rotate("alice", "trip")
    with pytest.raises(KeyNotFoundError, match="'alice', 'trip': it has no key to destroy"):
        ring.destroy("alice", "trip")
    key = ring.create("alice", "trip")
    with pytest.raises(EncryptionError, match=r"'alice', 'trip': it has a key; rotate\(\)"):
        ring.create("alice", "trip")
    assert ring.current("alice", "trip") == key
    with pytest.raises(ValueError, match="lone surrogate"):
        ring.create("\ud800", "trip")
    with pytest.raises(TypeError, match="session_id is a string, not 3"):
        ring.create("alice", 3)  # type: ignore[arg-type]


def test_both_are_key_rings(ring: Ring) -> None:
    assert isinstance(ring, KeyRing)


def test_keys_are_made_of_the_given_entropy(tmp_path: Path) -> None:
    for ring in (
        MemoryKeyRing(entropy=counting()),
        FileKeyRing(tmp_path / "keys", entropy=counting()),
    ):
        key = ring.create("alice")
        assert (key.id, key.secret) == ("0000000000000001", (2).to_bytes(32, "big"))


def test_an_entropy_that_repeats_itself_makes_no_second_key_of_one_id(tmp_path: Path) -> None:
    for ring in (MemoryKeyRing(entropy=bytes), FileKeyRing(tmp_path / "keys", entropy=bytes)):
        key = ring.create("alice")
        with pytest.raises(EncryptionError, match=f"there is a key '{key.id}'"):
            ring.rotate("alice")
        assert ring.current("alice", "default") == key


def test_a_ring_in_memory_takes_the_keys_that_a_program_has() -> None:
    one, old, new = Key("one", SECRET), Key("old", bytes(32)), Key("new", b"\1" * 32)
    ring = MemoryKeyRing({("a", "x"): one, ("b", "y"): [old, new]})
    assert ring.current("a", "x") is one
    assert ring.current("b", "y") is new
    assert ring.find("old") is old
    with pytest.raises(EncryptionError, match="an id is given only once"):
        MemoryKeyRing({("a", "x"): one, ("b", "y"): Key("one", bytes(32))})


def test_a_key_has_an_id_and_32_bytes() -> None:
    with pytest.raises(ValueError, match="key 'a': the secret has 32 bytes, not 16"):
        Key("a", bytes(16))
    with pytest.raises(TypeError, match="key 'a': the secret is bytes, not str"):
        Key("a", "x" * 32)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the id of a key is a string, not 7"):
        Key(7, SECRET)  # type: ignore[arg-type]


# Nothing shows a secret


def shown(error: BaseException | None) -> Iterator[str]:
    """Gives all that a report of an error could print of it, and of the errors behind it."""
    while error is not None:
        yield f"{error} {error!r} {error.args} {vars(error)} {getattr(error, 'doc', '')}"
        error = error.__cause__ or error.__context__


def hides(text: object) -> bool:
    return not any(form in str(text) for form in (SECRET.hex(), repr(SECRET)[2:-1], str(list(SECRET))[1:-1]))


def test_nothing_shows_a_secret(tmp_path: Path) -> None:
    key = Key("k", SECRET)
    memory = MemoryKeyRing({("alice", "trip"): key})
    entropy = iter([b"12345678", SECRET])
    file = FileKeyRing(tmp_path / "keys", entropy=lambda _: next(entropy))
    file.create("alice", "trip")
    assert not hides((tmp_path / "keys").read_text())  # it is there to be found
    assert repr(key) == str(key) == f"{key}" == "Key(id='k')"
    assert repr(memory) == "<MemoryKeyRing of 1 sessions>"
    for thing in (key, memory, file):
        assert hides(f"{thing} {thing!r}")
    for thing in (key, memory):
        with pytest.raises(TypeError, match="is not pickled") as caught:
            pickle.dumps(thing)
        assert all(map(hides, shown(caught.value)))


def test_a_key_file_crosses_process_boundaries_by_its_name(tmp_path: Path) -> None:
    ring = FileKeyRing(tmp_path / "keys")
    key = ring.create("alice")
    data = pickle.dumps(ring)
    assert key.secret not in data
    assert key.secret.hex().encode() not in data
    back = pickle.loads(data)  # noqa: S301 - as multiprocessing does
    assert back.current("alice", "default") == key


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-5],
        lambda text: text + "}",
        lambda text: text.replace('"secret"', '"other"'),
        lambda text: text.replace(SECRET.hex(), SECRET.hex()[:-2]),
        lambda text: text.replace(SECRET.hex(), "x" + SECRET.hex()[1:]),
        lambda text: text.replace('"keys"', '"locks"', 1),
        lambda text: text.replace('"version": 1', '"version": 0'),
        lambda text: text.replace('"user_id": "alice"', '"user_id": "\\ud800"'),
        lambda text: text.replace('"user_id": "alice"', '"user_id": ["alice"]'),
        lambda text: json.dumps([json.loads(text)]),
        lambda text: json.dumps(dict(json.loads(text), sessions=json.loads(text)["sessions"] * 2)),
        lambda _: "",
        lambda _: "[" * 100_000,
        lambda _: "\0",
    ],
)
def test_a_damaged_key_file_is_refused_without_showing_it(
    tmp_path: Path, damage: Callable[[str], str]
) -> None:
    path = tmp_path / "keys"
    entropy = iter([b"12345678", SECRET])
    FileKeyRing(path, entropy=lambda _: next(entropy)).create("alice")
    damaged = damage(path.read_text())
    path.write_text(damaged)
    with pytest.raises(EncryptionError, match="keys: damaged, or no key file") as caught:
        FileKeyRing(path)
    assert all(map(hides, shown(caught.value)))
    assert path.read_text() == damaged


def test_a_newer_key_file_is_refused_kindly(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    FileKeyRing(path)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(NewerFormatError, match="a key file of version 2; this eventstate knows 1"):
        FileKeyRing(path)


# The file


def test_keys_are_there_again_after_reopening(tmp_path: Path) -> None:
    ring = FileKeyRing(tmp_path / "keys")
    old = ring.create("alice", "trip")
    new = ring.rotate("alice", "trip")
    again = FileKeyRing(str(tmp_path / "keys"))
    assert again.current("alice", "trip") == new
    assert again.find(old.id) == old
    again.destroy("alice", "trip")
    text = (tmp_path / "keys").read_text()
    assert not any(part in text for part in (old.id, new.id, old.secret.hex(), new.secret.hex(), "alice"))
    with pytest.raises(KeyNotFoundError):
        ring.find(old.id)


def test_a_destroyed_key_does_not_stay_in_memory(ring: Ring) -> None:
    ring.create("alice")
    assert ring.current("alice", "default") is not None
    ring.destroy("alice")
    table = ring._loaded[1] if isinstance(ring, FileKeyRing) else ring._table()
    assert (table._keys, table._sessions) == ({}, {})


_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", "a/b", "\0", "\n", "keys", "__proto__", "\U0001f511", "default"]
)


@given(st.sets(st.tuples(_names, _names), min_size=1, max_size=4))
def test_any_names_are_kept_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, sessions: set[tuple[str, str]]
) -> None:
    ring = FileKeyRing(tmp_path_factory.mktemp("names") / "keys")
    keys = {names: ring.create(*names) for names in sessions}
    again = FileKeyRing(ring.path)
    assert {names: again.current(*names) for names in sessions} == keys


def test_a_key_file_that_somebody_else_makes_at_the_same_time_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = FileKeyRing._locked
    made: list[Key] = []

    def late(ring: FileKeyRing) -> contextlib.AbstractContextManager[None]:
        monkeypatch.undo()
        made.append(FileKeyRing(ring.path).create("alice"))
        return locked(ring)

    monkeypatch.setattr(FileKeyRing, "_locked", late)
    assert FileKeyRing(tmp_path / "keys").current("alice", "default") == made[0]


def test_a_key_file_that_is_gone_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    ring = FileKeyRing(tmp_path / "keys")
    key = ring.create("alice")
    (tmp_path / "keys").unlink()
    uses: list[Callable[[], object]] = [
        lambda: ring.current("alice", "default"),
        lambda: ring.find(key.id),
        lambda: ring.create("bob"),
    ]
    for use in uses:
        with pytest.raises(StorageError, match="keys: the key file: No such file"):
            use()
    assert not (tmp_path / "keys").exists()


def test_a_key_file_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the key file: No such file"):
        FileKeyRing(tmp_path / "none" / "keys")
    with pytest.raises(StorageError, match="the key file: Is a directory"):
        FileKeyRing(tmp_path)
    with pytest.raises(TypeError, match="path is a string"):
        FileKeyRing(b"keys")  # type: ignore[arg-type]


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")


@posix
def test_only_the_owner_gets_access_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ring = FileKeyRing(tmp_path / "keys")
        ring.create("alice")
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "keys": 0o600,
        "keys.lock": 0o600,
    }


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys"
    ring = FileKeyRing(path)
    key = ring.create("alice")
    path.chmod(mode)
    for use in (lambda: FileKeyRing(path), lambda: ring.find(key.id), lambda: ring.rotate("alice")):
        with pytest.raises(StorageError, match="others may read these keys; `chmod 600` it"):
            use()
    path.chmod(0o600)
    assert ring.find(key.id) == key


@posix
def test_a_link_to_a_key_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "keys"
    link.symlink_to(tmp_path / "far" / "keys")
    ring = FileKeyRing(link)
    key = ring.create("alice")
    assert link.is_symlink()
    assert FileKeyRing(tmp_path / "far" / "keys").find(key.id) == key


class Faults:
    """Lets the n-th call of the disk fail."""

    names = ("open", "fdopen", "fsync", "fstat", "utime", "replace")

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left = 0
        for name in self.names:
            patch.setattr(os, name, self.wrapped(getattr(os, name)))

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise OSError(28, "No space left on device")
            return function(*args, **keywords)

        return call


@pytest.mark.parametrize("change", ["create", "rotate", "destroy"])
def test_a_change_that_fails_anywhere_leaves_the_old_keys_or_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = tmp_path / "keys"
    ring = FileKeyRing(path)
    ring.create("alice", "trip")
    with monkeypatch.context() as patch:
        faults = Faults(patch)
        failed = outcomes = 0
        while True:
            old = path.read_bytes()
            faults.left = failed + 1
            try:
                getattr(ring, change)("alice", f"new {failed}" if change == "create" else "trip")
            except StorageError as error:
                assert "No space left" in str(error)  # noqa: PT017 - a fault may also pass unseen
            unseen, faults.left = faults.left > 0, 0
            outcomes |= 1 if path.read_bytes() == old else 2
            again = FileKeyRing(path)
            assert again.current("alice", "trip") == ring.current("alice", "trip")
            assert sorted(file.name for file in tmp_path.iterdir()) == ["keys", "keys.lock"]
            if change == "destroy" and again.current("alice", "trip") is None:
                ring.create("alice", "trip")
            if unseen:
                break
            failed += 1
    assert failed > 6
    assert outcomes == 3


def test_what_a_crash_left_of_a_new_file_goes_away_with_the_next_change(tmp_path: Path) -> None:
    ring = FileKeyRing(tmp_path / "keys")
    (tmp_path / "keys.new").write_text("half of a")
    ring.create("alice")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["keys", "keys.lock"]


def test_each_change_is_on_disk_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = FileKeyRing(tmp_path / "keys")
    calls: list[str] = []

    def logged(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            calls.append(name)
            return function(*args)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, logged(name, getattr(os, name)))
    ring.create("alice")
    assert calls == ["fsync", "replace", "fsync"] if sys.platform != "win32" else ["fsync", "replace"]


# Others at the same file


def test_what_another_ring_changed_is_seen_at_once(tmp_path: Path) -> None:
    mine, other = FileKeyRing(tmp_path / "keys"), FileKeyRing(tmp_path / "keys")
    for _ in range(20):  # the file may well have its size, its number and, by the clock, its time again
        first = mine.create("alice", "one")
        assert other.current("alice", "one") == first
        mine.destroy("alice", "one")
        second = mine.create("alice", "two")
        assert other.current("alice", "one") is None
        assert other.current("alice", "two") == second
        other.destroy("alice", "two")


def test_the_stamp_of_the_file_moves_even_if_the_clock_goes_back(tmp_path: Path) -> None:
    ring = FileKeyRing(tmp_path / "keys")
    ahead = 4_000_000_000 * 10**9
    os.utime(tmp_path / "keys", ns=(ahead, ahead))
    ring.create("alice")
    assert (tmp_path / "keys").stat().st_mtime_ns > ahead


def test_threads_lose_no_keys(ring: Ring) -> None:
    found: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(8):
                key = ring.create(name, str(number))
                assert ring.find(key.id) == ring.current(name, str(number)) == key
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            found.append(error)

    threads = [threading.Thread(target=work, args=(f"user {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == []
    keys = {ring.current(f"user {user}", str(number)) for user in range(4) for number in range(8)}
    assert len(keys - {None}) == 32


@posix
def test_processes_lose_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    command = [sys.executable, "-c", CREATE_TEN, str(path)]
    workers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for name in "abc"
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.communicate("go\n")
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    ring = FileKeyRing(path)
    assert all(ring.current(name, str(number)) for name in "abc" for number in range(10))
