"""What nothing can go below, as contestants: bare SQLite with the same rows, and bare MessagePack.

python -m benchmarks.contestants.raw apsw|msgpack
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apsw
import msgpack

from benchmarks.contestant import Answer, Contestant, Laps, main, seen
from benchmarks.contestants.eventstate import FILE
from benchmarks.floors import RawJournal, Rows, Tap, merged


class BareSqlite(Contestant):
    """Writes by bare apsw the very rows that the store in the folder beside its own has just written.

    So it takes its steps right after that store, and does not look at what it is asked to write.
    """

    lacks = dict.fromkeys(("latest", "history", "at", "fork"), "rows alone are no state")

    def __init__(self) -> None:
        self._folder = Path()
        self._position = 0
        self._journal: RawJournal | None = None

    def open(self, folder: str, durability: str) -> None:
        """Open a file of the same schema and settings."""
        if Path(folder) != self._folder:
            self._folder, self._position = Path(folder), 0
        self._journal = RawJournal(self._folder / "raw.db", durability.upper())

    def close(self) -> None:
        """Close it."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def about(self) -> Answer:
        """Tell the versions."""
        return {
            "name": "bare apsw, same rows",
            "version": f"{version('apsw')}, SQLite {apsw.sqlite_lib_version()}",
            "durability": "as eventstate's",
            "note": "a floor: `INSERT` of the rows that eventstate wrote, in the same transactions",
        }

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:  # noqa: ARG002
        """Insert each commit's rows."""
        return self._insert(self._news())

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:  # noqa: ARG002
        """Insert each commit's rows."""
        return self._insert(self._news())

    def stream(self, session: str, texts: list[str], every: int) -> Answer:  # noqa: ARG002
        """Insert each commit's rows."""
        return self._insert(self._news())

    def append(self, session: str, batches: list[int]) -> Answer:  # noqa: ARG002
        """Insert each commit's rows."""
        return self._insert(self._news())

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:  # noqa: ARG002
        """Insert the rows of as many commits in a transaction as there are tasks."""
        news, size = self._news(), len(sessions)
        groups = [merged(news[start : start + size]) for start in range(0, len(news), size)]
        return {"seconds": [sum(self._insert(groups)["seconds"])]}

    def _news(self) -> list[Rows]:
        # Not kept open: the store's own last connection has to be the one that closes the file.
        tap = Tap(self._folder.parent / "eventstate" / FILE, self._position)
        try:
            return tap.news()
        finally:
            self._position = tap.position
            tap.close()

    def _insert(self, commits: list[Rows]) -> Answer:
        if self._journal is None:
            raise RuntimeError("open it first")
        return {"seconds": list(map(self._journal.insert, commits))}


class BareMsgpack(Contestant):
    """Packs and unpacks the whole state, in memory: what saving or loading all of it costs at least."""

    def __init__(self) -> None:
        self._folder = ""
        self._states: dict[str, dict[str, Any]] = {}

    def open(self, folder: str, durability: str) -> None:  # noqa: ARG002
        """Forget the sessions of another folder."""
        if folder != self._folder:
            self._folder, self._states = folder, {}

    def close(self) -> None:
        """Nothing is open."""

    def about(self) -> Answer:
        """Tell the version."""
        return {
            "name": "msgpack, whole state",
            "version": version("msgpack"),
            "durability": "none: nothing is written",
            "note": "a floor: `packb` of the whole state for a turn, `unpackb` for reading it",
        }

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Pack the state after each turn."""
        state, laps = self._states.setdefault(session, {"messages": []}), Laps()
        for turn in turns:
            state["messages"].append(turn["message"])
            state.update(turn["set"])
            with laps:
                msgpack.packb(state)
        return {"seconds": laps.seconds}

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:
        """Pack the attributes after each change."""
        state, laps = self._states.setdefault(session, {}), Laps()
        for change in changes:
            state.update(change)
            with laps:
                msgpack.packb(state)
        return {"seconds": laps.seconds}

    def latest(self, session: str) -> Answer:
        """Unpack the state."""
        packed, laps = msgpack.packb(self._states[session]), Laps()
        with laps:
            state = msgpack.unpackb(packed)
        return {"seconds": laps.seconds, **seen(state.pop("messages", []), state)}


FLOORS = {"apsw": BareSqlite, "msgpack": BareMsgpack}

if __name__ == "__main__":
    main(FLOORS[sys.argv[1]])
