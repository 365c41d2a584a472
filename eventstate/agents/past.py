"""A bound module's past, each state upcast to the shape of today."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventstate.agents.migrations import upcast
from eventstate.agents.shape import Modular, codec_of, inside
from eventstate.errors import InvalidStateError
from eventstate.values.delta import MISSING
from eventstate.values.paths import as_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstate.agents.binding import Binding
    from eventstate.history import Round


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """One change of an attribute, from one round to the next; `MISSING` stands for no value."""

    round: Round
    old: Any = field(hash=False)
    new: Any = field(hash=False)


def _binding(module: Modular) -> Binding:
    binding = inside(module).binding
    if binding is None:
        raise InvalidStateError(f"{type(module).__name__} is not bound to a session")
    return binding


def upcast_rounds(module: Modular) -> Iterator[tuple[Round, dict[str, Any]]]:
    """Walk the rounds with the states of a module as they would be today.

    A nested module's rounds are those in which its place had a state.

    Raises:
        InvalidStateError: it is not bound, or a state can't be upcast.
    """
    binding = _binding(module)
    path = binding.path_of(module)
    for turn, state in binding.session.replay():
        found = _look(upcast(binding.root, state), path)
        if found is not MISSING:
            yield turn, found


def changes_of(module: Modular, attr: Any) -> list[AttributeChange]:
    """List the changes of an attribute, oldest first."""
    path, codec = as_path(attr), codec_of(module)
    before: Any = MISSING
    found = []
    for turn, state in upcast_rounds(module):
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
