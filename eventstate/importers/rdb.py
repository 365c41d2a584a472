"""Dumps of Redis: RDB files of the versions 6 to 12, as Redis 2.6 to 8.0 writes them.

Source: rdb.h and rdb.c of the Redis sources, and "Redis RDB Dump File Format" by S. Srinivasan. Strings and
hashes are read, in all their encodings; other values are passed over. What expires is read like the rest: a
dump is of the moment when it was made.
"""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING, Final

from eventstate.importers.cursor import Cursor
from eventstate.importers.entries import Entry, Payload, Read, Wanted, name
from eventstate.importers.kinds import Code, Encoding, Type
from eventstate.importers.packed import LZF_RATIO, MalformedError, read_listpack, read_ziplist, unpack_lzf
from eventstate.importers.skipping import skip_module, skip_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

MAGIC: Final = b"REDIS"
VERSIONS: Final = range(6, 13)

_MAX_STRING: Final = 512 << 20  # Redis's own limit

_PACKED: Final[dict[Type, tuple[Callable[[bytes, str, int], list[bytes]], int]]] = {
    Type.HASH_ZIPLIST: (read_ziplist, 2),
    Type.HASH_LISTPACK: (read_listpack, 2),
    Type.HASH_LISTPACK_EX_PRE_GA: (read_listpack, 3),  # field, value, when it expires
    Type.HASH_LISTPACK_EX: (read_listpack, 3),
}
_SIZES: Final = {Code.EXPIRETIME: 4, Code.EXPIRETIME_MS: 8, Code.FREQ: 1}
_LENGTHS: Final = {Code.IDLE: 1, Code.RESIZEDB: 2, Code.SLOT_INFO: 3}
_STRINGS: Final = {Code.AUX: 2, Code.FUNCTION2: 1}
_TIME: Final = 8
_ENCODED: Final = 3
_LONG, _LONGER = 0x80, 0x81
_TYPES: Final = frozenset(Type)


