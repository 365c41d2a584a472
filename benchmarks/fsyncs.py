"""Counts what a commit syncs, by a short run under strace that nobody times."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from benchmarks import workloads
from benchmarks.contest import Ask, Contest
from benchmarks.runner import Field

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.contest import Tally
    from benchmarks.contestant import Answer
    from benchmarks.runner import Entrant

TURNS = 20
TASKS = 16
SHORT, LONG = 2, 8
"""Turns of each task; what the store does once besides is in both."""
_CALL = re.compile(r"^(?:\d+\s+)?(\d+\.\d+) (fsync|fdatasync|msync|sync_file_range)\(", re.MULTILINE)

Span = tuple[float, float]


class _Timed:
    """A step whose span of time is noted, as the log has times too."""

    share = 1

    def __init__(self, ask: Ask, spans: dict[str, list[Span]]) -> None:
        self._ask, self._spans = ask, spans

    def take(self, contest: Contest, name: str, tally: Tally) -> Answer:
        """Take the step."""
        start = time.time()
        answer = self._ask.take(contest, name, tally)
        if "seconds" in answer:
            self._spans.setdefault(name, []).append((start, time.time()))
        return answer


def in_span(log: str, span: Span) -> int:
    """Count the calls that a log of strace has between two moments."""
    return sum(span[0] <= float(call[1]) <= span[1] for call in _CALL.finditer(log))


def count(
    entrants: Iterable[Entrant], folder: Path, seed: int, timeout: float
) -> dict[str, dict[str, float]]:
    """Count the fsyncs of a turn with FULL, by contestant.

    Args:
        entrants: who takes part.
        folder: an empty one.
        seed: of the turns.
        timeout: seconds that an answer may take.

    Returns:
        For each name that got so far: `turn`, and `task_turn`, of a turn beside other tasks' turns.
    """
    turns = workloads.plain_turns(seed, TURNS + 1)
    sessions = {length: [f"{length} {task}" for task in range(TASKS)] for length in (SHORT, LONG)}
    alone: dict[str, list[Span]] = {}
    beside: dict[int, dict[str, list[Span]]] = {SHORT: {}, LONG: {}}
    with (
        Field(entrants, folder, timeout, trace=folder) as field,
        Contest(field, folder / "stores", "full", timeout) as contest,
    ):
        written = contest.phase([Ask("turns", {"session": "one", "turns": turns[:1]})])
        ask = Ask("turns", {"session": "one", "turns": turns[1:]}, TURNS)
        contest.phase([_Timed(ask, alone)], of=written)
        for length, names in sessions.items():
            arguments: dict[str, Any] = {"sessions": names, "turns": turns[:length]}
            contest.phase([_Timed(Ask("tasks", arguments), beside[length])], of=written)
    found: dict[str, dict[str, float]] = {}
    for name, spans in alone.items():
        log = (folder / f"{name}.strace").read_text(encoding="utf-8", errors="replace")
        found[name] = {"turn": in_span(log, spans[0]) / TURNS}
        if name in beside[SHORT] and name in beside[LONG]:
            more = in_span(log, beside[LONG][name][0]) - in_span(log, beside[SHORT][name][0])
            found[name]["task_turn"] = more / (TASKS * (LONG - SHORT))
    return found
