"""What tests of bound agents share: a session of either kind, and what is left of replies in it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from eventstate import StateStore, aio
from tests.agents.agents import Scripted
from tests.aio.loops import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from eventstate import Session

KINDS = ("plain", "aio")
ENDS = {
    "tool.returned",
    "tool.failed",
    "tool.interrupted",
    "tool.unfinished",
}


@contextlib.asynccontextmanager
async def opened(path: Path | str, kind: str, **options: Any) -> AsyncIterator[Any]:
    """Open a session of a store: a plain one, or one of asyncio."""
    if kind == "plain":
        with StateStore(path, **options) as store:
            yield store.session("u", "s")
    else:
        async with aio.StateStore(path, **options) as store:
            yield store.session("u", "s")


def plain(session: Any) -> Session:
    """Give the plain session that it is or stands on."""
    found: Session = getattr(session, "plain", session)
    return found


class Keeper(Scripted):
    """An agent with a state."""

    def __init__(self, script: Any = None, **options: Any) -> None:
        super().__init__(script, **options)
        self.name = "keeper"
        self.log: list[Any] = []
        self.register_state("log")

    async def reply(self, *args: Any, **kwargs: Any) -> Any:
        self.log.append("began")
        return await super().reply(*args, **kwargs)

    async def observe(self, msg: Any) -> None:
        self.log.append(msg)

    async def handle_interrupt(self, *args: Any, **kwargs: Any) -> Any:
        self.log.append("stopped")
        return await super().handle_interrupt(*args, **kwargs)


def notes(session: Any) -> list[tuple[str, Any]]:
    """List all notes."""
    return [(note.name, note.data) for note in plain(session).notes()]


def names(session: Any) -> list[str]:
    """List the names of all notes."""
    return [name for name, _ in notes(session)]


def kinds(session: Any) -> list[str]:
    """List the kinds of all rounds."""
    return [turn.kind for turn in plain(session).rounds()]


def in_step(agent: Any) -> bool:
    """Say whether an agent's state is what its session holds."""
    return bool(agent.state_dict() == agent.bound.state())


def check_marks(session: Any) -> tuple[int, int]:
    """Check that all replies and tool calls have one end each; give how many of both there are."""
    replies: dict[str, int] = {}
    calls: dict[str, int] = {}
    for name, data in notes(session):
        if name == "reply.started":
            assert data["reply_id"] not in replies
            replies[data["reply_id"]] = 0
        elif name == "reply.interrupted":
            # Its changes may be committed after that, under the same id, or not.
            replies[data["reply_id"]] += 1
        elif name.startswith("reply."):
            replies[data["reply_id"]] += 1
        elif name == "tool.called":
            assert data["call_id"] not in calls
            calls[data["call_id"]] = 0
        elif name in ENDS:
            calls[data["call_id"]] += 1
    for turn in plain(session).rounds():
        if turn.kind == "reply":
            replies[turn.metadata["reply_id"]] += 1
        elif turn.kind == "interrupted":
            assert replies[turn.metadata["reply_id"]] == 1
    assert set(replies.values()) <= {1}, replies
    assert set(calls.values()) <= {1}, calls
    return len(replies), len(calls)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so that nobody tells."""
    while not condition():  # noqa: ASYNC110 - a journal has no events of asyncio
        await asyncio.sleep(0.001)


async def waiting() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


def bound(
    kind: str, path: Path, check: Callable[[Keeper, Any], Any], script: Any = None, **options: Any
) -> None:
    """Run a test with an agent that is bound to a new session."""

    async def main() -> None:
        async with opened(path / "a.db", kind) as session:
            agent = Keeper(script, **options)
            agent.bind(session)
            await check(agent, session)
            assert agent._reply_task is None
            assert in_step(agent)
            check_marks(session)

    run(main())
