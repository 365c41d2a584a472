"""Whether a session replays: whether all ways to its past lead to the same states.

What is compared here, and how events are folded, owes nothing to the code that is checked: two
answers of one faulty function agree with each other.
"""
# ruff: noqa: SLF001 - events, and a copy of the store, are to be had behind a session's face alone

from __future__ import annotations

import bisect
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import pathlib
import struct
import tempfile
import zoneinfo
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from eventstate.errors import RoundNotFoundError
from eventstate.session import Session
from eventstate.store import StateStore
from eventstate.values.codec import Live
from eventstate.values.delta import MISSING, Edit, Op
from eventstate.values.paths import Path, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eventstate.history import Change
    from eventstate.rounds import Round

State = dict[Any, Any]

_PLAIN_HOMES: Final = ("builtins", "datetime", "uuid")
"""Where types come from whose `repr` tells all."""


def exact(value: Any) -> Any:
    """Give something hashable that is equal for two values only if they are the same, type-strictly."""
    if isinstance(value, Live):
        value = value._plain()  # so that nothing in it is touched
    kind: Any = type(value)
    if kind is dict:
        return dict, tuple((exact(key), exact(item)) for key, item in value.items())
    if kind in (list, tuple):
        return kind, tuple(map(exact, value))
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
    parts = _parts(value)
    return (kind, repr(value)) if parts is None else (kind, exact(parts))


def _parts(value: Any) -> Any:
    """Give what an instance of a caller's own type is made of; `None` if it has no parts."""
    kind = type(value)
    if isinstance(value, enum.Enum):
        return [value._name_, value._value_]
    if hasattr(kind, "__pydantic_fields_set__"):
        own = {name: item for name, item in vars(value).items() if name in kind.model_fields}
        extra, private = value.__pydantic_extra__, value.__pydantic_private__
        return [own, extra, private]
    if dataclasses.is_dataclass(kind):
        names = (field.name for field in dataclasses.fields(kind))
        return {name: getattr(value, name, MISSING) for name in names}
    if kind.__module__ in _PLAIN_HOMES:
        return None
    made = value.__reduce_ex__(2)  # as for pickle: what it is made with, and what it then gets
    return made if isinstance(made, str) else [made[0], *map(_listed, made[1:])]


def _listed(part: Any) -> Any:
    return list(part) if isinstance(part, Iterator) else part


def difference(one: Any, other: Any, path: Path = ()) -> str | None:
    """Say where two values first differ, and how; `None` if they are the same, types and key order included.

    Example:
        >>> difference({"plan": [1, 2]}, {"plan": [1, True]})
        '/plan/1: 2 and True'
        >>> difference({"n": 1}, {"n": 1.0})
        '/n: 1 and 1.0'

    Args:
        one: any value.
        other: any value.
        path: where the two stand.
    """
    found = _difference(one, other, path)
    return None if found is None else f"{show(found[0])}: {found[1]}"


def _difference(one: Any, other: Any, path: Path) -> tuple[Path, str] | None:
    one, other = (value._plain() if isinstance(value, Live) else value for value in (one, other))
    if exact(one) == exact(other):
        return None
    if type(one) is type(other) is dict:
        if exact(list(one)) != exact(list(other)):
            return path, f"the keys {list(one)!r} and {list(other)!r}"
        inner = ((key, one[key], other[key]) for key in one)
    elif type(one) is type(other) and type(one) in (list, tuple):
        size = max(len(one), len(other))
        ends = ([*values, *[MISSING] * (size - len(values))] for values in (one, other))
        inner = ((index, *pair) for index, pair in enumerate(zip(*ends, strict=True)))
    else:
        return path, f"{one!r} and {other!r}"
    found = (_difference(mine, theirs, (*path, key)) for key, mine, theirs in inner)
    return next(filter(None, found), None)


