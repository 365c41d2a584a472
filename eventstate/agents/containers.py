"""Lists and dicts with modules in them, as a bound tree has them: they tell when they are changed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from eventstate.values.codec import Live

if TYPE_CHECKING:
    from typing import SupportsIndex

    from eventstate.agents.binding import Binding
    from eventstate.values.tracking import Node


def _observed(method: Any) -> Any:
    """Make of a builtin's method one that tells the binding afterwards."""

    @functools.wraps(method)
    def change(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._binding is None:
            return method(self, *args, **kwargs)
        before = self._content()
        try:
            result = method(self, *args, **kwargs)
        except BaseException:
            self._refill(before)
            raise
        self._binding.container_changed(self, before)
        return result

    return change


class Container(Live):
    """What both have in common; the codec takes one without modules for a plain one."""

    __slots__ = ()
    _binding: Binding | None
    _node: Node | None

    def _plain(self) -> Any:
        return self._content()

    def _content(self) -> Any:
        """Give a plain, shallow copy."""
        raise NotImplementedError

    def _refill(self, content: Any) -> None:
        """Make this what it was, without telling."""
        raise NotImplementedError

    def _put(self, slot: Any, value: Any) -> None:
        """Set one element, without telling."""
        raise NotImplementedError

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        content = self._content()
        return type(content), (content,)


class ModuleList(list[Any], Container):
    """A list with modules in it."""

    __slots__ = ("__weakref__", "_binding", "_node")

    def __init__(self, content: list[Any], binding: Binding) -> None:
        list.__init__(self, content)
        self._binding = binding
        self._node = None

    def _content(self) -> list[Any]:
        return list(self)

    def _refill(self, content: list[Any]) -> None:
        list.__setitem__(self, slice(None), content)

    def _put(self, slot: Any, value: Any) -> None:
        list.__setitem__(self, slot, value)

    append = _observed(list.append)
    extend = _observed(list.extend)
    insert = _observed(list.insert)
    pop = _observed(list.pop)
    remove = _observed(list.remove)
    clear = _observed(list.clear)
    reverse = _observed(list.reverse)
    sort = _observed(list.sort)
    __setitem__ = _observed(list.__setitem__)
    __delitem__ = _observed(list.__delitem__)
    __iadd__ = _observed(list.__iadd__)
    __imul__ = _observed(list.__imul__)


class ModuleDict(dict[Any, Any], Container):
    """A dict with modules in it."""

    __slots__ = ("__weakref__", "_binding", "_node")

    def __init__(self, content: dict[Any, Any], binding: Binding) -> None:
        dict.__init__(self, content)
        self._binding = binding
        self._node = None

    def _content(self) -> dict[Any, Any]:
        return dict(self)

    def _refill(self, content: dict[Any, Any]) -> None:
        dict.clear(self)
        dict.update(self, content)

    def _put(self, slot: Any, value: Any) -> None:
        dict.__setitem__(self, slot, value)

    pop = _observed(dict.pop)
    popitem = _observed(dict.popitem)
    clear = _observed(dict.clear)
    update = _observed(dict.update)
    setdefault = _observed(dict.setdefault)
    __setitem__ = _observed(dict.__setitem__)
    __delitem__ = _observed(dict.__delitem__)
    __ior__ = _observed(dict.__ior__)
