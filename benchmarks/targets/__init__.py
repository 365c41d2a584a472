"""The targets: ratios of medians in one interleaved run, each with the limit that it shall keep to.

    python -m benchmarks.targets [--only NAME,...] [--quick] [--json FILE] [--folder DIR] [--environments DIR]

A subject measures one or more targets, named `subject.what`. What is timed, and beside what, its docstring
says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.targets.attribute import history
from benchmarks.targets.branching import branching, replay
from benchmarks.targets.folding import append, fold
from benchmarks.targets.live import live
from benchmarks.targets.loading import loading, memory
from benchmarks.targets.reading import reading
from benchmarks.targets.saving import save
from benchmarks.targets.scale import events, sessions
from benchmarks.targets.sizes import size
from benchmarks.targets.target import Run, Target
from benchmarks.targets.waiting import tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

Subject = tuple[tuple[str, ...], "Callable[[Run], list[Target]]"]

SUBJECTS: tuple[Subject, ...] = (
    (("live.floor", "live.growth", "live.fsyncs", "live.full"), live),
    (("save.time", "save.unchanged"), save),
    (("size.turns", "size.growth", "size.streaming"), size),
    (("cold.turns", "cold.changes", "old.turns", "old.changes"), reading),
    (("history.langgraph", "history.flat"), history),
    (("fold.rate",), fold),
    (("append.rate",), append),
    (("flat.fork", "flat.tag", "flat.rollback"), branching),
    (("replay.time",), replay),
    (("tasks.fsyncs", "tasks.rate"), tasks),
    (("events.append", "events.latest"), events),
    (("sessions.append", "sessions.latest"), sessions),
    (("import.time", "import.heavy"), loading),
    (("memory.held",), memory),
)
"""What is measured together: the targets' names, and what measures them."""


def names() -> list[str]:
    """List the targets."""
    return [name for found, _ in SUBJECTS for name in found]


def wanted(name: str, only: Collection[str] | None) -> bool:
    """Say whether a target is among those asked for, by its name or its subject's."""
    return only is None or name in only or name.partition(".")[0] in only


def measure(
    quick: bool,  # noqa: FBT001 - it is the first thing that is asked
    folder: Path,
    tell: Callable[[str], object],
    only: Collection[str] | None = None,
    langgraph: Path | None = None,
) -> list[dict[str, Any]]:
    """Measure targets, tell each in a line, and give them as data for JSON.

    Args:
        quick: measure at small sizes.
        folder: an empty one, for files.
        tell: gets the lines.
        only: names of targets or of subjects; all if `None`.
        langgraph: the Python of LangGraph's environment.

    Returns:
        For each target what `Target` has, and `met`.

    Raises:
        ValueError: one of `only` is no target and no subject.
    """
    known = {*names(), *(name.partition(".")[0] for name in names())}
    unknown = sorted(set(only or ()) - known)
    if unknown:
        raise ValueError(f"no such target: {', '.join(unknown)}; there are {', '.join(names())}")
    run, measured = Run(folder, "quick" if quick else "full", langgraph), list[dict[str, Any]]()
    for found, subject in SUBJECTS:
        if any(wanted(name, only) for name in found):
            for target in subject(run):
                if wanted(target.name, only):
                    tell(str(target))
                    measured.append(target.data())
    return measured
