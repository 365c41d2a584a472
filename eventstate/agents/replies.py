"""One reply of an agent: how it is interrupted, what is journaled, what a killed process left."""
# ruff: noqa: SLF001 - a reply and its agent reach into each other

from __future__ import annotations

import asyncio
import contextvars
import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from eventstate.agents.shape import inside
from eventstate.errors import EventStateError

if TYPE_CHECKING:
    from eventstate.agents.agent import Agent
    from eventstate.agents.binding import Binding
    from eventstate.agents.recording import ToolCall
    from eventstate.history import Note
    from eventstate.rounds import Round
    from eventstate.session import Session

By: TypeAlias = Literal["interrupt", "cancel", "inside"]
"""Who ended a reply: `Agent.interrupt`, another canceller of its task, or something that it awaited."""

_COMMITTED: Final = frozenset({"reply", "interrupted", "failed"})
_ENDED: Final = frozenset({"reply.interrupted", "reply.failed", "reply.returned"})
_CALL_ENDED: Final = frozenset({"tool.returned", "tool.failed", "tool.interrupted", "tool.unfinished"})


class Phase(enum.Enum):
    """How far a reply is."""

    REPLYING = enum.auto()
    HANDLING = enum.auto()
    """An interrupt."""
    ENDING = enum.auto()
    """What comes of it stands, and is journaled and broadcast: it can't be interrupted any more."""
    OVER = enum.auto()


@dataclass(slots=True, eq=False)
class Reply:
    """One reply while it is given, by a task that may have begun long before and go on long after."""

    agent: Agent
    id: str
    task: asyncio.Task[Any]
    phase: Phase = Phase.REPLYING
    calls: dict[str, ToolCall] = field(default_factory=dict)
    """Tools that have not returned."""
    outer: Reply | None = None
    """That of another agent of the bound tree, of which this one is a part."""
    collects: bool = False
    """Whether changes are collected for it."""
    _interrupts: int = 0
    _others: int = 0
    """Cancellations of the task that were there before, and are not this reply's."""

    def __post_init__(self) -> None:
        self._others = self.task.cancelling()

    @property
    def interruptible(self) -> bool:
        """Whether there is anything to interrupt."""
        return (
            self.phase in (Phase.REPLYING, Phase.HANDLING)
            and not self.task.done()
            and not self.task.get_loop().is_closed()
        )

    def gathers_for(self, binding: Binding) -> bool:
        """Say whether changes of that tree belong to this reply, or to one that it is part of."""
        return (
            self.phase in (Phase.REPLYING, Phase.HANDLING)
            and (self.collects or self.outer is not None)
            and inside(self.agent).binding is binding
        )

    @property
    def interrupted(self) -> bool:
        """Whether an interrupt is on its way."""
        return self._interrupts > 0

    def interrupt(self, message: Any) -> None:
        """Cancel what the task does for this reply."""
        if self.interruptible:
            self._interrupts += 1
            self.task.cancel(message)

    def by(self) -> By:
        """Tell whose a cancellation is that has arrived."""
        if self.task.cancelling() - self._others > self._interrupts:
            return "cancel"
        return "interrupt" if self._interrupts else "inside"

    async def arrived(self) -> None:
        """Let an interrupt arrive that was on its way when its goal was reached.

        Raises:
            asyncio.CancelledError: there was one.
        """
        if self._interrupts:
            await asyncio.sleep(0)
            self.settle()  # it was caught inside, which is the reply's own choice

    def settle(self) -> None:
        """Take the interrupts back, now that they have arrived; cancellations by others stay."""
        for _ in range(min(self._interrupts, self.task.cancelling() - self._others)):
            self.task.uncancel()
        self._interrupts = 0
        self._others = self.task.cancelling()

    async def end(self) -> asyncio.CancelledError | None:
        """Let nothing interrupt the reply any more; give back another's cancellation that arrives now."""
        held = None
        try:
            if self._interrupts:
                await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            held = error if self.by() == "cancel" else None
        self.settle()
        self.phase = Phase.ENDING
        return held


# In the context, so that what a reply starts is known to be its own.
REPLIES: Final[contextvars.ContextVar[tuple[Reply, ...]]] = contextvars.ContextVar(
    "eventstate.agents.replies", default=()
)


