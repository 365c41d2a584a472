"""Hypothesis strategies for states, and an idea of sameness that owes nothing to the codec."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import struct
import uuid
import zoneinfo
from typing import Any

from hypothesis import strategies as st

from eventstate.values.codec import Live


def exact(value: Any) -> Any:
    """Give something hashable that is equal for two values only if they are the same, type-strictly."""
    if isinstance(value, Live):
        value = value._plain()  # so that nothing in it is touched
    kind: Any = type(value)
    if kind is dict:
        return dict, tuple((exact(key), exact(item)) for key, item in value.items())
    if kind is list:
        return list, tuple(map(exact, value))
    if kind is tuple:
        return tuple, tuple(map(exact, value))
    if kind in (set, frozenset):
        return kind, len(value), frozenset(map(exact, value))
    if kind is float:
        return float, struct.pack("d", value)
    if kind is complex:
        return complex, struct.pack("dd", value.real, value.imag)
    if kind is decimal.Decimal:
        return decimal.Decimal, value.as_tuple()
    if kind in (dt.datetime, dt.time):
        zone = value.tzinfo
        name = zone.key if isinstance(zone, zoneinfo.ZoneInfo) else repr(zone)
        return kind, value.replace(tzinfo=None).isoformat(), value.fold, type(zone), name
    return kind, repr(value)


_texts = st.one_of(
    st.sampled_from(["", "a", "b", "messages", "a/b", "~1", "0", "-1"]),
    st.text(max_size=6),
    st.text(st.characters(codec=None, min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=3),  # surrogates
)
_ints = st.one_of(
    st.integers(-2, 2),
    st.integers(),
    st.sampled_from([2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, -129, 128]),
)
_offsets = st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)))
_named = st.builds(dt.timezone, st.just(dt.timedelta(hours=2)), st.sampled_from(["", "CEST"]))
_zones = st.one_of(
    st.none(),
    st.just(dt.UTC),
    _offsets,
    _named,
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]).map(zoneinfo.ZoneInfo),
)
_keyable = st.one_of(
    _texts,
    _ints,
    st.booleans(),
    st.none(),
    st.binary(max_size=4),
    st.sampled_from([0.0, -0.0, 1.0, 0.5, math.inf, 1e300]),
    st.decimals(allow_nan=False),
    st.uuids(version=4) | st.just(uuid.UUID(int=0)),
    st.dates(),
    st.datetimes(timezones=_zones),
    st.times(timezones=_zones),
    st.timedeltas(),
)
atoms: st.SearchStrategy[Any] = st.one_of(
    _keyable,
    st.floats(),
    st.complex_numbers(),
    st.decimals(allow_nan=True),
    st.text(min_size=20, max_size=40),
    st.sampled_from([0.0, -0.0, math.nan, -math.nan]),
)
"""All that has no parts."""

plain_keys: st.SearchStrategy[Any] = st.one_of(
    _texts, st.sampled_from([0, 1, 2, True, False, None, b"a", "1"])
)
"""The keys that people use, some of which are equal without being the same."""

keys: st.SearchStrategy[Any] = st.one_of(
    plain_keys,
    st.recursive(_keyable, lambda inner: st.lists(inner, max_size=2).map(tuple), max_leaves=3),
    st.frozensets(plain_keys, max_size=2),
)
"""Everything that a dict can be asked for and find again."""


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(plain_keys | keys, inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
    )


values: st.SearchStrategy[Any] = st.recursive(atoms, _containers, max_leaves=12)
"""Anything that can be stored without registering a type."""

states: st.SearchStrategy[dict[Any, Any]] = st.dictionaries(plain_keys | keys, values, max_size=5)
"""Whole states."""

_leaves: st.SearchStrategy[Any] = st.one_of(
    st.integers(-2, 2),
    st.sampled_from([True, None, 1.0, math.nan, "", "a", "a text that is long enough to be spliced"]),
)
_trees: st.SearchStrategy[Any] = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=6),
        st.dictionaries(plain_keys, inner, min_size=2, max_size=4),
        st.lists(st.fixed_dictionaries({"role": _leaves, "parts": inner}), min_size=1, max_size=4),
        st.sets(plain_keys, max_size=3),
        st.tuples(inner, st.lists(inner, max_size=2)),
    ),
    max_leaves=20,
)
bushy_states: st.SearchStrategy[dict[Any, Any]] = st.dictionaries(plain_keys, _trees, min_size=1, max_size=4)
"""States with many containers inside one another, as agents have them."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False))
    | st.sampled_from(["", "a", "a/b", "~", "x" * 20, "x" * 20 + "y", "~1/0"]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["", "a", "b", "a/b", "~0", "0", "-"]), inner, max_size=4)
    ),
    max_leaves=20,
)
"""What JSON can hold, with many chances to be alike."""

json_states: st.SearchStrategy[dict[Any, Any]] = st.dictionaries(
    st.sampled_from(["", "a", "b", "a/b", "m~n"]), json_values, max_size=4
)
"""States that JSON can hold."""
