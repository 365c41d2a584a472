"""Many tasks that wait for their commits at one time, on `eventstate.aio`."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from benchmarks.targets.target import Run, Target, ratio, texts
from eventstate import aio
from eventstate.testing import FaultyDisk

if TYPE_CHECKING:
    from pathlib import Path


def tasks(run: Run) -> list[Target]:
    """Count the fsyncs of 64 tasks' live turns with FULL, and time them beside one task's with NORMAL.

    A task's turn is an `update()` of a session of its own. A run is so many turns of each task, from the
    first to the last task's end; runs of one and of 64 tasks, with FULL and NORMAL, follow on each other.
    """
    count, turns = run.size(64, 64, 8), run.size(10, 5, 2)
    contents = texts(random.Random(1), 64)
    fsyncs = asyncio.run(_counted(run.path("tasks"), count, turns, contents))
    seconds = asyncio.run(_runs(run, count, turns, contents))
    rates = {name: round(1 / statistics.median(values)) for name, values in seconds.items()}
    return [
        Target(
            "tasks.fsyncs",
            f"commits an fsync of {count} tasks with FULL",
            count * turns / fsyncs,
            32,
            unit="commits",
            at_least=True,
            detail={"commits": count * turns, "fsyncs": fsyncs},
        ),
        Target(
            "tasks.rate",
            f"commits a second of {count} tasks with FULL, beside one task's with NORMAL",
            ratio(seconds["one normal"], seconds["many full"]),
            0.5,
            at_least=True,
            detail={
                **{f"{name.replace(' ', '_')}_commits_a_second": rate for name, rate in rates.items()},
                "many_normal_ratio": round(ratio(seconds["one normal"], seconds["many normal"]), 2),
            },
            note="With FULL the 64 share fsyncs, which the one with NORMAL need not wait for at all.",
        ),
    ]


async def _runs(run: Run, count: int, turns: int, contents: list[str]) -> dict[str, list[float]]:
    """Give the seconds a commit, by number of tasks and durability."""
    seconds = defaultdict[str, list[float]](list)
    async with (
        aio.StateStore(run.path("tasks-normal"), durability="normal") as normal,
        aio.StateStore(run.path("tasks-full")) as full,
    ):
        for number in range(run.size(15, 7, 2)):
            for durability, store in (("normal", normal), ("full", full)):
                for name, size, each in (("one", 1, turns * 8), ("many", count, turns)):
                    sessions = [store.session(f"{name} {number}", str(task)) for task in range(size)]
                    taken = await _timed(sessions, each, contents)
                    seconds[f"{name} {durability}"].append(taken / (size * each))
    return seconds


async def _timed(sessions: list[aio.Session], turns: int, contents: list[str]) -> float:
    """Have each session's task take its turns, all at one time; give the seconds."""
    start = time.perf_counter()
    await asyncio.gather(*(_take_turns(session, turns, contents) for session in sessions))
    return time.perf_counter() - start


async def _take_turns(session: aio.Session, turns: int, contents: list[str]) -> None:
    """Take turns one after the other, as an agent does."""
    for number in range(turns):
        text = contents[number % len(contents)]

        def change(state: Any, number: int = number, text: str = text) -> None:
            state.setdefault("messages", []).append({"role": "user", "content": text})
            state["turn"] = number
            state["last_role"] = "user"
            state["score"] = number / 7

        await session.update(change)


async def _counted(path: Path, tasks: int, turns: int, contents: list[str]) -> int:
    """Count the fsyncs of so many tasks' turns with FULL, without those of checkpoints."""
    with FaultyDisk() as disk:
        async with aio.StateStore(path, vfs=disk.name) as store:
            store.plain._journal.connection.pragma("wal_autocheckpoint", 0)  # noqa: SLF001 - it is no commit's
            sessions = [store.session("task", str(number)) for number in range(tasks)]
            await asyncio.gather(*(session.save({}) for session in sessions))
            disk.forget()
            await _timed(sessions, turns, contents)
            return disk.fsyncs.total()
