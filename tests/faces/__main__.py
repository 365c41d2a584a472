"""The contract against the original packages: `python -m tests.faces --envs FOLDER`.

The exit code is 1 if a case fails.
Each package gets a virtual environment of its own, which takes minutes to make; with --envs they are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tests.faces.environments import REPOSITORY, Environment, make

HERE = Path(__file__).resolve().parent
SERVICE = ("test_state_service.py",)
SESSION = ("test_event_session.py",)
LIFE = (
    "test_state_module.py",
    "test_module_loading.py",
    "test_agent_life.py",
    "test_agent_subscribers.py",
    "test_agent_hooks.py",
    "test_agent_hook_owners.py",
    "test_agent_printing.py",
)


class Run(NamedTuple):
    """Cases that run in one environment against one face."""

    title: str
    environment: str
    face: str
    files: tuple[str, ...]


RUNS = (
    Run("StateModule, AgentBase: AgentScope's", "agentscope", "agentscope-json", LIFE),
    Run("JSONSession", "agentscope", "agentscope-json", SESSION),
    Run("RedisSession", "agentscope", "agentscope-redis", SESSION),
    Run("InMemoryStateService", "runtime", "runtime-memory", SERVICE),
    Run("RedisStateService", "runtime", "runtime-redis", SERVICE),
    Run("eventstate's own", "agentscope", "eventstate", (*LIFE, *SESSION, *SERVICE)),
    Run("real memory, toolkit, ReAct agent on eventstate", "agentscope", "eventstate", ("world/modules.py",)),
    Run("eventstate's agents among real ones", "agentscope", "eventstate", ("world/company.py",)),
    Run("real StateServiceFactory makes eventstate's", "runtime", "eventstate", ("world/factory.py",)),
)


def execute(run: Run, environment: Environment, report: Path) -> dict[str, Any]:
    """Run cases in a process of their own; its output is shown only if one fails."""
    foreign = {"PYTHONHOME", "PYTEST_ADDOPTS"}
    variables = {key: value for key, value in os.environ.items() if key not in foreign} | {
        "EVENTSTATE_FACE": run.face,
        "PYTHONPATH": str(REPOSITORY),
    }
    files = [str(HERE / name) for name in run.files]
    done = subprocess.run(
        [environment.python, "-m", "tests.faces.run", report, *files],
        cwd=REPOSITORY,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not report.is_file():
        sys.stdout.write(f"---- {run.title}\n{done.stdout}{done.stderr}")
    if not report.is_file():
        return {"passed": 0, "differ": 0, "failed": ["(no case ran)"], "code": done.returncode or 1}
    counts: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return counts


def compare(envs: Path, reports: Path, only: str | None) -> bool:
    """Make the environments, run everything, print the table; true if all holds."""
    environments: dict[str, Environment] = {}
    lines = [f"{'':<50}{'cases':>7}{'differ':>8}{'failed':>8}"]
    good = True
    for number, run in enumerate(RUNS):
        if only is not None and run.environment != only:
            continue
        if run.environment not in environments:
            environments[run.environment] = make(envs, run.environment)
        environment = environments[run.environment]
        if run.face.endswith("-redis") and not environment.redis:
            lines.append(f"{run.title:<50}   left out: fakeredis does not install here")
            continue
        counts = execute(run, environment, reports / f"{number}.json")
        good = good and counts["code"] == 0 and not counts["failed"]
        cases = counts["passed"] + len(counts["failed"])
        lines.append(f"{run.title:<50}{cases:>7}{counts['differ']:>8}{len(counts['failed']):>8}")
    sys.stdout.write("\n".join(lines) + "\n")
    return good


def main() -> int:
    """Read the command line, and run what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faces", description=__doc__)
    parser.add_argument("--envs", type=Path, metavar="FOLDER", help="keep environments here, and reuse them")
    parser.add_argument("--only", choices=sorted({run.environment for run in RUNS}), help="one package alone")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        envs = asked.envs.absolute() if asked.envs is not None else Path(folder)
        return 0 if compare(envs, Path(folder), asked.only) else 1


if __name__ == "__main__":
    sys.exit(main())
