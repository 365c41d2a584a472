"""What stands in a file's bytes: read by another process, as nothing else may open a live journal here."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import subprocess
import sys
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_SCRIPT: Final = """
import sys
for line in sys.stdin:
    parts = []
    for end in ("", "-wal"):
        try:
            with open(line.rstrip("\\n") + end, "rb") as file:
                parts.append(file.read())
        except FileNotFoundError:
            parts.append(b"")
    for part in parts:
        sys.stdout.buffer.write(len(part).to_bytes(8, "big") + part)
    sys.stdout.buffer.flush()
"""
_STREAM: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]")


class Peeper:
    """A process that reads files for this one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def parts(self, path: Path) -> tuple[bytes, bytes]:
        """Give the bytes of the file, and of its log."""
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        into.write(f"{path}\n".encode())
        into.flush()
        file, log = (out.read(int.from_bytes(out.read(8), "big")) for _ in range(2))
        return file, log

    def everything(self, path: Path) -> bytes:
        """Give the bytes of file and log, and after them what is compressed in them."""
        raw = b"".join(self.parts(path))
        return raw + b"".join(inflated(raw))

    def close(self) -> None:
        self._process.communicate()


def inflated(raw: bytes) -> Iterator[bytes]:
    """Give what can be read of every zlib stream, whole or cut off."""
    for match in _STREAM.finditer(raw):
        unpacker = zlib.decompressobj()
        for at in range(match.start(), len(raw), 64):
            try:
                yield unpacker.decompress(raw[at : at + 64])
            except zlib.error:
                break
            if unpacker.eof:
                break


def marker(number: int) -> str:
    """Give a text that stands nowhere by chance."""
    return blake2b(str(number).encode(), digest_size=12).hexdigest()


def seen(raw: bytes, markers: Iterable[str]) -> set[str]:
    """Give the markers of which at least a half is there; the other may be on another page."""
    return {m for m in markers if m[:12].encode() in raw or m[12:].encode() in raw}


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    """Give the rows of a table of a closed file."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT * FROM {table}")]  # noqa: S608 - a test's own word


_LOOP: Final = """
import json, sys
names = {}
for line in sys.stdin:
    try:
        code = json.loads(line)
        try:
            found = eval(code, names)
        except SyntaxError:
            exec(code, names)
            found = None
        print(json.dumps([None, found], default=repr), flush=True)
    except Exception as error:
        print(json.dumps([type(error).__name__, str(error)]), flush=True)
"""


class OtherError(Exception):
    """What was raised in the other process: its type's name, and its text."""


class Other:
    """Another process that does what it is told, and remembers what it has."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.do("import apsw, os", "from eventstate import StateStore", f"path = {str(path)!r}")

    def do(self, *lines: str) -> Any:
        """Run lines, or a single expression, and give what came of it."""
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        into.write(json.dumps("\n".join(lines)) + "\n")
        into.flush()
        error, found = json.loads(out.readline())
        if error is not None:
            raise OtherError(error, found)
        return found

    def close(self) -> None:
        self._process.communicate(timeout=60)
