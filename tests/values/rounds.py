"""A state with something of everything, and what is asked of each round that changes it."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from eventstate.errors import InvalidStateError
from eventstate.values.codec import Codec, Live
from eventstate.values.delta import Edit, fold
from eventstate.values.live import LiveState
from eventstate.values.registry import TypeRegistry
from eventstate.values.tracking import UNREAD
from tests.strategies import exact

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass
class Task:
    title: str
    done: bool = False
    notes: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Report:
    lines: list[Any]
    totals: dict[str, Any]


CODEC = Codec(TypeRegistry(Task))


def source() -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "parts": [1, {"n": 2}], "tags": {"t"}} for _ in range(4)],
        "plan": {"steps": ["a", "b"], "at": 0},
        "tasks": [Task("one"), Task("two")],
        "pair": (1, [2, {"three": {3}}]),
        "n": 1,
    }


def after(edits: list[Edit], before: dict[Any, Any]) -> Any:
    return exact(CODEC.encode(fold([Edit(p, op, CODEC.copy(value)) for p, op, value in edits], before)))


def edits_of(change: Callable[[Any], object], before: dict[Any, Any] | None = None) -> list[Edit]:
    """Give the edits of a round that makes one change, which must fold to what the round saw."""
    before = source() if before is None else before
    state = LiveState(before, CODEC)
    change(state.root)
    edits = state.edits()
    if not any(
        type(item) is object for items in before.values() if isinstance(items, list) for item in items
    ):
        assert after(edits, CODEC.copy(before)) == exact(CODEC.encode(state.root))
    return [Edit(p, op, CODEC.copy(value)) for p, op, value in edits]


def spoil(value: Any) -> None:
    """Change everything that can be reached."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        attempt(lambda: value.__setitem__("spoilt", 1))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            spoil(item)
        if isinstance(value, list):
            attempt(lambda: value.append("spoilt"))
        elif isinstance(value, set):
            value.add("spoilt")
    elif isinstance(value, Task):
        spoil(value.notes)
        value.title = "spoilt"
    else:
        try:
            items = list(value) if not isinstance(value, str) else []
        except TypeError:
            return
        for item in items:
            spoil(item)


def mutables(value: Any) -> dict[int, Any]:
    """Give by its id each thing in a plain value that could be changed."""
    found = {} if isinstance(value, (str, bytes, tuple, frozenset)) else {id(value): value}
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, Task):
        value = [value.notes]
    elif not isinstance(value, (list, tuple, set, frozenset)):
        return found if hasattr(value, "__dict__") else {}
    for item in value:
        found |= mutables(item)
    return found


def as_c_reads(live: Any) -> list[Any]:
    """Give what stands in a live container for C code that reads it behind its class."""
    if isinstance(live, dict):
        return list(dict.values(live))
    return [list.__getitem__(live, i) for i in range(list.__len__(live))]


def check_unshared(live: Any, shared: dict[int, Any]) -> None:
    """Check that C code finds nothing `shared` in a live container, nor in those that stand in it."""
    raw, items = as_c_reads(live), live._plain()
    plain = list(items.values()) if isinstance(items, dict) else items
    assert not isinstance(live, dict) or list(dict.keys(live)) == list(items)
    if raw == [UNREAD]:  # a list shows one for all that it has
        raw *= len(plain)
    for seen, item in zip(raw, plain, strict=True):
        assert seen is item or seen is UNREAD
        if isinstance(item, Live):
            check_unshared(item, shared)
        else:
            assert not mutables(seen).keys() & shared


def attempt(change: Callable[[], None]) -> None:
    with contextlib.suppress(InvalidStateError):
        change()