def assert_replays(
    session: Session, *, every: int = 1, open_copy: Callable[[pathlib.Path], StateStore] | None = None
) -> None:
    """Check that all ways to the past of a session's branch lead to the same states, type-strictly.

    The events, folded one by one, give the state at each version; `replay()` and `state(at=)` agree on
    each round; the difference between two rounds leads from the one to the other; the history of each
    attribute tells what the states say; and neither opening the store anew nor dropping its snapshots
    changes anything. The last is tried on a copy in a temporary folder: the store itself is only read.

    Example:
        >>> from eventstate import StateStore
        >>> with StateStore(":memory:") as store:
        ...     session = store.session("alice")
        ...     turn = session.save({"plan": ["search"]})
        ...     turn = session.update(lambda state: state["plan"].append("answer"))
        ...     assert_replays(session)

    Args:
        session: with or without a model.
        every: of the versions, look at each n-th; rounds are all looked at.
        open_copy: opens a copy of the store at a path, if that takes more than the store's types and keys.

    Raises:
        AssertionError: it does not hold; the message has the version or round and the first path at which
            two states differ.
    """
    if every < 1:
        raise ValueError(f"every is at least 1, not {every}")
    plain = _sibling(session, session.branch)
    _check_versions(plain, every)
    _check_rounds(plain)
    if session._model is not None:
        for turn, state in session.replay():
            _expect(_round(turn), ("replay()", state), (f"state(at={turn.id})", session.state(at=turn.id)))
    told = dict(_tell(plain, every))
    journal = session._journal
    opened = open_copy or functools.partial(StateStore, types=journal.codec.types, keys=journal.cipher.keys)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "copy.db"
        journal.connection.backup(str(path))
        with opened(path) as store:
            _compare(session, store, told, "a reopened copy", every)
            store.drop_snapshots()
            _compare(session, store, told, "a copy without snapshots", every)
        with opened(path) as store:
            _compare(session, store, told, "a reopened copy without snapshots", every)


def _sibling(session: Session, branch: str) -> Session:
    """Give another branch of the session, or the same one without its model."""
    return Session(session._journal, session.user_id, session.session_id, branch)


def _round(turn: Round) -> str:
    return f"round {turn.id} (version {turn.version})"


def _expect(where: str, *sides: tuple[str, Any], path: Path = ()) -> None:
    """Check that two sides, each a name and what it gave, are the same."""
    (one, seen), (other, expected) = sides
    found = difference(seen, expected, path)
    if found is not None:
        raise AssertionError(f"{where}: {one} and {other} differ at {found}")


def _check_versions(session: Session, every: int) -> None:
    """Fold the events one by one; look at the states, and at the changes of attributes, on the way."""
    last = session.version
    # Versions from some one on, if the past before it was pruned; 0 is the empty state in any case.
    pruned = bisect.bisect_left(range(1, last + 1), 1, key=lambda version: _is_there(session, version))
    first = pruned + 1 if pruned else 0
    folded = session.state(version=first) if last else {}
    edits = list(_edits(session, first, last))
    changes = _changes(session, edits, first)
    for version, edit in edits:
        found = changes.pop(version, None)
        where = f"version {version}"
        if (found is None) == bool(edit.path):
            raise AssertionError(f"{where}: history() and the event at {show(edit.path)} disagree: {found}")
        if found is not None:
            sides = ("history()'s before", found.before), ("the events", _look(folded, found.path))
            _expect(where, *sides, path=found.path)
        try:
            follow(folded, edit)
        except (LookupError, TypeError, ValueError) as error:
            raise AssertionError(
                f"{where}: the event at {show(edit.path)} does not fit: {error!r}"
            ) from error
        if found is not None:
            sides = ("history()'s after", found.after), ("the events", _look(folded, found.path))
            _expect(where, *sides, path=found.path)
        if version % every == 0 or version == last:
            _expect(where, (f"state({version=})", session.state(version=version)), ("the events", folded))
    if changes:
        raise AssertionError(f"history() has changes at versions without events: {sorted(changes)}")


def _is_there(session: Session, version: int) -> bool:
    """Say whether a version was not pruned."""
    try:
        session.state(version=version)
    except RoundNotFoundError:
        return False
    return True


def _edits(session: Session, after: int, upto: int) -> Iterator[tuple[int, Edit]]:
    """Walk the events of the branch's lineage; those that change no state are edits without a path."""
    branch, journal = session._writer.find_branch(), session._journal
    if branch is not None:
        for _, version, event in journal.reader.events(branch, after, upto):
            idle = Op.NOTE <= event.op <= Op.PRUNE  # it may hold types that are unknown here
            yield version, Edit((), Op.NOTE, None) if idle else journal.events.decode(event)


