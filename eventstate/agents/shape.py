"""What a module's state consists of: nested modules, containers of modules, registered attributes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from eventstate.errors import InvalidStateError
from eventstate.values.codec import Codec
from eventstate.values.paths import Path, show
from eventstate.values.registry import TypeRegistry
from eventstate.values.tracking import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate.agents.binding import Binding
    from eventstate.values.live_dict import LiveDict

INSIDE: Final = "_eventstate"
"""The one attribute that a module has for the library."""

VERSION: Final = "_state_version"
"""The key under which a state says the version of its shape."""

_DEEP: Final = 200


class Attribute(NamedTuple):
    """How a registered attribute becomes a part of the state, and comes back."""

    to_json: Callable[[Any], Any] | None = None
    from_json: Callable[[Any], Any] | None = None


@dataclass(slots=True, eq=False)
class Inside:
    """What a module keeps about itself."""

    order: dict[str, None] = field(default_factory=dict)
    """Names under which modules, or containers of nothing but modules, came, in that order."""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    validators: dict[str, list[Callable[[Any], object]]] = field(default_factory=dict)
    listeners: dict[str, list[Callable[[str, Any, Any], object]]] = field(default_factory=dict)
    checking: set[str] = field(default_factory=set)
    """Names of which the validators are being asked."""
    binding: Binding | None = None
    node: LiveDict | None = None
    """Where its state stands in that of the bound tree."""

    def apart(self) -> Inside:
        """Give what a copy of the module has: the same, but bound to nothing and heard by nobody."""
        checks = {name: list(found) for name, found in self.validators.items()}
        return Inside(dict(self.order), dict(self.attributes), checks)


class Modular:
    """The base of `StateModule`, by which the parts of this package know one."""

    types: ClassVar[TypeRegistry | None] = None
    state_version: ClassVar[str | int | None] = None

    def state_dict(self) -> dict[str, Any]:
        """Give the state."""
        raise NotImplementedError

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:  # noqa: FBT001, FBT002 - as AgentScope has it
        """Take a state."""
        raise NotImplementedError

    def _enter(self) -> None:
        """Hear that it is about to become part of a bound tree; what this raises keeps it out."""

    own_state: ClassVar[bool] = False
    """Whether the class has a `state_dict` or `load_state_dict` of its own: nothing more is known of it."""


def inside(module: Modular) -> Inside:
    """Give what a module keeps about itself.

    Raises:
        AttributeError: its constructor has not called `super().__init__()`.
    """
    found: Inside | None = vars(module).get(INSIDE)
    if found is None:
        raise AttributeError(f"{type(module).__name__}: call super().__init__() in the constructor first")
    return found


def codec_of(module: Modular) -> Codec:
    """Give the codec that says what the module and those in it may hold: the store's, once it is bound.

    Raises:
        ValueError: it is not bound, and the modules' `types` have one name for two classes.
    """
    binding = inside(module).binding
    if binding is not None:
        return binding.codec
    registries = {id(found): found for _, member in walk(module) if (found := type(member).types) is not None}
    if not registries:
        return Codec()
    if len(registries) == 1:
        return Codec(*registries.values())
    merged = TypeRegistry()
    for registry in registries.values():
        merged.include(registry)
    return Codec(merged)


def items_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """Walk a list's or dict's elements with their slots, as it is and nothing else."""
    return iter(value.items()) if isinstance(value, dict) else enumerate(value)


def holds(value: Any, depth: int = 0) -> bool:
    """Say whether a value is a module, or a list or dict with one somewhere in it."""
    if isinstance(value, Modular):
        return True
    if isinstance(value, Node) or not isinstance(value, (list, dict)) or depth > _DEEP:
        return False
    return any(holds(child, depth + 1) for _, child in items_of(value))


def nested(module: Modular) -> dict[str, Any]:
    """Give the modules, and the containers of nothing but modules, that are attributes by themselves.

    Raises:
        TypeError: an attribute that is not registered mixes modules with other values.
    """
    own = inside(module)
    found = {}
    for name, value in vars(module).items():
        if name == INSIDE or name in own.attributes or not may_hold(value):
            continue
        found[name] = value
        own.order.setdefault(name)
    return {name: found[name] for name in own.order if name in found}


def may_hold(value: Any) -> bool:
    """Say whether a value is a module, or a list or dict with one among its elements."""
    if isinstance(value, Modular):
        return True
    if isinstance(value, Node) or not isinstance(value, (list, dict)):
        return False
    return any(isinstance(child, Modular) for _, child in items_of(value))


def is_nest(value: Any) -> bool:
    """Say whether a value is a module, or a list or dict of nothing but modules."""
    if isinstance(value, Modular) or not may_hold(value):
        return isinstance(value, Modular)
    return all(isinstance(child, Modular) for _, child in items_of(value))


def check_mixed(module: Modular, name: str, value: Any) -> None:
    """Refuse an unregistered container that mixes modules with other values."""
    if isinstance(value, Modular) or name in inside(module).attributes:
        return
    for slot, child in items_of(value):
        if not isinstance(child, Modular):
            raise TypeError(
                f"{type(module).__name__}.{name}: modules are mixed with other values, such as that at"
                f" {slot!r}: register the attribute"
            )


def parts(module: Modular) -> dict[str, Any]:
    """Give what the module's state consists of, in its order: nested modules, then registered attributes.

    Raises:
        TypeError: an attribute that is not registered mixes modules with other values.
        AttributeError: a registered attribute is gone.
    """
    found = nested(module)
    for name, value in found.items():
        check_mixed(module, name, value)
    found.update((name, getattr(module, name)) for name in inside(module).attributes)
    return found


def is_computed(module: Modular, name: str) -> bool:
    """Say whether an attribute is one that the class computes, as a property is."""
    return hasattr(inspect.getattr_static(type(module), name, None), "__set__")


def own_copy(codec: Codec, value: Any, path: Path) -> Any:
    """Copy a value that can be stored.

    Raises:
        UnsupportedValueError: it can't; the error has the path.
    """
    return codec.decode(codec.encode_stored(value, path))


def validate(module: Modular, name: str, value: Any, path: Path) -> None:
    """Ask an attribute's validators.

    Raises:
        InvalidStateError: one of them gave something false, raised, or assigned the attribute anew.
    """
    own = inside(module)
    if not own.validators.get(name):
        return
    if name in own.checking:
        raise InvalidStateError(f"{show(path)}: assigned by its own validator")
    own.checking.add(name)
    try:
        for check in own.validators[name]:
            try:
                accepted = check(codec_of(module).copy(value) if isinstance(value, Node) else value)
            except Exception as error:
                raise InvalidStateError(f"{show(path)}: refused by its validator: {error!r}") from error
            if not accepted:
                raise InvalidStateError(f"{show(path)}: refused by its validator")
    finally:
        own.checking.discard(name)


def dump(module: Modular) -> dict[str, Any]:
    """Give the module's state as plain data that shares nothing with it.

    Raises:
        ValueError: a module contains itself.
        InvalidStateError: a validator refuses a value.
        UnsupportedValueError: a value can't be stored.
    """
    return _dumped_module(module, codec_of(module), (), ())


def _dumped_module(module: Modular, codec: Codec, path: Path, above: tuple[Modular, ...]) -> dict[str, Any]:
    binding = inside(module).binding
    if binding is not None:  # it may be so inside one that is not
        codec = binding.codec
    state: dict[str, Any] = {}
    if type(module).state_version is not None:
        state[VERSION] = type(module).state_version
    attributes = inside(module).attributes
    for name, value in parts(module).items():
        here = (*path, name)
        if name in attributes:
            validate(module, name, value, here)
        state[name] = dump_attribute(module, value, codec, here, above)
    return state


def dump_attribute(
    module: Modular, value: Any, codec: Codec, path: Path, above: tuple[Modular, ...] = ()
) -> Any:
    """Give what stands for an attribute's value in the module's state.

    Args:
        module: whose attribute it is.
        value: that it has.
        codec: says what may be in it.
        path: where it stands, the last key being its name.
        above: the modules in which the module is.
    """
    how = inside(module).attributes.get(path[-1])
    if how is not None and how.to_json is not None:
        return own_copy(codec, how.to_json(value), path)
    return _dumped(value, codec, path, (*above, module))


def _dumped(value: Any, codec: Codec, path: Path, above: tuple[Modular, ...]) -> Any:
    if isinstance(value, Modular):
        if any(other is value for other in above):
            raise ValueError(f"{show(path)}: the module contains itself")
        if type(value).own_state:
            return own_copy(codec, value.state_dict(), path)
        return _dumped_module(value, codec, path, above)
    if not holds(value):
        return own_copy(codec, value, path)
    if isinstance(value, dict):
        return {key: _dumped(child, codec, (*path, key), above) for key, child in value.items()}
    return [_dumped(child, codec, (*path, index), above) for index, child in enumerate(value)]


def walk(value: Any, path: Path = (), above: tuple[int, ...] = ()) -> Iterator[tuple[Path, Modular]]:
    """Walk the modules of a tree with their paths, the root first; into one that contains itself once."""
    if isinstance(value, Modular):
        if id(value) in above:
            return
        yield path, value
        if not type(value).own_state or not above:
            for name, child in (*nested(value).items(), *_held(value)):
                yield from walk(child, (*path, name), (*above, id(value)))
    elif holds(value):
        for slot, child in items_of(value):
            yield from walk(child, (*path, slot), above)


def _held(module: Modular) -> Iterator[tuple[str, Any]]:
    for name, how in inside(module).attributes.items():
        value = getattr(module, name, None)
        if how.to_json is None and holds(value):
            yield name, value
