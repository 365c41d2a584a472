"""Dumps of Redis in JSON: a line for each key, or one document.

A line is an object, `{"key": ..., "type": ..., "value": ..., "db": 0}`, as the program redis-dump writes it;
`type` and `db` may be left out. A document is such an object, a list of them, or one object from keys to
values. The value of a string is a string, that of a hash an object of strings.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NoReturn

from eventstate.errors import ImportFailedError
from eventstate.importers.documents import DocumentError, parse
from eventstate.importers.entries import Entry, Payload, Read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO


class _Place:
    """Where in a file something stands, for errors."""

    def __init__(self, title: str, offset: int) -> None:
        self.title = title
        self.offset = offset

    def fail(self, message: str, place: int = 0) -> NoReturn:
        raise ImportFailedError(f"{self.title}, byte {self.offset + place}: {message}")


def entries(stream: BinaryIO, title: str) -> Iterator[Entry]:
    """Walk all keys of a dump.

    Args:
        stream: the file, at its start.
        title: what errors call it.

    Raises:
        ImportFailedError: it is damaged, or no dump.
    """
    if _has_lines(stream):
        yield from _lines(stream, title)
        return
    place = _Place(title, 0)
    found = _parse(stream.read(), place)
    if type(found) is list:
        for item in found:
            yield _entry(item, place)
    elif _is_entry(found):
        yield _entry(found, place)
    elif type(found) is dict:
        for key, value in found.items():
            yield _entry({"key": key, "value": value}, place)
    else:
        place.fail("no dump of Redis: neither an object nor a list")


def is_dump(stream: BinaryIO, wanted: Iterable[str]) -> bool:
    """Say whether a JSON file looks like a dump: by its first line, or by keys of these prefixes.

    Args:
        stream: the file, at its start.
        wanted: what the names of keys may hold.

    Raises:
        DocumentError: it is no JSON.
    """
    if _has_lines(stream):
        return True
    found = parse(stream.read())
    if _is_entry(found[0] if type(found) is list and found else found):
        return True
    return type(found) is dict and any(part in key for key in found for part in wanted)


def _has_lines(stream: BinaryIO) -> bool:
    """Say whether each line is an entry, by the first one; the stream is at its start then as before."""
    start = next((line for line in stream if line.strip()), b"")
    whole = not stream.read(1)
    stream.seek(0)
    if whole:  # what is on one line is read as a document, which an entry may be, and parsed but once
        return False
    try:
        return _is_entry(parse(start))
    except DocumentError:
        return False


def _is_entry(value: Any) -> bool:
    """Say whether it is a key with its value; a file of a session has objects alone as its values."""
    return type(value) is dict and type(value.get("key")) is str and "value" in value


def _lines(stream: BinaryIO, title: str) -> Iterator[Entry]:
    offset = 0
    for line in stream:
        if line.strip():
            place = _Place(title, offset)
            yield _entry(_parse(line, place), place)
        offset += len(line)


def _parse(data: bytes, place: _Place) -> Any:
    try:
        return parse(data)
    except DocumentError as error:
        place.fail(str(error), error.place)


def _entry(item: Any, place: _Place) -> Entry:
    if not _is_entry(item):
        place.fail("not an object with a key and a value")
    key, value, kind, database = item["key"], item["value"], item.get("type"), item.get("db", 0)
    if type(database) is not int:
        place.fail(f"{key!r}: db is an integer, not {database!r}")
    if type(value) is str and kind in (None, "string"):
        return Entry(database, key, "string", [Payload(None, _read(value))])
    if type(value) is dict and kind in (None, "hash"):
        payloads = [Payload(field, _read(text)) for field, text in value.items()]
        return Entry(database, key, "hash", payloads)
    return Entry(database, key, kind if type(kind) is str else type(value).__name__, [])


def _read(value: Any) -> Read | None:
    return functools.partial(str.encode, value, "utf-8", "surrogatepass") if type(value) is str else None
