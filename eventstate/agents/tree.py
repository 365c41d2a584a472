"""A bound tree of modules over its live state: each module's values are the live ones."""
# ruff: noqa: SLF001 - live objects and containers are known from inside

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.agents.containers import Container, ModuleDict, ModuleList
from eventstate.agents.listeners import LOGGER
from eventstate.agents.loading import put
from eventstate.agents.shape import (
    VERSION,
    Attribute,
    Modular,
    holds,
    inside,
    is_computed,
    items_of,
    nested,
    own_copy,
    parts,
)
from eventstate.values.codec import SCALARS
from eventstate.values.delta import MISSING
from eventstate.values.paths import Path, show
from eventstate.values.tracking import Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.agents.link import Link
    from eventstate.values.codec import Codec
    from eventstate.values.live import LiveState
    from eventstate.values.live_dict import LiveDict

_PLAIN: Final = Attribute()


class Member(NamedTuple):
    """A module of the tree, and where it stands."""

    module: Modular
    path: Path


class Swept(NamedTuple):
    """A part of the state that has to be asked for: nobody tells when it changes."""

    node: Node
    slot: Any
    path: Path
    module: Modular
    """Whose attribute it is, or, if the slot holds a module with a state of its own, that module."""
    how: Attribute | None

    def value(self) -> Any:
        """Give it in the form that it has in the state."""
        if self.how is None:
            return self.module.state_dict()
        value = getattr(self.module, self.path[-1])
        return value if self.how.to_json is None else self.how.to_json(value)

    def put_back(self, value: Any, codec: Codec) -> None:
        """Make it again what the state says, if it is not."""
        try:
            if codec.same(own_copy(codec, self.value(), self.path), value):
                return
        except Exception:  # noqa: BLE001 - what can't be told is replaced just so
            LOGGER.debug("%s can't be told", show(self.path), exc_info=True)
        value = codec.copy(value)
        try:
            if self.how is None:
                self.module.load_state_dict(value)
                return
            value = value if self.how.from_json is None else self.how.from_json(value)
            object.__setattr__(self.module, self.path[-1], value)
        except Exception:  # noqa: BLE001 - it is the user's, and is logged
            # All else has to become what was committed, and the next commit meets this again.
            LOGGER.exception("%s could not be put back", show(self.path))


