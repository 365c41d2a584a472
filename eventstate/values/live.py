"""Live dicts and lists: they record their own changes, so that a round costs what changed in it.

They wrap the folded state lazily: a child is wrapped when it is first looked at, and nothing that
can be reached through them shares anything mutable with that state. A state is a tree:

- What is assigned is copied in; later changes of the caller's own object are not seen.
- A live container has one place. One that was taken out (`pop`, `del`, replaced) may be put in
  again and is then part of the state as it is; while it has no place, its changes are not recorded.
  One that still has a place is copied when it is assigned to a second.
- Values that are mutable but neither dict nor list (sets, dataclasses, containers inside tuples)
  are the caller's to change; they are compared again when the round ends.

C code that reads a builtin list or dict behind its class, as pydantic and orjson do, finds `UNREAD` in
place of what was not read yet: give it a `copy.deepcopy`. C code that writes so, as `heapq` does, goes
unseen. `bisect`, `json`, `copy` and `pickle` do neither.
"""
# ruff: noqa: SLF001 - the live objects of one round reach into each other

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventstate.values.delta import Differ, Edit, Place
from eventstate.values.live_dict import LiveDict
from eventstate.values.live_list import LiveList
from eventstate.values.tracking import OVER, ROOT, Node, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.values.codec import Codec


class LiveState:
    """A state that records what is done to it.

    Args:
        source: the state as it was folded; only `settle` changes it, and nobody else may before `close`.
        codec: says what may be stored.
        on_change: called after each change, but not after one in place of a value that is neither
            dict nor list.

    Attributes:
        root: the state to be changed.
    """

    def __init__(
        self, source: dict[Any, Any], codec: Codec, on_change: Callable[[], None] | None = None
    ) -> None:
        self._recorder = Recorder(codec, on_change)
        self.root = LiveDict._of(source, self._recorder, None, ROOT)

    def edits(self) -> list[Edit]:
        """Give the edits that lead from the source to the state as it is now.

        Their values may hold live objects: encode them before anything else is changed.

        Raises:
            UnsupportedValueError: a value that was changed in place can't be stored any more.
        """
        out: list[Edit] = []
        self.root._emit(Place(()), Differ(self._recorder.codec, out))
        return out

    def settle(self, undo: list[Callable[[], None]] | None = None) -> None:
        """Take the state as it is now for the source, so that edits are told from here on.

        The source that was given is brought to it in place. The cost is that of what changed; with `undo`,
        also that of a shallow copy of each container in which something did.

        Args:
            undo: gets what makes the source again what it was, to be called with the last one first.
                The live objects are of no use after that.
        """
        self.root._settle(undo)
        self._recorder.loose.clear()

    def accept(self) -> Callable[[], None] | None:
        """Give what brings the source to the state as it is now, to be called after `close`, and only once.

        Returns:
            `None` if that could be more than the edits tell: there is or was something in the state that
            may be changed unseen, until then.
        """
        return None if self._recorder.watches else self.settle

    def close(self, why: str = OVER) -> None:
        """End the round: its live objects can still be read, but refuse to be changed, and say why."""
        self._recorder.open = False
        self._recorder.over = why


__all__ = ["LiveDict", "LiveList", "LiveState"]

Node.kinds.update({dict: LiveDict, list: LiveList})
