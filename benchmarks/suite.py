"""A whole run: who takes part, all contests, the targets; and its results as data."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import environments, fsyncs, workloads
from benchmarks.contests import CONTESTS, Setting, Table
from benchmarks.figures import rounded, summary
from benchmarks.floors import fdatasync_seconds
from benchmarks.machine import machine, strace
from benchmarks.runner import Entrant, Field

FORMAT = 1
TARGETS = "targets"
"""The name that the targets have among the workloads."""
TARGETS_MODULE = "benchmarks.targets"
OURS = "eventstate"
FSYNCS = 100

Tell = Callable[[str], None]


def own() -> list[Entrant]:
    """Give this project's own contestants."""
    python = sys.executable
    raw = (python, "-m", "benchmarks.contestants.raw")
    return [
        Entrant(OURS, "ours", (python, "-m", "benchmarks.contestants.eventstate")),
        Entrant("apsw", "floor", (*raw, "apsw")),
        Entrant("msgpack", "floor", (*raw, "msgpack")),
    ]


@dataclass
class Run:
    """What is to be run.

    Attributes:
        quick: whether the sizes are the small ones; the targets are told so.
        seed: of everything that is random.
        peers: the names of the peers' modules.
        chosen: the names of the workloads, `TARGETS` among them.
        environments: where the peers' environments are kept.
        tell: is told how far it is.
        sizes: how much is done.
        entrants: who takes part beside the peers.
        folder: where the stores go while they are needed; `None` for the system's place.
        trace: whether fsyncs are counted.
    """

    quick: bool
    seed: int
    peers: list[str]
    chosen: list[str]
    environments: Path
    tell: Tell
    sizes: workloads.Sizes = workloads.FULL
    entrants: list[Entrant] = field(default_factory=own)
    folder: Path | None = None
    trace: bool = field(default_factory=strace)

    def results(self) -> dict[str, Any]:
        """Run everything, and give what came of it."""
        with tempfile.TemporaryDirectory(prefix="eventstate-benchmarks-", dir=self.folder) as name:
            return self._results(Path(name))

    def _results(self, folder: Path) -> dict[str, Any]:
        failed, entrants = self._entrants()
        start = time.monotonic()
        timeout = self.sizes.budget * 2 + 30
        disk = [fdatasync_seconds(folder) for _ in range(FSYNCS)]
        tables: list[Table] = []
        with Field(entrants, folder, timeout) as contestants:
            setting = Setting(contestants, folder, self.sizes, self.seed)
            for name in self.chosen:
                if name != TARGETS:
                    self.tell(f"{time.monotonic() - start:5.0f} s  {name} ...")
                    tables += CONTESTS[name](setting)
            about = contestants.about
        counted: dict[str, dict[str, float]] = {}
        if self.trace and tables:
            self.tell(f"{time.monotonic() - start:5.0f} s  counting fsyncs ...")
            traces = folder / "traces"
            traces.mkdir()
            counted = fsyncs.count(entrants, traces, self.seed, timeout)
        targets: list[dict[str, Any]] = []
        if TARGETS in self.chosen:
            self.tell(f"{time.monotonic() - start:5.0f} s  targets ...")
            place = folder / "targets"
            place.mkdir()
            targets = measured(self.quick, place, self.tell, _python(entrants, "langgraph"))
        disk += [fdatasync_seconds(folder) for _ in range(FSYNCS)]
        kinds = {entrant.name: entrant.kind for entrant in entrants} | dict.fromkeys(failed, "peer")
        results = {
            "format": FORMAT,
            "quick": self.quick,
            "seed": self.seed,
            "budget": self.sizes.budget,
            "machine": machine(folder),
            "fdatasync": summary(disk),
            "contestants": {
                name: {"kind": kind, **about.get(name, {}), **failed.get(name, {})}
                for name, kind in kinds.items()
            },
            "fsyncs": counted if self.trace else None,
            "tables": tables,
            "targets": targets,
            "seconds": time.monotonic() - start,
        }
        rounded_results: dict[str, Any] = rounded(results)
        return rounded_results

    def _entrants(self) -> tuple[dict[str, dict[str, str]], list[Entrant]]:
        """Give the peers whose environments could not be made, with the reasons, and who takes part."""
        failed: dict[str, dict[str, str]] = {}
        entrants = list(self.entrants)
        there = environments.peers()
        for name in self.peers:
            try:
                python = environments.ensure(there[name], self.environments, self.tell)
            except environments.EnvironmentFailedError as error:
                self.tell(str(error))
                failed[name] = {"failed": str(error)}
            else:
                entrants.append(Entrant(name, "peer", (str(python), "-m", f"benchmarks.peers.{name}")))
        return failed, entrants


def _python(entrants: list[Entrant], name: str) -> Path | None:
    """Give the Python of a peer that takes part."""
    return next((Path(entrant.command[0]) for entrant in entrants if entrant.name == name), None)


def measured(
    quick: bool,  # noqa: FBT001 - the targets' face
    folder: Path,
    tell: Tell,
    langgraph: Path | None = None,
) -> list[dict[str, Any]]:
    """Give the targets with what was measured, if they are here."""
    if importlib.util.find_spec(TARGETS_MODULE) is None:
        return []
    module = importlib.import_module(TARGETS_MODULE)
    targets: list[dict[str, Any]] = module.measure(quick, folder, tell, None, langgraph)
    return targets


def faults(results: dict[str, Any]) -> list[str]:
    """Tell who gave wrong answers or failed, a line each; who never started, once."""
    never = {name: about["failed"] for name, about in results["contestants"].items() if "failed" in about}
    lines = [f"{name}: {why}" for name, why in never.items()]
    for table in results["tables"]:
        for name, row in table["rows"].items():
            lines += [
                f"{table['name']}, {name}: {ending}: {row[ending]}"
                for ending in ("wrong", "failed")
                if ending in row and name not in never
            ]
    return lines