def _changes(session: Session, edits: list[tuple[int, Edit]], first: int) -> dict[int, Change]:
    """Give the changes of all attributes by their version."""
    keys = {exact(edit.path[0]): edit.path[0] for _, edit in edits if edit.path}
    found = [change for key in keys.values() for change in session.history((key,))]
    return {change.seq: change for change in found if change.seq is not None and change.seq > first}


def _check_rounds(session: Session) -> None:
    before: tuple[Round, State] | None = None
    for turn, state in session.replay():
        where, replayed = _round(turn), ("replay()", state)
        _expect(where, replayed, (f"state(at={turn.id})", session.state(at=turn.id)))
        _expect(where, replayed, ("state(at=Round)", session.state(at=turn)))
        written = _sibling(session, turn.branch).state(version=turn.version)
        _expect(where, replayed, (f"state(version={turn.version})", written))
        if before is not None:
            one, followed = before
            for edit in session.diff(one, turn).edits:
                follow(followed, edit)
            _expect(where, replayed, (f"diff({one.id}, {turn.id}) applied to round {one.id}", followed))
        before = turn, state
    if before is not None and before[0].branch == session.branch and session.exists:
        _expect(_round(before[0]), ("replay()", before[1]), ("state()", session.state()))
    turns = list(session.rounds())
    if turns != [turn for turn, _ in session.replay()] or turns[::-1] != list(session.rounds(reverse=True)):
        raise AssertionError(f"rounds(), rounds(reverse=True) and replay() walk other rounds: {turns}")


def _tell(session: Session, every: int) -> Iterator[tuple[str, Any]]:
    """Name all that a copy of the store has to tell in the same way."""
    turns = list(session.rounds())
    yield "rounds()", [(turn.id, turn.hash, turn.tags) for turn in turns]
    yield "state()", session.state()
    for turn in turns:
        yield _round(turn), session.state(at=turn.id)
    for tag in session.tags():
        yield f"tag {tag!r}", session.state(at=tag)
    for version in range(0, session.version + 1, every):
        if session.exists and _is_there(session, version):
            yield f"version {version}", session.state(version=version)


def _compare(session: Session, store: StateStore, told: dict[str, Any], title: str, every: int) -> None:
    """Check that a copy of the session's store tells the same."""
    copied = store.session(session.user_id, session.session_id, session.branch)
    again = dict(_tell(copied, every))
    _expect("what there is", ("the session", list(told)), (title, list(again)))
    for what, value in told.items():
        _expect(what, ("the session", value), (title, again[what]))


def follow(state: State, edit: Edit) -> None:
    """Carry an edit out on a state, in place, as `schema/FORMAT.md` has it; the edit's value is copied.

    Raises:
        ValueError: it does not fit the state.
    """
    path, op, value = edit
    if op == Op.WITHIN:
        path, op, value = (*path, *value[0]), value[1], value[2]
    if op == Op.NOTE:
        return
    target: Any = _look(state, path if op == Op.ORDER else path[:-1])
    key = path[-1] if path else None
    if target is MISSING or (op in (Op.DELETE, Op.SPLICE) and _look(target, [key]) is MISSING):
        raise ValueError(f"there is nothing at {show(path)}")
    if op == Op.ORDER:
        items = {own: target[own] for own in value}
        target.clear()
        target.update(items)
    elif op == Op.SET:
        target[key] = copy.deepcopy(value)
    elif op == Op.DELETE:
        del target[key]
    elif op == Op.SPLICE:
        index, removed, inserted = value
        old = target[key]
        target[key] = old[:index] + copy.deepcopy(inserted) + old[index + removed :]
    else:
        raise ValueError(f"unknown operation {op}")


def _look(state: Any, path: Iterable[Any]) -> Any:
    """Give what stands at a path, or `MISSING`; keys and indexes are type-strict."""
    for key in path:
        if isinstance(state, dict) and type(key) is str:
            state = state.get(key, MISSING)
            continue
        inner = state.items() if isinstance(state, dict) else enumerate(state if type(state) is list else ())
        state = next((value for own, value in inner if exact(own) == exact(key)), MISSING)
    return state
