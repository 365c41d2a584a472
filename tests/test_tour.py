"""The tour: it runs the main job for a newcomer, and notices when that does not work."""

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from eventstate import Session, StateStore
from eventstate.cli import main


def test_the_tour_runs_in_a_pipe_away_from_the_checkout_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parent.parent))
    done = subprocess.run(
        [sys.executable, "-m", "eventstate", "tour"],
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert list(scratch.iterdir()) == []
    assert len(done.stdout.splitlines()) < 100


NOT_SHOWN = {"tour", "import", "prune", "delete", "restore", "purge", "keys", "seal", "repair"}


def test_the_tour_shows_every_verb_of_daily_use_and_each_as_it_can_be_typed(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["tour"])
    shown = [shlex.split(text) for text in re.findall(r"^\$ eventstate (.*)$", done.stdout, re.MULTILINE)]
    assert {words[0] for words in shown} == set(main.commands) - NOT_SHOWN
    kept = tmp_path / "tour.db"
    assert CliRunner().invoke(main, ["tour", "--keep", str(kept)]).exit_code == 0
    for verb, _, *rest in shown:
        if verb not in {"record", "rollback", "fork"}:  # which were done already
            typed = CliRunner().invoke(main, [verb, str(kept), *rest])
            assert typed.exit_code == 0, typed.output


def test_a_kept_tour_is_a_whole_store(tmp_path: Path) -> None:
    kept = tmp_path / "tour.db"
    done = CliRunner().invoke(main, ["tour", "--keep", str(kept)])
    assert done.exit_code == 0, done.output
    assert f"eventstate log {kept}" in done.stdout
    with StateStore(kept, read_only=True) as store:
        session = store.session("ada", "picnic")
        kinds = [turn.kind for turn in session.rounds()]
        assert kinds[-3:] == ["rollback", "undo", "merge"]
        assert session.branches() == ["main", "sunday"]
        assert store.verify().ok


def test_the_tour_does_not_write_into_a_file_that_is_there(tmp_path: Path) -> None:
    kept = tmp_path / "tour.db"
    with StateStore(kept) as store:
        store.session("alice").save({"mine": 1})
    done = CliRunner().invoke(main, ["tour", "--keep", str(kept)])
    assert done.exit_code == 1
    assert "exists" in done.stderr
    with StateStore(kept, read_only=True) as store:
        assert [info.user_id for info in store.sessions()] == ["alice"]


@pytest.mark.parametrize("broken", ["rollback", "undo", "state", "diff", "history", "blame", "merge"])
def test_the_tour_fails_when_a_step_does_not_come_out_as_told(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def idle(session: Session, *_: object, **__: object) -> object:
        if broken in {"rollback", "undo"}:
            return session.latest  # nothing goes back
        if broken == "state":
            return {"messages": []}
        if broken == "diff":
            return diff(session, 1, 2)
        if broken == "history":
            return history(session, "turn")
        if broken == "blame":
            return type(blame(session))()
        return type("Result", (), {"round": None})()

    diff, history, blame = Session.diff, Session.history, Session.blame
    monkeypatch.setattr(Session, broken, idle)
    assert CliRunner().invoke(main, ["tour"]).exit_code != 0


def test_the_tour_cleans_up_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Session, "undo", lambda session: session.latest)
    done = CliRunner().invoke(main, ["tour"])
    assert done.exit_code == 1
    assert "step 6 of the tour went wrong" in done.stderr
    assert list(tmp_path.iterdir()) == []
