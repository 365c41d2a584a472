"""The quick sweep: every operation of every workload; `python -m tests.sweeps` is the long one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY
from tests.sweeps.referee import Referee
from tests.sweeps.sweep import ALL_FAULTS, Figures, sweep_crashes, sweep_errors
from tests.sweeps.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.promises import Proofs

SEED = 20300101

each_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)


def check(figures: Figures, proved: Proofs) -> None:
    """Count the cases, and fail with what failed."""
    assert not figures.failures, "\n".join(figures.failures)
    if figures.images:
        proved("power cut", figures.images)
    if figures.errors:
        proved("disk error", figures.errors)


@each_workload
def test_a_power_cut_takes_no_acknowledged_commit_and_leaves_no_half_one(
    workload: Workload, tmp_path: Path, proved: Proofs
) -> None:
    figures = sweep_crashes(Referee(workload, tmp_path), SEED)
    check(figures, proved)
    assert figures.lost == 0
    assert figures.images >= figures.operations > 0
    assert {"write", "sync"} <= set(figures.kinds)


@each_workload
def test_with_normal_durability_a_power_cut_takes_at_most_the_newest_commits(
    workload: Workload, tmp_path: Path, proved: Proofs
) -> None:
    check(sweep_crashes(Referee(workload, tmp_path), SEED, durability="normal", sample=1), proved)


def test_with_normal_durability_newest_commits_really_are_lost_on_such_a_disk(tmp_path: Path) -> None:
    saves = next(workload for workload in WORKLOADS if workload.name == "saves")
    assert sweep_crashes(Referee(saves, tmp_path), SEED, durability="normal", images=("nothing",)).lost > 0


@each_workload
def test_the_same_check_fails_on_a_disk_that_lies_about_its_fsyncs(
    workload: Workload, tmp_path: Path, proved: Proofs
) -> None:
    figures = sweep_crashes(Referee(workload, tmp_path), SEED, images=("nothing",), lies=True)
    assert figures.failures
    assert figures.lost > 0
    proved("lying disk", figures.images)


@each_workload
def test_a_failing_operation_leaves_whole_commits_and_a_store_that_is_usable_or_closed(
    workload: Workload, tmp_path: Path, proved: Proofs
) -> None:
    figures = sweep_errors(Referee(workload, tmp_path), SEED)
    check(figures, proved)
    assert figures.errors == 2 * figures.operations > 0
    assert {"create", "read", "write", "sync"} <= set(figures.kinds)


def test_half_done_writes_and_a_full_disk_do_no_more_harm_than_failed_ones(
    tmp_path: Path, proved: Proofs
) -> None:
    checkpoints = next(workload for workload in WORKLOADS if workload.name == "checkpoints")
    figures = sweep_errors(Referee(checkpoints, tmp_path), SEED, faults=ALL_FAULTS[2:])
    check(figures, proved)
    assert figures.errors == 3 * figures.operations
    assert set(figures.kinds) == {"write"}


@pytest.mark.parametrize(
    ("number", "images"), [([], 60), (["--number", "20"], 1)], ids=["all", "one operation"]
)
def test_the_long_sweep_counts_what_it_does_and_says_so(number: list[str], images: int) -> None:
    command = [sys.executable, "-m", "tests.sweeps", "--images", "60", "--seed", "3", "--workload", "saves"]
    done = subprocess.run(
        [*command, *number], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert int(last.split(" images")[0]) >= images
    assert last.endswith("0 failures")
