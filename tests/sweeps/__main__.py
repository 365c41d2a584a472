"""A long sweep: `python -m tests.sweeps --images 100000 --seed 1`.

A failure is shown with its seed and the operation's number; the same with
`--workload NAME --seed SEED --number NUMBER` runs it again, alone. Every seed also has a
durability and a size of the write-ahead log of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.sweeps.referee import Referee
from tests.sweeps.sweep import ALL_FAULTS, MANY_IMAGES, Figures, sweep_crashes, sweep_errors
from tests.sweeps.workloads import WORKLOADS, Workload

_PAGES = (1000, 8, 1)
_NORMAL = 4  # one seed in so many


def varied(workload: Workload, seed: int) -> Workload:
    """Give a workload with the size of the write-ahead log that belongs to a seed."""
    return workload._replace(pages=min(workload.pages, _PAGES[seed % len(_PAGES)]))


def durability_of(seed: int) -> str:
    """Give the durability that belongs to a seed; with "normal", lost commits are counted, but no failure."""
    return "normal" if seed % _NORMAL == _NORMAL - 1 else "full"


def sweep(workload: Workload, seed: int, number: int | None = None, limit: int | None = None) -> Figures:
    """Cut the power and fail the disk after every operation of a workload, or after one."""
    numbers = None if number is None else {number}
    durability = durability_of(seed)
    with tempfile.TemporaryDirectory() as folder:
        referee = Referee(varied(workload, seed), Path(folder))
        figures = sweep_crashes(
            referee, seed, durability=durability, images=MANY_IMAGES, numbers=numbers, limit=limit
        )
        sample = 1 if number is None else None
        figures.add(sweep_errors(referee, seed, faults=ALL_FAULTS, sample=sample, numbers=numbers))
    return figures


def main() -> int:
    """Sweep as the command line says; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sweeps", description=__doc__)
    parser.add_argument("--images", type=int, default=10_000, help="disks after a power cut to look at")
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each one takes the next")
    parser.add_argument("--workload", choices=[workload.name for workload in WORKLOADS], help="only this one")
    parser.add_argument("--number", type=int, help="only this operation, in one round")
    arguments = parser.parse_args()
    chosen = [workload for workload in WORKLOADS if arguments.workload in {None, workload.name}]
    total, seed, began = Figures(), arguments.seed, time.monotonic()
    while total.images < arguments.images:
        figures = Figures()
        for workload in chosen:
            left = arguments.images - total.images - figures.images
            if left > 0:
                figures.add(sweep(workload, seed, arguments.number, left))
        for failure in figures.failures:
            sys.stdout.write(f"FAILED {failure}\n")
        total.add(figures)
        rate = total.images / (time.monotonic() - began)
        sys.stdout.write(
            f"seed {seed}, {durability_of(seed)} durability: {figures}; in all {total}; {rate:.0f} images/s\n"
        )
        sys.stdout.flush()
        if arguments.number is not None:
            break
        seed += 1
    kinds = ", ".join(f"{count} {kind}" for kind, count in total.kinds.most_common())
    sys.stdout.write(f"points by operation: {kinds}\n{total}\n")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
