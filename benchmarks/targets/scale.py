"""Large files: many events, and many sessions."""

from __future__ import annotations

import functools
import random
from collections import defaultdict
from typing import TYPE_CHECKING

from benchmarks.targets.target import Run, Target, micros, ratio, timed
from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventstate import Session

ATTRIBUTES = 20
ROUND = 100
SESSION = 10_000
"""Events of each session but the longest."""


def events(run: Run) -> list[Target]:
    """Time appends and latest reads, with NORMAL, in a file of 10 million events and in one of 10,000.

    Half of the events are one session's, the others are of sessions of 10,000, as the small file's only one.
    Each measurement is of a store that was just opened: `state()`, or the second `round()`, which sets three
    attributes. In the large file they are those of the longest session and of one drawn at random; the
    worse counts.
    """
    count, each = run.size(10_000_000, 100_000, 4_000), run.size(SESSION, SESSION, 400)
    paths = {name: run.path(f"events-{name}") for name in ("small", "large")}
    _events(paths["small"], {"0": each})
    others = count // 2 // each
    _events(paths["large"], {"longest": count // 2, **{str(number): each for number in range(others)}})
    rng = random.Random(1)
    return _compared(
        run,
        "events",
        f"in a file of {count} events beside one of {each}",
        {
            "small": (paths["small"], lambda: "0"),
            "longest": (paths["large"], lambda: "longest"),
            "random": (paths["large"], lambda: str(rng.randrange(others))),
        },
    )


def sessions(run: Run) -> list[Target]:
    """Time the same in a file of 100,000 sessions of two rounds each, and in one of 100."""
    count, few = run.size(100_000, 2_000, 50), run.size(100, 100, 10)
    paths = {name: run.path(f"sessions-{name}") for name in ("small", "large")}
    for name, number in (("small", few), ("large", count)):
        _sessions(paths[name], number)
    rng = random.Random(1)
    return _compared(
        run,
        "sessions",
        f"in a file of {count} sessions beside one of {few}",
        {
            "small": (paths["small"], lambda: str(rng.randrange(few))),
            "random": (paths["large"], lambda: str(rng.randrange(count))),
        },
    )


def _compared(
    run: Run, name: str, what: str, files: dict[str, tuple[Path, Callable[[], str]]]
) -> list[Target]:
    repeat, seconds = run.size(150, 40, 3), defaultdict[str, list[float]](list)
    for _ in range(repeat):
        for file, (path, choose) in files.items():
            with StateStore(path, durability="normal") as store:
                seconds[f"latest {file}"].append(timed(store.session(choose()).state))
    # These come after, as they make the tail longer that is folded upon the last snapshot, or make a new one.
    for number in range(1, repeat + 1):
        for file, (path, choose) in files.items():
            with StateStore(path, durability="normal") as store:
                session = store.session(choose())
                # The first round after opening prepares its statements, whatever the file holds.
                _append(session, number)
                seconds[f"append {file}"].append(timed(functools.partial(_append, session, -number)))
    large = [file for file in files if file != "small"]
    return [
        Target(
            f"{name}.{kind}",
            f"{'an append' if kind == 'append' else 'the latest state, cold,'} {what}",
            max(ratio(seconds[f"{kind} {file}"], seconds[f"{kind} small"]) for file in large),
            1.5,
            detail={file: micros(seconds[f"{kind} {file}"]) for file in files},
        )
        for kind in ("append", "latest")
    ]


def _append(session: Session, number: int) -> None:
    with session.round() as state:
        for attribute in range(3):
            state[f"attribute-{attribute}"] = number


def _events(path: Path, counts: dict[str, int]) -> None:
    """Make sessions of so many events each, in rounds of `ROUND` attributes, which is fast."""
    with StateStore(path, durability="normal") as store:
        for name, count in counts.items():
            session, written = store.session(name), 0
            while written < count:
                with session.round() as state:
                    for number in range(written, min(written + ROUND, count)):
                        state[f"attribute-{number % ROUND}"] = number
                written = session.version


def _sessions(path: Path, count: int) -> None:
    with StateStore(path, durability="normal") as store:
        for number in range(count):
            session = store.session(str(number))
            session.save({f"attribute-{attribute}": number for attribute in range(ATTRIBUTES)})
            _append(session, number)
