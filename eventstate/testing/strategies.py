"""Hypothesis strategies: states, edits of states, and what agents do in their sessions.

What they draw is plain data, so that a failing example can be read, shrunk and pasted into a test.
"""

from __future__ import annotations

import copy
import datetime as dt
import math
import uuid
import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from eventstate.testing import scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate.testing.scripts import Action

    Values = st.SearchStrategy[Any]

_EDGES: Final = (2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, -129, 128)
_names = st.sampled_from(["", "a", "b", "messages", "a/b", "~1", "0", "-1"]) | st.text(max_size=6)
_surrogates = st.text(st.characters(codec=None, min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=3)
_texts = _names | _surrogates
_ints = st.integers(-2, 2) | st.integers() | st.sampled_from(_EDGES)
_offsets = st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)))
_named = st.builds(dt.timezone, st.just(dt.timedelta(hours=2)), st.sampled_from(["", "CEST"]))
_regions = st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]).map(zoneinfo.ZoneInfo)
_zones = st.one_of(st.none(), st.just(dt.UTC), _offsets, _named, _regions)
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
_long_texts = st.text(min_size=20, max_size=40)
_atoms = st.one_of(
    _keyable,
    st.floats(),
    st.complex_numbers(),
    st.decimals(allow_nan=True),
    _long_texts,
    st.sampled_from([0.0, -0.0, math.nan, -math.nan]),
)
_json_atoms = st.one_of(
    st.none(),
    st.booleans(),
    _ints,
    st.floats(allow_nan=False, allow_infinity=False),
    _names,
    _long_texts,
)
_plain_keys = _texts | st.sampled_from([0, 1, 2, True, False, None, b"a", "1"])
_tuple_keys = st.recursive(_keyable, lambda inner: st.lists(inner, max_size=2).map(tuple), max_leaves=3)
_keys = st.one_of(_plain_keys, _tuple_keys, st.frozensets(_plain_keys, max_size=2))


def keys(*, json_only: bool = False) -> Values:
    """Draw keys of dicts: everything that a dict can be asked for and find again, equal ones included.

    Args:
        json_only: only strings.
    """
    return _names if json_only else _plain_keys | _keys


def values(*, json_only: bool = False, max_leaves: int = 12, also: Values | None = None) -> Values:
    """Draw values, nested ones too: everything that can be stored without registering a type.

    Args:
        json_only: only what JSON gives back as it was.
        max_leaves: about how many values without parts one value holds at most.
        also: further values without parts, such as instances of types that the store has registered.
    """
    atoms = _json_atoms if json_only else _atoms
    if also is not None:
        atoms |= also

    def containers(inner: Values) -> Values:
        found = st.lists(inner, max_size=4) | st.dictionaries(keys(json_only=json_only), inner, max_size=4)
        if json_only:
            return found
        sets = st.sets(_keys, max_size=3) | st.frozensets(_keys, max_size=3)
        return found | st.lists(inner, max_size=3).map(tuple) | sets

    return st.recursive(atoms, containers, max_leaves=max_leaves)


def states(
    *, json_only: bool = False, max_leaves: int = 12, max_size: int = 5, also: Values | None = None
) -> st.SearchStrategy[dict[Any, Any]]:
    """Draw whole states.

    Example:
        >>> from hypothesis import given
        >>> from eventstate import StateStore
        >>> from eventstate.testing.replay import difference
        >>> @given(states())
        ... def what_is_saved_comes_back(state):
        ...     with StateStore(":memory:") as store:
        ...         session = store.session("alice")
        ...         session.save(state)
        ...         assert difference(session.state(), state) is None
        >>> what_is_saved_comes_back()

    Args:
        json_only: only what JSON gives back as it was: string keys, finite floats, no tuples or sets.
        max_leaves: about how many values without parts one attribute holds at most.
        max_size: how many attributes there are at most.
        also: further values without parts, such as instances of types that the store has registered.
    """
    attributes = values(json_only=json_only, max_leaves=max_leaves, also=also)
    return st.dictionaries(keys(json_only=json_only), attributes, max_size=max_size)