class Record:
    """What is journaled of a reply; nothing if the agent is not bound.

    Nothing here is to be cancelled half-way: see `finished`.

    Attributes:
        begun: whether it is noted that the reply began.
    """

    def __init__(self, agent: Agent, reply: Reply, *, keep: bool) -> None:
        self._agent = agent
        self._reply = reply
        self._keep = keep
        self._data = {"reply_id": reply.id}
        self.begun = False

    async def start(self) -> None:
        """Collect changes from now on, and note that the reply began.

        Raises:
            ValueError: there was a reply of this id.
        """
        if self._agent.bound is None:
            return
        if self._reply.outer is None:
            self._agent._collect()
            self._reply.collects = True
        else:
            self._data["within"] = self._reply.outer.id
        if await self._agent._known(self._reply.id):
            raise ValueError(f"{self._agent!r}: there was a reply {self._reply.id!r} before")
        await self._agent._write("reply.started", self._data)
        self.begun = True

    async def commit(self, kind: str = "reply") -> None:
        """Make the changes one commit; if it can't be made, they are taken back, and the reply failed."""
        if not self.begun:
            return
        try:
            await self._end_calls()
            await self._commit(kind)
        except (asyncio.CancelledError, GeneratorExit):  # the event loop ends: perhaps it was made
            raise
        except BaseException as error:
            self._discard()
            await self._note_failure(error)
            raise

    async def interrupted(self, by: By, *, keep: bool) -> None:
        """Note that the reply was interrupted; its changes are kept or taken back."""
        if not self.begun:
            return
        if not keep:
            self._discard()
        try:
            await self._end_calls()
            await self._agent._write("reply.interrupted", {**self._data, "by": by})
        except BaseException:
            self._discard()
            raise
        if keep:
            await self.commit("interrupted")

    async def failed(self, error: BaseException) -> None:
        """Note an error; the changes are taken back, or kept if that was asked for."""
        if self._agent.bound is None:
            return
        if not (self._keep and self.begun):
            self._discard()
        if not self.begun:  # there is nothing to mark
            return
        await self._note_failure(error)
        if self._keep:
            try:
                await self._commit("failed")
            except EventStateError as failure:
                self._discard()
                error.add_note(f"what was done could not be kept: {failure}")
            except BaseException:
                self._discard()
                raise

    async def _commit(self, kind: str) -> None:
        if self._reply.outer is None:
            await self._agent._commit(kind, commit_id=self._reply.id, metadata=dict(self._data))
        elif kind == "reply":
            await self._agent._write("reply.returned", self._data)

    def _discard(self) -> None:
        """Take back what was collected, unless it is another reply's too."""
        if self._reply.collects:
            self._agent._discard()

    async def _note_failure(self, error: BaseException) -> None:
        try:
            await self._end_calls()
            told = storable(f"{type(error).__name__}: {error}")
            await self._agent._write("reply.failed", {**self._data, "error": told})
        except EventStateError as failure:
            error.add_note(f"reply {self._reply.id} could not be marked as failed: {failure}")

    async def _end_calls(self) -> None:
        """Mark the tools that are still at work, in tasks that nobody waited for."""
        for call in list(self._reply.calls.values()):
            if not call.doubtful or await self._agent._lacks_end(call):
                await self._agent._write("tool.unfinished", call.data)
        self._reply.calls.clear()


class Unfinished(NamedTuple):
    """A reply that was begun and never came to an end: its process was killed, or its event loop closed."""

    reply_id: str
    notes: tuple[Note, ...]


def find_unfinished(session: Session) -> list[Unfinished]:
    """List the replies without an end since the last one whose changes were committed."""
    last = next((turn for turn in session.rounds(reverse=True) if _is_reply(turn)), None)
    after = 0 if last is None else last.version
    notes: dict[str, list[Note]] = {}
    for note in session.notes(after=after):
        reply_id = note.data.get("reply_id") if type(note.data) is dict else None
        if type(reply_id) is str and (note.name == "reply.started" or reply_id in notes):
            notes.setdefault(reply_id, []).append(note)
    return [
        Unfinished(reply_id, tuple(told))
        for reply_id, told in notes.items()
        if _ENDED.isdisjoint(note.name for note in told)
    ]


def _is_reply(turn: Round) -> bool:
    return turn.kind in _COMMITTED and "reply_id" in turn.metadata


def mark_unfinished(session: Session) -> None:
    """Note what never came to an end, once: tools first, so that a kill in between does no harm."""
    for reply_id, notes in find_unfinished(session):
        if any(note.name == "reply.unfinished" for note in notes):
            continue
        calls: dict[str, dict[str, Any]] = {}
        for note in notes:
            if note.name == "tool.called":
                calls[note.data["call_id"]] = note.data
            elif note.name in _CALL_ENDED:
                calls.pop(note.data["call_id"], None)
        for data in calls.values():
            told = {name: data[name] for name in ("reply_id", "call_id", "name")}
            session.note("tool.unfinished", told)
        session.note("reply.unfinished", {"reply_id": reply_id})


def storable(text: str) -> str:
    """Give a text that the journal can hold: lone surrogates are escaped."""
    return text.encode(errors="backslashreplace").decode()
