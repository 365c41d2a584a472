"""The history of one attribute with 100 changes among many events of others."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import apsw
import msgpack

from benchmarks.targets.target import Run, Target, interleaved, micros, ratio, texts, timed
from eventstate import Session, StateStore

if TYPE_CHECKING:
    from pathlib import Path

CHANGES = 100
ROUND = 4
"""Events of other attributes in a round: a text of 200 characters, and three numbers."""


def history(run: Run) -> list[Target]:
    """Time `session.history("name")` of two sessions, the second with ten times the other events.

    The floor is what must be done without an index: all rows of the events read by bare apsw, and each value
    unpacked. Rounds of other attributes and those that set `name` come evenly mixed.
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
                "scan": lambda _: timed(lambda: _scan(raw)),
            },
        )
        raw.close()
    events = few if measured == "few" else few * 10
    detail = {name: micros(values) for name, values in seconds.items()}
    return [
        Target(
            "history.scan",
            f"an attribute's {CHANGES} changes among {events} events, beside a scan that unpacks all",
            ratio(seconds[measured], seconds["scan"]),
            0.01,
            detail={
                **detail,
                "with_values": round(ratio(seconds[f"{measured} values"], seconds["scan"]), 4),
            },
            note="The limit is meant for LangGraph's way, its list of all checkpoints, which takes longer.",
        ),
        Target(
            "history.flat",
            f"the same with {few * 10} events beside {few}",
            ratio(seconds["many"], seconds["few"]),
            1.5,
            detail={"with_values": round(ratio(seconds["many values"], seconds["few values"]), 2)},
        ),
    ]


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
