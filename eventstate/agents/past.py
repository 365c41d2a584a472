"""A bound module's past, each state upcast to the shape of today."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventstate.agents.migrations import upcast_own
from eventstate.values.delta import MISSING
from eventstate.values.paths import as_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstate.agents.binding import Binding
    from eventstate.agents.shape import Modular
    from eventstate.rounds import Round


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """One change of an attribute, from one round to the next; `MISSING` stands for no value."""

    round: Round
    old: Any = field(hash=False)
    new: Any = field(hash=False)


def upcast_rounds(module: Modular, binding: Binding) -> Iterator[tuple[Round, dict[str, Any]]]:
    """Walk the rounds with the states of a module as they would be today.

    A nested module's rounds are those in which its place had a state.

    Raises:
        InvalidStateError: a state can't be upcast.
    """
    path = binding.path_of(module)
    for turn, state in binding.session.replay():
        found = _look(upcast_own(binding.root, state), path)
        if found is not MISSING:
            yield turn, found


def changes_of(module: Modular, binding: Binding, attr: Any) -> list[AttributeChange]:
    """List the changes of an attribute, oldest first."""
    path, codec = as_path(attr), binding.codec
    before: Any = MISSING
    found = []
    for turn, state in upcast_rounds(module, binding):
        value = _look(state, path)
        if value is not before and (MISSING in (value, before) or not codec.same(before, value)):
            found.append(AttributeChange(turn, before, value))
            before = value
    return found


def _look(state: Any, path: tuple[Any, ...]) -> Any:
    """Give what stands at a path of keys and indexes, or `MISSING`."""
    for step in path:
        try:
            state = state[step]
        except (LookupError, TypeError):
            return MISSING
    return state
