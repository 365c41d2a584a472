"""The keys of encrypted sessions: where they come from, and two places to keep them.

A session is encrypted if the key ring has a key for it when its first commit is made. Keys never stand
in the journal, so a session whose keys are destroyed is unreadable wherever its bytes are: in the
journal, in its log, in every backup. That holds for the bytes of keys, too: a copy of a key file keeps
what it holds.
"""

from __future__ import annotations

import abc
import contextlib
import json
import os
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar, runtime_checkable

from eventstate.checks import check_text
from eventstate.errors import (
    EncryptionError,
    EventStateError,
    KeyNotFoundError,
    NewerFormatError,
    ReadOnlyError,
    StorageError,
)

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")
Names = tuple[str, str]
_Stamp = tuple[int, ...]

KEY_SIZE: Final = 32
"""Bytes of a key: AES-256."""

_ID_SIZE: Final = 8
_VERSION: Final = 1
_PRIVATE: Final = 0o600
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class Key:
    """A key, which shows its secret to nobody who doesn't ask for it by name.

    Args:
        id: any text; it stands beside what the key encrypted, and no other key ever has it.
        secret: 32 bytes from a random source.
    """

    id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_text(self.id, "the id of a key")
        if type(self.secret) is not bytes:
            raise TypeError(f"key {self.id!r}: the secret is bytes, not {type(self.secret).__name__}")
        if len(self.secret) != KEY_SIZE:
            raise ValueError(f"key {self.id!r}: the secret has {KEY_SIZE} bytes, not {len(self.secret)}")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"key {self.id!r} is not pickled: its secret would be in the pickle")


@runtime_checkable
class KeyRing(Protocol):
    """Gives keys; anything with these two methods is one, such as the client of a key service.

    It is asked for each event that is read or written, by several threads at once, and within the
    journal's write lock: it should answer from memory.
    """

    def current(self, user_id: str, session_id: str) -> Key | None:
        """Give the key for new events of a session; `None` if the session is not encrypted."""

    def find(self, key_id: str) -> Key:
        """Give the key of an id.

        Raises:
            KeyError: there is none, or it was destroyed.
        """


