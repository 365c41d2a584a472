"""What a commit costs when many tasks wait at one time, beside bare SQLite writing the same rows.

    python -m benchmarks.tasks [--turns 10] [--repeat 7] [--json FILE]

Each task takes turns in a session of its own: it appends a message of 500 characters and changes three small
attributes. Runs of 1, 8 and 64 tasks, the same rows by bare SQLite (one commit a transaction, and grouped as
the store did) and the disk's fdatasync are taken one after the other, over and over, so that the machine's
moods fall on all of them alike. Fsyncs are counted by a run on a disk that logs them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.floors import RawJournal, Rows, Tap, fdatasync_seconds
from benchmarks.turns import words
from eventstate import aio
from eventstate.testing import FaultyDisk

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = (1, 8, 64)
FSYNCS = 20


def merged(commits: list[Rows]) -> Rows:
    """Give the rows of several commits as those of one transaction."""
    tables: Rows = defaultdict(list)
    for commit in commits:
        for table, rows in commit.items():
            tables[table] += rows
    return {name: tables[name] for name in ("sessions", "branches", "events", "commits") if name in tables}


async def take_turns(session: aio.Session, turns: int, texts: list[str]) -> None:
    """Take turns one after the other, as an agent does."""
    for number in range(turns):
        text = texts[number % len(texts)]

        def change(state: Any, number: int = number, text: str = text) -> None:
            state.setdefault("messages", []).append({"role": "user", "content": text})
            state["turn"] = number
            state["last_role"] = "user"
            state["score"] = number / 7

        await session.update(change)


async def timed(store: aio.StateStore, sessions: list[aio.Session], turns: int, texts: list[str]) -> float:
    """Have each session's task take its turns, all at one time; give the seconds."""
    start = time.perf_counter()
    await asyncio.gather(*(take_turns(session, turns, texts) for session in sessions))
    seconds = time.perf_counter() - start
    assert await store.session(sessions[0].user_id, sessions[0].session_id).version > 0
    return seconds


async def counted(folder: Path, durability: str, tasks: int, turns: int, texts: list[str]) -> int:
    """Count the fsyncs of so many tasks' turns."""
    with FaultyDisk() as disk:
        path = folder / f"{durability}-{tasks}-counted.db"
        async with aio.StateStore(path, durability=durability, vfs=disk.name) as store:
            store.plain._journal.connection.pragma("wal_autocheckpoint", 0)  # noqa: SLF001 - it is no commit's
            sessions = [store.session("task", str(number)) for number in range(tasks)]
            await asyncio.gather(*(session.save({}) for session in sessions))
            disk.forget()
            await timed(store, sessions, turns, texts)
            return disk.fsyncs.total()


class Bench:
    """One durability's runs, interleaved."""

    def __init__(self, folder: Path, durability: str, turns: int, texts: list[str]) -> None:
        self.folder, self.durability, self.turns, self.texts = folder, durability, turns, texts
        self.seconds: dict[str, list[float]] = defaultdict(list)
        """Of one commit, by what was run."""

    def raw(self, name: str) -> RawJournal:
        """Open bare SQLite on a new file."""
        return RawJournal(
            self.folder / f"{self.durability}-{name}.db", "FULL" if self.durability == "full" else "NORMAL"
        )

    async def run(self, repeat: int) -> None:
        """Take everything in turn, so many times."""
        async with aio.StateStore(self.folder / f"{self.durability}.db", durability=self.durability) as store:
            feed = Tap(self.folder / f"{self.durability}.db")
            single, grouped = self.raw("single"), self.raw("grouped")
            for number in range(repeat):
                for tasks in TASKS:
                    sessions = [store.session(f"{tasks} tasks", f"{number} {task}") for task in range(tasks)]
                    commits = tasks * self.turns
                    self.note(f"{tasks}", await timed(store, sessions, self.turns, self.texts) / commits)
                    rows = feed.news()
                    assert len(rows) == commits
                    self.note(f"{tasks} bare", sum(map(single.insert, rows)) / commits)
                    groups = [merged(rows[at : at + tasks]) for at in range(0, commits, tasks)]
                    self.note(f"{tasks} grouped", sum(map(grouped.insert, groups)) / commits)
                    self.note("fdatasync", statistics.median(self.fdatasync() for _ in range(FSYNCS)))
            for file in (feed, single, grouped):
                file.close()

    def note(self, name: str, seconds: float) -> None:
        """Keep what one commit took in one run."""
        self.seconds[name].append(seconds)

    def fdatasync(self) -> float:
        """Time the disk."""
        return fdatasync_seconds(self.folder)

    def rates(self) -> dict[str, float]:
        """Give the commits a second, by what was run; medians."""
        return {name: 1 / statistics.median(values) for name, values in self.seconds.items()}


def show(durability: str, tasks: int, rates: dict[str, float], fsyncs: int, commits: int) -> str:
    """Tell one row of figures."""
    shared = f"{commits / fsyncs:5.1f} commits an fsync" if fsyncs else "no fsync           "
    return (
        f"{durability:>6}, {tasks:2} tasks: {shared}, {rates[f'{tasks}']:6.0f} commits/s; the same rows by"
        f" bare apsw {rates[f'{tasks} bare']:6.0f}/s, in the same groups {rates[f'{tasks} grouped']:6.0f}/s;"
        f" fdatasync {rates['fdatasync']:5.0f}/s"
    )


def measure(folder: Path, turns: int, repeat: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure both durabilities, tell the figures, and give them."""
    rng, report = random.Random(1), dict[str, Any]()
    texts = [words(rng, 500) for _ in range(64)]
    for durability in ("full", "normal"):
        bench = Bench(folder, durability, turns, texts)
        asyncio.run(bench.run(repeat))
        rates = bench.rates()
        fsyncs = {tasks: asyncio.run(counted(folder, durability, tasks, turns, texts)) for tasks in TASKS}
        report[durability] = {"rates": rates, "fsyncs": fsyncs, "turns": turns}
        for tasks in TASKS:
            tell(show(durability, tasks, rates, fsyncs[tasks], tasks * turns))
    return report


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = measure(Path(name), options.turns, options.repeat, print)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
