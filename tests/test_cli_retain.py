"""The verbs that take something out of a store, and those that prove what is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from eventstate import SessionDeletedError, StateStore
from eventstate.cli import main

if TYPE_CHECKING:
    from pathlib import Path

TRIP = ("--user", "alice")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agent.db"
    with StateStore(path) as store:
        session = store.session("alice")
        for number in range(1, 9):
            with session.round() as state:
                state["card"] = f"secret {number}"
                state.setdefault("n", {})[1] = number
        session.fork("other", at=2)
        session.tag("third", at=3)
        store.session("bob").save({"kept": True})
    return path


def run(*arguments: str | Path, status: int = 0, typed: str | None = None) -> Result:
    done = CliRunner().invoke(main, list(map(str, arguments)), input=typed)
    assert done.exit_code == status, done.output
    return done


def data(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments).stdout)


def test_erase_takes_a_value_out_of_the_file(file: Path) -> None:
    told = data("erase", file, "card", *TRIP, "--reason", "asked for", "--yes")
    assert told["events"] == 8
    assert told["branches"] == ["main", "other"]
    assert b"secret" not in file.read_bytes()
    with StateStore(file) as store:
        assert [dict(state) for _, state in store.session("alice").replay()][-1] == {"n": {1: 8}}
        assert [commit.reason for commit in store.commits() if commit.kind == "erase"] == ["asked for"] * 2
        assert store.verify().ok


def test_erase_finds_keys_that_are_no_strings(file: Path) -> None:
    assert data("erase", file, "/n/1", *TRIP, "--yes")["events"] > 0
    with StateStore(file) as store:
        assert store.session("alice").state() == {"card": "secret 8", "n": {}}


def test_erase_takes_versions_with_both_ends(file: Path) -> None:
    assert data("erase", file, "--versions", "1-2", *TRIP, "--yes")["events"] == 2
    with StateStore(file) as store:
        assert store.session("alice").state(at=1) == {}


def test_a_dry_run_changes_nothing_and_asks_nothing(file: Path) -> None:
    before = file.read_bytes()
    assert data("erase", file, "card", *TRIP, "--dry-run")["dry_run"]
    assert data("prune", file, "--keep", "2", *TRIP, "--dry-run")["rounds"] == 4
    assert data("purge", file, *TRIP, "--dry-run")["branches"] == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "verb", [("erase", "card"), ("prune", "--keep", "1"), ("delete",), ("purge",)], ids=lambda verb: verb[0]
)
def test_what_cannot_be_brought_back_is_asked_for_first(file: Path, verb: tuple[str, ...]) -> None:
    before = file.read_bytes()
    name, *rest = verb
    run(name, file, *rest, *TRIP, status=1, typed="n\n")
    assert file.read_bytes() == before
    run(name, file, *rest, *TRIP, typed="y\n")
    assert file.read_bytes() != before


def test_prune_keeps_the_newest_rounds_and_what_is_tagged(file: Path) -> None:
    told = data("prune", file, "--keep", "2", *TRIP, "--yes")
    assert (told["rounds"], told["round"], told["kept"]) == (4, 7, [2, 3])
    assert [row["round"] for row in data("log", file, *TRIP)] == [8, 7, 3, 2]


@pytest.mark.parametrize("age", ["12", "d", "1y", "-1d"])
def test_an_age_that_is_none_is_refused(file: Path, age: str) -> None:
    assert "--older-than" in run("prune", file, f"--older-than={age}", *TRIP, status=2).output


def test_older_than_drops_what_is_old(file: Path) -> None:
    assert data("prune", file, "--older-than", "1d", *TRIP, "--yes")["rounds"] == 0
    assert data("prune", file, "--older-than", "0s", *TRIP, "--yes")["rounds"] > 0


@pytest.mark.parametrize(
    "wrong",
    [
        ("erase",),
        ("erase", "card", "--versions", "1"),
        ("erase", "--versions", "x"),
        ("prune",),
        ("prune", "--keep", "0"),
    ],
)
def test_a_verb_without_what_it_needs_is_a_usage_error(file: Path, wrong: tuple[str, ...]) -> None:
    before = file.read_bytes()
    verb, *rest = wrong
    assert f" {verb} [OPTIONS]" in run(verb, file, *rest, *TRIP, status=2).output
    assert file.read_bytes() == before


def test_what_is_not_there_is_an_error(file: Path) -> None:
    assert "/nothing never was there" in run("erase", file, "nothing", *TRIP, "--yes", status=1).output
    run("erase", file, "--versions", "90-91", *TRIP, "--yes", status=1)


def test_a_deleted_session_can_be_restored_and_purged(file: Path) -> None:
    run("delete", file, *TRIP, "--yes", "--reason", "asked for")
    with StateStore(file) as store, pytest.raises(SessionDeletedError):
        store.session("alice").save({})
    run("restore", file, *TRIP)
    assert data("show", file, "card", *TRIP) == "secret 8"
    run("delete", file, *TRIP, "--yes")
    run("purge", file, *TRIP, "--yes")
    assert [row["user_id"] for row in data("sessions", file)] == ["bob"]
    assert b"alice" not in file.read_bytes()
    run("verify", file)


def test_a_seal_proves_that_nothing_was_cut_off(file: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with StateStore(file) as store:
        store.backup(old)
        store.session("alice").save({})
    seal = run("seal", file).stdout
    assert run("verify", file, "--seal", seal, "--json").exit_code == 0
    told = run("verify", old, "--seal", seal, "--json", status=1).stdout
    assert "the newest commits are missing" in told
    assert "--seal" in run("verify", file, "--seal", "12", status=2).output
