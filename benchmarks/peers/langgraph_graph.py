"""LangGraph used as its manual says: a graph with a checkpointer, which is invoked for each turn."""

# No postponed annotations here: the graph reads those of its state, and they hold the reducers.
import asyncio
import operator
from importlib.metadata import version
from itertools import groupby
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from benchmarks.contestant import Answer, Contestant, Laps, main, seen
from benchmarks.peers.langgraph import Files, thread


class State(TypedDict):
    """The channels of the graph."""

    messages: Annotated[list[Any], operator.add]
    attributes: Annotated[dict[str, Any], operator.or_]


def answer(state: Any) -> dict[str, Any]:  # noqa: ARG001 - a node is called with the state
    """Stand in for the model: everything of a turn is in its input."""
    return {}


class Graph(Contestant):
    """The contestant with channels that are stored whole."""

    title = "LangGraph, a graph"
    note = "Each checkpoint has the whole state."
    syncs = "one fsync"
    schema: type[Any] = State
    batch: type[Any] = list
    """What messages are handed over in."""

    lacks = {  # noqa: RUF012
        "append": "a checkpoint is a state, and there are no events",
        "stream": "tokens go to the caller, and a message is saved when its node has ended",
    }

    def open(self, folder: str, durability: str) -> None:
        """Open the file and compile the graph."""
        self._files = Files()
        self._files.open(folder, durability)
        self._graph = self._compile(self._files.saver)
        self._numbers: dict[str, int] = {}

    def _compile(self, saver: Any) -> Any:
        graph = StateGraph(self.schema)
        graph.add_node("answer", answer)
        graph.add_edge(START, "answer")
        graph.add_edge("answer", END)
        return graph.compile(checkpointer=saver)

    def close(self) -> None:
        """Close the file."""
        self._files.close()

    def about(self) -> Answer:
        """Tell what it is."""
        return {
            "name": self.title,
            "version": f"{version('langgraph')} (checkpoint-sqlite {version('langgraph-checkpoint-sqlite')})",
            "durability": f"WAL, {self.syncs} a turn with synchronous FULL; NORMAL on the connection, which"
            " the user makes; invoked with durability='exit', so that a turn is one checkpoint",
            "note": f"A turn is one invoke of a graph with one node. {self.note} History lists all states; an"
            " old state is found by its metadata; a fork is update_state of a new thread with a copy.",
        }

    def _number(self, session: str) -> int:
        """Give the number of the last turn, reading it if it is not known."""
        if session not in self._numbers:
            self._numbers[session] = (self._graph.get_state(thread(session)).metadata or {}).get("turn", 0)
        return self._numbers[session]

    def _turn(self, session: str) -> dict[str, Any]:
        """Give the configuration of the next turn, which has its number in the metadata."""
        self._numbers[session] = self._number(session) + 1
        return {**thread(session), "metadata": {"turn": self._numbers[session]}}

    def _find(self, session: str, turn: int) -> Any:
        (found,) = self._graph.get_state_history(thread(session), filter={"turn": turn}, limit=1)
        return found

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Take turns, an invoke each."""
        laps = Laps()
        for turn in turns:
            config = self._turn(session)
            values = {"messages": self.batch([turn["message"]]), "attributes": turn["set"]}
            with laps:
                self._graph.invoke(values, config, durability="exit")
        return {"seconds": laps.seconds}

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:
        """Change attributes, an invoke each."""
        laps = Laps()
        for values in changes:
            config = self._turn(session)
            with laps:
                self._graph.invoke({"attributes": values}, config, durability="exit")
        return {"seconds": laps.seconds}

    def latest(self, session: str) -> Answer:
        """Read the latest state of the graph."""
        laps = Laps()
        with laps:
            values = self._graph.get_state(thread(session)).values
        return {"seconds": laps.seconds, **seen(values["messages"], values["attributes"])}

    def history(self, session: str, attribute: str) -> Answer:
        """List all states."""
        laps = Laps()
        with laps:
            states = [each.values["attributes"] for each in self._graph.get_state_history(thread(session))]
            values = [attributes[attribute] for attributes in states if attribute in attributes]
        return {"seconds": laps.seconds, "count": sum(1 for _ in groupby(values))}

    def at(self, session: str, turns: list[int]) -> Answer:
        """Read old states, found by their metadata."""
        laps = Laps()
        counts = []
        for turn in turns:
            with laps:
                found = self._find(session, turn)
            counts.append(len(found.values["messages"]))
        return {"seconds": laps.seconds, "messages": counts}

    def fork(self, session: str, at: int, names: list[str]) -> Answer:
        """Update new threads with copies of an old state."""
        laps = Laps()
        for name in names:
            config = {**thread(name), "metadata": {"turn": at}}
            with laps:
                values = self._find(session, at).values
                self._graph.update_state(config, {**values, "messages": self.batch(values["messages"])})
        return {"seconds": laps.seconds}

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        """Take turns in asyncio tasks, which share a graph with an AsyncSqliteSaver."""
        return asyncio.run(self._tasks(sessions, turns))

    async def _tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        laps, saver = Laps(), await self._files.connect()
        graph = self._compile(saver)

        async def work(session: str) -> None:
            for turn in turns:
                values = {"messages": self.batch([turn["message"]]), "attributes": turn["set"]}
                await graph.ainvoke(values, self._turn(session), durability="exit")

        for session in sessions:
            self._number(session)
        with laps:
            await asyncio.gather(*map(work, sessions))
        await saver.conn.close()
        return {"seconds": laps.seconds}


if __name__ == "__main__":
    main(Graph)
