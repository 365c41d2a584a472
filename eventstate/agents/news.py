"""What a commit of a bound tree changes, attribute by attribute: for validators and listeners."""
# ruff: noqa: SLF001 - trails are read here, too

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from eventstate.agents.containers import Container
from eventstate.agents.listeners import News, dotted, hearing
from eventstate.agents.shape import VERSION, Modular, inside, validate
from eventstate.values.delta import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstate.agents.tree import Tree


def check_changed(tree: Tree) -> None:
    """Ask the validators of all attributes that were changed.

    Raises:
        InvalidStateError: one refuses.
    """
    for module, path in tree.members.values():
        own = inside(module)
        if not own.validators or own.node is None or own.node._trail is None:
            continue
        for name in list(_touched(own.node)):
            if name in own.validators and name in own.node:
                validate(module, name, getattr(module, name), (*path, name))


def news_of(tree: Tree, sources: dict[int, Any]) -> list[News]:
    """Give what listeners of the tree's modules want to hear of what has changed since `sources`."""
    listening = [member for member in tree.members.values() if inside(member.module).listeners]
    news: list[News] = []
    if not listening:
        return news
    for key, (module, path) in tree.members.items():
        source, node = sources.get(key), inside(module).node
        if source is None or node is None:
            continue
        for name in _names(tree, node, source):
            heard = [
                (listener, known)
                for other, above in listening
                if path[: len(above)] == above
                for known in (dotted((*path[len(above) :], name)),)
                for listener in hearing(other, known)
            ]
            codec = node._recorder.codec
            if not heard:
                continue
            old, new = (
                value if value is MISSING else codec.encode(value)
                for value in (source.get(name, MISSING), node._items.get(name, MISSING))
            )
            if old != new:
                news += [News(listener, known, old, new, codec) for listener, known in heard]
    return news


def _names(tree: Tree, node: Any, source: Any) -> Iterator[Any]:
    if node._source is not source:  # it was moved to another place, and is told from anew
        yield from (key for key in {**source, **node._items} if key != VERSION)
        return
    if node._trail is not None:
        yield from (key for key in _touched(node, tree) if key != VERSION)


def _touched(node: Any, tree: Tree | None = None) -> Iterator[Any]:
    """Give the keys of a live dict whose values changed; with a tree, not if that was in a module inside."""
    trail = node._trail
    found = dict.fromkeys([*trail.touched, *trail.added])
    for slot, child in trail.parts():
        key = node._slot_of(child, slot)
        if tree is None or _is_changed(tree, child):
            found.setdefault(key)
    return iter(found)


def _is_changed(tree: Tree, child: Any) -> bool:
    """Say whether something may have changed in a child that is of no module inside it."""
    place = tree.places.get(id(child))
    if isinstance(place, Modular):
        return False
    if not isinstance(place, Container) or child._trail is None:
        return True
    trail = child._trail
    if trail.touched or trail.added or trail.arranged or trail.lo != sys.maxsize:
        return True
    return any(_is_changed(tree, inner) for _, inner in trail.parts())
