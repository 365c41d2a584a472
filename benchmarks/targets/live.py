"""The live turn: a message of 500 bytes appended and three small attributes set, in one `round()`."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.floors import fdatasync_seconds
from benchmarks.targets.pair import Pair, grow
from benchmarks.targets.target import Run, Target, micros, ratio, texts
from benchmarks.targets.turn import EARLY, take_turn
from eventstate import StateStore
from eventstate.testing import FaultyDisk

if TYPE_CHECKING:
    from eventstate import Session

MEMORY = Path("/dev/shm")  # noqa: S108 - for a folder of its own with a random name
"""Where Linux has files in memory, whose fsync is nothing."""

Seconds = dict[str, list[float]]


def live(run: Run) -> list[Target]:
    """Time `with session.round()` from its call to its end, and bare apsw inserting the rows that it wrote.

    A new session's tenth turn and a turn of a session that has grown to 10,000 turns, each with its floor
    right after it, with NORMAL and with FULL, over and over. Before each measured turn stand others, the last
    of a third session, so that neither finds warmer caches; and each of the two has a file in which its rows
    come last, as those of other sessions after them would make the floor dearer, too.
    """
    turns, contents = run.size(10_000, 1_000, 20), texts(random.Random(1), 64)
    seconds = _measured(run, turns, contents)
    apart = None
    if MEMORY.is_dir():
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            apart = _measured(Run(Path(name), run.effort), 10 * EARLY, contents)
    return [*_normal(turns, seconds), _fsyncs(run, contents), _full(seconds, apart)]


def _measured(run: Run, turns: int, contents: list[str]) -> Seconds:
    rng, seconds = random.Random(1), defaultdict[str, list[float]](list)
    places = [(durability, name) for durability in ("normal", "full") for name in ("early", "late")]
    with ExitStack() as stack:
        pairs: dict[tuple[str, str], Pair] = {}
        for durability, name in places:
            path = run.path(f"live-{durability}-{name}")
            with StateStore(path, durability="normal") as store:
                store.session("between").save({})
                grow(store.session("late"), turns if name == "late" else 1, contents)
            pairs[durability, name] = stack.enter_context(Pair(path, durability))
        for number in range(run.size(300, 50, 3)):
            for durability, name in places:
                _turn(
                    pairs[durability, name],
                    (durability, name),
                    turns + 1 + number,
                    rng.choice(contents),
                    seconds,
                )
            seconds["fdatasync"].append(fdatasync_seconds(run.folder))
    return seconds


def _turn(pair: Pair, place: tuple[str, str], number: int, text: str, seconds: Seconds) -> None:
    """Take a turn at the end of a file, as that of a session that goes on by itself does."""
    durability, name = place
    between = pair.store.session("between")
    session, turn, other = pair.store.session("late"), number, between
    if name == "early":
        session, turn = pair.store.session(f"early-{number}"), EARLY
        other = session
    for before in range(1, EARLY):
        pair.turn(other, before, text)
    pair.turn(between, number, text)
    taken, floor = pair.turn(session, turn, text)
    seconds[f"{durability} {name}"].append(taken)
    seconds[f"{durability} {name} floor"].append(floor)


def _normal(turns: int, seconds: Seconds) -> list[Target]:
    early, late = seconds["normal early"], seconds["normal late"]
    floors = {"early": seconds["normal early floor"], "late": seconds["normal late floor"]}
    above = ratio(early, floors["early"]), ratio(late, floors["late"])
    return [
        Target(
            "live.floor",
            f"a live turn with NORMAL, beside its floor; the worse of turn {EARLY} and turn {turns}",
            max(above),
            2,
            detail={
                "early": micros(early),
                "early_floor": micros(floors["early"]),
                "late": micros(late),
                "late_floor": micros(floors["late"]),
                "early_ratio": round(above[0], 2),
                "late_ratio": round(above[1], 2),
                "mean_ratio": round(statistics.fmean(late) / statistics.fmean(floors["late"]), 2),
            },
        ),
        Target(
            "live.growth",
            f"turn {turns} beside turn {EARLY}, with NORMAL",
            ratio(late, early),
            1.2,
            detail={"full": round(ratio(seconds["full late"], seconds["full early"]), 2)},
        ),
    ]


def _above(seconds: Seconds, durability: str) -> list[float]:
    """Give the differences between turns and the floors right after them."""
    return [
        taken - floor
        for name in ("early", "late")
        for taken, floor in zip(
            seconds[f"{durability} {name}"], seconds[f"{durability} {name} floor"], strict=True
        )
    ]


def _full(seconds: Seconds, apart: Seconds | None) -> Target:
    """Compare the medians of the differences, on the disk, and in files that are in memory alone."""
    above = {durability: _above(seconds, durability) for durability in ("normal", "full")}
    low, high = _interval(above["full"], above["normal"])
    return Target(
        "live.full",
        "the time of a live turn above its floor, with FULL beside NORMAL",
        ratio(above["full"], above["normal"]),
        1,
        detail={
            "full_above": micros(above["full"]),
            "normal_above": micros(above["normal"]),
            "full": micros(seconds["full late"]),
            "full_floor": micros(seconds["full late floor"]),
            "fdatasync": micros(seconds["fdatasync"]),
            "low": round(low, 2),
            "high": round(high, 2),
            "without_disk": None
            if apart is None
            else round(ratio(_above(apart, "full"), _above(apart, "normal")), 2),
        },
        note="An fsync is taken from an fsync, so this is as noisy as the disk: nine of ten ratios of samples"
        " drawn again are between `low` and `high`. `without_disk` is the same where an fsync is nothing. The"
        " rest is code that runs slower after it has waited; none runs with FULL only.",
    )


def _interval(one: list[float], other: list[float]) -> tuple[float, float]:
    """Give the bounds of nine tenths of the ratios of medians of samples drawn anew from two samples."""
    rng = random.Random(1)
    ratios = sorted(ratio(rng.choices(one, k=len(one)), rng.choices(other, k=len(other))) for _ in range(400))
    return ratios[20], ratios[-20]


def _fsyncs(run: Run, contents: list[str]) -> Target:
    """Count the fsyncs of live turns with FULL; those of checkpoints, which are no commit's, apart."""
    turns = run.size(1_000, 200, 5)
    counts = {
        checkpoints: _counted(run, turns, contents, checkpoints=checkpoints) for checkpoints in (False, True)
    }
    assert counts[False] >= turns, "a commit was acknowledged without an fsync"
    return Target(
        "live.fsyncs",
        "fsyncs a commit, with FULL",
        counts[False] / turns,
        1,
        unit="fsyncs",
        detail={"commits": turns, "fsyncs": counts[False], "with_checkpoints": counts[True]},
    )


def _counted(run: Run, turns: int, contents: list[str], *, checkpoints: bool) -> int:
    path = run.path(f"live-fsyncs-{checkpoints}")
    with FaultyDisk() as disk, StateStore(path, vfs=disk.name) as store:
        if not checkpoints:
            store._journal.connection.pragma("wal_autocheckpoint", 0)  # noqa: SLF001 - there is no public way
        session: Session = store.session("counted")
        session.save({"messages": []})
        disk.forget()
        for number in range(1, turns + 1):
            take_turn(session, number, contents[number % len(contents)])
        return disk.fsyncs.total()