@dataclass(frozen=True, slots=True)
class StateEdit:
    """One change of a state, whatever state that is: call it with a live state, or with a plain dict.

    It does the same to both. As it takes a state, `session.update(edit)` makes a round of it.
    """

    what: str
    """`"set"`, `"add"`, `"append"`, `"remove"`, `"cut"`, `"replace"`, `"grow"`, `"move"` or `"clear"`."""
    way: tuple[int, ...]
    """Leads to the container to be changed: which of those inside it, counted round and round."""
    at: int
    """The place in the container, counted round and round."""
    key: Any
    value: Any

    def __call__(self, state: Any) -> None:
        """Change `state`, in place; it gets a copy of the value."""
        target = state
        for turn in self.way:
            inner = list(_containers(target))
            if not inner:
                break
            target = inner[turn % len(inner)]
        kind = next(kind for kind in _DOINGS if isinstance(target, kind))
        _DOINGS[kind][self.what](target, self)

    def fresh(self) -> Any:
        """Give a copy of the value: what a state holds belongs to it alone."""
        return copy.deepcopy(self.value)

    def place(self, target: Any) -> int:
        """Give the place in a list."""
        return self.at % len(target)

    def own_key(self, target: Any) -> Any:
        """Give the key at the place in a dict."""
        return list(target)[self.at % len(target)]


