"""Power cuts and errors at every operation: which points there are, and that they come again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import EventStateError, StateStore, StorageError
from eventstate.testing import CrashPoint, Trial, crash_points, error_points
from eventstate.testing.crashes import FAULTS, IMAGES

if TYPE_CHECKING:
    from pathlib import Path

TURNS = 3


def workload(trial: Trial) -> None:
    session = trial.open().session("alice")
    for turn in range(TURNS):
        session.save({"turn": turn, "text": "x" * 2000})
        trial.acknowledge(turn)


def turns(path: Path) -> list[int]:
    with StateStore(path) as store:
        assert store.verify().ok
        session = store.session("alice")
        return [state["turn"] for _, state in session.replay()] if session.exists else []


def files(point: CrashPoint) -> dict[str, bytes]:
    folder = point.path.parent
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    path = tmp_path / "start.db"
    with StateStore(path) as store:
        store.session("alice").save({"turn": -1})
    return path


# Power cuts.


def test_there_is_a_point_after_every_operation_that_changes_the_disk() -> None:
    trials: list[Trial] = []

    def watched(trial: Trial) -> None:
        trials.append(trial)
        workload(trial)

    kept, seen, most = Counter[str](), dict[int, str](), 0
    for point in crash_points(watched, seed=1, images=("everything",)):
        kept[point.kept] += 1
        seen[point.number] = str(point)
        assert set(point.acknowledged) <= set(turns(point.path)), str(point)
        most = max(most, len(point.acknowledged))
    [trial] = trials
    assert trial.path.exists() is False
    assert most == TURNS
    writes = {number for number, operation in enumerate(trial.disk.log, 1) if operation.kind == "write"}
    assert writes <= set(seen)
    assert 0 in seen
    last = max(writes)
    cut = f"power cut after {trial.disk.log[last - 1]}"
    assert seen[last] == f"seed 1, operation {last}: {cut}; kept: everything"


def test_a_store_loses_nothing_acknowledged_and_the_images_differ() -> None:
    kept, found = Counter[str](), Counter[int]()
    for point in crash_points(workload, seed=2):
        kept[point.kept] += 1
        present = turns(point.path)
        assert present == list(range(len(present)))
        assert len(present) >= len(point.acknowledged), str(point)
        found[len(present)] += 1
    assert set(kept) == set(IMAGES)
    assert set(found) == {0, 1, 2, 3}


def test_a_disk_that_lies_is_caught() -> None:
    lost = 0
    for point in crash_points(workload, seed=2, images=("nothing",), lies=True):
        assert turns(point.path) == []
        lost += len(point.acknowledged)
    assert lost > 0


def test_commits_that_are_not_waited_for_may_be_lost_but_not_with_full_durability() -> None:
    def hasty(trial: Trial) -> None:
        session = trial.open(durability="normal").session("alice")
        for turn in range(TURNS):
            session.save({"turn": turn})
            trial.acknowledge(turn)

    points = crash_points(hasty, images=("nothing",))
    assert sum(len(point.acknowledged) - len(turns(point.path)) for point in points) > 0


def test_one_seed_and_a_number_give_a_point_again(start: Path) -> None:
    def shape(point: CrashPoint) -> tuple[Any, ...]:
        return point.number, point.kept, point.acknowledged, sorted(map(len, files(point).values()))

    every = [shape(point) for point in crash_points(workload, seed=4, start=start)]
    assert every == [shape(point) for point in crash_points(workload, seed=4, start=start)]
    assert every != [shape(point) for point in crash_points(workload, seed=5, start=start)]
    number = every[len(every) // 2][0]
    again = [shape(point) for point in crash_points(workload, seed=4, start=start, numbers={number})]
    assert [point for point in every if point[0] == number] == [point for point in again if point in every]
    assert {point[0] for point in again} == {number}


def test_what_is_acknowledged_counts_from_that_moment_on(start: Path) -> None:
    trials: list[Trial] = []

    def reading(trial: Trial) -> None:
        trials.append(trial)
        session = trial.open().session("alice")
        for turn in range(TURNS):
            session.save({"turn": turn})
            trial.open(read_only=True).close()
            assert trial.disk.log[-1].kind == "read"
            trial.acknowledge(turn)

    first: dict[int, int] = {}
    for point in crash_points(reading, start=start, images=("everything",)):
        for turn in point.acknowledged:
            first.setdefault(turn, point.number)
    [trial] = trials
    assert first == {turn: moment for moment, turn in trial.acknowledged}


def test_a_sample_takes_so_many_images_at_each_operation() -> None:
    counts = Counter(point.number for point in crash_points(workload, sample=2))
    assert max(counts.values()) == 2
    assert len(counts) > 50


def test_what_the_workload_finds_is_safe(start: Path) -> None:
    for point in crash_points(workload, start=start, images=("nothing", "garbled")):
        assert turns(point.path)[0] == -1


def test_no_image_is_given_twice_with_the_same_acknowledged() -> None:
    seen = [
        (repr(files(point)), point.acknowledged) for point in crash_points(workload, images=("some",) * 4)
    ]
    assert len(seen) == len(set(seen)) > 100


def test_folders_are_removed_when_the_next_point_comes_and_in_the_end() -> None:
    points = crash_points(workload, images=("everything",))
    first, second = next(points), next(points)
    assert not first.path.parent.exists()
    assert second.path.parent.is_dir()
    points.close()  # type: ignore[attr-defined]
    assert not second.path.parent.parent.exists()


# Errors.


def test_every_operation_fails_once_and_for_good() -> None:
    trials: list[Trial] = []
    failed: dict[str, set[int]] = {"once": set(), "lasting": set()}

    def watched(trial: Trial) -> None:
        trials.append(trial)
        workload(trial)

    seen = Counter[str]()
    numbers = set()
    for point in error_points(watched, seed=1):
        failed[point.fault].add(sum(not operation.done for operation in trials[-1].disk.log))
        seen[point.fault] += 1
        numbers.add(point.number)
        assert (point.error is None) == (len(point.acknowledged) == TURNS), str(point)
        if point.store is not None and not point.store.closed:
            present = [state["turn"] for _, state in point.store.session("alice").replay()]
            assert present[: len(point.acknowledged)] == list(point.acknowledged)
            point.store.session("bob").save({})
            point.store.close()
        assert turns(point.path)[: len(point.acknowledged)] == list(point.acknowledged)
    assert seen["once"] == seen["lasting"] == max(numbers) == len(numbers) > 100
    assert set(seen) == set(FAULTS)
    assert failed["once"] == {1}
    assert max(failed["lasting"]) > 2


def test_short_torn_and_full_are_for_writes() -> None:
    trials: list[Trial] = []
    arrived: dict[str, set[float]] = {"short": set(), "torn": set(), "full": set()}

    def watched(trial: Trial) -> None:
        trials.append(trial)
        workload(trial)

    faults = Counter[str]()
    for point in error_points(watched, faults=("short", "torn", "full")):
        assert point.operation.kind == "write"
        failed = next(operation for operation in trials[-1].disk.log if not operation.done)
        arrived[point.fault].add(len(failed.data) / failed.size)
        faults[point.fault] += 1
        if point.fault == "full" and point.error is not None:
            assert "disk is full" in str(point.error)
        assert len(turns(point.path)) >= len(point.acknowledged)
    assert (arrived["short"], arrived["full"]) == ({1 / 2}, {0})
    assert len(arrived["torn"]) > 4
    assert faults["short"] == faults["torn"] == faults["full"] > 50


def test_only_the_kinds_and_numbers_that_are_asked_for_fail() -> None:
    points = [(point.number, point.fault) for point in error_points(workload, kinds={"sync"}, numbers={1, 3})]
    assert points == [(1, "once"), (1, "lasting"), (3, "once"), (3, "lasting")]
    assert {point.operation.kind for point in error_points(workload, kinds={"sync"})} == {"sync"}


def test_a_workload_may_go_on_by_itself_and_what_it_raises_else_tells_the_point(start: Path) -> None:
    def stubborn(trial: Trial) -> None:
        session = trial.open().session("alice")
        try:
            session.save({"turn": 0})
        except StorageError:
            trial.disk.heal()
            session.save({"turn": 0})
        trial.acknowledge(0)

    tried = 0
    for point in error_points(stubborn, kinds={"sync"}, faults=("lasting",), start=start):
        assert point.error is None
        assert turns(point.path)[-1] == 0
        tried += 1
    assert tried > 2

    def wrong(trial: Trial) -> None:
        try:
            workload(trial)
        except EventStateError as error:
            raise LookupError from error

    with pytest.raises(LookupError) as caught:
        list(error_points(wrong, seed=7))
    assert caught.value.__notes__ == ["seed 7, operation 1: create store.db; fault: once"]
