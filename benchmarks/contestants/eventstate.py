"""This project's store as a contestant, through its public face."""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from benchmarks.contestant import Answer, Contestant, Laps, main, seen
from eventstate import StateStore, aio

if TYPE_CHECKING:
    from eventstate import Session

FILE = "store.db"
NAMES = 1000
"""How many attributes `append` goes round."""


def _version() -> str:
    try:
        return version("eventstate")
    except PackageNotFoundError:
        return "of this checkout"


def _take(state: Any, turn: dict[str, Any]) -> None:
    state.setdefault("messages", []).append(turn["message"])
    state.update(turn["set"])


class Eventstate(Contestant):
    """A `StateStore` with a session of each name; a turn is a round."""

    def __init__(self) -> None:
        self._store: StateStore | None = None
        self._path = Path()
        self._durability: Literal["full", "normal"] = "full"
        self._appended = 0

    def open(self, folder: str, durability: str) -> None:
        """Open `store.db` in the folder."""
        self._path, self._durability = Path(folder) / FILE, cast("Literal['full', 'normal']", durability)
        self._store = StateStore(self._path, durability=self._durability)

    def close(self) -> None:
        """Close it."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def about(self) -> Answer:
        """Tell the version."""
        return {
            "name": "eventstate",
            "version": _version(),
            "durability": "WAL; `full`: one fsync a commit, `normal`: none",
            "note": "a turn is a `round()`, whose changes alone are journaled",
        }

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Take each turn as a round."""
        mine, laps = self._session(session), Laps()
        for turn in turns:
            with laps, mine.round() as state:
                _take(state, turn)
        return {"seconds": laps.seconds}

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:
        """Assign the attributes in rounds."""
        mine, laps = self._session(session), Laps()
        for change in changes:
            with laps, mine.round() as state:
                state.update(change)
        return {"seconds": laps.seconds}

    def stream(self, session: str, texts: list[str], every: int) -> Answer:
        """Let the message's text grow token by token, in rounds of `every` tokens."""
        mine, laps = self._session(session), Laps()
        for start in range(0, len(texts), every):
            with laps, mine.round() as state:
                if not start:
                    state.setdefault("messages", []).append({"role": "assistant", "content": ""})
                message = state["messages"][-1]
                for token in texts[start : start + every]:
                    message["content"] += token
        return {"seconds": laps.seconds}

    def latest(self, session: str) -> Answer:
        """Read the state."""
        mine, laps = self._session(session), Laps()
        with laps:
            state = mine.state()
        return {"seconds": laps.seconds, **seen(state.pop("messages", []), state)}

    def history(self, session: str, attribute: str) -> Answer:
        """Walk the changes of the attribute, with the values that they brought."""
        mine, laps = self._session(session), Laps()
        with laps:
            values = [change.after for change in mine.history(attribute)]
        return {"seconds": laps.seconds, "count": len(values)}

    def at(self, session: str, turns: list[int]) -> Answer:
        """Read the states at rounds."""
        mine, laps, counts = self._session(session), Laps(), []
        for turn in turns:
            with laps:
                state = mine.state(at=turn)
            counts.append(len(state["messages"]))
        return {"seconds": laps.seconds, "messages": counts}

    def fork(self, session: str, at: int, names: list[str]) -> Answer:
        """Make branches."""
        mine, laps = self._session(session), Laps()
        for name in names:
            with laps:
                mine.fork(name, at=at)
        return {"seconds": laps.seconds}

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        """Take the turns in asyncio tasks, whose commits share transactions."""
        self.close()
        try:
            return {"seconds": [asyncio.run(self._tasks(sessions, turns))]}
        finally:
            self.open(str(self._path.parent), self._durability)

    async def _tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> float:
        async def take(session: aio.Session) -> None:
            for turn in turns:
                async with session.round() as state:
                    _take(state, turn)

        laps = Laps()
        async with aio.StateStore(self._path, durability=self._durability) as store:
            with laps:
                await asyncio.gather(*(take(store.session(name)) for name in sessions))
        return laps.seconds[0]

    def append(self, session: str, batches: list[int]) -> Answer:
        """Set so many attributes in one round, going round a thousand of them."""
        mine, laps = self._session(session), Laps()
        for count in batches:
            with laps, mine.round() as state:
                for number in range(self._appended, self._appended + count):
                    state[f"value_{number % NAMES:03}"] = number
            self._appended += count
        return {"seconds": laps.seconds}

    def _session(self, name: str) -> Session:
        if self._store is None:
            raise RuntimeError("open it first")
        return self._store.session(name)


if __name__ == "__main__":
    main(Eventstate)
