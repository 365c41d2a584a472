"""Whole states: the latest, read by a store that was opened anew, and those of old rounds."""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING, Any

import msgpack

from benchmarks.targets.pair import grow
from benchmarks.targets.target import Run, Target, micros, ratio, texts, timed
from eventstate import StateStore

if TYPE_CHECKING:
    from pathlib import Path

MILLISECOND = 1e-3
ATTRIBUTES = 20


def shapes(run: Run) -> dict[str, tuple[Path, int]]:
    """Make files of one session with 10,000 events each, by shape, with the number of their rounds."""
    turns, changes = run.size(2_500, 2_500, 20), run.size(10_000, 10_000, 80)
    paths = {name: run.path(f"reading-{name}") for name in ("turns", "changes")}
    rng = random.Random(1)
    with StateStore(paths["turns"], durability="normal") as store:
        grow(store.session("u"), turns, texts(rng, 64))
    with StateStore(paths["changes"], durability="normal") as store:
        session = store.session("u")
        for number in range(changes):
            with session.round() as state:
                state[f"attribute-{rng.randrange(ATTRIBUTES)}"] = number
    return {"turns": (paths["turns"], turns), "changes": (paths["changes"], changes)}


def reading(run: Run) -> list[Target]:
    """Measure the latest state, cold, and old rounds, of live turns and of small changes."""
    made = shapes(run)
    cold = [_cold(run, name, path) for name, (path, _) in made.items()]
    return cold + [_old(run, name, *file) for name, file in made.items()]


def _cold(run: Run, shape: str, path: Path) -> Target:
    """Time `state()` of a store that was just opened, without and with the opening, and its `unpackb`."""
    opened, read, unpacked = [], [], []
    for _ in range(run.size(60, 20, 3)):
        start = time.perf_counter()
        store = StateStore(path)
        middle = time.perf_counter()
        state = store.session("u").state()
        end = time.perf_counter()
        store.close()
        opened.append(end - start)
        read.append(end - middle)
        unpacked.append(_unpacking(state))
    return Target(
        f"cold.{shape}",
        f"the latest state, cold, of a session of 10,000 events ({shape}), less 1 ms, beside its unpackb",
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


def _old(run: Run, shape: str, path: Path, rounds: int) -> Target:
    """Time `state(at=)` of rounds drawn at random, the store being open, and `unpackb` of each state."""
    rng, read, unpacked = random.Random(2), [], []
    with StateStore(path) as store:
        session = store.session("u")
        for _ in range(run.size(300, 80, 5)):
            at = rng.randint(1, rounds)
            start = time.perf_counter()
            state = session.state(at=at)
            read.append(time.perf_counter() - start)
            unpacked.append(_unpacking(state))
    ratios = [one / other for one, other in zip(read, unpacked, strict=True)]
    detail = {
        "state": micros(read),
        "unpackb": micros(unpacked),
        "ratio_of_medians": round(ratio(read, unpacked), 2),
        "ratio_p90": round(sorted(ratios)[len(ratios) * 9 // 10], 2),
    }
    title = f"the state of a random old round of a session of 10,000 events ({shape})"
    if shape == "turns":
        return Target(
            "old.turns",
            f"{title} beside its unpackb; median of the ratios",
            statistics.median(ratios),
            3,
            detail=detail,
        )
    return Target(
        f"old.{shape}",
        f"{title}, less 1 ms, beside its unpackb",
        max(statistics.median(read) - MILLISECOND, 0) / statistics.median(unpacked),
        3,
        detail=detail,
        note="unpackb takes microseconds here, so the millisecond that the latest state has is taken off.",
    )
