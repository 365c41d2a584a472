"""The history of one attribute with 100 changes among many events of others."""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING, Any

import apsw
import msgpack

from benchmarks.contestant import SMALL_ATTRIBUTES
from benchmarks.runner import Process
from benchmarks.targets.target import Run, Target, interleaved, micros, ratio, texts, timed
from eventstate import Session, StateStore

if TYPE_CHECKING:
    from pathlib import Path

CHANGES = 100
_PART = 1000  # changes of one request
_PATIENCE = 300.0  # seconds
ROUND = 4
"""Events of other attributes in a round: a text of 200 characters, and three numbers."""


def history(run: Run) -> list[Target]:
    """Time `session.history("name")` of two sessions, the second with ten times the other events.

    The floor is what must be done without an index: all rows of the events read by bare apsw, and each value
    unpacked. Rounds of other attributes and those that set `name` come evenly mixed. LangGraph's way is its
    list of all checkpoints, as many as there are rounds, with the values of a small attribute that changed
    as often.
    """
    few = run.size(100_000, 10_000, 400)
    paths = {name: run.path(f"history-{name}") for name in ("few", "many")}
    for name, events in (("few", few), ("many", few * 10)):
        _mixed(paths[name], events)
    measured = "few" if run.effort == "full" else "many"
    with StateStore(paths["few"]) as one, StateStore(paths["many"]) as other:
        sessions = {"few": one.session("u"), "many": other.session("u")}
        raw = apsw.Connection(str(paths[measured]), flags=apsw.SQLITE_OPEN_READONLY)
        for session in sessions.values():
            assert len(session.history("name")) == CHANGES
        seconds = interleaved(
            run.size(15, 5, 2),
            {
                "few": lambda _: timed(lambda: sessions["few"].history("name")),
                "many": lambda _: timed(lambda: sessions["many"].history("name")),
                "few values": lambda _: timed(lambda: _values(sessions["few"])),
                "many values": lambda _: timed(lambda: _values(sessions["many"])),
                "told": lambda _: timed(
                    lambda: [change.after for change in sessions[measured].history("name")]
                ),
                "scan": lambda _: timed(lambda: _scan(raw)),
            },
        )
        raw.close()
    events = few if measured == "few" else few * 10
    detail = {name: micros(values) for name, values in seconds.items()}
    return [
        _beside_langgraph(run, events, seconds["told"], detail, seconds["scan"]),
        Target(
            "history.flat",
            f"the same with {few * 10} events beside {few}",
            ratio(seconds["many"], seconds["few"]),
            1.5,
            detail={"with_values": round(ratio(seconds["many values"], seconds["few values"]), 2)},
        ),
    ]


def _beside_langgraph(
    run: Run, events: int, ours: list[float], detail: dict[str, float], scan: list[float]
) -> Target:
    """Compare our history, with its values, with LangGraph's; without its environment nothing is met."""
    listed, why = None, "LangGraph's environment was not given"
    if run.langgraph is not None:
        listed, why = _listed(run, run.langgraph, events // ROUND + CHANGES)
    return Target(
        "history.langgraph",
        f"an attribute's {CHANGES} changes among {events} events, beside LangGraph's list of all checkpoints",
        None if listed is None else statistics.median(ours) / listed,
        0.01,
        detail={
            **detail,
            "langgraph": None if listed is None else round(listed * 1e6, 1),
            "beside_scan": round(ratio(ours, scan), 4),
        },
        note=why
        or "A scan by bare SQLite that unpacks all events, for which this is not meant, is in the figures.",
    )


def _listed(run: Run, python: Path, checkpoints: int) -> tuple[float | None, str]:
    """Give the seconds of LangGraph's list of so many checkpoints, or why there are none."""
    folder = run.path("history-langgraph").parent
    process = Process([str(python), "-m", "benchmarks.peers.langgraph"], folder / "log")
    name, other, every = SMALL_ATTRIBUTES[0], SMALL_ATTRIBUTES[1], checkpoints // CHANGES
    changes = [{other if number % every else name: number} for number in range(checkpoints)]
    requests: list[dict[str, Any]] = [{"do": "open", "folder": str(folder), "durability": "normal"}]
    requests += [
        {"do": "change", "session": "u", "changes": changes[at : at + _PART]}
        for at in range(0, checkpoints, _PART)
    ]
    requests += [{"do": "history", "session": "u", "attribute": name}] * run.size(3, 2, 1)
    answers = []
    try:
        for request in requests:
            answer = process.ask(request, _PATIENCE)
            if why := answer.get("failed") or answer.get("error") or answer.get("unsupported"):
                return None, f"LangGraph: {why}"
            answers.append(answer)
    finally:
        process.stop()
    lists = [answer for request, answer in zip(requests, answers, strict=True) if request["do"] == "history"]
    assert all(answer["count"] >= CHANGES for answer in lists)
    return statistics.median(seconds for answer in lists for seconds in answer["seconds"]), ""


def _mixed(path: Path, events: int) -> None:
    """Make a session of so many events of other attributes, and `CHANGES` of `name`, one a round."""
    rng = random.Random(1)
    contents = texts(rng, 64, 200)
    rounds = events // ROUND
    every = rounds // CHANGES
    with StateStore(path, durability="normal") as store:
        session = store.session("u")
        for number in range(rounds):
            with session.round() as state:
                state["scratch"] = contents[number % len(contents)] + str(number)
                for attribute in range(ROUND - 1):
                    state[f"attribute-{attribute}"] = number
            if number % every == 0 and number // every < CHANGES:
                with session.round() as state:
                    state["name"] = f"name {number}"


def _values(session: Session) -> None:
    for change in session.history("name"):
        assert change.before != change.after


def _scan(raw: apsw.Connection) -> None:
    for _, _, value in raw.execute("SELECT op, path, value FROM events ORDER BY id"):
        if value is not None:
            msgpack.unpackb(value)