class Tree:
    """The modules reached from a root, brought together with the live state.

    Args:
        link: whose tree it is.
        live: the state.
        undo: gets what takes back the changes in instances, the last one first.
    """

    def __init__(self, link: Link, live: LiveState, undo: list[Callable[[], None]]) -> None:
        self._link: Any = link
        self._codec = link.codec
        self._root = live.root
        self._undo = undo
        self.members: dict[int, Member] = {}
        self.places: dict[int, Modular | Container] = {}
        """The modules and containers by the ids of their live nodes."""
        self.swept: list[Swept] = []
        self.complete = True
        """Whether all that is state was found in the live one."""

    def align(self, root: Modular) -> Tree:
        """Bring the live state to what the modules hold, and give them the live values of it.

        Raises:
            ValueError: a module stands at two places, or belongs to another bound tree.
            AgentBusyError: an agent that is not in the tree yet is replying.
            UnsupportedValueError: a value can't be stored.
        """
        self._align_module(root, self._root, ())
        return self

    def hand_out(self, root: Modular) -> Tree:
        """Give the modules the values that the live state has."""
        self._hand_module(root, self._root, ())
        return self

    def _enter(self, module: Modular, node: LiveDict, path: Path) -> None:
        own, other = inside(module), self.members.get(id(module))
        if other is not None:
            raise ValueError(f"{show(path)}: the same module as at {show(other.path)}")
        if own.binding is not self._link:
            if own.binding is not None:
                raise ValueError(f"{show(path)}: the module belongs to another tree that is bound")
            module._enter()
            self._undo.append(lambda: release(module))
        own.binding, own.node = self._link, node
        self.members[id(module)] = Member(module, path)
        self.places[id(node)] = module

    def _align_module(self, module: Modular, node: LiveDict, path: Path) -> None:
        self._enter(module, node, path)
        wanted = parts(module)
        version = type(module).state_version
        names = ([VERSION] if version is not None else []) + list(wanted)
        for key in [key for key in node._items if key not in names]:
            del node[key]
        if version is not None:
            node[VERSION] = version
        attributes = inside(module).attributes
        for name, value in wanted.items():
            how = attributes.get(name, _PLAIN)
            if how.to_json is not None or (name in attributes and is_computed(module, name)):
                self._sweep(Swept(node, name, (*path, name), module, how))
                continue
            handed = self._align(node, name, value, (*path, name))
            if handed is not value:
                self._hand_over(module, name, value, handed)
        node._arrange(names)

    def _hand_over(self, module: Modular, name: str, value: Any, handed: Any) -> None:
        if isinstance(value, Node):  # of a state that was given up
            object.__setattr__(module, name, handed)
        else:
            put(module, name, handed, self._undo)

    def _sweep(self, swept: Swept) -> None:
        self.swept.append(swept)
        bring(swept, self._codec)

    def _align(self, node: Any, slot: Any, value: Any, path: Path) -> Any:
        """Bring a slot of a live container to a value, and give what is to stand for it outside."""
        if isinstance(value, Modular):
            if type(value).own_state:
                self._enter_own(value, path)
                self._sweep(Swept(node, slot, path, value, None))
                return value
            self._align_module(value, self._own_node(node, slot, inside(value).node, {}), path)
            return value
        if isinstance(value, Container) or holds(value):
            return self._align_container(node, slot, value, path)
        if self._at(node, slot) is not value:
            node[slot] = value
        return node[slot]

    def _enter_own(self, module: Modular, path: Path) -> None:
        other = self.members.get(id(module))
        if other is not None:
            raise ValueError(f"{show(path)}: the same module as at {show(other.path)}")
        self.members[id(module)] = Member(module, path)

    def _align_container(self, node: Any, slot: Any, value: Any, path: Path) -> Container:
        if isinstance(value, (ModuleList, ModuleDict)) and value._binding is self._link:
            container: ModuleList | ModuleDict = value
        elif isinstance(value, dict):
            container = ModuleDict(value, self._link)
        else:
            container = ModuleList(value, self._link)
        inner: Any = self._own_node(node, slot, container._node, {} if isinstance(container, dict) else [])
        container._node = inner
        self.places[id(inner)] = container
        if isinstance(container, dict):
            for key in [key for key in inner._items if key not in container]:
                del inner[key]
        else:
            wanted = [_standing(child, inner) for child in container]
            if len(wanted) != len(inner) or any(
                new is not old for new, old in zip(wanted, inner._items, strict=True)
            ):
                inner[:] = wanted
        for key, child in list(items_of(container)):
            handed = self._align(inner, key, child, (*path, key))
            if handed is not child:
                container._put(key, handed)
        if isinstance(container, dict):
            inner._arrange(list(container))
        return container

    def _own_node(self, node: Any, slot: Any, own: Any, empty: Any) -> Any:
        """Give the live container of what stands at a slot; a new one if it came there."""
        if own is None or self._at(node, slot) is not own:
            node[slot] = empty
        return node[slot]

    @staticmethod
    def _at(node: Any, slot: Any) -> Any:
        items = node._items
        return items.get(slot, MISSING) if isinstance(node, dict) else items[slot]

    def _hand_module(self, module: Modular, node: LiveDict, path: Path) -> None:
        self._enter(module, node, path)
        attributes = inside(module).attributes
        found = nested(module)
        found.update((name, getattr(module, name, MISSING)) for name in attributes)
        for name, value in found.items():
            if name not in node:
                self._take_out(value)
                continue
            how = attributes.get(name, _PLAIN)
            if how.to_json is not None or (name in attributes and is_computed(module, name)):
                swept = Swept(node, name, (*path, name), module, how)
                swept.put_back(node[name], self._codec)
                self.swept.append(swept)
                continue
            handed = self._hand(node, name, value, (*path, name))
            if handed is not value:
                object.__setattr__(module, name, handed)

    def _take_out(self, value: Any) -> None:
        """Take modules out of a list or dict that is no state: they came in unseen since the commit."""
        if isinstance(value, dict):
            for key in [key for key, child in value.items() if isinstance(child, Modular)]:
                del value[key]
        elif isinstance(value, list):
            value[:] = [child for child in value if not isinstance(child, Modular)]
        else:
            self.complete = False

    def _hand(self, node: Any, slot: Any, value: Any, path: Path) -> Any:
        if isinstance(value, Modular):
            if type(value).own_state:
                self._enter_own(value, path)
                swept = Swept(node, slot, path, value, None)
                swept.put_back(node[slot], self._codec)
                self.swept.append(swept)
            else:
                self._hand_module(value, node[slot], path)
            return value
        if not isinstance(value, (ModuleList, ModuleDict)):
            self.complete = self.complete and not holds(value)
            return value if holds(value) else node[slot]
        inner = node[slot]
        value._node = inner
        self.places[id(inner)] = value
        for key, child in list(items_of(value)):
            handed = self._hand(inner, key, child, (*path, key))
            if handed is not child:
                value._put(key, handed)
        return value


def bring(swept: Swept, codec: Codec) -> None:
    """Bring the live state to what a swept part is now."""
    data = codec.encode_stored(swept.value(), swept.path)
    node: Any = swept.node
    now = Tree._at(node, swept.slot)
    if now is MISSING or codec.encode(now, swept.path) != data:
        node[swept.slot] = codec.decode(data)


def _standing(child: Any, inner: Any) -> Any:
    """Give what stands for an element in a live list: its live container, itself, or nothing yet."""
    node = child
    if isinstance(child, Modular):
        node = inside(child).node
    elif isinstance(child, (ModuleList, ModuleDict)):
        node = child._node
    if isinstance(node, Node):
        return node if node._parent() is inner else None
    return child if type(child) in SCALARS else None


def release(module: Modular) -> None:
    """Let a module go out of its tree: what it has becomes its own, and plain."""
    own = inside(module)
    binding = own.binding
    if binding is None:
        return
    own.binding = own.node = None
    for name, value in list(vars(module).items()):
        free = freed(value, binding.codec)
        if free is not value:
            object.__setattr__(module, name, free)


def freed(value: Any, codec: Codec) -> Any:
    """Give the plain self of a live value, or of a container of modules, which tells nobody any more."""
    if isinstance(value, (ModuleList, ModuleDict)):
        value._binding = value._node = None
        for _, child in items_of(value):
            freed(child, codec)
    return loose(value, codec)


def loose(value: Any, codec: Codec) -> Any:
    """Give the plain self of a live value, or of a container of modules."""
    if isinstance(value, Node):
        return codec.copy(value)
    if isinstance(value, ModuleDict):
        return {key: loose(child, codec) for key, child in value.items()}
    if isinstance(value, ModuleList):
        return [loose(child, codec) for child in value]
    return value
