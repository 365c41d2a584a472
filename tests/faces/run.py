"""One run of cases, in whatever environment this is: `python -m tests.faces.run REPORT FILE...`.

pytest is told of nothing but the files: the plug-ins and settings of this project's own tests need what
the environments of the original packages do not have.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


class Counts:
    """Counts how cases ended, and which of them state a difference."""

    def __init__(self) -> None:
        self.passed = 0
        self.differ = 0
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Look at each end of a case."""
        report = yield
        if not report.passed:  # a skipped case has not shown anything either
            self.failed.append(item.nodeid)
        elif call.when == "call":
            self.passed += 1
            self.differ += hasattr(getattr(item, "obj", None), "difference")
        return report


def main(report: str, *files: str) -> int:
    """Run the cases in some files, and leave the counts in another."""
    counts = Counts()
    options = ["-q", "--noconftest", "-c", os.devnull, f"--rootdir={REPOSITORY}"]
    options += ["-p", "no:cacheprovider", "--tb=native"]
    code = pytest.main([*options, *files], plugins=[counts])
    Path(report).write_text(json.dumps({**vars(counts), "code": int(code)}), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