def _containers(value: Any) -> Iterator[Any]:
    """Give the containers in a value that can be changed, in order, those in its tuples too."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    for part in parts:
        if isinstance(part, (dict, list, set)):
            yield part
        elif isinstance(part, tuple):
            yield from _containers(part)


def _put(target: Any, key: Any, value: Any) -> None:
    target[key] = value


def _grow(target: Any, key: Any, edit: StateEdit) -> None:
    if isinstance(target[key], str):
        target[key] += f"{edit.at} and more"
    elif isinstance(target[key], list):
        target[key] += [edit.fresh()]
    else:
        target[key] = edit.fresh()


def _cut(target: list[Any], edit: StateEdit) -> None:
    del target[edit.at % (len(target) + 1) :]


def _splice(target: list[Any], edit: StateEdit) -> None:
    start = edit.at % (len(target) + 1)
    target[start : start + 1] = [edit.fresh(), edit.fresh()]


# Each gets a container and the edit; what has nothing to work on does nothing.
_DOINGS: Final[dict[type, dict[str, Callable[[Any, StateEdit], object]]]] = {
    dict: {
        "set": lambda t, e: _put(t, e.key, e.fresh()),
        "add": lambda t, e: t.setdefault(e.key, e.fresh()),
        "append": lambda t, e: t.update({e.key: e.fresh()}),
        "remove": lambda t, e: t.pop(e.own_key(t)) if t else None,
        "cut": lambda t, e: t.pop(e.key, None),
        "replace": lambda t, e: _put(t, e.own_key(t), e.fresh()) if t else None,
        "grow": lambda t, e: _grow(t, e.own_key(t), e) if t else None,
        "move": lambda t, e: _put(t, e.own_key(t), t.pop(e.own_key(t))) if t else None,
        "clear": lambda t, _: t.clear(),
    },
    list: {
        "set": lambda t, e: _put(t, e.place(t), e.fresh()) if t else t.append(e.fresh()),
        "add": lambda t, e: t.insert(e.at % (len(t) + 1), e.fresh()),
        "append": lambda t, e: t.append(e.fresh()),
        "remove": lambda t, e: t.pop(e.place(t)) if t else None,
        "cut": _cut,
        "replace": _splice,
        "grow": lambda t, e: _grow(t, e.place(t), e) if t else t.extend([e.fresh()]),
        "move": lambda t, _: t.reverse(),
        "clear": lambda t, _: t.clear(),
    },
    set: {
        **dict.fromkeys(("set", "add", "append", "grow"), lambda t, e: t.add(e.key)),
        **dict.fromkeys(("remove", "cut", "move"), lambda t, e: t.discard(e.key)),
        "replace": lambda t, e: t.symmetric_difference_update({e.key}),
        "clear": lambda t, _: t.clear(),
    },
}


def edits(
    *, json_only: bool = False, max_leaves: int = 5, max_size: int = 6, also: Values | None = None
) -> st.SearchStrategy[list[StateEdit]]:
    """Draw edits, which fit any state and do the same to a live one and to a plain dict.

    Example:
        >>> import copy
        >>> from hypothesis import given
        >>> from eventstate import StateStore
        >>> from eventstate.testing.replay import difference
        >>> @given(states(), edits())
        ... def a_round_does_what_is_done_to_its_state(before, edits):
        ...     after = copy.deepcopy(before)
        ...     with StateStore(":memory:") as store:
        ...         session = store.session("alice")
        ...         session.save(before)
        ...         with session.round() as state:
        ...             for edit in edits:
        ...                 edit(state)
        ...                 edit(after)
        ...         assert difference(session.state(at=2), after) is None
        >>> a_round_does_what_is_done_to_its_state()

    Args:
        json_only: a state that JSON can hold stays one.
        max_leaves: about how many values without parts one edit puts in at most.
        max_size: how many edits there are at most.
        also: further values without parts, such as instances of types that the store has registered.
    """
    new = values(json_only=json_only, max_leaves=max_leaves, also=also)
    way = st.lists(st.integers(0, 3), max_size=4).map(tuple)
    what = st.sampled_from(sorted(_DOINGS[dict]))
    edit = st.builds(StateEdit, what, way, st.integers(0, 9), keys(json_only=json_only), new)
    return st.lists(edit, max_size=max_size)


def agent_sessions(
    *, max_size: int = 12, forks: bool = True, contents: Values | None = None
) -> st.SearchStrategy[list[Action]]:
    """Draw scripts of what an agent does in a session, for `eventstate.testing.scripts.play`.

    They fit any session whose state is a dict, without a model.

    Example:
        >>> from hypothesis import given
        >>> from eventstate import StateStore
        >>> from eventstate.testing.scripts import play
        >>> @given(agent_sessions(max_size=6))
        ... def every_round_is_what_the_agent_left(script):
        ...     with StateStore(":memory:") as store:
        ...         for session, rounds in play(store.session("alice"), script):
        ...             assert {turn.id: state for turn, state in session.replay()} == rounds
        >>> every_round_is_what_the_agent_left()

    Args:
        max_size: how many actions there are at most, after the first turn.
        forks: whether there are forks.
        contents: what arguments and results of tools, facts and notes hold; small JSON values by default.
    """
    inside = values(json_only=True, max_leaves=4) if contents is None else contents
    texts = st.text(max_size=20) | st.sampled_from(["hello", "a longer answer, as models give them. " * 3])
    tools = st.sampled_from(["search", "read", "write"])
    arguments = st.dictionaries(st.sampled_from(["query", "path", "limit"]), inside, max_size=2)
    step: st.SearchStrategy[Callable[[Any], None]] = st.one_of(
        st.builds(scripts.Message, st.sampled_from(["user", "assistant", "system"]), texts),
        st.builds(scripts.ToolCall, tools, arguments, inside),
        st.builds(scripts.Plan, st.none() | st.lists(texts, max_size=4)),
        st.builds(scripts.Done),
        st.builds(scripts.Fact, st.sampled_from(["name", "city", "a/b"]), inside),
        st.builds(scripts.Trim, st.integers(0, 4)),
    )
    number = st.integers(0, 9)
    steps, how = st.lists(step, max_size=4), st.sampled_from(["round", "update", "save"])
    turn = st.builds(scripts.Turn, steps, how, st.sampled_from([False] * 4 + [True]), number)
    actions = [
        turn,
        st.builds(scripts.Noted, st.sampled_from(["tool.called", "reply.started"]), inside, number),
        st.builds(scripts.Rollback, number, number),
        st.builds(scripts.Undo, number),
        st.builds(scripts.Tag, number, number),
    ]
    if forks:
        actions.append(st.builds(scripts.Fork, number, number))
    first = st.builds(scripts.Turn, steps, how)
    others = st.lists(turn | st.one_of(actions), max_size=max_size)
    return st.builds(lambda one, rest: [one, *rest], first, others)
