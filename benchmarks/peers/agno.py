"""Agno's SqliteDb, called as an agent of its calls it at the end of a run, but without any model.

Version 3 has a row for each run besides that of the session; version 2 has all runs in the session's row.
"""

from __future__ import annotations

import asyncio
import os
import time
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from agno.agent import Agent
from agno.db.base import SessionType
from agno.db.sqlite import AsyncSqliteDb, SqliteDb
from agno.models.message import Message
from agno.run.agent import RunOutput
from agno.run.base import RunStatus
from agno.session import AgentSession
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from benchmarks.contestant import Answer, Contestant, Laps, UnsupportedError, main, seen

AGENT = "benchmark"
ROWS_OF_RUNS = hasattr(SqliteDb, "upsert_run")


def to_message(message: Message) -> dict[str, Any]:
    """Make a message of the chat again."""
    rest = {key: getattr(message, key) for key in ("name", "tool_call_id", "tool_calls")}
    return {
        "role": message.role,
        "content": message.content,
        **{key: value for key, value in rest.items() if value is not None},
    }


def messages_of(runs: list[Any]) -> list[Any]:
    """Give the messages of runs."""
    return [to_message(message) for run in runs for message in run.messages or []]


def add_run(session: AgentSession, message: dict[str, Any], values: dict[str, Any]) -> RunOutput:
    """Make a run of one message, which has the state at its end as an agent's run has it."""
    state = session.session_data["session_state"]
    state.update(values)
    return RunOutput(
        run_id=f"{session.session_id}-{len(session.runs or [])}",
        agent_id=AGENT,
        session_id=session.session_id,
        messages=[Message(**message)],
        session_state=dict(state),
        status=RunStatus.completed,
    )


