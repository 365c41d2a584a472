"""How states of older versions are brought to today's: the shortest chain of registered steps."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from eventstate.agents.shape import VERSION, Modular, codec_of, holds, inside, nested
from eventstate.errors import InvalidStateError
from eventstate.values.paths import Path, show

if TYPE_CHECKING:
    from collections.abc import Callable

Version: TypeAlias = "str | int | None"
Migrate: TypeAlias = "Callable[[dict[str, Any]], dict[str, Any] | None]"

_TABLE: Final = "_eventstate_migrations"


def add(cls: type, from_version: Version, to_version: Version, step: Migrate) -> None:
    """Put a step into the class's own table; it counts for its subclasses too."""
    for version in (from_version, to_version):
        _check(version, cls.__name__)
    if from_version == to_version:
        raise ValueError(f"{cls.__name__}: a migration leads from {from_version!r} to itself")
    if _TABLE not in vars(cls):
        setattr(cls, _TABLE, {})
    vars(cls)[_TABLE][from_version, to_version] = step


def _check(version: Any, where: str) -> None:
    if version is not None and type(version) not in (str, int):
        raise TypeError(f"{where}: a version is a text, an integer or None, not {version!r}")


def _steps(cls: type) -> dict[tuple[Version, Version], Migrate]:
    steps: dict[tuple[Version, Version], Migrate] = {}
    for base in reversed(cls.__mro__):
        steps.update(vars(base).get(_TABLE, {}))
    return steps


def _chain(cls: type, start: Version, end: Version, path: Path) -> list[tuple[Version, Migrate]]:
    """Find the shortest way from a version to another."""
    steps = _steps(cls)
    ways: dict[Version, list[tuple[Version, Migrate]]] = {start: []}
    queue = deque([start])
    while queue and end not in ways:
        here = queue.popleft()
        for (old, new), step in steps.items():
            if old == here and new not in ways:
                ways[new] = [*ways[here], (new, step)]
                queue.append(new)
    if end not in ways:
        known = ", ".join(f"{old!r} to {new!r}" for old, new in steps) or "none"
        raise InvalidStateError(
            f"{show(path)}: no migration of {cls.__name__} leads from version {start!r} to {end!r};"
            f" known are: {known}"
        )
    return ways[end]


def upcast(module: Modular, state: Any, path: Path = ()) -> dict[str, Any]:
    """Give a state in today's shape, nested modules' parts too; the one given is left as it is.

    Raises:
        InvalidStateError: it is no dict, or there is no migration, or one fails.
    """
    if not isinstance(state, dict):
        raise InvalidStateError(f"{show(path)}: a module's state is a dict, not {type(state).__name__}")
    copy: dict[str, Any] = codec_of(module).copy(state)
    return upcast_own(module, copy, path)


def upcast_own(module: Modular, state: dict[str, Any], path: Path = ()) -> dict[str, Any]:
    """Like `upcast`, of a state that is the caller's own and may be changed."""
    state = migrated(module, state, path)
    found = nested(module)
    found.update((name, getattr(module, name, None)) for name in inside(module).attributes)
    for name, value in found.items():
        if name in state and holds(value):
            state[name] = _upcast_part(value, state[name], (*path, name))
    return state


def _upcast_part(value: Any, state: Any, path: Path) -> Any:
    if isinstance(value, Modular):
        if type(value).own_state or not isinstance(state, dict):
            return state
        return upcast_own(value, state, path)
    if isinstance(value, dict) and isinstance(state, dict):
        common = _kind(list(value.values()))
        slots = {key: value.get(key, common) for key in state}
    elif isinstance(value, list) and isinstance(state, list):
        common = _kind(value)
        slots = {index: value[index] if index < len(value) else common for index in range(len(state))}
    else:
        return state
    for slot, child in slots.items():
        if holds(child):
            state[slot] = _upcast_part(child, state[slot], (*path, slot))
    return state


def _kind(children: list[Any]) -> Any:
    """Give one of the modules if all are of one class: it speaks for those that are not there any more."""
    return children[0] if children and len({type(child) for child in children}) == 1 else None


def migrated(module: Modular, state: dict[str, Any], path: Path) -> dict[str, Any]:
    """Bring a module's own part of a state, which may be changed, to the version of its class.

    Raises:
        InvalidStateError: there is no way, or a step fails.
    """
    cls, start = type(module), state.get(VERSION)
    try:
        _check(start, show((*path, VERSION)))
    except TypeError as error:
        raise InvalidStateError(str(error)) from error
    _check(cls.state_version, f"{cls.__name__}.state_version")
    for version, step in _chain(cls, start, cls.state_version, path) if start != cls.state_version else ():
        try:
            result = step(state)
        except Exception as error:
            raise InvalidStateError(
                f"{show(path)}: the migration of {cls.__name__} to version {version!r} failed: {error!r}"
            ) from error
        state = state if result is None else result
        if not isinstance(state, dict):
            raise InvalidStateError(
                f"{show(path)}: the migration of {cls.__name__} to version {version!r} gave no dict,"
                f" but {type(state).__name__}"
            )
        state.pop(VERSION, None)
        if version is not None:
            state[VERSION] = version
    return state
