"""The targets' command line; see `benchmarks.targets`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks import environments, targets


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=targets.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", metavar="NAME,...", help=f"some of {', '.join(targets.names())}, or subjects"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes; about a minute for all")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--folder", type=Path, help="on which disk; by default that of temporary files")
    parser.add_argument(
        "--environments", type=Path, help="where the peers' are kept: LangGraph's is made there"
    )
    options = parser.parse_args()
    langgraph = None
    if options.environments is not None:
        langgraph = environments.ensure(environments.peers()["langgraph"], options.environments, print)
    only = None if options.only is None else options.only.split(",")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        measured = targets.measure(options.quick, Path(name), print, only, langgraph)
    if options.json is not None:
        options.json.write_text(json.dumps(measured, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
