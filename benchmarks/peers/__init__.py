"""The peers: other stores, each driven through its own public API, in an environment of its own."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    """How to run a peer.

    Attributes:
        title: what the page calls it.
        module: `python -m` this, in its environment, is the contestant.
        requirements: the file in `requirements/` that its environment is made from.
    """

    title: str
    module: str
    requirements: str


PEERS = {
    "langgraph": Peer("LangGraph SqliteSaver, put", "benchmarks.peers.langgraph", "langgraph.txt"),
    "langgraph_graph": Peer("LangGraph, a graph", "benchmarks.peers.langgraph_graph", "langgraph.txt"),
    "langgraph_delta": Peer("LangGraph DeltaChannel", "benchmarks.peers.langgraph_delta", "langgraph.txt"),
    "eventsourcing": Peer("eventsourcing", "benchmarks.peers.eventsourcing", "eventsourcing.txt"),
    "eventsourcing_snapshots": Peer(
        "eventsourcing with snapshots", "benchmarks.peers.eventsourcing_snapshots", "eventsourcing.txt"
    ),
    "adk": Peer("Google ADK SqliteSessionService", "benchmarks.peers.adk", "adk.txt"),
    "openai_agents": Peer(
        "OpenAI Agents SQLiteSession", "benchmarks.peers.openai_agents", "openai_agents.txt"
    ),
    "agno": Peer("Agno 3 SqliteDb", "benchmarks.peers.agno", "agno.txt"),
    "agno2": Peer("Agno 2 SqliteDb", "benchmarks.peers.agno", "agno2.txt"),
    "agentscope": Peer("AgentScope JSONSession", "benchmarks.peers.agentscope", "agentscope.txt"),
}
"""All of them, by name."""
