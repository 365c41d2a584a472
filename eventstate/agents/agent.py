"""The life of an agent: one reply after the other, each of them one round of its session."""

from __future__ import annotations

import asyncio
import contextvars
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from eventstate.agents.hooks import Hook, Hooked, Status, within
from eventstate.agents.messages import Console, Speaking, Voice
from eventstate.agents.recording import Recording
from eventstate.agents.replies import REPLIES, Phase, Record, Reply, mark_unfinished
from eventstate.agents.shape import inside
from eventstate.agents.streaming import Outlet
from eventstate.agents.turns import Turns
from eventstate.checks import check_on_error
from eventstate.ending import CutOff
from eventstate.errors import AgentBusyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import TextIO

    from eventstate import Session
    from eventstate.agents.binding import Binding


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(slots=True, eq=False)
class _Observation:
    """What a bound agent observes by itself, as one round of its tree."""

    binding: Binding
    loop: asyncio.AbstractEventLoop
    collects: bool = True
    """Whether changes are collected for it still."""


# In the context, as replies are: what an observation calls is a part of it.
_OBSERVATIONS: Final[contextvars.ContextVar[tuple[_Observation, ...]]] = contextvars.ContextVar(
    "eventstate.agents.observations", default=()
)


@dataclass(slots=True, eq=False)
class _Life:
    """What an agent has beside its state."""

    concurrent: Literal["refuse", "queue"]
    keep: bool
    new_id: Callable[[], str]
    hooks: dict[str, dict[str, Hook]] = field(default_factory=dict)
    turns: Turns = field(default_factory=Turns)
    """Whose reply it is."""
    rounds: Turns = field(default_factory=Turns)
    """Whose changes are collected, as long as the agent is not bound; then the binding has such turns."""
    reply: Reply | None = None
    observing: _Observation | None = None
    abandoned: bool = False
    """Whether a reply was left in an event loop that was closed, and is still to be marked."""


