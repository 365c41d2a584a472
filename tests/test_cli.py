"""The command line: every verb's help, what it prints for people and for programs, and how it fails."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import apsw
import click
import jsonpatch
import pytest
from click.testing import CliRunner, Result

from eventstate import StateStore, TypeRegistry
from eventstate.cli import main
from eventstate.journal.read import Reader
from tests.stores import Clock

VERBS = sorted(main.commands)
READING = ["blame", "diff", "history", "log", "sessions", "show", "verify"]
ROUNDS: list[dict[str, Any]] = [
    {"plan": None, "messages": [], "usage": {"search": 0, 7: "seven"}},
    {
        "plan": "search",
        "messages": [{"role": "user", "content": "Grüße"}],
        "usage": {"search": 1, 7: "seven"},
    },
    {"plan": "book", "messages": [{"role": "user", "content": "Grüße"}], "usage": {"search": 1}},
]

WATCHED = """
import json, sys

opened = []
sys.addaudithook(lambda event, values: opened.append(str(values[0])) if event == "open" else None)
from eventstate.cli import main

for words in json.loads(sys.argv[1]):
    assert not main(words, standalone_mode=False), words
print(*opened, sep="\\n", file=sys.stderr)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store with one session of three rounds, at 12:00:01 and a second later each, and a tag."""
    file = tmp_path / "agent.db"
    with StateStore(file, clock=Clock()) as store:
        session = store.session("alice", "trip")
        for number, state in enumerate(ROUNDS, 1):
            session.save(state, actor="planner", reason=f"reason {number}", metadata={"number": number})
        session.tag("searched", at=2)
    return file


def run(*arguments: str | Path, status: int = 0) -> Result:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == status, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def data(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments).stdout)


def state(path: Path, **at: Any) -> Any:
    with StateStore(path, read_only=True) as store:
        return store.session("alice", "trip").state(**at)


def visible(folder: Path) -> set[Path]:
    """The files of a folder but SQLite's own, which a reader of a WAL database can't clear away."""
    return {file for file in folder.iterdir() if not file.name.endswith(("-wal", "-shm"))}


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent), "TERM": "xterm-256color"}


# Help


def examples(command: click.Command) -> list[list[str]]:
    found = re.findall(r"^ *eventstate (.*)$", command.help or "", re.MULTILINE)
    return [shlex.split(words) for words in found]


def options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples_that_can_be_typed(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verb in {words[0] for words in examples(main.commands[verb])}
    for name, *words in examples(main.commands[verb]):
        known = main.commands[name]
        for parameter in known.params:
            if isinstance(parameter.type, click.Path):
                monkeypatch.setattr(parameter.type, "exists", False)
        known.make_context(name, words)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_help_with_an_example_that_can_be_typed(verb: str) -> None:
    command = main.commands[verb]
    required = [p.name for p in command.params if isinstance(p, click.Argument) and p.required]
    for option in options(command):
        found = re.search(r"; e\.g\. (--.+)$", option.help or "")
        assert found, f"{verb}: {option.opts} has no example"
        words = shlex.split(found[1])
        assert words[0] in {*option.opts, *option.secondary_opts}
        context = command.make_context(verb, ["1"] * len(required) + words, resilient_parsing=True)
        assert context.params[option.name or ""] not in {None, ()}


@pytest.mark.parametrize("verb", VERBS)
def test_the_first_sentence_of_a_verbs_help_fits_into_the_list_of_verbs(verb: str) -> None:
    assert not main.commands[verb].get_short_help_str(60).endswith("...")


def test_the_list_of_verbs_is_there_before_anything_slow_is_loaded() -> None:
    code = (
        "import sys\nfrom eventstate.cli import main\nmain(['--help'], standalone_mode=False)\n"
        "print(*{'apsw', 'msgpack', 'pydantic', 'rich', 'sqlite_utils'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert "record" in done.stdout
    assert done.stderr.strip() == ""


# What is printed


def test_sessions_are_listed(path: Path) -> None:
    with StateStore(path, clock=Clock()) as store:
        store.session("bob").save({})
    rows = data("sessions", path)
    assert [(row["user_id"], row["session_id"], row["round"]) for row in rows] == [
        ("alice", "trip", 3),
        ("bob", "default", 1),
    ]
    assert rows[0]["recorded_at"] == "2030-01-01T12:00:04+00:00"
    assert [row["user_id"] for row in data("sessions", path, "--user", "bob")] == ["bob"]


def test_rounds_are_listed_newest_first(path: Path) -> None:
    rows = data("log", path)
    assert [row["round"] for row in rows] == [3, 2, 1]
    assert [row["round"] for row in data("log", path, "--limit", "2")] == [3, 2]
    row = rows[1]
    assert len(row.pop("hash")) == 64
    assert isinstance(row.pop("version"), int)
    assert row == {
        "round": 2,
        "recorded_at": "2030-01-01T12:00:02+00:00",
        "kind": "save",
        "actor": "planner",
        "reason": "reason 2",
        "tags": ["searched"],
        "metadata": {"number": 2},
    }


@pytest.mark.parametrize(
    ("at", "number"),
    [
        ((), 3),
        (("--at", "1"), 1),
        (("--at", "searched"), 2),
        (("--at", "2030-01-01T12:00:02Z"), 2),
        (("--at", "2030-01-01T13:00:01.5+01:00"), 1),
        (("--at", "2030-01-01 12:00:02"), 2),
        (("--at", "2031-01-01"), 3),
    ],
)
def test_the_state_is_shown_as_it_was_at_a_round_a_tag_or_a_time(
    path: Path, at: tuple[str, ...], number: int
) -> None:
    assert data("show", path, *at)["plan"] == ROUNDS[number - 1]["plan"]


def test_the_state_is_shown_between_two_rounds(path: Path) -> None:
    assert data("show", path, "--version", "1") == {"plan": None}
    assert data("show", path, "--version", "0") == {}


def test_an_attribute_is_named_plainly_or_by_a_json_pointer(path: Path) -> None:
    with StateStore(path) as store:
        store.session("alice", "trip").update(lambda state: state.update({"a/b": 1}))
    assert data("show", path, "plan") == "book"
    assert data("show", path, "/usage/search") == 1
    assert data("show", path, "/messages/0/content") == "Grüße"
    assert data("show", path, "a/b") == data("show", path, "/a~1b") == 1
    assert data("show", path, "/usage/7", "--at", "1") == "seven"  # the key is a number
    for missing in ("nope", "/usage/nope", "/messages/9", "/messages/x", "/plan/0"):
        assert "no attribute" in run("show", path, missing, status=1).stderr


def test_a_list_is_shown_one_element_a_line(path: Path, tmp_path: Path) -> None:
    messages = tmp_path / "chat.jsonl"
    messages.write_text(run("show", path, "messages", "--nl").stdout)
    assert messages.read_text() == '{"role": "user", "content": "Grüße"}\n'
    run("record", tmp_path / "copy.db", messages, "--user", "alice")
    assert data("show", tmp_path / "copy.db", "messages") == ROUNDS[2]["messages"]


def test_a_difference_tells_what_was_before_and_after(path: Path) -> None:
    rows = {row["path"]: row for row in data("diff", path, "1", "3")}
    assert rows == {
        "/plan": {"op": "set", "path": "/plan", "before": None, "after": "book"},
        "/messages": {"op": "splice", "path": "/messages", "before": [], "after": ROUNDS[2]["messages"]},
        "/usage/search": {"op": "set", "path": "/usage/search", "before": 0, "after": 1},
        "/usage/7": {"op": "delete", "path": "/usage/7", "before": "seven"},
    }
    assert data("diff", path, "searched", "2") == []


def test_a_difference_is_a_json_patch(path: Path) -> None:
    patch = data("diff", path, "1", "3", "--patch")
    assert jsonpatch.apply_patch(data("show", path, "--at", "1"), patch) == data("show", path, "--at", "3")


def test_the_history_of_an_attribute_tells_each_change(path: Path) -> None:
    rows = data("history", path, "plan")
    assert [(row["round"], row["actor"], row["reason"]) for row in rows] == [
        (number, "planner", f"reason {number}") for number in (1, 2, 3)
    ]
    assert "before" not in rows[0]  # it was not there, which is not the same as null
    assert rows[0]["after"] is None
    assert [(row["before"], row["after"]) for row in rows[1:]] == [(None, "search"), ("search", "book")]
    assert [row["op"] for row in data("history", path, "/usage/search")] == ["set", "set"]
    for missing in ("nope", "/messages/0", "/usage/nope"):
        assert "no attribute" in run("history", path, missing, status=1).stderr


def test_walking_through_a_history_reads_each_event_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StateStore(tmp_path / "agent.db") as store:
        for number in range(50):
            store.session("alice").save({"n": number})
    count = 0
    edits = Reader.edits

    def counted(self: Reader, owner: Any, seqs: list[int]) -> Any:
        nonlocal count
        count += len(seqs)
        return edits(self, owner, seqs)

    monkeypatch.setattr(Reader, "edits", counted)
    assert len(data("history", tmp_path / "agent.db", "n")) == 50
    assert count == 50


def test_blame_tells_who_set_what(path: Path) -> None:
    rows = {row["path"]: row for row in data("blame", path)}
    assert {name: row["round"] for name, row in rows.items()} == {
        "/plan": 3,
        "/messages": 2,
        "/usage/search": 2,
    }
    assert rows["/plan"]["actor"] == "planner"
    assert rows["/plan"]["reason"] == "reason 3"
    assert [row["path"] for row in data("blame", path, "/usage")] == ["/usage/search"]
    assert [row["path"] for row in data("blame", path, "plan")] == ["/plan"]
    run("blame", path, "/usa", status=1)


def test_a_rollback_is_a_new_round_with_its_reason(path: Path) -> None:
    row = data("rollback", path, "1", "--reason", "wrong tool", "--actor", "bob")
    assert (row["round"], row["kind"], row["reason"], row["actor"]) == (4, "rollback", "wrong tool", "bob")
    assert state(path) == ROUNDS[0]
    assert state(path, at=3) == ROUNDS[2]


def test_a_rollback_can_be_of_some_attributes_alone(path: Path) -> None:
    run("rollback", path, "1", "--path", "plan", "--path", "/usage/7")
    assert state(path) == ROUNDS[2] | {"plan": None, "usage": {"search": 1, 7: "seven"}}
    assert "no attribute" in run("rollback", path, "1", "--path", "nope", status=1).stderr
    with StateStore(path) as store:
        assert len(list(store.session("alice", "trip").rounds())) == 4


def test_a_fork_is_a_branch_that_every_verb_can_read(path: Path) -> None:
    told = data("fork", path, "what-if", "--at", "searched", "--reason", "to see")
    assert told == {"branch": "what-if", "from": "main", "round": 2, "version": told["version"]}
    assert data("show", path, "--branch", "what-if") == data("show", path, "--at", "2")
    assert [row["round"] for row in data("log", path, "--branch", "what-if")] == [2, 1]
    data("rollback", path, "1", "--branch", "what-if")
    assert state(path) == ROUNDS[2]
    assert "exists" in run("fork", path, "what-if", status=1).stderr
    assert "'main', 'what-if'" in run("show", path, "--branch", "other", status=1).stderr


def test_verify_tells_where_the_damage_is(path: Path) -> None:
    assert data("verify", path)["ok"] is True
    tampered = apsw.Connection(str(path))
    tampered.execute("UPDATE commits SET reason = 'another' WHERE round = 2")
    tampered.close()
    report = json.loads(run("verify", path, status=1).stdout)
    assert report["ok"] is False
    assert {"user_id": "alice", "session_id": "trip", "branch": "main", "round": 2}.items() <= report[
        "findings"
    ][0].items()
    shown = run("verify", path, "--table", status=1).stdout
    assert "user 'alice', session 'trip', branch 'main', round 2" in shown


@pytest.mark.parametrize(
    "arguments", [("sessions",), ("log",), ("diff", "1", "2"), ("history", "plan"), ("blame",)]
)
def test_rows_are_one_document_or_one_line_each(path: Path, arguments: tuple[str, ...]) -> None:
    verb, *rest = arguments
    rows = data(verb, path, *rest)
    assert rows
    lines = run(verb, path, *rest, "--nl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_no_rows_are_an_empty_list_or_no_line(path: Path) -> None:
    assert run("diff", path, "1", "1").stdout == "[]\n"
    assert run("diff", path, "1", "1", "--nl").stdout == ""
    assert run("diff", path, "1", "1", "--table").stdout == "(no difference)\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sessions",), ["user", "session", "round", "alice", "trip", "2030-01-01 12:00:04"]),
        (
            ("log",),
            ["round", "time", "actor", "reason", "tags", "version", "planner", "reason 3", "searched"],
        ),
        (("show",), ["attribute", "plan", '"book"', '"Grüße"']),
        (("show", "plan"), ['"book"']),
        (("diff", "1", "2"), ["op", "attribute", "before", "after", "/plan", "null", '"search"']),
        (("history", "plan"), ["round", "before", "after", '"search"', '"book"']),
        (("blame",), ["attribute", "round", "/usage/search"]),
        (("rollback", "1"), ["round 4: the state as at 1"]),
        (("fork", "b"), ["branch b starts at round 3 of main"]),
        (("verify",), ["ok: "]),
    ],
)
def test_tables_have_what_people_look_for(path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    verb, *rest = arguments
    shown = run(verb, path, *rest, "--table").stdout
    assert not shown.startswith(("[", "{"))
    assert [word for word in words if word not in shown] == []


def test_a_table_shows_of_a_longer_list_what_was_added(tmp_path: Path) -> None:
    with StateStore(tmp_path / "agent.db") as store:
        for count in (10, 11):
            store.session("alice").save({"items": [f"item {number}" for number in range(count)]})
    shown = run("diff", tmp_path / "agent.db", "1", "2", "--table").stdout
    assert '[… 10, "item 10"]' in shown
    assert "item 9" not in shown


def test_what_json_lacks_is_shown_all_the_same(tmp_path: Path) -> None:
    with StateStore(tmp_path / "agent.db") as store:
        store.session("alice").save(
            {"nan": float("nan"), "bytes": b"\xff", "tuple": (1, 2), "lone": "\ud800", 7: {1, 2}}
        )

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    shown = run("show", tmp_path / "agent.db").stdout
    state = json.loads(shown, parse_constant=refuse)
    assert state["tuple"] == [1, 2]
    assert state["7"] == [1, 2]
    run("show", tmp_path / "agent.db", "--table")


def test_values_of_types_that_only_their_program_knows_are_shown_and_kept(tmp_path: Path) -> None:
    types = TypeRegistry()
    types.register(Clock, name="clock", dump=lambda clock: clock.now.isoformat(), load=lambda _: Clock())
    with StateStore(tmp_path / "agent.db", types=types) as store:
        store.session("alice").save({"clock": Clock(), "n": 1})
        store.session("alice").save({"n": 2})
    assert "2030" in json.dumps(data("show", tmp_path / "agent.db", "--at", "1"))
    data("rollback", tmp_path / "agent.db", "1")
    with StateStore(tmp_path / "agent.db", types=types) as store:
        assert isinstance(store.session("alice").state()["clock"], Clock)


def test_nothing_in_a_store_can_steer_a_terminal(tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b2J\u202e[bold]x[/bold]"
    with StateStore(tmp_path / "agent.db") as store:
        store.session(evil, evil).save({evil: [evil]}, actor=evil, reason=evil)
        store.session(evil, evil).save({evil: [evil, evil]})
        store.session("other")
    file = tmp_path / "agent.db"
    for arguments in (("sessions", file), ("log", file), ("show", file), ("diff", file, "1", "2")):
        for form in ("--table", "--json"):
            shown = run(*arguments, form).stdout
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
            assert "[bold]" in shown
    assert data("show", file, "--at", "1") == {evil: [evil]}
    assert not re.search("[\x1b\x9b]", run("show", file, "--at", evil, status=1).stderr)


def test_a_stdout_that_knows_no_umlauts_gets_escapes(path: Path) -> None:
    command = [sys.executable, "-m", "eventstate", "show", str(path), "/messages/0/content"]
    done = subprocess.run(
        command, env=environment() | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True
    )
    assert done.stdout == b'"Gr\\u00fc\\u00dfe"\n'


# Terminals and pipes


def on_terminal(*arguments: str | Path, width: int = 100, status: int = 0) -> str:
    """Runs the command line with a terminal for stdout and stderr, and gives what it wrote there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
    command = [sys.executable, "-m", "eventstate", *map(str, arguments)]
    kept = {key: value for key, value in environment().items() if key not in {"COLUMNS", "LINES", "NO_COLOR"}}
    written = b""
    with subprocess.Popen(command, env=kept, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        with contextlib.suppress(OSError):  # which is how Linux says that the other side is gone
            while piece := os.read(master, 65536):
                written += piece
        os.close(master)
    assert process.returncode == status, written
    return written.decode()


def test_a_terminal_gets_tables_that_fit_and_json_when_it_is_asked_for(path: Path) -> None:
    with StateStore(path) as store:
        store.session("alice", "trip").save({"plan": "x" * 300})
    shown = on_terminal("history", path, "plan", width=75)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert lines[0].split()[:2] == ["round", "time"]
    assert max(map(len, lines)) <= 75
    assert len(lines) == 2 + 4  # a line each, however long the values are
    assert json.loads(on_terminal("show", path, "--json")) == {"plan": "x" * 300}


def test_a_terminal_gets_a_progress_bar_and_a_pipe_does_not(tmp_path: Path) -> None:
    transcript = tmp_path / "chat.jsonl"
    transcript.write_text('{"user_id": "alice", "messages": [{"role": "user"}]}\n' * 3)
    assert "recording" in on_terminal("record", tmp_path / "one.db", transcript)
    assert "verifying" in on_terminal("verify", tmp_path / "one.db")
    assert run("record", tmp_path / "two.db", transcript).stderr == ""
    assert run("verify", tmp_path / "two.db").stderr == ""


def test_what_is_told_above_a_progress_bar_is_told_as_it_is(tmp_path: Path) -> None:
    transcript = tmp_path / "[bold]chat.jsonl"
    transcript.write_text("oops\n")
    told = on_terminal("record", tmp_path / "one.db", transcript, width=300, status=1)
    assert f"{transcript}, line 1: not JSON" in told


def test_a_pipe_that_is_closed_early_is_no_error_to_talk_about(tmp_path: Path) -> None:
    with StateStore(tmp_path / "agent.db", durability="normal") as store:
        for number in range(2000):
            store.session("alice").save({"n": number})
    command = f"{shlex.quote(sys.executable)} -m eventstate log {shlex.quote(str(tmp_path / 'agent.db'))}"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} | head -n 1"], env=environment(), capture_output=True, check=True
    )
    assert done.stdout.startswith(b'[{"round": 2000')
    assert done.stderr == b""