class Agno(Contestant):
    """The contestant."""

    lacks = {"append": "a run is stored in a commit of its own"}  # noqa: RUF012

    def open(self, folder: str, durability: str) -> None:
        """Open the file, with the engine that the library makes."""
        os.environ["AGNO_TELEMETRY"] = "false"
        self._path = str(Path(folder, "agno.db"))
        self._normal = durability == "normal"
        self._db = SqliteDb(db_file=self._path)
        self._set(self._db.db_engine)
        self._sessions: dict[str, AgentSession] = {}
        self._forks: dict[str, str] = {}

    def _set(self, engine: Any) -> None:
        if self._normal:
            event.listen(engine, "connect", lambda each, _: each.execute("PRAGMA synchronous=NORMAL").close())

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def about(self) -> Answer:
        """Tell what it is."""
        journal = "WAL, two fsyncs a turn" if ROWS_OF_RUNS else "rollback journal, four fsyncs a turn"
        writes = "upsert_session and upsert_run, two commits" if ROWS_OF_RUNS else "upsert_session"
        return {
            "name": f"Agno {version('agno').split('.')[0]} SqliteDb",
            "version": version("agno"),
            "durability": f"{journal} with synchronous FULL; NORMAL by a listener of the engine",
            "note": f"A turn is a run of one message: {writes}; history and old states are put together from"
            " the runs of get_session; fork_session copies a session as it is now.",
        }

    def _read(self, session: str) -> Any:
        name = self._forks.get(session, session)
        return self._db.get_session(session_id=name, session_type=SessionType.AGENT)

    def _session(self, session: str) -> AgentSession:
        """Give the session's object, which the caller keeps as long as it goes on."""
        if session not in self._sessions:
            self._sessions[session] = self._read(session) or AgentSession(
                session_id=session,
                agent_id=AGENT,
                session_data={"session_state": {}},
                created_at=int(time.time()),
            )
        return self._sessions[session]

    def _save(self, session: AgentSession, run: RunOutput | None = None) -> None:
        if run is not None:
            session.upsert_run(run)
        # In version 2, giving the session back means to read all its runs once more.
        self._db.upsert_session(session, deserialize=ROWS_OF_RUNS)
        if run is not None and ROWS_OF_RUNS:
            self._db.upsert_run(run, session_id=session.session_id, run_index=len(session.runs) - 1)

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Take turns, a run each."""
        laps, opened = Laps(), self._session(session)
        for turn in turns:
            run = add_run(opened, turn["message"], turn["set"])
            with laps:
                self._save(opened, run)
        return {"seconds": laps.seconds}

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:
        """Change attributes, without a run."""
        laps, opened = Laps(), self._session(session)
        for values in changes:
            opened.session_data["session_state"].update(values)
            with laps:
                self._save(opened)
        return {"seconds": laps.seconds}

    def stream(self, session: str, texts: list[str], every: int) -> Answer:
        """Stream a message of one run, which is saved again for each new length."""
        laps, opened = Laps(), self._session(session)
        run = add_run(opened, {"role": "assistant", "content": ""}, {})
        for end in range(every, len(texts) + every, every):
            run.messages[0].content = "".join(texts[:end])
            with laps:
                self._save(opened, run)
        return {"seconds": laps.seconds}

    def latest(self, session: str) -> Answer:
        """Read the session with all runs."""
        laps = Laps()
        with laps:
            found = self._read(session)
        attributes = found.session_data["session_state"]
        return {"seconds": laps.seconds, **seen(messages_of(found.runs), attributes)}

    def history(self, session: str, attribute: str) -> Answer:
        """Read the session; the values are in the states at the ends of its runs."""
        laps = Laps()
        with laps:
            found = self._read(session)
        if not found.runs:
            raise UnsupportedError("a change outside of a run leaves no trace")
        values = [run.session_state[attribute] for run in found.runs if attribute in run.session_state]
        return {"seconds": laps.seconds, "count": sum(1 for _ in groupby(values))}

    def at(self, session: str, turns: list[int]) -> Answer:
        """Read the session; an old state is its first runs, with the state at the end of the last."""
        laps = Laps()
        counts = []
        for turn in turns:
            with laps:
                found = self._read(session)
            counts.append(len(messages_of(found.runs[:turn])))
        return {"seconds": laps.seconds, "messages": counts}

    def fork(self, session: str, at: int, names: list[str]) -> Answer:
        """Fork the session by an agent, which names the new ones itself."""
        laps, agent = Laps(), Agent(id=AGENT, db=self._db, telemetry=False)
        agent.initialize_agent()
        if at != len(self._session(session).runs):
            raise UnsupportedError("fork_session copies a session as it is now, not as it was before")
        for name in names:
            with laps:
                self._forks[name] = agent.fork_session(source_session_id=session)
        return {"seconds": laps.seconds}

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        """Take turns in asyncio tasks, which share an AsyncSqliteDb."""
        return asyncio.run(self._tasks(list(map(self._session, sessions)), turns))

    async def _tasks(self, sessions: list[AgentSession], turns: list[dict[str, Any]]) -> Answer:
        laps, db = Laps(), AsyncSqliteDb(db_file=self._path)
        self._set(db.db_engine.sync_engine)
        # The first call makes the tables, and version 2 fails if several tasks do that at once.
        await db.upsert_session(sessions[0], deserialize=False)

        async def work(session: AgentSession) -> None:
            for turn in turns:
                run = add_run(session, turn["message"], turn["set"])
                session.upsert_run(run)
                await db.upsert_session(session, deserialize=ROWS_OF_RUNS)
                if ROWS_OF_RUNS:
                    await db.upsert_run(run, session_id=session.session_id, run_index=len(session.runs) - 1)

        with laps:
            done = await asyncio.gather(*map(work, sessions), return_exceptions=True)
        await db.close()
        failed = [each for each in done if isinstance(each, BaseException)]
        if not failed:
            return {"seconds": laps.seconds}
        if not isinstance(failed[0], OperationalError):
            raise failed[0]
        raise UnsupportedError(f"{len(failed)} of {len(sessions)} concurrent tasks fail: {failed[0].orig}")


if __name__ == "__main__":
    main(Agno)
