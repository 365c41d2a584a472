"""The peers run where this project is not installed, and their environments can be made again."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from benchmarks import peers

FOLDER = Path(peers.__file__).parent
MODULES = sorted(FOLDER.glob("[a-z]*.py"))
REQUIREMENTS = sorted((FOLDER / "requirements").glob("*.txt"))


def imported(path: Path) -> set[str]:
    """Give the top-level packages that a module imports, `benchmarks` with what it imports from there."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name if name.startswith("benchmarks.") else name.partition(".")[0] for name in found}


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_are_exact_pins(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w-]+(\[\w+\])?==[\w.]+", line)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_peer_needs_neither_this_project_nor_its_dependencies(path: Path) -> None:
    names = imported(path)
    assert not names & {"apsw", "eventstate", "msgpack"}
    ours = {name for name in names if name.startswith("benchmarks")}
    assert "benchmarks.contestant" in ours
    assert ours <= {"benchmarks.contestant", *(f"benchmarks.peers.{other.stem}" for other in MODULES)}