# Which session


def test_the_only_session_need_not_be_named(path: Path) -> None:
    assert (
        data("show", path) == data("show", path, "--user", "alice") == data("show", path, "--session", "trip")
    )


def test_of_several_sessions_the_one_is_to_be_named_and_the_error_lists_them(path: Path) -> None:
    with StateStore(path) as store:
        store.session("bob", "it's").save({})
        store.session("bob").save({"mine": 1})
    for arguments in ((), ("--session", "nope", "--user", "alice"), ("--user", "nobody")):
        done = run("show", path, *arguments, status=1 if arguments else 2)
        assert "--user alice --session trip" in done.stderr
        assert "--user bob --session 'it'\"'\"'s'" in done.stderr
    assert data("show", path, "--user", "bob") == {"mine": 1}  # "default" is the default
    assert data("show", path, "--user", "alice")["plan"] == "book"
    assert data("show", path, "--session", "it's") == {}


def test_a_long_list_of_sessions_is_cut(path: Path) -> None:
    with StateStore(path, durability="normal") as store:
        for number in range(50):
            store.session(f"user {number}").save({})
    lines = run("show", path, status=2).stderr.splitlines()
    assert len([line for line in lines if "--user" in line and "--session" in line]) == 21  # and the question
    assert "eventstate sessions" in lines[-1]


