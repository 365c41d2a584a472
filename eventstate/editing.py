"""What a caller edits in a round, and the edits that come of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from eventstate.errors import EventStateError
from eventstate.values.delta import Edit, diff

if TYPE_CHECKING:
    from types import TracebackType

    from eventstate.commits import CommitOptions
    from eventstate.model import StateModel
    from eventstate.values.codec import Codec
    from eventstate.writer import Opened, Writer


class Editing(ABC):
    """Something to edit until it is closed, or the block ends of which it is the context.

    Attributes:
        root: what the caller gets.
    """

    root: Any

    @abstractmethod
    def edits(self) -> list[Edit]:
        """Give what leads from the opened state to the edited one.

        The opened state then knows how to be brought there without them, if that can be done.
        """

    @abstractmethod
    def close(self) -> None:
        """End the editing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def editing(opened: Opened, codec: Codec, model: StateModel | None) -> Editing:
    """Offer the latest state for editing, live or as an instance of `model`."""
    return _LiveEditing(opened, codec) if model is None else _ModelEditing(opened, codec, model)


class _LiveEditing(Editing):
    """A live dict that records its own changes: the cost is that of what changed."""

    def __init__(self, opened: Opened, codec: Codec) -> None:
        from eventstate.values.live import LiveState

        self._opened = opened
        self._codec = codec
        self._live = LiveState(opened.latest, codec)
        self.root = self._live.root

    def edits(self) -> list[Edit]:
        opened = self._opened
        if opened.latest is opened.state:
            edits = self._live.edits()
            opened.accept = self._live.accept()
            return edits
        return diff(opened.state, self._codec.copy(self.root), self._codec)

    def close(self) -> None:
        self._live.close()


class _ModelEditing(Editing):
    """An instance of the session's model, compared as a whole when it is done."""

    def __init__(self, opened: Opened, codec: Codec, model: StateModel) -> None:
        self._opened = opened
        self._codec = codec
        self._model = model
        self.root = model.load(codec.copy(opened.latest))

    def edits(self) -> list[Edit]:
        return diff(self._opened.state, self._model.dump(self.root), self._codec)

    def close(self) -> None:
        self.root = None


class LiveRound:
    """A round while it is edited, for the `with` statement; see `Session.round`."""

    __slots__ = ("_edited", "_keep", "_model", "_opened", "_options", "_writer")

    def __init__(
        self, writer: Writer, model: StateModel | None, options: CommitOptions, *, keep: bool
    ) -> None:
        self._writer = writer
        self._model = model
        self._options = options
        self._keep = keep
        self._opened: Opened | None = None
        self._edited: Editing | None = None

    def __enter__(self) -> Any:
        if self._opened is not None:
            raise RuntimeError("a round is entered once")
        writer = self._writer
        opened = self._opened = writer.open()
        try:
            writer.expect(opened, self._options)
            self._edited = editing(opened, writer.journal.codec, self._model)
        except BaseException:
            writer.close(opened)
            raise
        return self._edited.root

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writer, opened, edited = self._writer, self._opened, self._edited
        if opened is None or edited is None:
            raise RuntimeError("a round is left that was not entered")
        try:
            if error is None:
                edits = edited.edits()
                edited.close()
                writer.finish("round", self._options, opened, edits)
            elif self._keep:
                try:
                    edits = edited.edits()
                    edited.close()
                    writer.finish("interrupted", self._options, opened, edits)
                except EventStateError as failure:  # a cancellation has to go on as one
                    error.add_note(f"what was done could not be kept: {failure}")
        finally:
            edited.close()
            writer.close(opened)
