"""OpenAI Agents' SQLiteSession: the messages of a conversation, and nothing else."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agents.memory import SQLiteSession

from benchmarks.contestant import Answer, Contestant, Laps, main, seen


class OpenAIAgents(Contestant):
    """The contestant; the attributes of a turn are dropped, since there is no place for them."""

    lacks = {  # noqa: RUF012
        "change": "a session has messages and no other state",
        "fork": "this session can't be copied or forked",
        "history": "a session has messages and no other state",
        "stream": "a stored message can't be changed; a run stores it when it is complete",
    }

    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        self._loop.get_loop()

    def open(self, folder: str, durability: str) -> None:  # noqa: ARG002 - there is no choice
        """Say where the sessions are; each opens the file for itself."""
        self._path = Path(folder, "sessions.db")
        self._current: Any = None

    def close(self) -> None:
        """Close the session and with it the file."""
        if self._current is not None:
            self._current.close()

    def about(self) -> Answer:
        """Tell what it is."""
        return {
            "name": "OpenAI Agents SQLiteSession",
            "version": version("openai-agents"),
            "durability": "WAL, synchronous FULL, one fsync a turn, in a worker thread; no choice",
            "note": "A turn is one add_items with the message alone; an old state is the first messages of"
            " get_items; there is no history of anything else, and no fork.",
        }

    def _session(self, session: str) -> Any:
        """Give the session's object, which lives as long as its conversation goes on."""
        if self._current is None or self._current.session_id != session:
            if self._current is not None:
                self._current.close()
            self._current = SQLiteSession(session, self._path)
        return self._current

    async def _add(self, session: str, items: list[list[Any]]) -> Answer:
        laps, opened = Laps(), self._session(session)
        for batch in items:
            with laps:
                await opened.add_items(batch)
        return {"seconds": laps.seconds}

    async def _read(self, session: str, laps: Laps) -> list[Any]:
        opened = self._session(session)
        with laps:
            return list(await opened.get_items())

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Add messages, in a commit each."""
        return self._loop.run(self._add(session, [[turn["message"]] for turn in turns]))

    def latest(self, session: str) -> Answer:
        """Read all messages."""
        laps = Laps()
        messages = self._loop.run(self._read(session, laps))
        return {"seconds": laps.seconds, **seen(messages, None)}

    def at(self, session: str, turns: list[int]) -> Answer:
        """Read all messages; an old state is the first of them."""
        laps = Laps()
        counts = [len(self._loop.run(self._read(session, laps))[:turn]) for turn in turns]
        return {"seconds": laps.seconds, "messages": counts}

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        """Add messages in asyncio tasks, each with a session of its own."""
        return self._loop.run(self._tasks(sessions, [[turn["message"]] for turn in turns]))

    async def _tasks(self, sessions: list[str], items: list[list[Any]]) -> Answer:
        laps, opened = Laps(), [SQLiteSession(session, self._path) for session in sessions]

        async def work(session: Any) -> None:
            for batch in items:
                await session.add_items(batch)

        with laps:
            await asyncio.gather(*map(work, opened))
        for session in opened:
            session.close()
        return {"seconds": laps.seconds}

    def append(self, session: str, batches: list[int]) -> Answer:
        """Add small items, as many in a commit as each batch says."""
        items = [[{"role": "user", "content": str(number)} for number in range(size)] for size in batches]
        return self._loop.run(self._add(session, items))


if __name__ == "__main__":
    main(OpenAIAgents)
