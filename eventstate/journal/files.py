"""What the names and sizes of files tell: whether one can be opened as a journal, or is part of one."""

from __future__ import annotations

import os
import stat
from typing import Final

from eventstate.errors import CorruptJournalError, ReadOnlyError, StorageError

_MIN_PAGE: Final = 512


def check_openable(path: str, *, read_only: bool) -> None:
    """Say in plain words what SQLite would call `unable to open database file`.

    Raises:
        StorageError: it is a folder, or not there, or no file.
        ReadOnlyError: there is no permission.
        CorruptJournalError: it can't be a journal, by its size.
    """
    if _is_fine(path, read_only=read_only):
        return
    if os.path.isdir(path):
        raise StorageError(f"{path}: is a folder, not a file")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise StorageError(f"{path}: the folder {folder} does not exist")
    if not os.path.exists(path):
        if read_only:
            raise StorageError(f"{path}: no such file")
        if not os.access(folder, os.W_OK):
            raise ReadOnlyError(f"{path}: no permission to make files in {folder}")
    elif not os.path.isfile(path):
        raise StorageError(f"{path}: is not a regular file")
    elif not os.access(path, os.R_OK):
        raise ReadOnlyError(f"{path}: no permission to read it")
    elif 0 < _size(path) < _MIN_PAGE and not os.path.exists(path + "-journal"):
        # SQLite would take it for empty and write over it.
        raise CorruptJournalError(f"{path}: not a database")
    elif _size(path + "-wal") and not _size(path):
        # SQLite would throw the log away. A journal has pages before it has a log, so the log is asked first.
        raise CorruptJournalError(f"{path}: empty, though there is a log beside it")
    elif not read_only and not os.access(path, os.W_OK):
        raise ReadOnlyError(f"{path}: no permission to write it; open it with read_only=True")


def is_part(path: str | os.PathLike[str], journal: str) -> bool:
    """Say whether a file is a journal's, or one of those beside it.

    Such a file must not be opened and closed by anything but SQLite: that drops SQLite's locks on it.
    """
    parts = (journal + end for end in ("", "-wal", "-shm", "-journal"))
    return os.path.exists(path) and any(
        os.path.exists(part) and os.path.samefile(part, path) for part in parts
    )


def immutable(path: str) -> str:
    """Give the URI of a file that nobody can change, as https://www.sqlite.org/uri.html has it."""
    name = os.path.abspath(path).replace(os.sep, "/")
    for mark in "%?#":  # the first one first: the others become it
        name = name.replace(mark, f"%{ord(mark):02x}")
    return f"file://{'' if name.startswith('/') else '/'}{name}?immutable=1"


def _is_fine(path: str, *, read_only: bool) -> bool:
    """Say whether there is nothing to be said of a file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    allowed = os.R_OK if read_only else os.R_OK | os.W_OK
    return stat.S_ISREG(status.st_mode) and status.st_size >= _MIN_PAGE and os.access(path, allowed)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
