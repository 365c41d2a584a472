"""Keys at the command line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click
from click.testing import CliRunner

from eventstate.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def run(*words: str | Path, status: int = 0) -> str:
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == status, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output


def test_a_session_is_recorded_encrypted_and_read_with_its_key_file(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, chat = tmp_path / "agent.keys", tmp_path / "chat.jsonl"
    chat.write_text('{"role": "user", "content": "secret"}\n')
    name = ("--user", "alice", "--session", "trip")
    made = json.loads(run("keys", "create", keys, *name))
    assert made == {"key": json.loads(keys.read_text())["sessions"][0]["keys"][0]["id"]}
    run("record", path, chat, *name, "--keys", keys)
    assert b"secret" not in path.read_bytes()
    assert [row["encrypted"] for row in json.loads(run("sessions", path))] == [True]
    assert "encrypted; open the store with keys=" in run("show", path, status=1)
    assert "1 branches not folded" in run("verify", path, "--table")
    assert json.loads(run("show", path, "/messages/0/content", "--keys", keys)) == "secret"
    monkeypatch.setenv("EVENTSTATE_KEYS", str(keys))
    assert json.loads(run("show", path, "/messages/0/content")) == "secret"
    assert "not folded" not in run("verify", path, "--table")
    run("keys", "rotate", keys, *name)
    run("rollback", path, "1")
    assert len(json.loads(keys.read_text())["sessions"][0]["keys"]) == 2
    assert "Aborted" in run("keys", "destroy", keys, *name, status=1)
    assert len(json.loads(run("keys", "destroy", keys, *name, "--yes"))["destroyed"]) == 2
    assert "the key ring has no key for it" in run("show", path, status=1)
    run("purge", path, *name, "--yes")
    assert json.loads(run("sessions", path)) == []


def test_a_key_file_that_is_not_there_is_not_made_but_by_create(tmp_path: Path, lived: Path) -> None:
    for words in (["rotate"], ["destroy", "--yes"]):
        verb, *rest = words
        assert "no such file" in run("keys", verb, tmp_path / "none", "--user", "alice", *rest, status=1)
    assert "no such file" in run("show", lived, "--user", "alice", "--keys", tmp_path / "none", status=1)
    assert "no such file" in run("verify", lived, "--keys", tmp_path / "none", status=1)
    assert "no such file" in run(
        "record", lived, __file__, "--user", "alice", "--keys", tmp_path / "none", status=1
    )
    assert not (tmp_path / "none").exists()


def test_verbs_for_keys_have_help_with_examples_that_can_be_typed() -> None:
    group = main.commands["keys"]
    assert isinstance(group, click.Group)
    assert set(group.commands) == {"create", "rotate", "destroy"}
    for name, command in group.commands.items():
        examples = re.findall(r"^ *eventstate keys (.*)$", command.help or "", re.MULTILINE)
        assert [words.split()[0] for words in examples] == [name]
        command.make_context(name, examples[0].split()[1:])
        for option in command.params:
            assert isinstance(option, click.Argument) or "; e.g. --" in (getattr(option, "help", None) or "")
