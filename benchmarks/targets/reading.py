"""Whole states: the latest, read by a store that was opened anew, and those of old rounds."""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from benchmarks.targets.target import Run, Target, micros, ratio, texts, timed
from benchmarks.targets.turn import take_turn
from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventstate import Session

MILLISECOND = 1e-3
ATTRIBUTES = 20


@dataclass(frozen=True, slots=True)
class Shape:
    """A session that grows in one way.

    Attributes:
        name: as targets are called.
        path: of its file.
        rounds: how many make 10,000 events.
        take: makes the round of a number.
    """

    name: str
    path: Path
    rounds: int
    take: Callable[[Session, int], object]


def shapes(run: Run) -> list[Shape]:
    """Make files of one session with 10,000 events each: of live turns, and of small changes."""
    contents = texts(random.Random(1), 64)

    def turn(session: Session, number: int) -> None:
        take_turn(session, number, contents[number % len(contents)])

    def change(session: Session, number: int) -> None:
        with session.round() as state:
            state[f"attribute-{number * 7 % ATTRIBUTES}"] = number

    made = [
        Shape("turns", run.path("reading-turns"), run.size(2_500, 2_500, 20), turn),
        Shape("changes", run.path("reading-changes"), run.size(10_000, 10_000, 80), change),
    ]
    for shape in made:
        with StateStore(shape.path, durability="normal") as store:
            session = store.session("u")
            for number in range(1, shape.rounds + 1):
                shape.take(session, number)
    return made


def reading(run: Run) -> list[Target]:
    """Measure the latest state, cold, and old rounds, of live turns and of small changes."""
    made = shapes(run)
    return [_cold(run, shape) for shape in made] + [_old(run, shape) for shape in made]


def _cold(run: Run, shape: Shape) -> Target:
    """Time `state()` of a store that was just opened, without and with the opening, and its `unpackb`.

    Between two of them another store adds a few rounds and is closed, so that nothing hangs on how many
    events there happen to be after the last snapshot.
    """
    opened, read, unpacked = [], [], []
    rng, number = random.Random(3), shape.rounds
    for _ in range(run.size(60, 20, 3)):
        with StateStore(shape.path, durability="normal") as store:
            for _ in range(rng.randint(1, shape.rounds // 100 + 1)):
                number += 1
                shape.take(store.session("u"), number)
        start = time.perf_counter()
        store = StateStore(shape.path)
        middle = time.perf_counter()
        state = store.session("u").state()
        end = time.perf_counter()
        store.close()
        assert number in state.values()
        opened.append(end - start)
        read.append(end - middle)
        unpacked.append(_unpacking(state))
    return Target(
        f"cold.{shape.name}",
        f"the latest state, cold, after 10,000 events ({shape.name}), less 1 ms, beside its unpackb",
        max(statistics.median(read) - MILLISECOND, 0) / statistics.median(unpacked),
        2,
        detail={
            "state": micros(read),
            "open_and_state": micros(opened),
            "unpackb": micros(unpacked),
            "ratio": round(ratio(read, unpacked), 2),
            "packed_bytes": len(msgpack.packb(state)),
        },
    )


def _unpacking(state: Any) -> float:
    packed = msgpack.packb(state)
    return timed(lambda: msgpack.unpackb(packed))


def _old(run: Run, shape: Shape) -> Target:
    """Time `state(at=)` of rounds drawn at random, the store being open, and `unpackb` of each state."""
    rng, read, unpacked = random.Random(2), [], []
    with StateStore(shape.path) as store:
        session = store.session("u")
        for _ in range(run.size(300, 80, 5)):
            at = rng.randint(1, shape.rounds)
            start = time.perf_counter()
            state = session.state(at=at)
            read.append(time.perf_counter() - start)
            assert at in state.values()
            unpacked.append(_unpacking(state))
    ratios = [one / other for one, other in zip(read, unpacked, strict=True)]
    detail = {
        "state": micros(read),
        "unpackb": micros(unpacked),
        "ratio_of_medians": round(ratio(read, unpacked), 2),
        "ratio_p90": round(sorted(ratios)[len(ratios) * 9 // 10], 2),
    }
    title = f"a random old round of 10,000 events ({shape.name})"
    if shape.name == "turns":
        return Target(
            "old.turns",
            f"{title} beside its unpackb; median of the ratios",
            statistics.median(ratios),
            3,
            detail=detail,
        )
    return Target(
        f"old.{shape.name}",
        f"{title}, less 1 ms, beside its unpackb",
        max(statistics.median(read) - MILLISECOND, 0) / statistics.median(unpacked),
        3,
        detail=detail,
        note="unpackb takes microseconds here, so the millisecond that the latest state has is taken off.",
    )
