"""Virtual environments that hold the original packages, made when they are first asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    # The bounds are what these releases need of others that have moved on since.
    "agentscope": ("agentscope==1.0.21", "mcp<2", "greenlet", "tqdm"),
    "runtime": ("agentscope-runtime==1.0.5.post1", "mcp<2", "a2a-sdk<1"),
}
_TESTS = ("pytest>=8.2",)
_REDIS = "fakeredis>=2.30"
_STAMP = "eventstate-faces.txt"


class Environment(NamedTuple):
    """A virtual environment that is ready."""

    python: Path
    redis: bool
    """Whether a Redis server can be pretended there."""


def _run(*command: str | Path) -> int:
    return subprocess.run(command, check=False, stdout=sys.stderr).returncode


def make(folder: Path, name: str) -> Environment:
    """Make the environment of a name in a folder, or take the one that is there if it is whole.

    Args:
        folder: where environments are kept; each in a folder of its name.
        name: one of `REQUIREMENTS`.

    Raises:
        RuntimeError: the packages could not be installed; the installer has said why.
    """
    home = folder / name
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*REQUIREMENTS[name], *project["dependencies"], *_TESTS]
    stamp = home / _STAMP
    told = "\n".join([*wanted, _REDIS]) + "\n"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != told:
        if not python.exists():
            venv.create(home, with_pip=True)
        install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        if _run(*install, *wanted):
            raise RuntimeError(f"{home}: {', '.join(REQUIREMENTS[name])} could not be installed")
        _run(*install, _REDIS)  # what needs it is left out without it, and the table says so
        stamp.write_text(told, encoding="utf-8")
    found = "import importlib.util, sys; sys.exit(importlib.util.find_spec('fakeredis') is None)"
    return Environment(python, redis=_run(python, "-c", found) == 0)
