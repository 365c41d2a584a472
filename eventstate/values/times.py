"""How times and their zones are dumped and loaded."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any


@functools.cache
def _zones() -> frozenset[str]:
    import zoneinfo

    return frozenset(zoneinfo.available_timezones() - {"localtime"})  # that is another one elsewhere


def dump_zone(value: dt.datetime | dt.time) -> Any:
    """Give what is stored of a time's zone.

    Raises:
        TypeError: nobody could read the zone elsewhere.
    """
    zone = value.tzinfo
    if zone is None:
        return None
    if type(zone) is dt.timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        return [offset // dt.timedelta(microseconds=1), *name]
    import zoneinfo

    if type(zone) is zoneinfo.ZoneInfo and zone.key in _zones():
        return zone.key
    raise TypeError(f"the time zone {zone!r} can't be stored")


def _load_zone(zone: Any) -> dt.tzinfo | None:
    if zone is None:
        return None
    if isinstance(zone, str):
        import zoneinfo

        if zone not in _zones():  # an allow-list: ZoneInfo looks up packages by what it is given
            raise ValueError(f"unknown time zone {zone!r}")
        return zoneinfo.ZoneInfo(zone)
    offset, *name = zone
    return dt.timezone(dt.timedelta(microseconds=offset), *name)


def load_datetime(parts: Any) -> dt.datetime:
    """Make a date with time of its parts."""
    year, month, day, hour, minute, second, micro, fold, zone = parts
    return dt.datetime(year, month, day, hour, minute, second, micro, _load_zone(zone), fold=fold)


def load_time(parts: Any) -> dt.time:
    """Make a time of its parts."""
    hour, minute, second, micro, fold, zone = parts
    return dt.time(hour, minute, second, micro, _load_zone(zone), fold=fold)
