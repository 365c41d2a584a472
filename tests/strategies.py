"""Hypothesis strategies for our own tests, beside those that users get."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from eventstate.testing import strategies
from eventstate.testing.replay import exact

__all__ = ["bushy_states", "exact", "json_states", "json_values", "keys", "plain_keys", "states", "values"]

keys = strategies.keys()
values = strategies.values()
states = strategies.states()

plain_keys: st.SearchStrategy[Any] = st.one_of(
    strategies.keys(json_only=True), st.sampled_from([0, 1, 2, True, False, None, b"a", "1", "\ud800"])
)
"""The keys that people use, some of which are equal without being the same."""

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