class _Ring(abc.ABC):
    """What the two key rings have in common: all but where the keys are kept."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._lock = threading.Lock()

    def current(self, user_id: str, session_id: str) -> Key | None:
        """Give the key for new events of a session; `None` if it has none."""
        return self._table().current((user_id, session_id))

    def find(self, key_id: str) -> Key:
        """Give the key of an id.

        Raises:
            KeyNotFoundError: there is none, or it was destroyed.
        """
        return self._table().find(key_id)

    def create(self, user_id: str, session_id: str = "default") -> Key:
        """Make the first key of a session; before its first commit, or it is never encrypted.

        Raises:
            EncryptionError: it has one.
        """
        return self._change(lambda table: table.create((user_id, session_id), self._entropy))

    def rotate(self, user_id: str, session_id: str = "default") -> Key:
        """Make a new key for a session's new events; older events keep theirs.

        Raises:
            KeyNotFoundError: the session has none.
        """
        return self._change(lambda table: table.rotate((user_id, session_id), self._entropy))

    def destroy(self, user_id: str, session_id: str = "default") -> tuple[str, ...]:
        """Forget all keys of a session, and give their ids: what they encrypted is unreadable from now on.

        Raises:
            KeyNotFoundError: the session has none.
        """
        return self._change(lambda table: table.destroy((user_id, session_id)))

    @abc.abstractmethod
    def _table(self) -> _Table:
        """Give the keys as they are now."""

    @abc.abstractmethod
    def _change(self, edit: Callable[[_Table], T]) -> T:
        """Carry out a change of the keys, where they are kept too, and give what it gives."""


class MemoryKeyRing(_Ring):
    """Keys in memory, for tests and for programs that get them from elsewhere; safe for threads.

    Args:
        keys: for `(user_id, session_id)` its key, or all its keys, oldest first.
        entropy: gives so many random bytes, for new keys.
    """

    def __init__(
        self,
        keys: Mapping[Names, Key | Iterable[Key]] | None = None,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__(entropy)
        self._keys = _Table()
        for names, given in (keys or {}).items():
            for key in (given,) if isinstance(given, Key) else given:
                self._keys.add(names, key)

    def __repr__(self) -> str:
        return f"<MemoryKeyRing of {len(self._keys)} sessions>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a MemoryKeyRing is not pickled: its secrets would be in the pickle")

    def _table(self) -> _Table:
        return self._keys

    def _change(self, edit: Callable[[_Table], T]) -> T:
        with self._lock:
            return edit(self._keys)


class FileKeyRing(_Ring):
    """Keys in a small file of their own; safe for threads, and for processes that share the file.

    The file is one JSON object. It is made if it is not there, and each change puts a new one in its place.
    What another process changed is seen with the next question. Changes take turns by a lock on a second
    file, `path` with `.lock` at its end; readers need no lock. Where there is no `flock`, as on Windows,
    only one process at a time may change the file.

    Only its owner may have access: a file that others may read is refused, as ssh does with its keys.

    What `destroy` takes out is in no file any more, but a disk may keep the bytes of old files, and a copy
    of the key file keeps what it holds. So keep it on an encrypted disk and apart from the store's backups,
    and destroy keys in its own backups as well.

    Each change writes the whole file: beyond some ten thousand sessions, take a key service. Beside what
    the methods tell, all of them raise `StorageError` if the file is gone or the disk refuses.

    Args:
        path: the key file; its folder exists.
        entropy: gives so many random bytes, for new keys.

    Raises:
        StorageError: it can't be read or made, or others may read it.
        EncryptionError: it is damaged, or no key file.
        NewerFormatError: a newer eventstate wrote it.
    """

    def __init__(self, path: str | os.PathLike[str], *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        super().__init__(entropy)
        self.path = check_text(os.fspath(path), "path")
        with self._explained():
            if not Path(self.path).exists():
                with self._locked():
                    if not Path(self.path).exists():  # nobody else was faster
                        self._write(_Table())
            self._loaded = self._read()

    def __repr__(self) -> str:
        return f"<FileKeyRing {self.path!r}>"

    def __reduce__(self) -> tuple[object, ...]:
        return _reopened, (self.path, self._entropy)

    def _table(self) -> _Table:
        with self._explained():
            if self._loaded[0] != _stamp(os.stat(self.path)):  # noqa: PTH116 - asked for each event
                self._loaded = self._read()
            return self._loaded[1]

    def _read(self) -> tuple[_Stamp, _Table]:
        with Path(self.path).open("rb") as file:
            status = os.fstat(file.fileno())
            if sys.platform != "win32" and status.st_mode & _OTHERS:
                raise StorageError(f"{self.path}: others may read these keys; `chmod 600` it")
            return _stamp(status), _parsed(self.path, file.read())

    def _change(self, edit: Callable[[_Table], T]) -> T:
        with self._explained(), self._lock, self._locked():
            _, table = self._read()
            result = edit(table)
            self._write(table)
            self._loaded = self._read()
            return result

    def _write(self, table: _Table) -> None:
        """Put a new file in the place of the old one, whole or not at all."""
        target = Path(os.path.realpath(self.path))  # a link stays one
        # One name for all, so that crashes leave no more than one, and that until the next change.
        new = target.with_name(target.name + ".new")
        new.unlink(missing_ok=True)
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(table.dump())
                file.flush()
                # The clock may stand still between two changes; the stamp must not.
                status, last = os.fstat(descriptor), target.stat().st_mtime_ns if target.exists() else 0
                os.utime(new, ns=(status.st_atime_ns, max(status.st_mtime_ns, last + 1)))
                os.fsync(descriptor)
            new.replace(target)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from changing the file."""
        descriptor = os.open(os.path.realpath(self.path) + ".lock", os.O_RDWR | os.O_CREAT, _PRIVATE)
        try:
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may still have it open
            os.close(descriptor)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise the library's errors for those of the disk."""
        try:
            yield
        except EventStateError:
            raise
        except PermissionError as error:
            raise ReadOnlyError(f"{self.path}: the key file: {error.strerror}") from error
        except OSError as error:
            raise StorageError(f"{self.path}: the key file: {error.strerror}") from error


