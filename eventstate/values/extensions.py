"""The values that MessagePack lacks: their extension codes, and what stands under each.

The codes are listed in `schema/FORMAT.md`; they never change their meaning.
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Any, Final

from eventstate.values.bounds import refuse_alike
from eventstate.values.times import dump_zone, load_datetime, load_time

if TYPE_CHECKING:
    import decimal
    import uuid
    from collections.abc import Callable

BIG_INT, SURROGATES, TUPLE, SET, FROZENSET, COMPLEX, DECIMAL = 1, 2, 3, 4, 5, 6, 7
DATETIME, DATE, TIME, TIMEDELTA, UUID, REGISTERED = 8, 9, 10, 11, 12, 13


def load_uuid(data: bytes) -> uuid.UUID:
    """Give the UUID of its bytes."""
    import uuid

    return uuid.UUID(bytes=data)


def _load_decimal(text: Any) -> decimal.Decimal:
    import decimal

    if type(text) is not str:  # of a long integer it takes time that grows with the square of its length
        raise TypeError("a decimal is no string")
    return decimal.Decimal(text)


DUMPS: Final[dict[type, Callable[[Any], tuple[int, Any]]]] = {
    complex: lambda v: (COMPLEX, [v.real, v.imag]),
    dt.datetime: lambda v: (
        DATETIME,
        [v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, v.fold, dump_zone(v)],
    ),
    dt.date: lambda v: (DATE, [v.year, v.month, v.day]),
    dt.time: lambda v: (TIME, [v.hour, v.minute, v.second, v.microsecond, v.fold, dump_zone(v)]),
    dt.timedelta: lambda v: (TIMEDELTA, [v.days, v.seconds, v.microseconds]),
}
_RARE: Final[tuple[tuple[str, str, Callable[[Any], tuple[int, Any]]], ...]] = (
    ("decimal", "Decimal", lambda v: (DECIMAL, str(v))),
    ("uuid", "UUID", lambda v: (UUID, v.bytes)),
)
"""Types whose modules are loaded by those alone who have values of them, as that takes a while."""


def rare(kind: type) -> Callable[[Any], tuple[int, Any]] | None:
    """Give what dumps the values of a type in `_RARE`; `None` if it is none."""
    for module, name, dump in _RARE:
        if kind is getattr(sys.modules.get(module), name, None):
            return dump
    return None


LOADS: Final[dict[int, Callable[[Any], Any]]] = {
    TUPLE: tuple,
    SET: lambda parts: set(refuse_alike(parts)),
    FROZENSET: lambda parts: frozenset(refuse_alike(parts)),
    COMPLEX: lambda parts: complex(*parts),
    DECIMAL: _load_decimal,
    DATETIME: load_datetime,
    DATE: lambda parts: dt.date(*parts),
    TIME: load_time,
    TIMEDELTA: lambda parts: dt.timedelta(*parts),
}
