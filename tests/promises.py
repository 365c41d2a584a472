"""What the store promises, and which tests prove it, in how many cases: the page `PROMISES.md`.

A test with the mark `proves(promise)` counts as one case when it passes, one of Hypothesis as many as it
had examples, and one that counts by itself, through the fixture `proved`, as many as it says. With
EVENTSTATE_PROMISES=FILE a run of the tests leaves the counts there, and `python -m tests.promises FILE`
writes the page anew.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("PROMISES.md")

PROMISES: dict[str, str] = {
    "replay": "Folding the events up to a version gives its state, type-strictly, whatever snapshots exist",
    "exact": "What is saved comes back exactly; what could not is refused",
    "power cut": "A power cut at any operation loses no acknowledged commit, and leaves none by halves",
    "disk error": "An error of the disk at any operation leaves the store whole and usable, or closed",
    "lying disk": "A disk whose fsync does nothing is caught by the same checks",
    "one fsync": "A durable commit costs one fsync, one with normal durability none, a read nothing",
    "kill": "A process killed at any moment loses nothing that it acknowledged",
    "flips": "A flipped byte is found and located, or changes nothing; it never changes a state silently",
    "pages": "So is a swapped, zeroed or stale page, and a file that was cut off",
    "rows": "So is a row edited, deleted, reordered or inserted with SQL, and a rewritten snapshot",
    "seal": "A rewritten or cut-off tail is found with a seal",
    "repair": "What a damaged file still proves is brought into a new one, and what was lost is told",
    "erase": "An erased value is in no state and no byte of the file; the chain holds",
    "guess": "What an erasure leaves behind lets no short secret be guessed",
    "prune": "Pruning drops what it says, keeps what forks, merges and tags need, and the chain holds",
    "delete": "A late write does not bring a deleted or purged session back; a purge leaves hashes only",
    "hostile": "A hostile value or file does no harm: no import, no hang, no crash, bounded memory",
    "encryption": "Without its key nothing of a session can be read; no row can be moved, changed or plain",
    "tasks": "Tasks that wait at one time share an fsync; one that fails or is cancelled leaves the others",
    "reply": "After an interrupt, a cancel or a closed loop the next reply starts from a committed state",
    "processes": "Several processes and threads lose no update and no lock",
    "migration": "A file of an older format opens, and reads as it did",
}


class Proofs:
    """Counts cases by promise and test."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}

    def __call__(self, promise: str, cases: int = 1) -> None:
        """Count cases of the test that runs."""
        if promise not in PROMISES:
            raise KeyError(f"{promise!r} is no promise of tests/promises.py")
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0].partition("[")[0]
        self.counts.setdefault(promise, Counter())[test] += cases

    def add(self, counts: dict[str, dict[str, int]]) -> None:
        """Count what another process has counted."""
        for promise, tests in counts.items():
            self.counts.setdefault(promise, Counter()).update(tests)

    def total(self) -> int:
        """Count all cases."""
        return sum(counts.total() for counts in self.counts.values())

    def write(self, file: Path) -> None:
        """Leave the counts in a file."""
        file.write_text(json.dumps(self.counts, indent=1, sort_keys=True) + "\n")

    def lines(self) -> list[str]:
        """Tell the counts."""
        return [f"{sum(counts.values()):>8,}  {promise}" for promise, counts in sorted(self.counts.items())]


def table(counts: dict[str, dict[str, int]]) -> str:
    """Write the table: each promise, the tests that prove it, and the number of cases."""
    lines = ["| promise | proven by | cases |", "|---|---|---|"]
    for promise, sentence in PROMISES.items():
        files = Counter[str]()
        for test, cases in counts.get(promise, {}).items():
            files[test.partition("::")[0]] += cases
        told = ", ".join(f"`{file}`" for file in sorted(files))
        lines.append(f"| **{promise}**: {sentence} | {told} | {sum(files.values()):,} |")
    return "\n".join(lines)


def page(text: str, counts: dict[str, dict[str, int]]) -> str:
    """Give the page with its table anew."""
    start, end = text.index("| promise |"), text.index("\n\n", text.index("| promise |"))
    return text[:start] + table(counts) + text[end:]


def main(file: str) -> None:
    """Write the page anew from the counts in a file."""
    counts: dict[str, Any] = json.loads(Path(file).read_text())
    PAGE.write_text(page(PAGE.read_text(), counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
