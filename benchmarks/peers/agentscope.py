"""AgentScope's JSONSession: a JSON file for each session, written anew for each turn."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from agentscope import setup_logger
from agentscope.module import StateModule
from agentscope.session import JSONSession

from benchmarks.contestant import Answer, Contestant, Laps, main, seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Conversation(StateModule):
    """A session: its messages and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []
        self.attributes: dict[str, Any] = {}
        self.register_state("messages")
        self.register_state("attributes")


class AgentScope(Contestant):
    """The contestant."""

    lacks = {  # noqa: RUF012
        "append": "the file has a state, and there are no events",
        "at": "the file has the latest state only",
        "fork": "the file has the latest state only, so that no older one can be copied",
        "history": "the file has the latest state only",
    }

    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        self._loop.get_loop()

    def open(self, folder: str, durability: str) -> None:  # noqa: ARG002 - there is no choice
        """Say where the files are."""
        setup_logger("WARNING")
        self._files = JSONSession(save_dir=folder)
        self._conversations: dict[str, Conversation] = {}

    def close(self) -> None:
        """Do nothing: each file was closed after it was written."""

    def about(self) -> Answer:
        """Tell what it is."""
        return {
            "name": "AgentScope JSONSession",
            "version": version("agentscope"),
            "durability": "none: the file is overwritten in place, without any fsync; no choice",
            "note": "A turn is one save_session_state of a state module with everything; there is no history,"
            " no older state and no fork.",
        }

    async def _load(self, session: str) -> Conversation:
        conversation = Conversation()
        await self._files.load_session_state(session, state=conversation)
        return conversation

    async def _save(self, session: str, changes: Iterable[tuple[list[Any], dict[str, Any]]]) -> Answer:
        """Save a session after each change: messages that are new, and new values of attributes."""
        laps = Laps()
        if session not in self._conversations:
            self._conversations[session] = await self._load(session)
        conversation = self._conversations[session]
        for messages, values in changes:
            conversation.messages.extend(messages)
            conversation.attributes.update(values)
            with laps:
                await self._files.save_session_state(session, state=conversation)
        return {"seconds": laps.seconds}

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Take turns, the file being written for each."""
        return self._loop.run(self._save(session, [([turn["message"]], turn["set"]) for turn in turns]))

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:
        """Change attributes, the file being written for each."""
        return self._loop.run(self._save(session, [([], values) for values in changes]))

    def stream(self, session: str, texts: list[str], every: int) -> Answer:
        """Stream a message, the file being written for each new length of it."""

        def lengths() -> Iterator[tuple[list[Any], dict[str, Any]]]:
            message = {"role": "assistant", "content": ""}
            for end in range(every, len(texts) + every, every):
                message["content"] = "".join(texts[:end])
                yield [message] if end == every else [], {}

        return self._loop.run(self._save(session, lengths()))

    def latest(self, session: str) -> Answer:
        """Read the file."""
        laps = Laps()

        async def read() -> Conversation:
            with laps:
                return await self._load(session)

        found = self._loop.run(read())
        return {"seconds": laps.seconds, **seen(found.messages, found.attributes)}

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        """Take turns in asyncio tasks."""
        return self._loop.run(self._tasks(sessions, [([turn["message"]], turn["set"]) for turn in turns]))

    async def _tasks(self, sessions: list[str], turns: list[tuple[list[Any], dict[str, Any]]]) -> Answer:
        laps = Laps()
        with laps:
            await asyncio.gather(*(self._save(session, turns) for session in sessions))
        return {"seconds": laps.seconds}


if __name__ == "__main__":
    main(AgentScope)
