"""What a caller edits in a round, and the edits that come of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from eventstate.values.delta import Edit, diff
from eventstate.values.live import LiveState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstate.model import StateModel
    from eventstate.values.codec import Codec
    from eventstate.writer import Opened


class Editing(Protocol):
    """Something to edit."""

    @property
    def root(self) -> Any:
        """What the caller gets."""

    def edits(self) -> list[Edit]:
        """Give what leads from the opened state to the edited one."""


@contextlib.contextmanager
def editing(opened: Opened, codec: Codec, model: StateModel | None) -> Iterator[Editing]:
    """Offer the latest state for editing, live or as an instance of `model`, until the block ends."""
    if model is not None:
        yield _ModelEditing(opened, codec, model)
        return
    live = _LiveEditing(opened, codec)
    try:
        yield live
    finally:
        live.close()


class _LiveEditing:
    """A live dict that records its own changes: the cost is that of what changed."""

    def __init__(self, opened: Opened, codec: Codec) -> None:
        self._opened = opened
        self._codec = codec
        self._live = LiveState(opened.latest, codec)

    @property
    def root(self) -> Any:
        return self._live.root

    def edits(self) -> list[Edit]:
        if self._opened.latest is self._opened.state:
            return self._live.edits()
        return diff(self._opened.state, self._codec.copy(self._live.root), self._codec)

    def close(self) -> None:
        self._live.close()


class _ModelEditing:
    """An instance of the session's model, compared as a whole when it is done."""

    def __init__(self, opened: Opened, codec: Codec, model: StateModel) -> None:
        self._opened = opened
        self._codec = codec
        self._model = model
        self.root = model.load(codec.copy(opened.latest))

    def edits(self) -> list[Edit]:
        return diff(self._opened.state, self._model.dump(self.root), self._codec)
