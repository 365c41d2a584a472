"""Many events at once: folding all of a session's, and appending a hundred in one commit."""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import TYPE_CHECKING

import apsw
import msgpack

from benchmarks.targets.pair import Pair
from benchmarks.targets.reading import shapes
from benchmarks.targets.target import Run, Target, interleaved, micros, ratio, timed
from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from eventstate import Session

COMMIT = 100


def fold(run: Run) -> list[Target]:
    """Time `state(version=)` of the last version without snapshots.

    The floor is bare apsw's select of the same rows, with `unpackb` of each value. The sessions are those of
    the cold reads: of live turns, and of single changes of small attributes.
    """
    rates, detail = [], dict[str, float]()
    for shape in shapes(Run(run.folder / "fold", run.effort)):
        seconds, events = _folded(run, shape.path)
        rates.append(ratio(seconds["floor"], seconds["fold"]))
        detail[f"{shape.name}_ratio"] = round(rates[-1], 3)
        detail[f"{shape.name}_events_a_second"] = round(events / micros(seconds["fold"]) * 1e6)
        detail[f"{shape.name}_floor"] = round(events / micros(seconds["floor"]) * 1e6)
    return [
        Target(
            "fold.rate",
            "events a second of a fold without snapshots, beside select and unpackb of the same rows",
            min(rates),
            0.35,
            at_least=True,
            detail=detail,
        )
    ]


def _folded(run: Run, path: Path) -> tuple[dict[str, list[float]], int]:
    with StateStore(path, durability="normal") as store:
        store._journal.drop_snapshots()  # noqa: SLF001 - there is no public way
        session = store.session("u")
        version = session.version
        raw = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        seconds = interleaved(
            run.size(15, 5, 2),
            {
                "fold": lambda _: timed(lambda: session.state(version=version)),
                "floor": lambda _: timed(lambda: _select(raw)),
            },
        )
        raw.close()
    return seconds, version


def _select(raw: apsw.Connection) -> None:
    for _, _, _, value in raw.execute("SELECT id, op, path, value FROM events ORDER BY id"):
        if value is not None:
            msgpack.unpackb(value)


def append(run: Run) -> list[Target]:
    """Time commits of 100 events with NORMAL, and bare apsw inserting the same rows with `executemany`.

    A hundred attributes are set in one `round()`, in one `update()`, and by a `save()` of the whole state.
    """
    ways: dict[str, Callable[[Session, dict[str, Any]], object]] = {
        "round": _in_round,
        "update": lambda session, changes: session.update(lambda state: state.update(changes)),
        "save": lambda session, changes: session.save(changes),
    }
    seconds, floors = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    with Pair(run.path("append"), "normal") as pair:
        for number in range(run.size(400, 100, 5)):
            for name, way in ways.items():
                session = pair.store.session(name)
                changes = {f"attribute-{index}": number * COMMIT + index for index in range(COMMIT)}
                taken, floor = pair.timed(functools.partial(way, session, changes))
                seconds[name].append(taken)
                floors[name].append(floor)
    rates = {name: ratio(floors[name], seconds[name]) for name in ways}
    return [
        Target(
            "append.rate",
            f"events a second of rounds of {COMMIT} events, beside executemany of the same rows",
            rates["round"],
            0.35,
            at_least=True,
            detail={
                **{name: round(rate, 3) for name, rate in rates.items()},
                "round_us": micros(seconds["round"]),
                "floor_us": micros(floors["round"]),
                "events_a_second": round(COMMIT / micros(seconds["round"]) * 1e6),
            },
            note="`update` and `save` are the same ratio, of those ways to write the events.",
        )
    ]


def _in_round(session: Session, changes: dict[str, Any]) -> None:
    with session.round() as state:
        for name, value in changes.items():
            state[name] = value
