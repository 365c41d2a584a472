"""Google ADK's SqliteSessionService: an event with a state delta for each turn."""

from __future__ import annotations

import asyncio
import sqlite3
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from google.adk.events import Event, EventActions
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai.types import Content, Part

from benchmarks.contestant import Answer, Contestant, Laps, UnsupportedError, main, seen

APP, USER = "benchmark", "user"


def to_event(message: dict[str, Any] | None, values: dict[str, Any]) -> Event:
    """Make an event of a turn.

    The text is the event's content; what a chat message has besides goes to the event's own metadata.
    """
    actions = EventActions(state_delta=values)
    if message is None:
        return Event(author=USER, invocation_id="i", actions=actions)
    rest = {key: value for key, value in message.items() if key not in {"role", "content"}}
    parts = None if message["content"] is None else [Part(text=message["content"])]
    return Event(
        author=USER if message["role"] == "user" else APP,
        invocation_id="i",
        content=Content(role=message["role"], parts=parts),
        custom_metadata=rest or None,
        actions=actions,
    )


def to_message(event: Event) -> dict[str, Any]:
    """Make a message of an event again."""
    content = event.content.parts[0].text if event.content.parts else None
    return {"role": event.content.role, "content": content, **(event.custom_metadata or {})}


class Adk(Contestant):
    """The contestant."""

    lacks = {  # noqa: RUF012
        "append": "append_event takes one event, in a commit of its own",
        "fork": "a session can't be copied or forked",
        "stream": "events marked as partial are not stored, only the complete message is",
    }

    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        self._loop.get_loop()

    def open(self, folder: str, durability: str) -> None:  # noqa: ARG002 - there is no choice
        """Open the service."""
        self._service = SqliteSessionService(str(Path(folder, "sessions.db")))
        self._sessions: dict[str, Any] = {}

    def close(self) -> None:
        """Do nothing: each call of the service has opened and closed the file itself."""

    def about(self) -> Answer:
        """Tell what it is."""
        return {
            "name": "Google ADK SqliteSessionService",
            "version": version("google-adk"),
            "durability": "rollback journal, synchronous FULL, four fsyncs a turn; a connection a call;"
            " no choice",
            "note": "A turn is one append_event with the message and a state_delta; history and old states"
            " are put together from all events of get_session; there is no fork.",
        }

    async def _session(self, session: str) -> Any:
        """Give the session's object, which the caller keeps as long as it goes on."""
        if session not in self._sessions:
            name = {"app_name": APP, "user_id": USER, "session_id": session}
            found = await self._service.get_session(**name)
            self._sessions[session] = found or await self._service.create_session(**name)
        return self._sessions[session]

    async def _append(self, session: str, turns: list[tuple[Any, dict[str, Any]]]) -> Answer:
        laps = Laps()
        for message, values in turns:
            event = to_event(message, values)
            with laps:
                await self._service.append_event(await self._session(session), event)
        return {"seconds": laps.seconds}

    async def _read(self, session: str, laps: Laps) -> Any:
        with laps:
            return await self._service.get_session(app_name=APP, user_id=USER, session_id=session)

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Take turns, an event each."""
        return self._loop.run(self._append(session, [(turn["message"], turn["set"]) for turn in turns]))

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:
        """Change attributes, by an event each."""
        return self._loop.run(self._append(session, [(None, values) for values in changes]))

    def latest(self, session: str) -> Answer:
        """Read the session with all events."""
        laps = Laps()
        found = self._loop.run(self._read(session, laps))
        messages = [to_message(event) for event in found.events if event.content]
        return {"seconds": laps.seconds, **seen(messages, found.state)}

    def history(self, session: str, attribute: str) -> Answer:
        """Read the session; the values are in the state deltas of its events."""
        laps = Laps()
        found = self._loop.run(self._read(session, laps))
        deltas = [event.actions.state_delta for event in found.events]
        values = [delta[attribute] for delta in deltas if attribute in delta]
        return {"seconds": laps.seconds, "count": sum(1 for _ in groupby(values))}

    def at(self, session: str, turns: list[int]) -> Answer:
        """Read the session; an old state is what its first events add up to."""
        laps = Laps()
        counts = []
        for turn in turns:
            found = self._loop.run(self._read(session, laps))
            counts.append(sum(event.content is not None for event in found.events[:turn]))
        return {"seconds": laps.seconds, "messages": counts}

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        """Take turns in asyncio tasks."""
        return self._loop.run(self._tasks(sessions, [(turn["message"], turn["set"]) for turn in turns]))

    async def _tasks(self, sessions: list[str], turns: list[tuple[Any, dict[str, Any]]]) -> Answer:
        laps = Laps()
        work = [self._append(session, turns) for session in sessions]
        with laps:
            done = await asyncio.gather(*work, return_exceptions=True)
        failed = [each for each in done if isinstance(each, BaseException)]
        if not failed:
            return {"seconds": laps.seconds}
        if not isinstance(failed[0], sqlite3.OperationalError):
            raise failed[0]
        raise UnsupportedError(f"{len(failed)} of {len(sessions)} concurrent tasks fail: {failed[0]}")


if __name__ == "__main__":
    main(Adk)
