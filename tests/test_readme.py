"""README.md keeps its word: every Python snippet runs, and every set-up command and verb is there."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETUP_BLOCK = re.compile(r"^<!-- setup: (\w+) -->\n+```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VERB = re.compile(r"^\| `([a-z]+)[^`]*` \|", re.MULTILINE)


def test_every_python_snippet_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A real module, because dataclasses and models look up the one they are defined in.
    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    snippets = list(PYTHON_BLOCK.finditer(TEXT))
    assert snippets
    assert len(snippets) == TEXT.count("```python"), "a snippet is not fenced as the others are"
    for snippet in snippets:
        above = TEXT.count("\n", 0, snippet.start(1))
        # The blank lines make a traceback point at the README's own line.
        code = compile("\n" * above + snippet.group(1), str(README), "exec")
        exec(code, module.__dict__)  # noqa: S102 - running the project's own README is the test


def test_one_command_takes_the_tour_and_one_passes_the_tests() -> None:
    blocks = {match.group(1): match.group(2).strip() for match in SETUP_BLOCK.finditer(TEXT)}
    assert blocks.keys() == {"tour", "tests"}
    assert all(len(block.splitlines()) == 1 for block in blocks.values())
    assert blocks["tour"].endswith("eventstate tour")
    assert "pytest" in blocks["tests"]


def test_the_command_line_knows_every_verb_of_the_readme() -> None:
    verbs = VERB.findall(TEXT)
    assert "record" in verbs
    script = "from eventstate.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    known = set(re.findall(r"^  (\w+)\b", done.stdout, re.MULTILINE))
    assert set(verbs) <= known
