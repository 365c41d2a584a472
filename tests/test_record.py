"""The recorded conversations, as `eventstate record` takes them in: exact, compact, and resumable."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest
from click.testing import CliRunner

from eventstate import StateStore
from eventstate.cli import main
from eventstate.transcripts import add_message
from tests.stores import packed

pytestmark = pytest.mark.proves("replay")


def run(*arguments: str | Path, status: int = 0) -> dict[str, int]:
    """Runs `eventstate record` and gives its counts."""
    done = CliRunner().invoke(main, ["record", *map(str, arguments)])
    assert done.exit_code == status, done.output
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def read(transcript: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in transcript.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def recorded(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with all recorded conversations."""
    path = tmp_path_factory.mktemp("record") / "corpus.db"
    counts = run(path, corpus, "--durability", "normal")
    messages = sum(len(conversation["messages"]) for conversation in read(corpus))
    assert counts == {"sessions": 100, "messages": messages, "added": messages, "refused": 0}
    return path


def test_every_round_of_every_session_reads_back_as_the_prefix_of_its_transcript(
    recorded: Path, corpus: Path
) -> None:
    with StateStore(recorded, read_only=True) as store:
        for conversation in read(corpus):
            session = store.session(conversation["user_id"], conversation["session_id"])
            expected: dict[str, Any] = {}
            replay = session.replay()
            for number, message in enumerate(conversation["messages"], 1):
                add_message(expected, message)
                turn, state = next(replay)
                assert turn.id == expected["turn"] == number
                assert turn.actor == message["role"]
                assert packed(state) == packed(session.state(at=number)) == packed(expected)
                assert packed(state["messages"]) == packed(conversation["messages"][:number])
            assert next(replay, None) is None


def test_what_else_a_line_says_is_kept_with_the_first_round(recorded: Path, corpus: Path) -> None:
    conversation = read(corpus)[0]
    with StateStore(recorded, read_only=True) as store:
        first, second = store.session(conversation["user_id"], conversation["session_id"]).rounds(limit=2)
    others = {key: conversation[key] for key in conversation.keys() - {"user_id", "session_id", "messages"}}
    assert others
    assert first.metadata == others
    assert second.metadata == {}


def test_the_recorded_journal_verifies(recorded: Path, corpus: Path) -> None:
    with StateStore(recorded, read_only=True) as store:
        report = store.verify()
    assert report.ok, report
    assert report.sessions == len(read(corpus))


def test_the_closed_file_is_at_most_twice_the_messages(recorded: Path, corpus: Path) -> None:
    messages = sum(len(msgpack.packb(conversation["messages"])) for conversation in read(corpus))
    files = list(recorded.parent.glob("corpus.db*"))
    assert sum(file.stat().st_size for file in files) <= 2 * messages


def test_recording_the_same_file_again_adds_nothing(recorded: Path, corpus: Path) -> None:
    with StateStore(recorded, read_only=True) as store:
        before = store.stats()
    counts = run(recorded, corpus)
    assert counts["added"] == counts["refused"] == 0
    with StateStore(recorded, read_only=True) as store:
        assert (store.stats().commits, store.stats().events) == (before.commits, before.events)


def test_a_recording_that_was_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, transcript = tmp_path / "agent.db", tmp_path / "chat.jsonl"
    messages = [{"role": "user", "content": f"message {number}"} for number in range(60)]
    lines = [json.dumps(message) + "\n" for message in messages]
    transcript.write_text("".join(lines))
    command = [sys.executable, "-m", "eventstate", "record", str(path), "-", "--user", "alice"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stdin is not None
        process.stdin.write("".join(lines[:25]) + lines[25][:9])
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while rounds(path) < 25:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert rounds(path) == 25
    assert run(path, transcript, "--user", "alice") == {
        "sessions": 1,
        "messages": 60,
        "added": 35,
        "refused": 0,
    }
    with StateStore(path, read_only=True) as store:
        assert store.session("alice").state()["messages"] == messages
        assert store.verify().ok


def rounds(path: Path) -> int:
    """Counts the rounds that another process has recorded so far."""
    if not path.exists():
        return 0
    with StateStore(path) as store:
        return len(list(store.session("alice").rounds()))


def test_a_transcript_that_has_grown_adds_what_is_new(tmp_path: Path) -> None:
    path, transcript = tmp_path / "agent.db", tmp_path / "chats.jsonl"
    chat = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    transcript.write_text(json.dumps({"user_id": "alice", "messages": chat[:1]}))
    assert run(path, transcript)["added"] == 1
    transcript.write_text(json.dumps({"user_id": "alice", "messages": chat}))
    assert run(path, transcript)["added"] == 1
    with StateStore(path, read_only=True) as store:
        assert store.session("alice").state()["messages"] == chat


def test_bad_lines_are_told_by_their_numbers_and_the_others_are_recorded(tmp_path: Path) -> None:
    path, transcript = tmp_path / "agent.db", tmp_path / "chats.jsonl"
    chat = [{"role": "user", "content": "hi"}]
    lines: list[Any] = [
        {"user_id": "alice", "messages": chat},
        {"user_id": "bob"},
        {"user_id": "alice", "messages": [{"role": "user", "content": "something else"}]},
        {"user_id": "carol", "messages": [*chat, {"content": "no role"}]},
        {"user_id": "dave", "messages": chat},
    ]
    transcript.write_text("oops\n\n" + "".join(json.dumps(line) + "\n" for line in lines))
    done = CliRunner().invoke(main, ["record", str(path), str(transcript)])
    assert done.exit_code == 1
    told = done.stderr.splitlines()
    expected = [
        (1, "not JSON"), (4, "no messages"), (5, "message 1 is not what"), (6, "message 2: no role")
    ]  # fmt: skip
    assert len(told) == len(expected)
    for text, (number, complaint) in zip(told, expected, strict=True):
        assert text.startswith(f"{transcript}, line {number}: {complaint}")
    assert json.loads(done.stdout) == {"sessions": 2, "messages": 2, "added": 2, "refused": 4}
    with StateStore(path, read_only=True) as store:
        assert [info.user_id for info in store.sessions()] == ["alice", "dave"]


def test_the_store_itself_is_no_transcript(tmp_path: Path) -> None:
    # Closing a second descriptor of a live database would drop its locks.
    path, link = tmp_path / "agent.db", tmp_path / "link.jsonl"
    with StateStore(path) as store:
        store.session("alice").save({"a": 1})
        link.symlink_to(path)
        for transcript in (path, link, tmp_path / "agent.db-shm"):
            done = CliRunner().invoke(main, ["record", str(path), str(transcript)])
            assert done.exit_code == 2
            assert "not a transcript" in done.stderr


def test_a_transcript_that_is_not_there_makes_no_store(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["record", str(tmp_path / "agent.db"), str(tmp_path / "none.jsonl")])
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_the_durability_that_was_asked_for_is_the_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    transcript = tmp_path / "chats.jsonl"
    transcript.write_text(json.dumps({"user_id": "alice", "messages": [{"role": "user"}]}))
    seen = []
    build = StateStore.__init__

    def watch(store: StateStore, *arguments: Any, **options: Any) -> None:
        seen.append(options["durability"])
        build(store, *arguments, **options)

    monkeypatch.setattr(StateStore, "__init__", watch)
    run(tmp_path / "a.db", transcript, *(["--durability", "normal"] if durability == "normal" else []))
    assert seen == [durability]
