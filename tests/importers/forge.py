"""RDB files by hand: of the versions and types that the servers at hand do not write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventstate.importers.crc64 import crc64
from eventstate.importers.rdb import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FILES = Path(__file__).resolve().parent.parent / "files"
DUMPS = sorted(path.name for path in FILES.glob("*.rdb"))

Values = dict[str, dict[str, bytes] | bytes | str]
"""By key: what a hash or string has, or what else it is."""


def everything(path: Path, wanted: Callable[[int, str], bool] = lambda *_: True) -> Values:
    """Read all of an RDB file."""
    found: Values = {}
    with path.open("rb") as stream:
        for entry in Reader(stream, str(path), checked=True).entries(wanted):
            payloads = {payload.field: payload.read() for payload in entry.payloads if payload.read}
            if entry.type == "hash":
                found[entry.key] = {str(field): value for field, value in payloads.items()}
            else:
                found[entry.key] = payloads.get(None, entry.type)
    return found


def length(number: int) -> bytes:
    """A length, each in the shortest form."""
    if number < 1 << 6:
        return bytes([number])
    if number < 1 << 14:
        return (number | 1 << 14).to_bytes(2, "big")
    return b"\x80" + number.to_bytes(4, "big") if number < 1 << 32 else b"\x81" + number.to_bytes(8, "big")


def string(text: str | bytes) -> bytes:
    """A string as it is."""
    data = text.encode() if isinstance(text, str) else text
    return length(len(data)) + data


def listpack(items: Iterable[str]) -> bytes:
    """A listpack of strings shorter than 64 bytes."""
    body = b"".join(bytes([0x80 | len(item)]) + item.encode() + bytes([len(item) + 1]) for item in items)
    return (len(body) + 7).to_bytes(4, "little") + b"\xff\xff" + body + b"\xff"


def file(path: Path, *parts: bytes, version: int = 11, checksum: int | None = None) -> Path:
    """Write an RDB file; its checksum is right unless another one is given."""
    data = b"REDIS%04d" % version + b"".join(parts) + b"\xff"
    path.write_bytes(data + (crc64(data) if checksum is None else checksum).to_bytes(8, "little"))
    return path


def hashes(rounds: dict[str, dict[str, Any]]) -> bytes:
    """Hashes as plain tables, by key; values that are no bytes are written as JSON."""
    out = b""
    for key, fields in rounds.items():
        out += b"\x04" + string(key) + length(len(fields))
        for field, value in fields.items():
            out += string(field) + string(value if isinstance(value, bytes) else json.dumps(value))
    return out