# Errors


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("show", "FILE", "--at", "99"), "no round 99"),
        (("show", "FILE", "--at", "nope"), "no tag 'nope'"),
        (("show", "FILE", "--at", "9" * 30), "no tag"),
        (("show", "FILE", "--at", "2001-01-01"), "nothing yet at 2001-01-01T00:00:00+00:00"),
        (("show", "FILE", "--version", "99"), "no version 99"),
        (("diff", "FILE", "1", "99"), "no round 99"),
        (("rollback", "FILE", "99"), "no round 99"),
        (("fork", "FILE", "b", "--at", "99"), "no round 99"),
        (("show", "no/such/file"), "no such file"),
        (("sessions", "none.db"), "no such file"),
        (("rollback", "none.db", "1"), "no such file"),
        (("fork", "none.db", "b"), "no such file"),
        (("verify", "none.db"), "no such file"),
        (("log", "."), "is a folder"),
        (("log", "text.db"), "not a database"),
        (("log", "empty.db"), ""),
        (("log", "without.db"), "no sessions"),
    ],
)
def test_an_error_is_one_line_and_status_1(
    path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], complaint: str
) -> None:
    monkeypatch.chdir(path.parent)
    Path("text.db").write_text("This is no journal at all, but some text. " * 50)
    Path("empty.db").touch()
    StateStore("without.db").close()
    files = visible(path.parent)
    done = run(*(str(path) if word == "FILE" else word for word in arguments), status=1)
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert complaint in done.stderr
    assert visible(path.parent) == files


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_behind_stdout_is_one_line_too(path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "eventstate", "log", str(path)]
        done = subprocess.run(command, env=environment(), stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("show", ""),
        ("show", "FILE", "--at", "1", "--version", "1"),
        ("fork", "FILE", "b", "--at", "1", "--version", "1"),
        ("show", "FILE", "--version", "-1"),
        ("show", "FILE", "--user", "\udcff"),
        ("show", "FILE", "--at", "\udcff"),
        ("log", "FILE", "--limit", "0"),
        ("log", "FILE", "--nl", "--table"),
        ("diff", "FILE", "1"),
        ("nope", "FILE"),
    ],
)
def test_a_wrong_use_is_status_2(path: Path, arguments: tuple[str, ...]) -> None:
    done = run(*(str(path) if word == "FILE" else word for word in arguments), status=2)
    assert "Error: " in done.stderr


