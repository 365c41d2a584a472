"""LangGraph's DeltaChannel (beta): a graph whose checkpoints have what a turn added to the messages."""

import operator
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from langgraph.channels.delta import DeltaChannel

from benchmarks.contestant import main
from benchmarks.peers.langgraph_graph import Graph


def extend(messages: list[Any], added: Sequence[Sequence[Any]]) -> list[Any]:
    """Append the messages of some turns."""
    return [*messages, *(message for each in added for message in each)]


class DeltaState(TypedDict):
    """The channels of the graph: the messages stored as changes, the few attributes whole."""

    messages: Annotated[list[Any], DeltaChannel(extend)]
    attributes: Annotated[dict[str, Any], operator.or_]


class DeltaGraph(Graph):
    """The contestant with the messages in a channel of changes."""

    title = "LangGraph DeltaChannel (beta)"
    note = "A checkpoint has what is new, and each hundredth has all messages, which is the default."
    syncs = "two fsyncs (two commits)"
    schema = DeltaState
    # In a list, this channel would make LangChain's message objects of dicts that look like messages.
    batch = tuple


if __name__ == "__main__":
    main(DeltaGraph)