class _Table:
    """Keys by session and by id."""

    def __init__(self) -> None:
        self._sessions: dict[Names, tuple[Key, ...]] = {}
        self._keys: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def current(self, names: Names) -> Key | None:
        keys = self._sessions.get(names)
        return None if keys is None else keys[-1]

    def find(self, key_id: str) -> Key:
        key = self._keys.get(key_id)
        if key is None:
            raise KeyNotFoundError(f"no key {key_id!r}: it was destroyed, or is in another key ring")
        return key

    def add(self, names: Names, key: Key) -> Key:
        user_id, session_id = names
        check_text(user_id, "user_id")
        check_text(session_id, "session_id")
        if key.id in self._keys:
            raise EncryptionError(f"{_title(names)}: there is a key {key.id!r}; an id is given only once")
        self._keys[key.id] = key
        self._sessions[names] = (*self._sessions.get(names, ()), key)
        return key

    def create(self, names: Names, entropy: Callable[[int], bytes]) -> Key:
        if names in self._sessions:
            raise EncryptionError(f"{_title(names)}: it has a key; rotate() gives it a new one")
        return self.add(names, _new(entropy))

    def rotate(self, names: Names, entropy: Callable[[int], bytes]) -> Key:
        if names not in self._sessions:
            raise KeyNotFoundError(f"{_title(names)}: it has no key; create() gives it the first")
        return self.add(names, _new(entropy))

    def destroy(self, names: Names) -> tuple[str, ...]:
        keys = self._sessions.pop(names, None)
        if keys is None:
            raise KeyNotFoundError(f"{_title(names)}: it has no key to destroy")
        for key in keys:
            del self._keys[key.id]
        return tuple(key.id for key in keys)

    def dump(self) -> bytes:
        sessions = [
            {
                "user_id": user_id,
                "session_id": session_id,
                "keys": [{"id": key.id, "secret": key.secret.hex()} for key in keys],
            }
            for (user_id, session_id), keys in self._sessions.items()
        ]
        document = {"eventstate": "keys", "version": _VERSION, "sessions": sessions}
        return json.dumps(document, indent=1).encode() + b"\n"


def _title(names: Names) -> str:
    return f"session {names[0]!r}, {names[1]!r}"


def _new(entropy: Callable[[int], bytes]) -> Key:
    return Key(entropy(_ID_SIZE).hex(), entropy(KEY_SIZE))


def _parsed(path: str, data: bytes) -> _Table:
    table = _Table()
    version: Any = None
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        document = json.loads(data)
        version = document["version"] if document["eventstate"] == "keys" else None
        for session in document["sessions"] if version == _VERSION else ():
            for key in session["keys"]:
                names = (session["user_id"], session["session_id"])
                table.add(names, Key(key["id"], bytes.fromhex(key["secret"])))
        if version == _VERSION:
            return table
    # Out here, because Python would hang the error of the parser on ours, and that one has the whole text.
    if type(version) is int and version > _VERSION:
        raise NewerFormatError(f"{path}: a key file of version {version}; this eventstate knows {_VERSION}")
    raise EncryptionError(f"{path}: damaged, or no key file")


def _stamp(status: os.stat_result) -> _Stamp:
    """Give what is another one after each change of a file."""
    return status.st_dev, status.st_ino, status.st_mode, status.st_mtime_ns, status.st_size


def _sync_folder(folder: Path) -> None:
    """Make a change of names in a folder durable."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reopened(path: str, entropy: Callable[[int], bytes]) -> FileKeyRing:
    return FileKeyRing(path, entropy=entropy)