# The file


@pytest.mark.parametrize("verb", READING)
def test_reading_opens_the_file_without_the_right_to_write(
    path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    before = path.read_bytes()
    build = StateStore.__init__

    def watch(store: StateStore, *arguments: Any, **options: Any) -> None:
        assert options["read_only"]
        build(store, *arguments, **options)

    monkeypatch.setattr(StateStore, "__init__", watch)
    rest = {"diff": ("1", "2"), "history": ("plan",)}.get(verb, ())
    data(verb, path, *rest)
    assert path.read_bytes() == before
    assert visible(path.parent) == {path}


def test_no_verb_opens_the_journal_but_through_the_store(path: Path, tmp_path: Path) -> None:
    # Closing a descriptor of one's own would drop SQLite's locks on the file.
    transcript = tmp_path / "chat.jsonl"
    transcript.write_text('{"user_id": "alice", "session_id": "chat", "messages": [{"role": "user"}]}\n')
    exported = tmp_path / "sessions"
    exported.mkdir()
    (exported / "chat.json").write_text('{"agent": {}}')
    name = ("--user", "alice", "--session", "trip")
    commands: list[list[str | Path]] = [
        ["record", path, transcript],
        ["import", path, exported],
        ["sessions", path],
        ["log", path, *name],
        ["show", path, *name],
        ["diff", path, "1", "2", *name],
        ["history", path, "plan", *name],
        ["blame", path, *name],
        ["rollback", path, "1", *name],
        ["fork", path, "what-if", *name],
        ["erase", path, "plan", *name, "--yes"],
        ["prune", path, "--keep", "1", *name, "--yes"],
        ["delete", path, *name, "--yes"],
        ["restore", path, *name],
        ["repair", path],
        ["purge", path, *name, "--yes"],
        ["seal", path],
        ["verify", path],
        ["keys", "create", tmp_path / "agent.keys", "--user", "alice"],
        ["tour", "--keep", tmp_path / "kept.db"],
    ]
    assert sorted(str(words[0]) for words in commands) == VERBS
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(commands, default=str)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    opened = {Path(file) for file in done.stderr.splitlines()}
    assert transcript in opened  # what is opened does show
    assert [file for file in opened if ".db" in file.name] == []


def test_an_interruption_is_quiet_and_keeps_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcript = tmp_path / "chat.jsonl"
    lines = [json.dumps({"user_id": f"user {n}", "messages": [{"role": "user"}]}) for n in range(3)]
    transcript.write_text("\n".join(lines))
    parse = json.loads

    def stop(text: str) -> Any:
        if "user 2" in text:
            raise KeyboardInterrupt
        return parse(text)

    with monkeypatch.context() as patched:
        patched.setattr("eventstate.transcripts.json.loads", stop)
        done = run("record", tmp_path / "agent.db", transcript, status=1)
    assert done.stderr.strip() == "Aborted!"
    assert [row["user_id"] for row in data("sessions", tmp_path / "agent.db")] == ["user 0", "user 1"]
