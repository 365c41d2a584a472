"""A key of Redis with its value, as every kind of dump gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Read = Callable[[], bytes]
"""Gives the bytes of a value; unpacked when they are asked for, as packed ones are smaller."""


class Payload(NamedTuple):
    """A field of a hash, or a string, which has but this one."""

    field: str | None
    read: Read | None
    """`None` if the value is no string."""


class Entry(NamedTuple):
    """A key and its value."""

    database: int
    key: str
    type: str
    """`"string"`, `"hash"`, or what else it is."""
    payloads: list[Payload]
    """Of strings and hashes that were wanted."""


Wanted = Callable[[int, str], bool]
"""Whether the value of a key of a database is wanted."""


def name(data: bytes) -> str:
    """Give a key or field as text; bytes that are none become surrogates, which can't be a session's name."""
    return data.decode("utf-8", "surrogateescape")
