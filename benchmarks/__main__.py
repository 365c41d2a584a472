"""What the store costs beside its peers and its floors, in one interleaved run on one machine.

    python -m benchmarks [--quick] [--peers none]

Each contestant is a process of its own; the peers have virtual environments of their own, made at the
first run from pinned requirements. All do the same steps through their public faces, a few at a time in
turn, so that the machine's moods fall on all of them alike. What each answers is checked. `results.json`
and a page with tables and plots are written at the end. The exit status is 1 if a contestant was wrong.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import environments, report, suite, workloads
from benchmarks.contests import CONTESTS

if TYPE_CHECKING:
    from collections.abc import Sequence

OUT = Path(__file__).resolve().parent / "results"


def _chosen(parser: argparse.ArgumentParser, option: str, text: str, known: Sequence[str]) -> list[str]:
    if text in {"all", "none"}:
        return list(known) if text == "all" else []
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"{option}: {', '.join(unknown)}: not among all, none, {', '.join(known)}")
    return [name for name in known if name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: under three minutes")
    parser.add_argument("--peers", default="all", metavar="NAMES", help="all, none, or names with commas")
    parser.add_argument("--workloads", default="all", metavar="NAMES", help="likewise; see --list")
    parser.add_argument("--list", action="store_true", help="list the peers and the workloads")
    parser.add_argument("--out", type=Path, default=OUT, help="where the page goes")
    parser.add_argument("--environments", type=Path, help="where the peers' environments are kept")
    parser.add_argument("--folder", type=Path, help="where the stores go while they are measured")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="timed, of a peer in each phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--page", type=Path, metavar="JSON", help="run nothing: make the page of these results"
    )
    options = parser.parse_args(arguments)
    peers, names = list(environments.peers()), [*CONTESTS, suite.TARGETS]
    if options.list:
        print(f"peers: {', '.join(peers) or 'none'}\nworkloads: {', '.join(names)}")
        return 0
    if options.page is not None:
        report.write(json.loads(options.page.read_text(encoding="utf-8")), options.out)
        return 0
    sizes = workloads.QUICK if options.quick else workloads.FULL
    if options.budget is not None:
        sizes = dataclasses.replace(sizes, budget=options.budget)
    run = suite.Run(
        quick=options.quick,
        seed=options.seed,
        peers=_chosen(parser, "--peers", options.peers, peers),
        chosen=_chosen(parser, "--workloads", options.workloads, names),
        environments=options.environments or environments.default_folder(),
        tell=lambda text: print(text, file=sys.stderr, flush=True),
        sizes=sizes,
        folder=options.folder,
    )
    results = run.results()
    page = report.write(results, options.out)
    faults = suite.faults(results)
    for line in faults:
        print(line, file=sys.stderr)
    print(f"{page}: {results['seconds']:.0f} seconds")
    return int(any(": wrong: " in line for line in faults))


if __name__ == "__main__":
    sys.exit(main())
