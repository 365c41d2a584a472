"""Loading a state into a module: first all is planned, then all is assigned, or nothing."""
# ruff: noqa: SLF001 - containers are filled without their telling

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from eventstate.agents.containers import Container
from eventstate.agents.migrations import migrated
from eventstate.agents.shape import (
    Modular,
    check_mixed,
    codec_of,
    holds,
    inside,
    is_computed,
    items_of,
    nested,
    own_copy,
    validate,
)
from eventstate.errors import AttributeNotFoundError, InvalidStateError
from eventstate.values.delta import MISSING
from eventstate.values.paths import Path, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eventstate.values.codec import Codec


class Step(NamedTuple):
    """One assignment: to a module's attribute, to a slot of a container, or a whole state to a module.

    The slot of the last is `MISSING`: `None` may be the key of a dict.
    """

    owner: Any
    slot: Any
    value: Any


class Plan:
    """What is to be assigned to load a state.

    Args:
        module: what loads it.
        state: the state, which is copied.
        strict: whether all that the module has must be in the state.
        codec: says what may be in it; by default the module's own.
        exact: whether containers of modules must be as long, and have the same keys; like `strict` if None.

    Raises:
        InvalidStateError: the state has another shape, no migration fits, or a value is refused.
        AttributeNotFoundError: something is missing.
    """

    def __init__(
        self,
        module: Modular,
        state: Any,
        *,
        strict: bool,
        exact: bool | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.steps: list[Step] = []
        self._touched: dict[tuple[int, str], tuple[Modular, str]] = {}
        self._strict = strict
        self._exact = strict if exact is None else exact
        self._codec = codec_of(module) if codec is None else codec
        self._seen: dict[int, tuple[Path, bytes]] = {}
        self._module(module, state, (), top=True)

    @property
    def touched(self) -> Iterable[tuple[Modular, str]]:
        """The attributes that are assigned, or in which something is."""
        return self._touched.values()

    def apply(self) -> list[Callable[[], None]]:
        """Assign it all, or nothing, behind the backs of validators, listeners and bindings.

        Returns:
            What takes it back, the last one first.
        """
        undo: list[Callable[[], None]] = []
        try:
            for owner, slot, value in self.steps:
                if slot is MISSING:
                    undo.append(functools.partial(owner.load_state_dict, owner.state_dict()))
                    owner.load_state_dict(value)
                elif isinstance(owner, Modular):
                    put(owner, slot, value, undo)
                else:
                    _put_element(owner, slot, value, undo)
        except BaseException:
            for step in reversed(undo):
                step()
            raise
        return undo

    def _module(self, module: Modular, state: Any, path: Path, *, top: bool = False) -> None:
        if not isinstance(state, dict):
            raise InvalidStateError(f"{show(path)}: a module's state is a dict, not {type(state).__name__}")
        data = self._codec.encode(state, path)
        seen = self._seen.setdefault(id(module), (path, data))
        if seen[0] != path:
            if seen[1] != data:
                raise ValueError(f"{show(path)}: the same module as at {show(seen[0])}, with another state")
            return
        if type(module).own_state and not top:
            self.steps.append(Step(module, MISSING, own_copy(self._codec, state, path)))
            return
        state = migrated(module, self._codec.decode(data), path)
        for name, value in nested(module).items():
            check_mixed(module, name, value)
            if self._has(state, name, path):
                self._part(module, value, state[name], (*path, name), (module, name))
        for name, how in inside(module).attributes.items():
            if not self._has(state, name, path):
                continue
            here = (*path, name)
            value = getattr(module, name)
            if how.to_json is None and how.from_json is None and holds(value):
                self._part(module, value, state[name], here, (module, name))
                continue
            loaded = own_copy(self._codec, state[name], here)
            if how.from_json is not None:
                loaded = self._converted(how.from_json, loaded, here)
            validate(module, name, loaded, here)
            self._step(module, name, loaded, (module, name))

    def _converted(self, from_json: Callable[[Any], Any], value: Any, path: Path) -> Any:
        try:
            return from_json(value)
        except Exception as error:
            error.add_note(f"{show(path)}: while its state was converted")
            raise

    def _has(self, state: dict[str, Any], name: str, path: Path) -> bool:
        if name in state:
            return True
        if self._strict:
            raise AttributeNotFoundError(f"{show((*path, name))}: not in the state that is loaded")
        return False

    def _step(self, owner: Any, slot: Any, value: Any, attribute: tuple[Modular, str]) -> None:
        self.steps.append(Step(owner, slot, value))
        module, name = attribute
        self._touched[id(module), name] = attribute

    def _part(self, owner: Any, value: Any, state: Any, path: Path, attribute: tuple[Modular, str]) -> None:
        """Plan what becomes of a value in which there are modules, or of one beside them."""
        if isinstance(value, Modular):
            self._module(value, state, path)
            return
        if not holds(value):
            self._step(owner, path[-1], own_copy(self._codec, state, path), attribute)
            return
        kind = dict if isinstance(value, dict) else list
        if not isinstance(state, kind):
            raise InvalidStateError(
                f"{show(path)}: a {kind.__name__} with modules, not {type(state).__name__}"
            )
        here: dict[Any, Any] = dict(items_of(value))
        there: dict[Any, Any] = dict(items_of(state))
        if self._exact and here.keys() != there.keys():
            told = f"{len(here)} elements" if kind is list else f"the keys {list(here)!r}"
            other = len(there) if kind is list else f"{list(there)!r}"
            raise InvalidStateError(f"{show(path)}: has {told}, but the state has {other}")
        for key, child in here.items():
            if key in there:
                self._part(value, child, there[key], (*path, key), attribute)


def _put_element(owner: Any, slot: Any, value: Any, undo: list[Callable[[], None]]) -> None:
    if isinstance(owner, Container):
        before = owner._content()
        undo.append(lambda: owner._refill(before))
        owner._put(slot, value)
    else:
        old = owner[slot]
        undo.append(lambda: owner.__setitem__(slot, old))
        owner[slot] = value


def put(module: Modular, name: str, value: Any, undo: list[Callable[[], None]]) -> None:
    """Set an attribute, behind the backs of validators, listeners and bindings."""
    if name in vars(module):
        kept = vars(module)[name]
        undo.append(lambda: vars(module).__setitem__(name, kept))
    elif is_computed(module, name):
        old = getattr(module, name)
        undo.append(lambda: object.__setattr__(module, name, old))
    else:
        undo.append(lambda: vars(module).pop(name, None))
    object.__setattr__(module, name, value)