class Agent(Speaking, Hooked, Recording):
    """The base class of agents: override `reply`, and perhaps `observe` and `handle_interrupt`.

    `await agent(...)` gives a reply. If the agent is bound to a session, one reply is one round: its notes
    are journaled at once, its changes of state when it ends. An agent belongs to one event loop at a time;
    what a reply did in one that was closed before its end is taken back when the agent is used again.

    Agents in one bound tree of modules reply one after the other, whatever their `concurrent_replies`. If
    the reply of one calls another of them, what that one does is part of the same round: it is committed
    with it, or taken back, and the inner reply has its own notes, the last of them `reply.returned`. So it
    is with what another one observes inside an observation; a reply in there is refused.

    Args:
        concurrent_replies: whether a call while the agent replies is refused, or waits for its turn.
        new_id: makes the ids of agents, replies and tool calls; no two may be the same.
        console: where messages are printed; what is `sys.stdout` at that moment if `None`.
        on_error: whether the changes of a reply that raises are taken back or kept.
    """

    def __init__(
        self,
        *,
        concurrent_replies: Literal["refuse", "queue"] = "refuse",
        new_id: Callable[[], str] = _new_id,
        console: TextIO | None = None,
        on_error: Literal["discard", "keep"] = "discard",
    ) -> None:
        if concurrent_replies not in ("refuse", "queue"):
            raise ValueError(f"concurrent_replies is 'refuse' or 'queue', not {concurrent_replies!r}")
        check_on_error(on_error)
        super().__init__()
        self._life = _Life(concurrent_replies, on_error == "keep", new_id)
        self._voice = Voice(Console(console), Outlet(), {})
        self.id = new_id()
        self._reply_id: str | None = None
        self._reply_task: asyncio.Task[Any] | None = None

    # What a subclass says.

    async def reply(self, *args: Any, **kwargs: Any) -> Any:
        """Give a reply; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has no reply()")

    async def observe(self, msg: Any) -> None:
        """Receive a message, or a list of them, without a reply to it; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has no observe()")

    async def handle_interrupt(self, *args: Any, **kwargs: Any) -> Any:
        """Give what is the reply when the reply was interrupted; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has no handle_interrupt()")

    # Replying.

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Give a reply, and tell it to the subscribers.

        A cancellation of the task that does not come from `interrupt` goes on, after `handle_interrupt`;
        there is no reply then that could be told.

        Raises:
            AgentBusyError: the agent is replying, and concurrent replies are refused; or it is called by
                its own reply, or an observation of its own or its bound tree's, which would wait for itself.
            InvalidStateError: a round of the tree of modules that it is in is open already.
        """
        inside(self)  # raises if the constructor left out that of this class
        life = self._life
        if any(reply.agent is self and reply.phase is not Phase.OVER for reply in REPLIES.get()):
            raise AgentBusyError(f"{self!r}: a reply may not call its own agent, for which it would wait")
        if self.bound is not None and within(self, "observe"):
            raise AgentBusyError(f"{self!r}: a bound agent can't be called while it observes")
        if self._is_observed():
            raise AgentBusyError(f"{self!r}: it would wait for the observation of its tree that calls it")
        if life.concurrent == "refuse" and not life.turns.free:
            raise AgentBusyError(f"{self!r}: it is giving reply {self._reply_id!r}")
        turn = await life.turns.take()
        try:
            rounds = Turns() if self._outer_reply() else self._rounds()
            collecting = await rounds.take()
            try:
                await self._mark_abandoned()
                reply, before = self._begin_reply(), REPLIES.get()
                REPLIES.set((*(other for other in before if other.phase is not Phase.OVER), reply))
                try:
                    message = await self._conclude(reply, args, kwargs)
                    rounds.give(collecting)
                    if message is not None:
                        await self._broadcast(message)
                    return message
                finally:
                    REPLIES.set(before)
                    self._end_reply(reply)
            finally:
                rounds.give(collecting)
        finally:
            life.turns.give(turn)

    def _rounds(self) -> Turns:
        """Give whose turn it is to have changes collected, in the tree if there is one."""
        binding = inside(self).binding
        return self._life.rounds if binding is None else binding.turns

    def _outer_reply(self) -> Reply | None:
        """Give the reply of another agent of the bound tree that the caller is part of."""
        binding = inside(self).binding
        if binding is None:
            return None
        return next((reply for reply in reversed(REPLIES.get()) if reply.gathers_for(binding)), None)

    def _is_observed(self) -> bool:
        """Say whether the caller is part of what an agent of the bound tree observes."""
        binding = inside(self).binding
        return any(seen.collects and seen.binding is binding for seen in _OBSERVATIONS.get())

    def _begin_reply(self) -> Reply:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError(f"{self!r}: a reply needs a task of asyncio")
        reply = Reply(self, self._life.new_id(), task, outer=self._outer_reply())
        self._life.reply, self._reply_id, self._reply_task = reply, reply.id, task
        return reply

    async def _mark_abandoned(self) -> None:
        """Mark replies that were left in event loops that ended."""
        self._clear()
        if self.bound is None or self._outer_reply() is not None:  # which is not over itself
            self._life.abandoned = False
            return
        agents = self._agents()
        if any([agent._is_abandoned() for agent in agents]):  # noqa: SLF001, C419 - all are asked, and agents too
            await self._catch_up()
            mark_unfinished(self.bound)
        for agent in agents:
            agent._is_marked()  # noqa: SLF001 - the same

    def _end_reply(self, reply: Reply) -> None:
        if self._life.reply is reply:
            if reply.phase in (Phase.REPLYING, Phase.HANDLING):
                self._abandon(reply)
            self._life.reply = self._reply_task = None
        reply.phase = Phase.OVER

    def _clear(self) -> None:
        """Give up what the agent did in an event loop that was closed."""
        seen = self._life.observing
        if seen is not None and seen.loop.is_closed():
            self._life.observing, self._life.abandoned, seen.collects = None, True, False
            self._discard()
        reply = self._life.reply
        if reply is not None and reply.task.get_loop().is_closed():
            self._abandon(reply)
            self._life.reply = self._reply_task = None

    def _abandon(self, reply: Reply) -> None:
        """Give up a reply that can't come to an end, as its event loop was closed."""
        reply.phase = Phase.OVER
        self._life.abandoned = True
        if reply.collects:
            reply.collects = False
            self._discard()

    async def _conclude(self, reply: Reply, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Give what comes of a reply, once it is journaled."""
        record = Record(self, reply, keep=self._life.keep)
        try:
            await self._journaled(record.start())
            message = await self.reply(*args, **kwargs)
            await reply.arrived()
        except GeneratorExit:  # the event loop was closed: nothing may be awaited any more
            raise
        except asyncio.CancelledError as error:
            if isinstance(error, CutOff) and not record.begun:
                raise
            return await self._interrupted(reply, record, error, args, kwargs)
        except BaseException as error:
            held = await reply.end()
            await self._journaled(record.failed(error))
            if held is not None:
                raise held from error
            raise
        else:
            reply.phase = Phase.ENDING
            await self._journaled(record.commit())
            return message

    async def _interrupted(
        self,
        reply: Reply,
        record: Record,
        error: asyncio.CancelledError,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Handle what cancelled a reply."""
        by = reply.by()
        reply.settle()
        reply.phase = Phase.HANDLING
        try:
            message = await self.handle_interrupt(*args, **kwargs)
            await reply.arrived()
        except GeneratorExit:
            raise
        except asyncio.CancelledError:
            await reply.end()
            await self._journaled(record.interrupted(by, keep=False))
            raise
        except BaseException as failure:
            held = await reply.end()
            await self._journaled(record.failed(failure))
            if by == "cancel" or held is not None:
                raise held or error from failure
            raise
        reply.phase = Phase.ENDING
        try:
            await self._journaled(record.interrupted(by, keep=True))
        except Exception as failure:
            if by == "cancel":
                raise error from failure
            raise
        if by == "cancel":
            raise error
        return message

    async def _journaled(self, work: Coroutine[Any, Any, None]) -> None:
        """Journal what is not to be left half-done."""
        try:
            await self._whole(work)
        except GeneratorExit:
            self._life.abandoned = True
            raise
        except CutOff:  # it may lack its end, then
            self._life.abandoned = True
            if self._life.reply is None or self._life.reply.outer is None:
                self._discard()
            raise

    async def interrupt(self, msg: Any = None) -> None:
        """Cancel the reply that is being given, so that `handle_interrupt` gives another one instead.

        Nothing happens if there is none, or if it is given and only being journaled and told.

        Args:
            msg: what the `asyncio.CancelledError` says.
        """
        if self._life.reply is not None:
            self._life.reply.interrupt(msg)

    # Its session.

    def _enter(self) -> None:
        self._idle("bound")

    def _begin(self, session: Session, *, marked: bool) -> bool:
        self._clear()
        if not marked:
            mark_unfinished(session)
        self._is_marked()
        return True

    def _is_abandoned(self) -> bool:
        self._clear()
        return self._life.abandoned

    def _is_marked(self) -> None:
        self._life.abandoned = False

    def unbind(self) -> None:
        """Journal nothing any more.

        Raises:
            AgentBusyError: the agent is replying or observing.
        """
        self._idle("unbound")
        super().unbind()

    def _idle(self, what: str) -> None:
        if not self._rounds().free:
            raise AgentBusyError(f"{self!r} can't be {what} while it replies or observes")
        self._clear()

    # What it is made of asks for.

    def _instance_hooks(self) -> dict[str, dict[str, Hook]]:
        inside(self)
        return self._life.hooks

    def _cancelled_by(self) -> Status:
        reply = self._life.reply
        if reply is None:
            return "cancelled"
        if reply.task is asyncio.current_task():
            return "cancelled" if reply.by() == "cancel" else "interrupted"
        return "interrupted" if reply.interrupted else "cancelled"  # a task that the reply started

    async def _surrounded(self, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make what a bound agent observes one round, unless it is part of another one."""
        self._clear()
        binding, reply = inside(self).binding, self._life.reply
        replying = binding is not None and reply is not None and reply.gathers_for(binding)
        if method != "observe" or binding is None or replying or self._outer_reply() or self._is_observed():
            return await call()
        rounds, before = self._rounds(), _OBSERVATIONS.get()
        collecting, seen = await rounds.take(), _Observation(binding, asyncio.get_running_loop())
        try:
            await self._mark_abandoned()
            self._collect()
            self._life.observing = seen
            _OBSERVATIONS.set((*(other for other in before if other.collects), seen))
            try:
                result = await call()
            except BaseException:
                if seen.collects:  # it does not if the loop was closed, and all taken back
                    self._discard()
                raise
            seen.collects = False
            await self._journaled(self._commit("observe", if_changed=True))
            return result
        finally:
            _OBSERVATIONS.set(before)
            seen.collects = False
            if self._life.observing is seen:
                self._life.observing = None
            rounds.give(collecting)

    def _own_reply(self) -> Reply | None:
        """Give the reply that the caller is part of."""
        own = [reply for reply in REPLIES.get() if reply.agent is self]
        return own[-1] if own else self._life.reply

    def _new_id(self) -> str:
        return self._life.new_id()
