"""The numbers in RDB files that say what follows, by the names that rdb.h of the Redis sources gives them."""

from __future__ import annotations

from enum import IntEnum


class Type(IntEnum):
    """A key's type, and how its value is encoded."""

    STRING = 0
    LIST = 1
    SET = 2
    ZSET = 3
    HASH = 4
    ZSET_2 = 5
    MODULE_2 = 7
    LIST_ZIPLIST = 10
    SET_INTSET = 11
    ZSET_ZIPLIST = 12
    HASH_ZIPLIST = 13
    LIST_QUICKLIST = 14
    STREAM_LISTPACKS = 15
    HASH_LISTPACK = 16
    ZSET_LISTPACK = 17
    LIST_QUICKLIST_2 = 18
    STREAM_LISTPACKS_2 = 19
    SET_LISTPACK = 20
    STREAM_LISTPACKS_3 = 21
    HASH_METADATA_PRE_GA = 22
    HASH_LISTPACK_EX_PRE_GA = 23
    HASH_METADATA = 24
    HASH_LISTPACK_EX = 25

    @property
    def title(self) -> str:
        """What Redis calls it: `"string"`, `"hash"` and so on."""
        return self.name.partition("_")[0].lower()


class Code(IntEnum):
    """What else there is beside keys."""

    SLOT_INFO = 244
    FUNCTION2 = 245
    MODULE_AUX = 247
    IDLE = 248
    FREQ = 249
    AUX = 250
    RESIZEDB = 251
    EXPIRETIME_MS = 252
    EXPIRETIME = 253
    SELECTDB = 254
    EOF = 255


class Part(IntEnum):
    """What a module wrote."""

    EOF = 0
    SINT = 1
    UINT = 2
    FLOAT = 3
    DOUBLE = 4
    STRING = 5


class Encoding(IntEnum):
    """How a string is encoded that is not written as it is."""

    INT8 = 0
    INT16 = 1
    INT32 = 2
    LZF = 3
