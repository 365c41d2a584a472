"""The protocol: a line of JSON in, a line of JSON out, whatever the contestant does."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contestant import Answer, Contestant, Laps, answer, seen, serve

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class Counting(Contestant):
    """Can do two things."""

    lacks = {"history": "it keeps no past"}  # noqa: RUF012 - never changed

    def open(self, folder: str, durability: str) -> None:
        self.opened = (folder, durability)

    def latest(self, session: str) -> Answer:
        if session == "broken":
            raise KeyError(session)
        return {"seconds": [0.25], **seen([], {"session": session})}


def talk(*requests: dict[str, Any]) -> list[Answer]:
    answers = io.StringIO()
    serve(Counting(), io.StringIO("".join(json.dumps(request) + "\n" for request in requests)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_each_request_has_one_answer_and_an_error_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    answers = talk(
        {"do": "open", "folder": "f", "durability": "full"},
        {"do": "latest", "session": "broken"},
        {"do": "latest", "session": "s"},
    )
    assert answers[0] == {}
    assert answers[1] == {"error": "KeyError: 'broken'"}
    assert answers[2]["attributes"] == {"session": "s"}
    assert "Traceback" in capsys.readouterr().err


def test_what_a_contestant_has_not_got_is_unsupported_with_its_reason() -> None:
    answers = talk(
        {"do": "history", "session": "s", "attribute": "a"}, {"do": "append", "session": "s", "batches": [1]}
    )
    assert answers == [
        {"unsupported": "it keeps no past"},
        {"unsupported": "its public API has no such operation"},
    ]


@pytest.mark.parametrize("name", ["__init__", "_lack", "lacks", "nonsense"])
def test_nothing_but_the_protocol_can_be_asked_for(name: str) -> None:
    assert answer(Counting(), {"do": name}) == {"error": f"no such request: {name!r}"}


def test_cold_is_opening_and_reading_together() -> None:
    contestant = Counting()
    cold = answer(contestant, {"do": "cold", "folder": "f", "durability": "normal", "session": "s"})
    assert contestant.opened == ("f", "normal")
    assert len(cold["seconds"]) == 1
    assert cold["seconds"][0] > 0.25


def test_states_are_the_same_if_their_messages_are() -> None:
    one = seen([{"role": "user", "content": "ü"}], {"a": 1})
    assert one == seen([{"content": "ü", "role": "user"}], {"a": 1})
    assert one["checksum"] != seen([{"role": "user", "content": "u"}], {"a": 1})["checksum"]


def test_a_lap_is_noted_for_each_block() -> None:
    laps = Laps()
    for _ in range(3):
        with laps:
            pass
    assert len(laps.seconds) == 3
    assert min(laps.seconds) >= 0


def test_what_a_contestant_prints_does_not_get_into_its_answers(tmp_path: Path) -> None:
    turn = {"message": {"role": "user", "content": "hi"}, "set": {"turn": 1}}
    requests = (
        {"do": "open", "folder": str(tmp_path / "store"), "durability": "full"},
        {"do": "turns", "session": "s", "turns": [turn]},
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.fakes", "Chatty", "chatty"],
        input="".join(json.dumps(request) + "\n" for request in requests),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{}, {"seconds": [0.001]}]
    assert '{"seconds": []}' in done.stderr


def test_a_contestant_needs_no_package() -> None:
    # -S leaves out site-packages, so an import of anything but the standard library fails.
    script = "import benchmarks.contestant, sys; print(sorted(sys.modules.keys() & {'apsw', 'eventstate'}))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
