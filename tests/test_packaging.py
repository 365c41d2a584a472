"""What users install: complete, typed, quick to import, and working away from the checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
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

IMPORT_ALONE = """
import sys

before = set(sys.modules)
import eventstate

slow = {"click", "cryptography", "hypothesis", "pydantic", "rich", "sqlite_utils"}
print(*sorted(slow & (set(sys.modules) - before)))
"""


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


def test_importing_the_library_loads_no_slow_package(tmp_path: Path) -> None:
    assert run(sys.executable, "-c", IMPORT_ALONE, cwd=tmp_path, path=REPOSITORY) == ""
