"""Where states are brought in from: folders and files of JSONSession, and dumps of Redis."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from eventstate.checks import check_text
from eventstate.errors import ImportFailedError
from eventstate.importers import dump
from eventstate.importers.documents import DocumentError
from eventstate.importers.entries import Entry, Payload
from eventstate.importers.names import STATE, Named, Names
from eventstate.importers.rdb import MAGIC, Reader
from eventstate.journal.files import is_part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

Kind = Literal["json-session", "rdb", "redis-json"]

_TYPES: Final = {"redis-state": "hash", "redis-session": "string"}
_MARKS: Final = (STATE, ":session:")  # of keys


class Found(NamedTuple):
    """A session as a source holds it."""

    source: str
    """The file, by the path that was given."""
    database: int | None
    """Of Redis."""
    key: str
    """The key of Redis, or the file's name without its ending."""
    named: Named
    payloads: list[Payload]
    fault: str | None
    """Why it can't be brought in at all."""


class Options(NamedTuple):
    """What was said of the sources."""

    names: Names
    kind: Kind | None
    database: int | None
    """The only database of a dump that is read; all if `None`."""
    store: str
    """The file of the store, which is no source."""


class Source:
    """A folder or file.

    Args:
        path: of it.
        options: what was said of all sources.

    Attributes:
        ignored: how many files or keys of it were no sessions, once it was walked.

    Raises:
        ImportFailedError: it is neither a folder nor a file, or of no kind that is known.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._options = options
        self.ignored = 0
        self._kind = "folder" if path.is_dir() else options.kind or self._look()
        if self._kind == "folder" and options.kind not in (None, "json-session"):
            raise ImportFailedError(f"{path}: a folder, which is no {options.kind}")

    def sessions(self, *, check: bool) -> Iterator[Found]:
        """Walk the sessions that it holds.

        Args:
            check: whether a dump's values are unpacked and its checksum is computed: once is enough.

        Raises:
            ImportFailedError: a dump is damaged.
        """
        self.ignored = 0
        if self._kind == "folder":
            for path in sorted(self._path.iterdir()):
                if path.suffix == ".json" and path.is_file():
                    yield self._file(path)
                else:
                    self.ignored += 1
        elif self._kind == "json-session":
            yield self._file(self._path)
        else:
            with self._open(self._path) as stream:
                yield from self._dumped(stream, check=check)

    def _look(self) -> Kind:
        """Find out what kind of file it is."""
        with self._open(self._path) as stream:
            if stream.read(len(MAGIC)) == MAGIC:
                return "rdb"
            stream.seek(0)
            try:
                return "redis-json" if dump.is_dump(stream, _MARKS) else "json-session"
            except DocumentError as error:
                if self._path.suffix == ".json":
                    return "json-session"
                message = f"{self._path}, byte {error.place}: neither an RDB file nor JSON: {error}"
                raise ImportFailedError(message) from error

    def _open(self, path: Path) -> BinaryIO:
        self._guard(path)
        return path.open("rb")

    def _guard(self, path: Path) -> None:
        if not path.is_file():
            raise ImportFailedError(f"{path}: neither a file nor a folder")
        if is_part(path, self._options.store):
            raise ImportFailedError(f"{path}: the store itself, which can't be brought into itself")

    def _file(self, path: Path) -> Found:
        self._guard(path)

        def read() -> bytes:
            try:
                with self._open(path) as stream:
                    return stream.read()
            except (OSError, ImportFailedError) as error:
                raise DocumentError(f"can't be read: {error}") from error

        named = self._options.names.file(path.stem)
        return Found(str(path), None, path.stem, named, [Payload(None, read)], _fault(named))

    def _dumped(self, stream: BinaryIO, *, check: bool) -> Iterator[Found]:
        if self._kind == "rdb":
            walk = Reader(stream, os.fspath(self._path), checked=check).entries(self._wanted)
        else:
            walk = dump.entries(stream, os.fspath(self._path))
        for entry in walk:
            named = self._named(entry.database, entry.key)
            if named is None:
                self.ignored += 1
                continue
            if check:
                for payload in entry.payloads:
                    if payload.read is not None:
                        payload.read()
            fault = _misfit(entry, named) or _fault(named)
            yield Found(str(self._path), entry.database, entry.key, named, entry.payloads, fault)

    def _wanted(self, database: int, key: str) -> bool:
        return self._named(database, key) is not None

    def _named(self, database: int, key: str) -> Named | None:
        if self._options.database not in (None, database):
            return None
        return self._options.names.key(key)


def _misfit(entry: Entry, named: Named) -> str | None:
    wanted = _TYPES[named.kind]
    return None if entry.type == wanted else f"of the type {entry.type}, and not {wanted}"


def _fault(named: Named) -> str | None:
    try:
        check_text(named.user_id, "user_id")
        check_text(named.session_id, "session_id")
    except ValueError as error:
        return str(error)
    return None
