"""Environments, counted fsyncs, and figures."""

import sys
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.environments import EnvironmentFailedError, ensure, peers
from benchmarks.figures import exponent, folder_bytes, growth, rounded, summary
from benchmarks.fsyncs import in_span

STRACE = """\
4711  100.000001 fsync(3)                  = 0
4711  100.500000 fdatasync(4 <unfinished ...>
4712  100.600000 fsync(5)                  = 0
4711  100.700000 <... fdatasync resumed>)  = 0
4711  100.800000 msync(0x7f0000000000, 4096, MS_SYNC) = 0
4711  101.500000 fdatasync(4)              = 0
4711  101.600000 +++ exited with 0 +++
"""


def test_an_environment_is_made_once_and_again_when_its_requirements_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []
    told: list[str] = []

    def run(name: str, *command: str) -> None:
        commands.append(f"{name} {command[2]}")
        (tmp_path / "cache" / name).mkdir(exist_ok=True)

    monkeypatch.setattr(environments, "_run", run)
    requirements = tmp_path / "some.txt"
    requirements.write_text("thing==1\n", encoding="utf-8")
    python = ensure(requirements, tmp_path / "cache", told.append)
    assert python.is_relative_to(tmp_path / "cache" / "some")
    assert commands == ["some venv", "some pip"]
    assert ensure(requirements, tmp_path / "cache", told.append) == python
    assert len(commands) == 2
    requirements.write_text("thing==2\n", encoding="utf-8")
    ensure(requirements, tmp_path / "cache", told.append)
    assert len(commands) == 4
    assert len(told) == 2


def test_an_environment_that_failed_is_not_taken_for_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    requirements = tmp_path / "some.txt"
    requirements.write_text("thing==1\n", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(EnvironmentFailedError, match="some could not be made: exit code 1"):
            ensure(requirements, tmp_path / "cache", lambda _text: None)


def test_peers_of_one_package_share_an_environment(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    for name in ("graph.py", "graph_delta.py", "_shared.py", "__init__.py", "graphic.py"):
        (tmp_path / name).touch()
    (tmp_path / "requirements" / "graph.txt").touch()
    assert peers(tmp_path) == dict.fromkeys(("graph", "graph_delta"), tmp_path / "requirements" / "graph.txt")


def test_calls_that_sync_are_counted_between_two_moments_once_each() -> None:
    assert in_span(STRACE, (100.1, 101.0)) == 3
    assert in_span(STRACE, (99.0, 102.0)) == 5


def test_percentiles_are_measured_values() -> None:
    figures = summary([float(number) for number in range(100, 0, -1)])
    assert figures == {"n": 100, "total": 5050.0, "p50": 50.5, "p90": 90.0, "p99": 99.0, "max": 100.0}
    assert summary([2.0]) == {"n": 1, "total": 2.0, "p50": 2.0, "p90": 2.0, "p99": 2.0, "max": 2.0}


def test_growth_is_told_by_the_medians_of_tenths() -> None:
    seconds = [float(number) for number in range(1, 101)]
    told = growth(seconds)
    assert told["steps"] == told["seconds"] == [5.5 + 10 * part for part in range(10)]


@pytest.mark.parametrize(("power", "expected"), [(0, 0.0), (1, 1.0), (2, 2.0)])
def test_the_exponent_says_how_it_grows(power: int, expected: float) -> None:
    sizes = [1.0, 2.0, 4.0, 8.0]
    assert exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(expected)


def test_two_points_or_nothing_at_all_have_no_exponent() -> None:
    assert exponent([1, 2], [1, 2]) is None
    assert exponent([1, 2, 4], [0, 0, 0]) is None


def test_a_folder_weighs_what_all_its_files_do(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "one").write_bytes(bytes(3))
    (tmp_path / "two").write_bytes(bytes(4))
    assert folder_bytes(tmp_path) == 7


def test_figures_keep_six_digits_and_whole_numbers_all() -> None:
    assert rounded({"a": [0.123456789, 123456789, True, None, "x"]}) == {
        "a": [0.123457, 123456789, True, None, "x"]
    }
