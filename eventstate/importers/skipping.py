"""The values of an RDB file that are passed over: how long each type is.

Source: rdb.c of the Redis sources, `rdbLoadObject` and `rdbLoadCheckModuleValue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstate.importers.kinds import Part, Type

if TYPE_CHECKING:
    from eventstate.importers.rdb import Reader

_STRINGS: Final = frozenset(
    {
        Type.STRING,
        Type.LIST_ZIPLIST,
        Type.SET_INTSET,
        Type.ZSET_ZIPLIST,
        Type.HASH_ZIPLIST,
        Type.HASH_LISTPACK,
        Type.ZSET_LISTPACK,
        Type.SET_LISTPACK,
        Type.HASH_LISTPACK_EX_PRE_GA,
    }
)
"""Types that are one string."""

_STREAMS: Final = frozenset({Type.STREAM_LISTPACKS, Type.STREAM_LISTPACKS_2, Type.STREAM_LISTPACKS_3})
_NUMBERED: Final = frozenset({Type.LIST_QUICKLIST_2, Type.HASH_METADATA_PRE_GA, Type.HASH_METADATA})
"""Types whose elements have a number before them."""

_PAIRS: Final = frozenset({Type.HASH, Type.HASH_METADATA_PRE_GA, Type.HASH_METADATA})
_FLOAT, _DOUBLE, _TIME, _STREAM_ID = 4, 8, 8, 16
_NAN: Final = 253
"""With the infinities, the lengths of scores that are no digits."""


def skip_value(reader: Reader, kind: Type) -> None:
    """Pass over a value.

    Raises:
        ImportFailedError: the file ends before the value does.
    """
    if kind in _STRINGS:
        reader.skip_string()
    elif kind is Type.HASH_LISTPACK_EX:
        reader.cursor.skip(_TIME)
        reader.skip_string()
    elif kind is Type.MODULE_2:
        reader.length()
        skip_module(reader)
    elif kind in _STREAMS:
        _skip_stream(reader, kind)
    else:
        if kind is Type.HASH_METADATA:
            reader.cursor.skip(_TIME)
        for _ in range(reader.count()):
            _skip_element(reader, kind)


def _skip_element(reader: Reader, kind: Type) -> None:
    if kind in _NUMBERED:
        reader.length()
    reader.skip_string()
    if kind in _PAIRS:
        reader.skip_string()
    elif kind is Type.ZSET_2:
        reader.cursor.skip(_DOUBLE)
    elif kind is Type.ZSET:
        size = reader.cursor.byte()
        reader.cursor.skip(size if size < _NAN else 0)


def skip_module(reader: Reader) -> None:
    """Pass over what a module wrote, which says of each part what it is."""
    while (kind := reader.length()) != Part.EOF:
        if kind in (Part.SINT, Part.UINT):
            reader.length()
        elif kind in (Part.FLOAT, Part.DOUBLE):
            reader.cursor.skip(_FLOAT if kind == Part.FLOAT else _DOUBLE)
        elif kind == Part.STRING:
            reader.skip_string()
        else:
            reader.cursor.fail(f"a part of a module's value of an unknown kind, {kind}")


def _skip_stream(reader: Reader, kind: Type) -> None:
    first = kind is Type.STREAM_LISTPACKS
    for _ in range(reader.count()):
        reader.skip_string()  # the id that the entries of the listpack start from
        reader.skip_string()
    for _ in range(3 if first else 8):  # counts and ids
        reader.length()
    for _ in range(reader.count()):  # groups of consumers
        reader.skip_string()
        for _ in range(2 if first else 3):
            reader.length()
        for _ in range(reader.count()):  # entries that nobody acknowledged
            reader.cursor.skip(_STREAM_ID + _TIME)
            reader.length()
        for _ in range(reader.count()):
            reader.skip_string()
            reader.cursor.skip(2 * _TIME if kind is Type.STREAM_LISTPACKS_3 else _TIME)
            for _ in range(reader.count()):
                reader.cursor.skip(_STREAM_ID)
