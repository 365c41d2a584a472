"""Who hears of changes, and how: afterwards, one after another, each with copies of its own."""

from __future__ import annotations

import contextlib
import inspect
import logging
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from eventstate.agents.shape import Modular, codec_of, dump_attribute, holds, inside, walk
from eventstate.errors import EventStateError
from eventstate.values.delta import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from eventstate.values.codec import Codec
    from eventstate.values.paths import Path

Listener: TypeAlias = "Callable[[str, Any, Any], object]"

MOST: Final = 1000
"""How many tellings there are in one go, so that listeners that answer each other come to an end."""

LOGGER: Final = logging.getLogger("eventstate.agents")


class News(NamedTuple):
    """A change that somebody wants to know; the values are packed, or `MISSING`."""

    listener: Listener
    name: str
    old: Any
    new: Any
    codec: Codec


class _Telling(threading.local):
    """What a thread knows: a module belongs to one, and no other may walk through it."""

    queue: deque[News] | None = None

    def __init__(self) -> None:
        self.far: weakref.WeakValueDictionary[int, Modular] = weakref.WeakValueDictionary()
        """Modules with listeners that hear of more than the module's own attributes, by their ids."""


_telling = _Telling()


def add(module: Modular, name: str, listener: Listener) -> None:
    """Let `listener` hear of changes of that name."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"a listener's attribute is a name, not {name!r}")
    if not callable(listener):
        raise TypeError(f"a listener is called, and {listener!r} can't be")
    if inspect.iscoroutinefunction(listener) or inspect.iscoroutinefunction(
        getattr(listener, "__call__", None)  # noqa: B004 - an object whose __call__ is a coroutine function
    ):
        raise TypeError(f"{name}: a listener is no coroutine function: nobody would await it")
    inside(module).listeners.setdefault(name, []).append(listener)
    if _is_far(name):
        _telling.far[id(module)] = module


def remove(module: Modular, name: str, listener: Listener) -> None:
    """Take a listener out again.

    Raises:
        ValueError: it does not listen to that name.
    """
    found = inside(module).listeners.get(name, [])
    if listener not in found:
        raise ValueError(f"{type(module).__name__}: {listener!r} does not listen to {name!r}")
    found.remove(listener)
    if not found:
        del inside(module).listeners[name]
    if not any(map(_is_far, inside(module).listeners)):
        _telling.far.pop(id(module), None)


def _is_far(name: str) -> bool:
    return "." in name or name == "*"


def dotted(path: Path) -> str:
    """Write a path as listeners get it."""
    return ".".join(map(str, path))


def hearing(module: Modular, name: str) -> Iterator[Listener]:
    """Give the module's listeners that want to hear of `name`, relative to it."""
    for wanted, found in inside(module).listeners.items():
        if wanted in (name, "*") or (wanted.endswith(".*") and name.startswith(wanted[:-1])):
            yield from found


def audience(module: Modular, name: str) -> list[tuple[Listener, str]]:
    """Give who hears of a change of an unbound module's attribute, with the name that each knows it by."""
    found = [(listener, name) for listener in hearing(module, name)]
    for other in list(_telling.far.values()):
        if other is not module:
            try:
                names = [dotted((*path, name)) for path, member in walk(other) if member is module]
            except Exception:  # the assignment may have nothing to do with that module
                LOGGER.exception("%s: its listeners can't be told of changes in it", type(other).__name__)
                continue
            found += [(listener, known) for known in names for listener in hearing(other, known)]
    return found


@contextlib.contextmanager
def watching(attributes: Iterable[tuple[Modular, str]]) -> Iterator[None]:
    """Tell of attributes of unbound modules what the block makes of them, unless it raises."""
    before = [
        (module, name, heard, _packed(module, name))
        for module, name in attributes
        if (heard := audience(module, name))
    ]
    yield
    news = []
    for module, name, heard, old in before:
        new = _packed(module, name)
        if old != new:
            news += [News(listener, known, old, new, codec_of(module)) for listener, known in heard]
    tell(news)


def _packed(module: Modular, name: str) -> Any:
    """Give an attribute's part of the state, packed; `MISSING` if it has none."""
    own = inside(module)
    value = getattr(module, name, MISSING)
    if value is MISSING or not (name in own.attributes or holds(value)):
        return MISSING
    try:
        codec = codec_of(module)
        return codec.encode(dump_attribute(module, value, codec, (name,)))
    except (EventStateError, ValueError, TypeError):
        LOGGER.exception("%s.%s can't be told to its listeners", type(module).__name__, name)
        return MISSING


def tell(news: Iterable[News]) -> None:
    """Tell the news; what comes up while some are told is told after them.

    What a listener raises is logged.
    """
    if _telling.queue is not None:
        _telling.queue.extend(news)
        return
    queue = _telling.queue = deque(news)
    try:
        for _ in range(MOST):
            if not queue:
                return
            _tell(queue.popleft())
        if queue:
            LOGGER.error("%d changes were not told: their listeners go on changing things", len(queue))
    finally:
        _telling.queue = None


def _tell(news: News) -> None:
    try:
        old, new = (value if value is MISSING else news.codec.decode(value) for value in (news.old, news.new))
        news.listener(news.name, old, new)
    except Exception:
        LOGGER.exception("a listener of %s failed", news.name)
