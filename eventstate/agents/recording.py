"""What an agent journals while it replies: facts at once, changes of state when they are whole."""
# ruff: noqa: SLF001 - a tool call and its agent reach into each other

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

from eventstate.agents.module import StateModule
from eventstate.agents.replies import Reply, Unfinished, find_unfinished, storable
from eventstate.agents.shape import inside, walk
from eventstate.ending import CutOff, finished
from eventstate.errors import ConflictError, EventStateError, UnsupportedValueError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Self

    from eventstate.commits import CommitKeywords

T = TypeVar("T")

_UNSET: Final = object()
_OWN: Final = ("reply.", "tool.")
_MOVED: Final = (ConflictError, asyncio.CancelledError)
"""Errors of a commit after which the session is further on than the agent, or may be."""


class ToolCall:
    """A tool at work, inside `async with agent.tool_call(...)`.

    Attributes:
        call_id: by which its notes know each other.
        name: of the tool.
        arguments: that it was called with.
        result: what it gave, if that is to be journaled; to be set.
        doubtful: whether a note of it may be missing.
    """

    def __init__(
        self, agent: Recording, reply: Reply | None, name: str, arguments: Any, call_id: str
    ) -> None:
        self.call_id = call_id
        self.name = name
        self.arguments = arguments
        self.result: Any = _UNSET
        self.doubtful = False
        self._agent = agent
        self._reply = reply

    @property
    def data(self) -> dict[str, Any]:
        """What all its notes say."""
        reply_id = None if self._reply is None else self._reply.id
        return {"reply_id": reply_id, "call_id": self.call_id, "name": self.name}

    async def __aenter__(self) -> Self:
        if self._reply is not None:
            if self.call_id in self._reply.calls:
                raise ValueError(f"{self._agent!r}: a tool call {self.call_id!r} is at work already")
            self._reply.calls[self.call_id] = self
        try:
            await self._agent._note("tool.called", {**self.data, "arguments": self.arguments})
        except CutOff:
            self.doubtful = True
            raise
        except asyncio.CancelledError:
            await self._end("tool.interrupted")
            raise
        except BaseException:
            self._forget()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GeneratorExit):  # the event loop was closed: nothing may be awaited any more
            return
        if isinstance(error, asyncio.CancelledError):
            await self._end("tool.interrupted")
        elif error is not None:
            await self._end("tool.failed", error=storable(f"{type(error).__name__}: {error}"))
        else:
            try:
                await self._end("tool.returned", **({} if self.result is _UNSET else {"result": self.result}))
            except UnsupportedValueError as refused:
                await self._end("tool.failed", error=storable(f"{type(refused).__name__}: {refused}"))
                raise

    async def _end(self, note: str, **told: Any) -> None:
        try:
            await self._agent._note(note, {**self.data, **told})
        except UnsupportedValueError:
            raise  # the call is still to be marked
        except CutOff:
            self.doubtful = True
            raise
        except BaseException:
            self._forget()
            raise
        self._forget()

    def _forget(self) -> None:
        if self._reply is not None and self._reply.calls.get(self.call_id) is self:
            del self._reply.calls[self.call_id]


class Recording(StateModule):
    """The half of an agent that writes to its session, if it is bound to one."""

    def _own_reply(self) -> Reply | None:
        """Give the reply that the caller is part of, or else the one that is being given."""
        raise NotImplementedError

    def _new_id(self) -> str:
        raise NotImplementedError

    def _is_abandoned(self) -> bool:
        """Give up a reply of an event loop that was closed; say whether one is still to be marked."""
        raise NotImplementedError

    def _is_marked(self) -> None:
        """Take note that what was abandoned was marked."""
        raise NotImplementedError

    def unfinished(self) -> list[Unfinished]:
        """List the replies without an end since the last one whose changes were committed, with their notes.

        Those that are being given in the bound tree of modules are not among them.
        """
        if self.bound is None:
            return []
        now = {reply.id for agent in self._agents() if (reply := agent._own_reply()) is not None}
        return [left for left in find_unfinished(self.bound) if left.reply_id not in now]

    def _agents(self) -> list[Recording]:
        """List the agents in the bound tree of modules."""
        return [member for _, member in walk(self._binding().root) if isinstance(member, Recording)]

    async def note(self, name: str, data: Any = None) -> None:
        """Journal a fact at once, under the id of the reply; nothing if the agent is not bound.

        Raises:
            UnsupportedValueError: the data could not come back exactly as they are.
            ValueError: the name begins with `reply.` or `tool.`, as those of the agent's own notes.
        """
        if name.startswith(_OWN):
            raise ValueError(f"{name!r}: such notes are the agent's own")
        reply = self._own_reply()
        await self._note(name, {"reply_id": None if reply is None else reply.id, "data": data})

    def tool_call(self, name: str, arguments: Any = None, call_id: str | None = None) -> ToolCall:
        """Call a tool inside `async with agent.tool_call(...) as call:`, which is journaled at once.

        The notes are `tool.called`, and then `tool.returned`, with `call.result` if that was set,
        `tool.failed` with the error, or `tool.interrupted`.

        Args:
            name: of the tool.
            arguments: that it gets.
            call_id: a new one if `None`.
        """
        return ToolCall(self, self._own_reply(), name, arguments, call_id or self._new_id())

    @property
    def _actor(self) -> str | None:
        name = getattr(self, "name", None)
        return name if type(name) is str else None

    async def _note(self, name: str, data: Any) -> None:
        await self._whole(self._write(name, data))

    async def _write(self, name: str, data: Any) -> None:
        binding = inside(self).binding
        if binding is None:
            return
        if binding.aio is None:
            binding.session.note(name, data, actor=self._actor)
        else:
            await binding.aio.note(name, data, actor=self._actor)

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Do what is not to be left half-done; with a plain session nothing in it waits."""
        binding = inside(self).binding
        if binding is None or binding.aio is None:
            return await work
        return await finished(work)

    async def _known(self, reply_id: str) -> bool:
        binding = self._binding()
        if binding.aio is None:
            return binding.session.committed(reply_id) is not None
        return await binding.aio.committed(reply_id) is not None

    async def _lacks_end(self, call: ToolCall) -> bool:
        """Say whether a call was journaled, but not its end."""
        aio = self._binding().aio
        names = [
            note.name
            async for note in aio.notes()
            if type(note.data) is dict and note.data.get("call_id") == call.call_id
        ]
        return names[-1:] == ["tool.called"]

    async def _catch_up(self) -> None:
        """Take the session's state once all has arrived that is on its way to the file, awaited or not."""
        binding = self._binding()
        if binding.aio is not None:
            await binding.aio.version  # which is read in the thread that writes
        binding.take(load=True)

    def _collect(self) -> None:
        self._binding().begin()

    async def _commit(self, kind: str, **options: Unpack[CommitKeywords]) -> None:
        """Commit what was collected; if that fails, all is what the session holds."""
        options["actor"] = self._actor
        try:
            await self._binding().acommit(kind, **options)
        except BaseException as error:
            self._discard()
            if isinstance(error, _MOVED):
                try:
                    await self._catch_up()
                except EventStateError as failure:
                    error.add_note(f"the session's state could not be loaded: {failure}")
            raise

    def _discard(self) -> None:
        """Take back what was collected."""
        binding = inside(self).binding
        if binding is not None and binding.collecting:
            binding.discard()
