"""Targets have names, shapes and verdicts; their times are for a run to tell."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from benchmarks import targets
from benchmarks.targets import SUBJECTS, measure, names, target
from benchmarks.targets.pair import Pair
from benchmarks.targets.sizes import closed, slope
from benchmarks.targets.target import Run, Target
from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).parent.parent.parent

FIELDS = {"name", "title", "value", "limit", "unit", "at_least", "detail", "note", "met"}


def test_names_are_unique_and_say_their_subject() -> None:
    assert len(set(names())) == len(names())
    assert all(len(name.split(".")) == 2 for name in names())


@pytest.mark.parametrize(("found", "subject"), SUBJECTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_subject_measures_the_targets_that_it_names(
    found: tuple[str, ...], subject: Callable[[Run], list[Target]], tmp_path: Path
) -> None:
    measured = subject(Run(tmp_path, "tiny"))
    assert tuple(each.name for each in measured) == found
    for each in measured:
        data = json.loads(json.dumps(each.data()))
        assert set(data) == FIELDS
        # The one that is stated beside a peer can't be told without that.
        assert (data["value"] is None) == (each.name == "history.langgraph")
        assert data["met"] == each.met
        assert data["title"]
        assert str(each)


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(1.9, False, True), (2, False, True), (2.1, False, False), (1.9, True, False), (2, True, True)],
)
def test_a_target_is_met_by_its_value_and_limit(value: float, *, at_least: bool, met: bool) -> None:
    assert Target("a.b", "", value, 2, at_least=at_least).met is met


def test_a_target_without_a_value_is_neither_met_nor_missed() -> None:
    nothing = Target("a.b", "", None, 2)
    assert nothing.met is None
    assert nothing.data()["met"] is None
    assert "unknown" in str(nothing)


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (None, ["one.a", "one.b", "two.a"]),
        (["one"], ["one.a", "one.b"]),
        (["two.a", "one.b"], ["one.b", "two.a"]),
    ],
)
def test_only_what_is_asked_for_is_measured_and_told(
    only: list[str] | None, found: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs: list[Run] = []

    def subject(*measured: str) -> targets.Subject:
        def measuring(run: Run) -> list[Target]:
            runs.append(run)
            return [Target(name, "", 1, 2) for name in measured]

        return measured, measuring

    monkeypatch.setattr(targets, "SUBJECTS", (subject("one.a", "one.b"), subject("two.a")))
    told: list[str] = []
    measured = measure(quick=True, folder=tmp_path, tell=told.append, only=only)
    assert [each["name"] for each in measured] == found
    assert [line.split()[1] for line in told] == found
    assert runs == [Run(tmp_path, "quick")] * len({name.partition(".")[0] for name in found})
    measure(quick=False, folder=tmp_path, tell=told.append, only=["two"])
    assert runs[-1].effort == "full"


def test_a_name_that_no_target_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no such target: nothing\.at-all"):
        measure(quick=True, folder=tmp_path, tell=print, only=["nothing.at-all"])
    assert not list(tmp_path.iterdir())


def test_the_command_line_writes_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "targets.json"
    arguments = ["--quick", "--only", "save.unchanged", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks.targets", *arguments]
    done = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True)
    [measured] = json.loads(file.read_text(encoding="utf-8"))
    assert measured["name"] == "save.unchanged"
    assert measured["met"] is True
    assert done.stdout.startswith("met    save.unchanged")


def test_the_floor_of_a_pair_gets_the_rows_of_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with StateStore(path) as store:
        store.session("before").save({"n": 0})
    with Pair(path, "normal") as pair:
        session = pair.store.session("u")
        pair.timed(lambda: session.save({"n": 1}))
        pair.turn(session, 2, "hello")
    assert len(_rows(path, "commits")) == 3
    for table in ("sessions", "branches", "events", "commits"):
        assert _rows(tmp_path / "store-raw.db", table) == _rows(path, table)


def _rows(path: Path, table: str) -> list[Any]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return db.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()  # noqa: S608 - our own names
    finally:
        db.close()


def test_the_medians_of_what_was_interleaved_are_of_each_by_itself() -> None:
    order: list[str] = []

    def take(name: str, seconds: float) -> Callable[[int], float]:
        def run(number: int) -> float:
            order.append(name)
            return seconds * number**2

        return run

    seconds = target.interleaved(3, {"one": take("one", 1.0), "other": take("other", 10.0)})
    assert order == ["one", "other"] * 3
    assert seconds == {"one": [0, 1, 4], "other": [0, 10, 40]}
    assert target.ratio(seconds["other"], seconds["one"]) == 10
    assert target.micros(seconds["one"]) == 1e6


@pytest.mark.parametrize("exponent", [1.0, 1.5])
def test_the_exponent_of_a_power_law_is_found(exponent: float) -> None:
    points = [(n, round(3e6 * n**exponent)) for n in (10, 20, 40, 80)]
    assert slope(points) == pytest.approx(exponent, abs=1e-6)


def test_all_files_of_a_closed_store_are_counted(tmp_path: Path) -> None:
    path = Run(tmp_path).path("one")
    path.write_bytes(bytes(10))
    path.with_name("store.db-wal").write_bytes(bytes(5))
    assert closed(path) == 15


@pytest.mark.parametrize("make", [target.texts, target.noise])
def test_texts_are_made_of_a_seed_and_have_their_size(make: Callable[..., list[str]]) -> None:
    made: list[Any] = [make(random.Random(seed), 3, 40) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert [len(text) for text in made[0]] == [40, 40, 40]
