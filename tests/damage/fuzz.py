"""Hostile journals: `python -m tests.damage.fuzz --examples 20000`; exit code 1 if one harms."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.damage.campaign import in_memory
from tests.damage.hostile import Mutation, mutated, mutations
from tests.damage.images import originals
from tests.damage.pool import Worker


def main() -> int:
    """Try as many examples as asked for, and print each kind of harm with what did it."""
    parser = argparse.ArgumentParser(prog="python -m tests.damage.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    tried = 0
    harm: Counter[str] = Counter()
    whole = originals().closed
    with in_memory() as folder, in_memory() as scratch, Worker(folder, whole) as worker:

        @seed(asked.seed)
        @settings(
            max_examples=asked.examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # all of them are wanted, not the simplest one
            suppress_health_check=list(HealthCheck),
        )
        @given(steps=mutations)
        def attempt(steps: list[Mutation]) -> None:
            nonlocal tried
            tried += 1
            wrong = worker.verdict(mutated(whole, steps, scratch))
            if wrong is not None:
                if wrong not in harm:
                    sys.stdout.write(f"HARM {wrong}\n  by {steps!r}\n")
                    sys.stdout.flush()
                harm[wrong] += 1

        attempt()
    sys.stdout.write(f"{tried} journals, {harm.total()} did harm\n")
    return int(bool(harm))


if __name__ == "__main__":
    sys.exit(main())
