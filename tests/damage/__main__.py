"""A long run of faults: `python -m tests.damage --flips 100000 --seed 7`; exit code 1 if one is silent."""

from __future__ import annotations

import argparse
import sys

from tests.damage.campaign import campaign
from tests.damage.faults import KINDS
from tests.damage.images import originals

_STEP = 1000


def main() -> int:
    """Run as many faults of each kind as asked for, and print how they turned out."""
    parser = argparse.ArgumentParser(prog="python -m tests.damage", description=__doc__)
    for kind in KINDS:
        parser.add_argument(f"--{kind}s", type=int, default=0, metavar="N", dest=kind)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--first", type=int, default=0, help="the number of the first fault, to replay one")
    asked = parser.parse_args()
    whole = originals()
    failed = False
    for kind in KINDS:
        end = asked.first + getattr(asked, kind)
        total: dict[str, int] = {}
        for start in range(asked.first, end, _STEP):
            result = campaign(kind, whole, asked.seed, range(start, min(start + _STEP, end)))
            for outcome, count in result.outcomes.items():
                total[outcome] = total.get(outcome, 0) + count
            for wrong in result.wrong:
                sys.stdout.write(f"WRONG {wrong}\n")
                total["wrong"] = total.get("wrong", 0) + 1
            sys.stdout.flush()
        if total:
            counts = ", ".join(f"{total[outcome]} {outcome}" for outcome in sorted(total))
            sys.stdout.write(f"{kind}: {counts}\n")
        failed = failed or "wrong" in total
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
