"""Where ours is not the original's, it is said: what the original does, and why ours does not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.faces.__main__ import RUNS

FILES = sorted(
    path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name
)


@pytest.mark.parametrize("name", FILES)
def test_a_case_says_why_its_answers_depend_on_the_face_and_only_then(name: str) -> None:
    tree = ast.parse(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    cases = [
        each
        for each in tree.body
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) and each.name.startswith("test_")
    ]
    assert cases
    for case in cases:
        names = [node.id for node in ast.walk(case) if isinstance(node, ast.Name)]
        assert ("by_face" in names) == ("differs" in names), case.name


def test_every_file_of_cases_runs_against_ours_and_against_an_original() -> None:
    ours = {name for run in RUNS if run.face == "eventstate" for name in run.files}
    originals = {name for run in RUNS if run.face != "eventstate" for name in run.files}
    assert {name for name in ours if "/" not in name} == originals == set(FILES)
