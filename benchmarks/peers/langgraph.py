"""LangGraph's SqliteSaver, called directly: one checkpoint of the whole state for each turn."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import aiosqlite
from langgraph.checkpoint.base import Checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from benchmarks.contestant import Answer, Contestant, Laps, main, seen


def thread(name: str) -> dict[str, Any]:
    """Give the configuration that names a thread, which is what a session is here."""
    return {"configurable": {"thread_id": name, "checkpoint_ns": ""}}


def state(checkpoint: Checkpoint) -> tuple[list[Any], dict[str, Any]]:
    """Give the messages and the attributes that a checkpoint holds."""
    attributes = dict(checkpoint["channel_values"])
    return attributes.pop("messages", []), attributes


class Head:
    """The end of a thread: what its next checkpoint is made from."""

    def __init__(self, name: str) -> None:
        self.config = thread(name)
        self.values: dict[str, Any] = {"messages": []}
        self.versions: dict[str, int] = {}
        self.turn = 0

    def follow(self, config: dict[str, Any], checkpoint: Checkpoint, metadata: dict[str, Any]) -> None:
        """Go on from a checkpoint that was read."""
        self.config, self.turn = config, metadata["turn"]
        self.values = dict(checkpoint["channel_values"])
        self.versions = dict(checkpoint["channel_versions"])

    def next(self, changes: dict[str, Any]) -> tuple[dict[str, Any], Checkpoint, dict[str, Any], Any]:
        """Give the arguments of `put` for the checkpoint after some channels got new values."""
        self.turn += 1
        self.values.update(changes)
        moved = dict.fromkeys(changes, self.turn)
        self.versions.update(moved)
        checkpoint = Checkpoint(
            v=4,
            id=str(uuid6()),
            ts=datetime.now(UTC).isoformat(),
            channel_values=self.values,
            channel_versions=self.versions,
            versions_seen={},
            updated_channels=sorted(changes),
        )
        metadata = {"source": "loop", "step": self.turn, "parents": {}, "turn": self.turn}
        return self.config, checkpoint, metadata, moved

    def take_turn(self, turn: dict[str, Any]) -> tuple[dict[str, Any], Checkpoint, dict[str, Any], Any]:
        """Give the arguments of `put` for a turn."""
        return self.next({"messages": [*self.values["messages"], turn["message"]], **turn["set"]})


class Files:
    """The file and its connection, which are the user's to configure."""

    def open(self, folder: str, durability: str) -> None:
        """Open the file; the saver itself turns the write-ahead log on."""
        os.environ["LANGSMITH_TRACING"] = "false"
        self.path = Path(folder, "checkpoints.db")
        self.pragma = f"PRAGMA synchronous={durability}"
        self.connection = sqlite3.connect(self.path, check_same_thread=False)
        self.connection.execute(self.pragma)
        self.saver = SqliteSaver(self.connection)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    async def connect(self) -> AsyncSqliteSaver:
        """Open the file once more, for asyncio tasks; it is closed by the saver's `conn.close()`."""
        connection = await aiosqlite.connect(self.path)
        await connection.execute(self.pragma)
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        return saver


class Saver(Contestant):
    """The contestant."""

    lacks = {"append": "a checkpoint is the whole state, and there are no events"}  # noqa: RUF012

    def open(self, folder: str, durability: str) -> None:
        """Open the file."""
        self._files = Files()
        self._files.open(folder, durability)
        self._saver = self._files.saver
        self._heads: dict[str, Head] = {}

    def close(self) -> None:
        """Close the file."""
        self._files.close()

    def about(self) -> Answer:
        """Tell what it is."""
        return {
            "name": "LangGraph SqliteSaver, put",
            "version": f"{version('langgraph-checkpoint-sqlite')} (langgraph {version('langgraph')})",
            "durability": "WAL, one fsync a turn with synchronous FULL; NORMAL on the connection, which the"
            " user makes",
            "note": "A turn is one put of the whole state, which the caller keeps in memory; history lists"
            " all checkpoints; an old state is found by its metadata; a fork puts a copy into a new thread.",
        }

    def _head(self, session: str) -> Head:
        """Give the end of a thread, reading it if it is not known."""
        if session not in self._heads:
            self._heads[session] = Head(session)
            if found := self._saver.get_tuple(thread(session)):
                self._heads[session].follow(found.config, found.checkpoint, found.metadata)
        return self._heads[session]

    def _find(self, session: str, turn: int) -> Any:
        (found,) = self._saver.list(thread(session), filter={"turn": turn}, limit=1)
        return found

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Take turns, a checkpoint each."""
        laps, head = Laps(), self._head(session)
        for turn in turns:
            arguments = head.take_turn(turn)
            with laps:
                head.config = self._saver.put(*arguments)
        return {"seconds": laps.seconds}

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:
        """Change attributes, a checkpoint each."""
        laps, head = Laps(), self._head(session)
        for values in changes:
            arguments = head.next(values)
            with laps:
                head.config = self._saver.put(*arguments)
        return {"seconds": laps.seconds}

    def stream(self, session: str, texts: list[str], every: int) -> Answer:
        """Stream a message: a checkpoint for each new length of it."""
        laps, head = Laps(), self._head(session)
        before = head.values["messages"]
        for end in range(every, len(texts) + every, every):
            message = {"role": "assistant", "content": "".join(texts[:end])}
            arguments = head.next({"messages": [*before, message]})
            with laps:
                head.config = self._saver.put(*arguments)
        return {"seconds": laps.seconds}

    def latest(self, session: str) -> Answer:
        """Read the newest checkpoint."""
        laps = Laps()
        with laps:
            found = self._saver.get_tuple(thread(session))
        return {"seconds": laps.seconds, **seen(*state(found.checkpoint))}

    def history(self, session: str, attribute: str) -> Answer:
        """List all checkpoints of the thread."""
        laps = Laps()
        with laps:
            states = [each.checkpoint["channel_values"] for each in self._saver.list(thread(session))]
            values = [values[attribute] for values in states if attribute in values]
        return {"seconds": laps.seconds, "count": sum(1 for _ in groupby(values))}

    def at(self, session: str, turns: list[int]) -> Answer:
        """Read old checkpoints, found by their metadata."""
        laps = Laps()
        counts = []
        for turn in turns:
            with laps:
                found = self._find(session, turn)
            counts.append(len(state(found.checkpoint)[0]))
        return {"seconds": laps.seconds, "messages": counts}

    def fork(self, session: str, at: int, names: list[str]) -> Answer:
        """Put copies of an old checkpoint into new threads."""
        laps = Laps()
        for name in names:
            with laps:
                found = self._find(session, at)
                versions = found.checkpoint["channel_versions"]
                self._saver.put(
                    thread(name), found.checkpoint, {**found.metadata, "source": "fork"}, versions
                )
        return {"seconds": laps.seconds}

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        """Take turns in asyncio tasks, which share an AsyncSqliteSaver."""
        return asyncio.run(self._tasks(sessions, turns))

    async def _tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        laps, heads, saver = Laps(), list(map(self._head, sessions)), await self._files.connect()

        async def work(head: Head) -> None:
            for turn in turns:
                head.config = await saver.aput(*head.take_turn(turn))

        with laps:
            await asyncio.gather(*map(work, heads))
        await saver.conn.close()
        return {"seconds": laps.seconds}


if __name__ == "__main__":
    main(Saver)