class Reader:
    """Reads one RDB file.

    Args:
        stream: the file, at its start.
        title: what errors call it.
        checked: whether the checksum is computed; once is enough.
    """

    def __init__(self, stream: BinaryIO, title: str, *, checked: bool) -> None:
        self.cursor = Cursor(stream, os.fstat(stream.fileno()).st_size, title, checked=checked)
        self._checked = checked

    def entries(self, wanted: Wanted) -> Iterator[Entry]:
        """Walk all keys, with the values of those that are wanted.

        Raises:
            ImportFailedError: the file is damaged, or of another version.
        """
        cursor = self.cursor
        start = cursor.take(9)
        if not re.fullmatch(rb"REDIS[0-9]{4}", start):
            cursor.fail("no RDB file", 0)
        if int(start[5:]) not in VERSIONS:
            cursor.fail(
                f"an RDB file of version {int(start[5:])}; {VERSIONS[0]} to {VERSIONS[-1]} can be read", 5
            )
        database = 0
        while (kind := cursor.byte()) != Code.EOF:
            if kind == Code.SELECTDB:
                database = self.length()
            elif not self._passed(kind):
                yield self._entry(kind, database, wanted)
        self._check()

    def _passed(self, kind: int) -> bool:
        """Pass over what is no key; tell whether it was none."""
        if kind in _SIZES:
            self.cursor.skip(_SIZES[Code(kind)])
        elif kind in _LENGTHS:
            for _ in range(_LENGTHS[Code(kind)]):
                self.length()
        elif kind in _STRINGS:
            for _ in range(_STRINGS[Code(kind)]):
                self.skip_string()
        elif kind == Code.MODULE_AUX:
            self.length()
            skip_module(self)
        else:
            return False
        return True

    def _entry(self, number: int, database: int, wanted: Wanted) -> Entry:
        if number not in _TYPES:
            self.cursor.fail(f"a value of an unknown type, {number}", self.cursor.offset - 1)
        kind = Type(number)
        key = name(self.string()())
        if kind.title not in ("string", "hash") or not wanted(database, key):
            skip_value(self, kind)
            return Entry(database, key, kind.title, [])
        if kind is Type.STRING:
            return Entry(database, key, kind.title, [Payload(None, self.string())])
        offset = self.cursor.offset
        payloads = [Payload(name(field), read) for field, read in self._hash(kind)]
        if len({payload.field for payload in payloads}) != len(payloads):
            self.cursor.fail(f"the hash {key!r} has a field twice", offset)
        return Entry(database, key, kind.title, payloads)

    def _hash(self, kind: Type) -> Iterator[tuple[bytes, Read]]:
        if kind in (Type.HASH_METADATA, Type.HASH_LISTPACK_EX):
            self.cursor.skip(_TIME)  # when the first field expires
        if kind in _PACKED:
            read, step = _PACKED[kind]
            offset = self.cursor.offset
            items = read(self.string()(), self.cursor.title, offset)
            if len(items) % step:
                self.cursor.fail(f"a hash of {len(items)} parts", offset)
            for field, value in zip(items[::step], items[1::step], strict=True):
                yield field, functools.partial(bytes, value)
            return
        for _ in range(self.count()):
            if kind is not Type.HASH:
                self.length()  # when the field expires
            yield self.string()(), self.string()

    def length(self) -> int:
        """Read a length."""
        number, encoded = self._length()
        if encoded:
            self.cursor.fail("a string where a length should be", self.cursor.offset - 1)
        return number

    def count(self) -> int:
        """Read how many things follow, each of at least one byte."""
        number = self.length()
        if number > self.cursor.left:
            self.cursor.fail(f"cut off: {number} things should follow in {self.cursor.left} bytes")
        return number

    def _length(self) -> tuple[int, bool]:
        """Read a length, or how a string is encoded; tell which of them it is."""
        cursor = self.cursor
        first = cursor.byte()
        kind, low = first >> 6, first & 0x3F
        if kind == 0:
            return low, False
        if kind == 1:
            return low << 8 | cursor.byte(), False
        if kind == _ENCODED:
            return low, True
        if first not in (_LONG, _LONGER):
            cursor.fail(f"a length of an unknown kind, {first:#x}", cursor.offset - 1)
        return int.from_bytes(cursor.take(4 if first == _LONG else 8), "big"), False

    def string(self) -> Read:
        """Read a string; what is called gives its bytes."""
        offset = self.cursor.offset
        number, encoded = self._length()
        if not encoded:
            return functools.partial(bytes, self.cursor.take(number))
        if number <= Encoding.INT32:
            return functools.partial(bytes, b"%d" % self.cursor.number(1 << number, signed=True))
        packed, size = self._lzf(number, offset)
        return functools.partial(self._unpack, self.cursor.take(packed), size, offset)

    def _lzf(self, kind: int, offset: int) -> tuple[int, int]:
        """Read how long a compressed string is, and how long it was."""
        if kind != Encoding.LZF:
            self.cursor.fail(f"a string of an unknown kind, {kind}", offset)
        packed, size = self.length(), self.length()
        if size > min(_MAX_STRING, packed * LZF_RATIO):
            self.cursor.fail(f"a string of {size} bytes in {packed} bytes of LZF", offset)
        return packed, size

    def _unpack(self, data: bytes, size: int, offset: int) -> bytes:
        try:
            return unpack_lzf(data, size)
        except MalformedError as error:
            self.cursor.fail(str(error), offset)

    def skip_string(self) -> None:
        """Pass over a string."""
        offset = self.cursor.offset
        number, encoded = self._length()
        if encoded:
            number = 1 << number if number <= Encoding.INT32 else self._lzf(number, offset)[0]
        self.cursor.skip(number)

    def _check(self) -> None:
        """Check the file's end, and its checksum, unless Redis was told to write none."""
        cursor = self.cursor
        seen = cursor.checksum() if self._checked else 0
        offset = cursor.offset
        told = cursor.number(8)
        if cursor.left:
            cursor.fail(f"{cursor.left} bytes after the end")
        if self._checked and told not in (0, seen):
            cursor.fail(
                f"the checksum is {seen:016x}, and {told:016x} was written: the file is damaged", offset
            )
