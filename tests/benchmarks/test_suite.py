"""Whole runs at tiny sizes: a page, plots, results of the right shape, and who failed."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as program
from benchmarks import environments, report, suite
from benchmarks.contests import CONTESTS
from tests.benchmarks.test_contest import Tiny, entrant
from tests.benchmarks.test_report import STORED

TABLES = [
    "recorded",
    "growing",
    "turns",
    "latest",
    "history",
    "at",
    "fork",
    "cold",
    "attributes",
    "attribute-history",
    "sessions",
    "streaming",
    "streaming-whole",
    "tasks-full",
    "tasks-normal",
    "append",
    "events",
    "events-latest",
]
LENGTHS = {"recorded": 0, "growing": 20, "sessions": 9, "attributes": 30, "append": 4, "events": 100}
TARGET = {"name": "a", "title": "A turn", "value": 1.5, "unit": "x", "limit": 2.0, "met": True}


def run(tmp_path: Path, **options: Any) -> dict[str, Any]:
    told: list[str] = []
    return suite.Run(
        **{
            "quick": True,
            "seed": 1,
            "peers": [],
            "chosen": list(CONTESTS),
            "environments": tmp_path,
            "tell": told.append,
            "sizes": Tiny.sizes,
            "folder": tmp_path,
            "trace": False,
            **options,
        }
    ).results()


def test_a_run_without_peers_ends_in_a_page_and_results(tmp_path: Path) -> None:
    results = run(tmp_path)
    assert suite.faults(results) == []
    assert [table["name"] for table in results["tables"]] == TABLES
    for table in results["tables"]:
        ours = table["rows"]["eventstate"]
        assert ours["p50"] <= ours["p90"] <= ours["p99"] <= ours["max"]
        assert table["fdatasync"]["n"] > 0
        assert ours["n"] == table["count"]
        assert ours["checked"] == (table["name"] not in {"fork", "append", "events", "events-latest"})
        floor = table["rows"]["apsw"]
        assert "unsupported" in floor or floor["n"] == ours["n"]
    tables = {table["name"]: table["rows"]["eventstate"] for table in results["tables"]}
    assert [steps for steps, _ in tables["growing"]["sizes"]] == [5, 10, 20]
    assert {contestant["kind"] for contestant in results["contestants"].values()} == {"ours", "floor"}
    assert json.loads(json.dumps(results)) == results
    assert list(tmp_path.iterdir()) == [], "nothing is left of the run"

    out = tmp_path / "out"
    page = report.write(results, out).read_text(encoding="utf-8")
    assert json.loads((out / "results.json").read_text(encoding="utf-8")) == results
    for table in results["tables"]:
        assert f"### {table['title']}" in page
    for plot in out.glob("*.svg"):
        assert f"]({plot.name})" in page
    assert "No peer took part" in page


def test_a_peer_that_is_wrong_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    entrants = [*suite.own()[:1], entrant("Forgetful"), entrant("Stillborn")]
    results = run(tmp_path, chosen=["growing"], entrants=entrants)
    faults = suite.faults(results)
    assert len(faults) == 2
    assert faults[0].startswith("stillborn: it ended during 'about'")
    assert "growing, forgetful: wrong: it has 19 messages, and should have 20" in faults
    assert results["tables"][0]["rows"]["eventstate"]["n"] == 20


def test_a_peer_whose_environment_fails_is_told_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> Path:
        raise environments.EnvironmentFailedError("no network")

    monkeypatch.setattr(environments, "peers", lambda: {"other": tmp_path / "other.txt"})
    monkeypatch.setattr(environments, "ensure", fail)
    results = run(tmp_path, chosen=["append"], peers=["other"])
    assert results["contestants"]["other"] == {"kind": "peer", "failed": "no network"}
    assert suite.faults(results) == ["other: no network"]
    assert results["tables"][0]["rows"]["eventstate"]["n"] == 4


def test_the_targets_are_measured_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "made_targets.py"
    module.write_text(
        "def measure(quick, folder, tell, only, langgraph):\n"
        "    tell('measuring')\n"
        f"    return [{TARGET!r} | {{'detail': {{'quick': quick, 'empty': not list(folder.iterdir())}}}}]\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(suite, "TARGETS_MODULE", "made_targets")
    results = run(tmp_path, chosen=[suite.TARGETS])
    assert results["targets"] == [TARGET | {"detail": {"quick": True, "empty": True}}]
    monkeypatch.setattr(suite, "TARGETS_MODULE", "no_such_targets")
    assert run(tmp_path, chosen=[suite.TARGETS])["targets"] == []


def test_the_exit_status_tells_that_a_contestant_was_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = json.loads(STORED.read_text(encoding="utf-8"))
    monkeypatch.setattr(suite.Run, "results", lambda _run: results)
    arguments = ["--peers", "none", "--out", str(tmp_path)]
    assert program.main(arguments) == 1
    assert "growing, liar: wrong: it has 99 messages" in capsys.readouterr().err
    for table in results["tables"]:
        del table["rows"]["liar"]
    assert program.main(arguments) == 0
    assert "gone: the environment of gone could not be made" in capsys.readouterr().err


def test_the_command_line_chooses_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--list"]) == 0
    assert "growing" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        program.main(["--workloads", "growing,nonsense"])
    assert "nonsense: not among all, none, recorded" in capsys.readouterr().err
    out = tmp_path / "out"
    assert program.main(["--quick", "--peers", "none", "--workloads", "append", "--out", str(out)]) == 0
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [table["name"] for table in results["tables"]] == ["append"]
    assert results["quick"]
    again = tmp_path / "again"
    assert program.main(["--page", str(out / "results.json"), "--out", str(again)]) == 0
    for file in out.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()
