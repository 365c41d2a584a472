"""Virtual environments of the peers, whose requirements clash: one each, made once."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PEERS = Path(__file__).resolve().parent / "peers"
STAMP = "made-of"


class EnvironmentFailedError(Exception):
    """An environment could not be made; the message says why."""


def default_folder() -> Path:
    """Give the folder in the user's cache where the environments are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "eventstate-benchmarks"


def peers(folder: Path = PEERS) -> dict[str, Path]:
    """Give the peers that there are, by the names of their modules, with their files of requirements.

    `some_thing` has the requirements `some_thing.txt`, or else `some.txt`, and the environment of that name.
    """
    files = {path.stem: path for path in (folder / "requirements").glob("*.txt")}
    found = {}
    for module in sorted(folder.glob("[a-z]*.py")):
        name = next((stem for stem in _stems(module.stem) if stem in files), None)
        if name is not None:
            found[module.stem] = files[name]
    return found


def _stems(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition("_")[0]


def ensure(requirements: Path, folder: Path, tell: Callable[[str], None]) -> Path:
    """Give the Python of an environment, which is made if it is not there or its requirements changed.

    Args:
        requirements: exact pins, for pip; the environment has the file's name.
        folder: where the environments are kept.
        tell: is told when it takes a while.

    Raises:
        EnvironmentFailedError: pip refused.
    """
    name = requirements.stem
    home = folder / name
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    source = requirements.read_bytes() + platform.python_version().encode()
    digest = hashlib.sha256(source).hexdigest()
    stamp = home / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return python
    tell(f"making the environment of {name} ...")
    shutil.rmtree(home, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    _run(name, sys.executable, "-m", "venv", str(home))
    _run(name, str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements))
    stamp.write_text(digest, encoding="utf-8")  # the last thing: what has no stamp is made again
    return python


def _run(name: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise EnvironmentFailedError(f"the environment of {name} could not be made: {reason}")
