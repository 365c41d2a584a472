"""What Redis packs into one string: LZF's compression, and the lists that small hashes are.

Sources: lzf_d.c, listpack.c ("listpack.md" by S. Sanfilippo) and ziplist.c in the Redis sources.
"""
# ruff: noqa: PLR2004 - the numbers are the formats' own, which have no names for them

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from eventstate.importers.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable

LZF_RATIO: Final = 88
"""Three bytes of LZF give 264 at most."""

_END: Final = 0xFF
_MANY: Final = 0xFFFF
"""The count of elements in a header that had no room for it."""


class MalformedError(ValueError):
    """Bytes that are not what LZF makes."""


def unpack_lzf(data: bytes, size: int) -> bytes:
    """Unpack what LZF compressed.

    Args:
        data: the compressed bytes.
        size: how many bytes come of them.

    Raises:
        MalformedError: they do not.
    """
    if size > len(data) * LZF_RATIO:
        raise MalformedError(f"{len(data)} bytes of LZF can't give {size}")
    out = bytearray()
    place = 0
    try:
        while place < len(data):
            control = data[place]
            place += 1
            if control < 1 << 5:  # a run of bytes as they are
                run = data[place : place + control + 1]
                if len(run) <= control:
                    raise MalformedError("LZF is cut off")
                out += run
                place += len(run)
            else:  # a run that was there before
                length = control >> 5
                if length == 7:  # the highest number of three bits says that there is more
                    length += data[place]
                    place += 1
                back = ((control & 0x1F) << 8 | data[place]) + 1
                place += 1
                if back > len(out):
                    raise MalformedError("LZF refers to what is before its start")
                seen = bytes(out[len(out) - back :][: length + 2])
                out += (seen * ((length + 2) // len(seen) + 1))[: length + 2]
            if len(out) > size:
                break
    except IndexError as error:
        raise MalformedError("LZF is cut off") from error
    if len(out) != size:
        raise MalformedError(f"LZF does not give the {size} bytes that it should")
    return bytes(out)


def read_listpack(data: bytes, title: str, origin: int) -> list[bytes]:
    """Read the elements of a listpack, numbers as their digits.

    Args:
        data: the listpack.
        title: of the file that it stands in.
        origin: where in the file.

    Raises:
        ImportFailedError: it is malformed.
    """
    cursor = Cursor(io.BytesIO(data), len(data), title, origin=origin)
    if cursor.number(4) != len(data):
        cursor.fail("a listpack of another size than it says")
    return _elements(cursor, cursor.number(2), _listpack_element)


def _elements(cursor: Cursor, count: int, read: Callable[[Cursor, int], bytes]) -> list[bytes]:
    found = []
    while (first := cursor.byte()) != _END:
        found.append(read(cursor, first))
    if cursor.left:
        cursor.fail("a packed list that ends before its end")
    if count not in (len(found), _MANY):
        cursor.fail(f"a packed list of {len(found)} elements that says it has {count}")
    return found


def _listpack_element(cursor: Cursor, first: int) -> bytes:
    start = cursor.position - 1
    value = _listpack_value(cursor, first)
    size = cursor.position - start
    cursor.skip(next((n for n in (1, 2, 3, 4) if size < (1 << 7 * n) - (n > 1)), 5))  # the size, from behind
    return value


def _listpack_value(cursor: Cursor, first: int) -> bytes:
    if first < 0x80:
        return b"%d" % first
    if first < 0xC0:
        return cursor.take(first & 0x3F)
    if first < 0xE0:
        number = (first & 0x1F) << 8 | cursor.byte()
        return b"%d" % (number - (number >> 12 << 13))
    if first < 0xF0:
        return cursor.take((first & 0x0F) << 8 | cursor.byte())
    if first == 0xF0:
        return cursor.take(cursor.number(4))
    if first <= 0xF4:
        return b"%d" % cursor.number((2, 3, 4, 8)[first - 0xF1], signed=True)
    return cursor.fail(f"a listpack's element of an unknown kind, {first:#x}")


def read_ziplist(data: bytes, title: str, origin: int) -> list[bytes]:
    """Read the elements of a ziplist, which listpacks had before them; see `read_listpack`."""
    cursor = Cursor(io.BytesIO(data), len(data), title, origin=origin)
    if cursor.number(4) != len(data):
        cursor.fail("a ziplist of another size than it says")
    cursor.skip(4)  # where the last element is
    return _elements(cursor, cursor.number(2), _ziplist_element)


def _ziplist_element(cursor: Cursor, first: int) -> bytes:
    if first == 0xFE:  # how long the element before is, in the four bytes that follow
        cursor.skip(4)
    kind = cursor.byte()
    if kind < 0x40:
        return cursor.take(kind)
    if kind < 0x80:
        return cursor.take((kind & 0x3F) << 8 | cursor.byte())
    if kind == 0x80:
        return cursor.take(int.from_bytes(cursor.take(4), "big"))
    if 0xF1 <= kind <= 0xFD:
        return b"%d" % (kind - 0xF1)
    size = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}.get(kind)
    if size is None:
        cursor.fail(f"a ziplist's element of an unknown kind, {kind:#x}")
    return b"%d" % cursor.number(size, signed=True)
