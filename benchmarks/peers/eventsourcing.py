"""The library eventsourcing: an aggregate for each session, an event for each turn."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import NAMESPACE_URL, uuid5

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.sqlite import SQLiteConnectionPool

from benchmarks.contestant import Answer, Contestant, Laps, main, seen

if TYPE_CHECKING:
    from uuid import UUID


class Conversation(Aggregate):
    """A session: its messages and attributes."""

    @event("Started")
    def __init__(self, name: str, messages: list[Any], attributes: dict[str, Any]) -> None:
        self.name = name
        # Copies, or what changes later would change in the event as well.
        self.messages = list(messages)
        self.attributes = dict(attributes)

    @staticmethod
    def create_id(name: str) -> UUID:
        """Give the id of a session by its name."""
        return uuid5(NAMESPACE_URL, name)

    @event("TurnTaken")
    def take_turn(self, message: dict[str, Any], values: dict[str, Any]) -> None:
        """Append a message and set attributes."""
        self.messages.append(message)
        self.attributes.update(values)

    @event("Changed")
    def change(self, values: dict[str, Any]) -> None:
        """Set attributes."""
        self.attributes.update(values)

    @event("TextReceived")
    def receive(self, text: str, first: bool) -> None:  # noqa: FBT001 - the event's own field
        """Begin a message of the assistant with a text, or go on with it."""
        if first:
            self.messages.append({"role": "assistant", "content": text})
        else:
            self.messages[-1]["content"] += text


class NormalPool(SQLiteConnectionPool):
    """Connections with `synchronous=NORMAL`."""

    def _create_connection(self) -> Any:
        connection = super()._create_connection()
        connection.cursor().execute("PRAGMA synchronous=NORMAL")
        return connection


class Conversations(Application):
    """The sessions, with the cache that the library has for applications of one process."""

    env = {  # noqa: RUF012 - the library's own name and type
        "AGGREGATE_CACHE_MAXSIZE": "1000",
        "AGGREGATE_CACHE_FASTFORWARD": "n",
    }

    def construct_factory(self, env: Any) -> Any:
        """Make what opens the connections."""
        factory = super().construct_factory(env)
        if env.get("SYNCHRONOUS") == "normal":
            factory.datastore.pool.close()
            factory.datastore.pool = NormalPool(db_name=env.get("SQLITE_DBNAME"))
        return factory

    def conversation(self, name: str) -> Conversation:
        """Give a session to write to; a new one if there is none yet."""
        try:
            found = self.repository.get(Conversation.create_id(name), deepcopy_from_cache=False)
        except AggregateNotFoundError:
            found = Conversation(name, [], {})
        return cast("Conversation", found)

    def take_turn(self, name: str, message: dict[str, Any], values: dict[str, Any]) -> None:
        """Take a turn."""
        conversation = self.conversation(name)
        conversation.take_turn(message, values)
        self.save(conversation)

    def change(self, name: str, *changes: dict[str, Any]) -> None:
        """Change attributes, by as many events as there are changes, in one commit."""
        conversation = self.conversation(name)
        for values in changes:
            conversation.change(values)
        self.save(conversation)

    def receive(self, name: str, text: str, *, first: bool) -> None:
        """Begin a message, or go on with it."""
        conversation = self.conversation(name)
        conversation.receive(text, first)
        self.save(conversation)

    def state(self, name: str, turn: int | None = None) -> tuple[list[Any], dict[str, Any]]:
        """Read a state, the latest one or that after a turn, whose version counts the start too."""
        at = None if turn is None else turn + 1
        found = self.repository.get(Conversation.create_id(name), version=at, deepcopy_from_cache=False)
        return list(found.messages), dict(found.attributes)

    def history(self, name: str, attribute: str) -> list[Any]:
        """Find the values that an attribute had."""
        events = self.events.get(originator_id=Conversation.create_id(name))
        sets = (getattr(each, "values", {}) for each in events)
        return [values[attribute] for values in sets if attribute in values]

    def fork(self, name: str, turn: int, new: str) -> None:
        """Begin a new session with the state that another one had after a turn."""
        self.save(Conversation(new, *self.state(name, turn)))


class EventSourcing(Contestant):
    """The contestant without snapshots."""

    application: type[Conversations] = Conversations
    snapshots = "no snapshots"

    def open(self, folder: str, durability: str) -> None:
        """Open the file."""
        self._app = self.application(
            {
                "PERSISTENCE_MODULE": "eventsourcing.sqlite",
                "SQLITE_DBNAME": str(Path(folder, "events.db")),
                "SYNCHRONOUS": durability,
            }
        )

    def close(self) -> None:
        """Close the file."""
        self._app.close()

    def about(self) -> Answer:
        """Tell what it is."""
        return {
            "name": f"eventsourcing, {self.snapshots}",
            "version": version("eventsourcing"),
            "durability": "WAL, synchronous FULL, one fsync a turn; NORMAL by a subclass of the connection"
            " pool, since there is no setting",
            "note": "A turn is one event of an aggregate that stays in the application's cache, from which"
            " the latest state is read without a deep copy; history reads all its events; a fork is"
            " a new aggregate that begins with a copy of the state.",
        }

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Take turns, an event each."""
        laps = Laps()
        for turn in turns:
            with laps:
                self._app.take_turn(session, turn["message"], turn["set"])
        return {"seconds": laps.seconds}

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:
        """Change attributes, an event each."""
        laps = Laps()
        for values in changes:
            with laps:
                self._app.change(session, values)
        return {"seconds": laps.seconds}

    def stream(self, session: str, texts: list[str], every: int) -> Answer:
        """Stream a message, an event with the new text for each commit."""
        laps = Laps()
        for start in range(0, len(texts), every):
            text = "".join(texts[start : start + every])
            with laps:
                self._app.receive(session, text, first=start == 0)
        return {"seconds": laps.seconds}

    def latest(self, session: str) -> Answer:
        """Read the state: from the cache, or else from the events."""
        laps = Laps()
        with laps:
            messages, attributes = self._app.state(session)
        return {"seconds": laps.seconds, **seen(messages, attributes)}

    def history(self, session: str, attribute: str) -> Answer:
        """Read all events of the session."""
        laps = Laps()
        with laps:
            values = self._app.history(session, attribute)
        return {"seconds": laps.seconds, "count": sum(1 for _ in groupby(values))}

    def at(self, session: str, turns: list[int]) -> Answer:
        """Read old states, from the events up to a version."""
        laps = Laps()
        counts = []
        for turn in turns:
            with laps:
                messages, _ = self._app.state(session, turn)
            counts.append(len(messages))
        return {"seconds": laps.seconds, "messages": counts}

    def fork(self, session: str, at: int, names: list[str]) -> Answer:
        """Begin new aggregates with a copy of the state."""
        laps = Laps()
        for name in names:
            with laps:
                self._app.fork(session, at, name)
        return {"seconds": laps.seconds}

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        """Take turns in as many threads as there are sessions."""
        laps = Laps()
        with ThreadPoolExecutor(len(sessions)) as threads, laps:
            for _ in threads.map(lambda session: self.turns(session, turns), sessions):
                pass
        return {"seconds": laps.seconds}

    def append(self, session: str, batches: list[int]) -> Answer:
        """Append as many events in one commit as each batch says."""
        laps = Laps()
        for size in batches:
            values = [{"value": number} for number in range(size)]
            with laps:
                self._app.change(session, *values)
        return {"seconds": laps.seconds}


if __name__ == "__main__":
    main(EventSourcing)
