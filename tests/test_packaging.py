"""What users install: complete, typed, quick to import, and working away from the checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SCHEMA = sorted(path.name for path in (REPOSITORY / "schema").glob("*") if path.is_file())

OPEN_A_STORE = """
import sys
from pathlib import Path

import eventstate
from eventstate import StateStore

root, path = sys.argv[1:]
assert Path(eventstate.__file__).resolve().is_relative_to(Path(root).resolve()), eventstate.__file__
with StateStore(path) as s:
    s.session("u").save({"a": 1})
    assert s.session("u").state() == {"a": 1}
"""

LOAD_THE_COMMAND = """
from importlib.metadata import distribution

(command,) = distribution("eventstate").entry_points.select(group="console_scripts")
assert command.name == "eventstate"
assert callable(command.load())
"""

IMPORT = "from eventstate import StateStore"

USE = """
from eventstate import StateStore

with StateStore(":memory:") as store:
    session = store.session("u")
    session.save({"messages": []})
    with session.round() as state:
        state["messages"].append({"role": "user", "content": "hi"})
    assert session.state() == {"messages": [{"role": "user", "content": "hi"}]}
"""

LOADED = """
import sys

before = set(sys.modules)
exec(sys.argv[1])
print(*sorted(set(sys.modules) - before))
"""

SELDOM_USED = frozenset({
    "asyncio", "click", "cryptography", "decimal", "hypothesis", "importlib.resources", "json", "lzma",
    "numbers", "platform", "pydantic", "rich", "shutil", "sqlite3", "sqlite_utils", "sysconfig", "tempfile",
    "uuid", "zoneinfo", "eventstate.agents", "eventstate.aio", "eventstate.cli", "eventstate.ending",
    "eventstate.history", "eventstate.importers", "eventstate.inventory", "eventstate.journal.bare",
    "eventstate.journal.erase", "eventstate.journal.prune", "eventstate.keys", "eventstate.merge",
    "eventstate.model", "eventstate.removed", "eventstate.repair", "eventstate.services",
    "eventstate.tables", "eventstate.testing", "eventstate.transcripts", "eventstate.values.patch",
    "eventstate.values.redact", "eventstate.verify",
})  # fmt: skip
"""Modules that saving, changing and reading a plain state does without: ours, and those that load slowly."""

LATER_USED = frozenset({
    "ast", "dataclasses", "inspect", "pathlib", "tokenize", "eventstate.rounds", "eventstate.values.live",
})  # fmt: skip
"""Modules that a store does without until something is written."""

MAX_OWN = 45
"""How many of our modules a store may need; each that is added should be one that every store needs."""


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    """Runs a command from a folder that is not the checkout; `path` comes first on its sys.path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution of this checkout, and the wheel built from that."""
    folder = tmp_path_factory.mktemp("distributions")
    arguments = ("-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY))
    run(sys.executable, *arguments, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files as an installer lays them out, and nothing of the checkout beside them."""
    site = tmp_path_factory.mktemp("installed") / "site-packages"
    (wheel,) = distributions.glob("*.whl")
    shutil.unpack_archive(wheel, site, "zip")
    return site


def test_the_wheel_holds_the_package_its_types_and_its_schema_and_nothing_else(installed: Path) -> None:
    tops = {path.name for path in installed.iterdir()}
    assert tops == {"eventstate", "eventstate-0.1.0.dist-info"}
    assert (installed / "eventstate" / "py.typed").is_file()
    assert (installed / "eventstate-0.1.0.dist-info" / "licenses" / "LICENSE").is_file()
    packaged = installed / "eventstate" / "_schema"
    assert "001_initial.sql" in SCHEMA
    assert sorted(path.name for path in packaged.iterdir()) == SCHEMA
    for name in SCHEMA:
        assert (packaged / name).read_bytes() == (REPOSITORY / "schema" / name).read_bytes()


def test_the_source_distribution_holds_the_schema_and_the_tests(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = set(archive.getnames())
    root = "eventstate-0.1.0"
    assert {f"{root}/schema/{name}" for name in SCHEMA} <= names
    assert {f"{root}/README.md", f"{root}/LICENSE", f"{root}/tests/conftest.py", f"{root}/.ci/run"} <= names


def test_a_store_opens_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    run(sys.executable, "-c", OPEN_A_STORE, str(installed), "agent.db", cwd=tmp_path, path=installed)


def test_a_store_opens_from_the_checkout(tmp_path: Path) -> None:
    run(sys.executable, "-c", OPEN_A_STORE, str(REPOSITORY), "agent.db", cwd=tmp_path, path=REPOSITORY)


def test_the_wheel_installs_the_command(installed: Path, tmp_path: Path) -> None:
    run(sys.executable, "-c", LOAD_THE_COMMAND, cwd=tmp_path, path=installed)


def test_the_tour_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    assert "ok: " in run(sys.executable, "-m", "eventstate", "tour", cwd=tmp_path, path=installed)


def loaded(code: str, folder: Path) -> set[str]:
    """The modules that a new Python loads for some code."""
    return set(run(sys.executable, "-c", LOADED, code, cwd=folder, path=REPOSITORY).split())


def test_importing_the_store_loads_only_what_every_store_needs(tmp_path: Path) -> None:
    found = loaded(IMPORT, tmp_path)
    assert "eventstate.store" in found
    assert not found & (SELDOM_USED | LATER_USED)
    assert sum(name.startswith("eventstate") for name in found) <= MAX_OWN


def test_saving_changing_and_reading_loads_nothing_that_is_seldom_used(tmp_path: Path) -> None:
    found = loaded(USE, tmp_path)
    assert {"eventstate.rounds", "eventstate.values.live"} <= found
    assert not found & SELDOM_USED


@pytest.mark.parametrize("name", sorted(name for name in SELDOM_USED | LATER_USED if "." in name))
def test_what_is_not_to_be_loaded_is_there(name: str) -> None:
    assert find_spec(name) is not None


def test_a_package_without_its_migrations_says_so(installed: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", installed)
    code = "import sys; sys.path.insert(0, sys.argv[1]); from eventstate import StateStore, StorageError\n"
    code += "try: StateStore(':memory:')\nexcept StorageError as error: print(error)"
    said = run(sys.executable, "-c", code, archive, cwd=tmp_path)
    assert "eventstate needs its migrations as files there" in said
