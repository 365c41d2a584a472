"""`fork`, `tag`, `rollback` of one attribute and `replay`, as the history grows."""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING

import msgpack

from benchmarks.targets.pair import grow
from benchmarks.targets.target import Run, Target, interleaved, micros, ratio, texts, timed
from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session

SHORT = 100
WAYS = ("fork", "tag", "rollback")


def branching(run: Run) -> list[Target]:
    """Time each call, with NORMAL, on a session of 100 live turns and on one of 10,000, one after the other.

    What is forked, tagged or gone back to is a round drawn at random; `rollback` goes back in one attribute,
    a number: `paths=["score"]`.
    """
    turns, rng = run.size(10_000, 2_500, 150), random.Random(1)
    contents = texts(rng, 64)
    with StateStore(run.path("branching"), durability="normal") as store:
        sessions = {"short": store.session("short"), "long": store.session("long")}
        for name, count in (("short", SHORT), ("long", turns)):
            grow(sessions[name], count, contents)
        lengths = {"short": SHORT, "long": turns}

        def timing(way: str, name: str) -> Callable[[int], float]:
            def call(number: int) -> float:
                at = rng.randint(1, lengths[name])
                return timed(lambda: _call(sessions[name], way, number, at))

            return call

        runs = {f"{way} {name}": timing(way, name) for way in WAYS for name in sessions}
        seconds = interleaved(run.size(60, 20, 3), runs)
    return [
        Target(
            f"flat.{way}",
            f"{way} in a session of {turns} turns beside one of {SHORT}",
            ratio(seconds[f"{way} long"], seconds[f"{way} short"]),
            1.5,
            detail={name: micros(seconds[f"{way} {name}"]) for name in ("short", "long")},
        )
        for way in WAYS
    ]


def _call(session: Session, way: str, number: int, at: int) -> None:
    if way == "fork":
        session.fork(f"fork {number}", at)
    elif way == "tag":
        session.tag(f"tag {number}", at)
    else:
        session.rollback(at, paths=["score"])


def replay(run: Run) -> list[Target]:
    """Time `replay()` of all rounds, a fold of all events without snapshots, and a copy of each state.

    A copy is `unpackb` of `packb`.
    """
    rounds = run.size(1_000, 500, 20)
    replays, folds, copies = [], [], []
    with StateStore(run.path("replay"), durability="normal") as store:
        session = store.session("u")
        grow(session, rounds, texts(random.Random(1), 64))
        store._journal.drop_snapshots()  # noqa: SLF001 - there is no public way
        version = session.version
        for _ in range(run.size(7, 3, 2)):
            start = time.perf_counter()
            for turn, state in session.replay():
                assert turn.id == len(state["messages"])
            replays.append(time.perf_counter() - start)
            folds.append(timed(lambda: session.state(version=version)))
            copies.append(sum(_copying(state) for _, state in session.replay()))
    floor = [one + other for one, other in zip(folds, copies, strict=True)]
    return [
        Target(
            "replay.time",
            f"replay() of {rounds} rounds, beside one fold of all events and one copy of each state",
            statistics.median(replays) / statistics.median(floor),
            3,
            detail={"replay": micros(replays), "fold": micros(folds), "copies": micros(copies)},
        )
    ]


def _copying(state: object) -> float:
    return timed(lambda: msgpack.unpackb(msgpack.packb(state)))
