"""Contests: who is asked in what order, whose answers count, and what happens to those who fail."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import workloads
from benchmarks.contest import Ask, Contest, Tallies, Weigh
from benchmarks.contests import Setting, reading, table
from benchmarks.runner import Entrant, Field, Kind, Process
from tests.benchmarks.fakes import LOG, STEP

TURNS = workloads.plain_turns(1, 8)
TURN = {"do": "turns", "session": "s", "turns": TURNS[:1]}
PATIENCE = 60.0


def entrant(kind: str, name: str = "", role: Kind = "peer") -> Entrant:
    name = name or kind.lower()
    return Entrant(name, role, (sys.executable, "-m", "tests.benchmarks.fakes", kind, name))


OURS = entrant("Honest", "ours", "ours")


@contextmanager
def contest(
    folder: Path, *peers: Entrant, timeout: float = PATIENCE, budget: float = PATIENCE
) -> Generator[Contest]:
    with (
        Field([OURS, *peers], folder, timeout) as field,
        Contest(field, folder / "contest", "full", budget) as opened,
    ):
        yield opened


def two_by_two() -> list[Ask]:
    return [Ask("turns", {"session": "s", "turns": TURNS[at : at + 2]}, 2) for at in range(0, 8, 2)]


def check(opened: Contest, tallies: Tallies) -> None:
    opened.check(tallies, "s", lambda done: workloads.after(TURNS[:done]))


def test_all_take_a_few_steps_in_turn_each_time_another_one_first_and_floors_after_ours(
    tmp_path: Path,
) -> None:
    others = (
        entrant("Honest", "floor", "floor"),
        entrant("Honest", "left"),
        entrant("Honest", "right"),
    )
    with contest(tmp_path, *others) as opened:
        tallies = opened.phase(two_by_two())
        asked = (opened.folder / LOG).read_text(encoding="utf-8").split("\n")
    names = [line.partition(" ")[0] for line in asked if line]
    assert [names[at : at + 4] for at in range(0, len(names), 4)] == [
        ["ours", "floor", "left", "right"],
        ["left", "right", "ours", "floor"],
        ["right", "ours", "floor", "left"],
        ["ours", "floor", "left", "right"],
    ]
    assert {name: tally.seconds for name, tally in tallies.items()} == {
        name: [STEP] * 8 for name in ("ours", "floor", "left", "right")
    }
    assert len(opened.fdatasync) == 16


def test_an_honest_contestant_is_checked_and_weighed(tmp_path: Path) -> None:
    with contest(tmp_path) as opened:
        tallies = opened.phase([*two_by_two()[:2], Weigh("s"), *two_by_two()[2:]])
        opened.weigh(tallies, "s")
        check(opened, tallies)
        assert tallies["ours"].checked
        assert tallies["ours"].sizes == [(4, 4), (8, 8)]
        assert not tallies["ours"].ending
    assert not opened.folder.exists()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("Forgetful", "it has 7 messages, and should have 8"),
        ("Confused", "its messages are not those that it was given"),
        ("Stale", "its attributes are {'turn': 1, "),
        ("Skipping", "2 steps in 'turns' gave 1 times"),
    ],
)
def test_a_contestant_that_answers_wrong_is_caught_and_has_no_ratio(
    tmp_path: Path, kind: str, why: str
) -> None:
    with contest(tmp_path, entrant(kind)) as opened:
        tallies = opened.phase(two_by_two())
        check(opened, tallies)
        rows = table(opened, tallies, "t", "T", step="turn", count=8)["rows"]
    assert rows[kind.lower()]["wrong"].startswith(why)
    assert rows[kind.lower()]["ratio"] is None
    assert rows["ours"]["ratio"] == 1
    assert "wrong" not in rows["ours"]


def test_one_without_a_place_for_attributes_is_not_wrong_but_said_to_be_so(tmp_path: Path) -> None:
    with contest(tmp_path, entrant("Plain")) as opened:
        written = opened.phase(two_by_two())
        check(opened, written)
        read = opened.phase([Ask("latest", {"session": "s"})], of=written)
        rows = [table(opened, each, "t", "T", step="s", count=1)["rows"] for each in (written, read)]
    assert written["plain"].checked
    assert [each["plain"]["partial"] for each in rows] == [True, True]
    assert not any("partial" in each["ours"] for each in rows)


def test_the_seconds_of_many_steps_together_are_shared_among_them(tmp_path: Path) -> None:
    with contest(tmp_path) as opened:
        tallies = opened.phase([Ask("turns", {"session": "s", "turns": TURNS[:2]}, 2, share=4)])
    assert tallies["ours"].seconds == [STEP / 4] * 2
    assert tallies["ours"].spent == STEP * 2


def test_a_contestant_that_does_not_answer_is_ended(tmp_path: Path) -> None:
    process = Process(entrant("Hanging").command, tmp_path / "log")
    for request in ({"do": "open", "folder": str(tmp_path / "store"), "durability": "full"}, TURN):
        assert "failed" not in process.ask(request, PATIENCE)
    assert process.ask(TURN, 1) == {"failed": "no answer to 'turns' within 1 seconds"}
    assert not process.running
    assert "failed" in process.ask(TURN, 1)
    process.stop()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("Raising", "ValueError: no more of this"),
        ("Dying", "it ended during 'turns': exit code 9, out of memory"),
        ("Hanging", "no answer to 'turns' within 3 seconds"),
    ],
)
def test_one_that_fails_is_told_with_the_reason_and_the_others_go_on(
    tmp_path: Path, kind: str, why: str
) -> None:
    with contest(tmp_path, entrant(kind), timeout=3) as opened:
        written = opened.phase(two_by_two())
        read = opened.phase([Ask("latest", {"session": "s"})], of=written)
        rows = table(opened, written, "t", "T", step="turn", count=8)["rows"]
    assert rows[kind.lower()]["failed"] == why
    assert rows[kind.lower()]["n"] == 2
    assert read[kind.lower()].ending == {"failed": why}
    assert rows["ours"]["n"] == 8
    assert read["ours"].seconds == [STEP]


def test_one_that_died_takes_part_in_the_next_contest(tmp_path: Path) -> None:
    with Field([OURS, entrant("Dying")], tmp_path, PATIENCE) as field:
        endings = []
        for number in range(2):
            with Contest(field, tmp_path / str(number), "full", PATIENCE) as opened:
                endings.append(opened.phase(two_by_two())["dying"].ending)
    assert "failed" in endings[0]
    assert endings[1] == {}


def test_one_that_cannot_start_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    with contest(tmp_path, entrant("Stillborn")) as opened:
        tallies = opened.phase(two_by_two())
    assert "ImportError: no such package" in opened.field.about["stillborn"]["failed"]
    assert "ImportError: no such package" in tallies["stillborn"].ending["failed"]
    assert len(tallies["ours"].seconds) == 8


def test_one_that_cannot_do_a_thing_says_so(tmp_path: Path) -> None:
    with contest(tmp_path, entrant("Unable")) as opened:
        written = opened.phase(two_by_two())
        read = opened.phase([Ask("latest", {"session": "s"})], of=written)
    assert written["unable"].ending == read["unable"].ending == {"unsupported": "it has no turns"}


def test_a_slow_one_stops_when_its_time_is_over_and_is_compared_over_its_own_steps(tmp_path: Path) -> None:
    with (
        Field([entrant("Tiring", "ours", "ours"), entrant("Slow")], tmp_path, PATIENCE) as field,
        Contest(field, tmp_path / "contest", "full", 60) as opened,
    ):
        tallies = opened.phase(two_by_two())
        check(opened, tallies)
        rows = table(opened, tallies, "t", "T", step="turn", count=8)["rows"]
    assert rows["slow"]["n"] == 2
    assert rows["slow"]["over"]
    assert rows["slow"]["checked"]
    assert rows["slow"]["ratio"] == 3600 / STEP
    assert rows["ours"]["n"] == 8
    assert rows["ours"]["p50"] == pytest.approx(2.5 * STEP)


def test_one_that_fills_the_disk_stops_when_its_room_is_full(tmp_path: Path) -> None:
    with contest(tmp_path, entrant("Honest", "bulky")) as opened:
        opened.room = 3
        tallies = opened.phase([*two_by_two()[:2], Weigh("s"), *two_by_two()[2:]])
    assert tallies["bulky"].over
    assert len(tallies["bulky"].seconds) == 4
    assert len(tallies["ours"].seconds) == 8


def test_reading_catches_wrong_pasts_and_does_not_compare_sessions_of_other_lengths(tmp_path: Path) -> None:
    sizes = Tiny.sizes
    with Field([OURS, entrant("Quick"), entrant("Blind"), entrant("Slow")], tmp_path, PATIENCE) as field:
        tables: dict[str, Any] = {
            each["name"]: each["rows"] for each in reading(Setting(field, tmp_path, sizes, 1))
        }
    assert tables["history"]["blind"]["wrong"] == "19 values were found, of 20"
    assert "messages" in tables["at"]["blind"]["wrong"]
    assert tables["latest"]["quick"]["ratio"] == 0.5
    assert tables["turns"]["slow"]["n"] == tables["latest"]["slow"]["after"] == 5
    assert tables["latest"]["slow"]["ratio"] is None
    assert "unsupported" in tables["fork"]["ours"]


class Tiny:
    """Sizes that a test has time for."""

    sizes = workloads.Sizes(
        recorded=2,
        growing=20,
        reading=20,
        reads=2,
        changes=30,
        sessions=3,
        tokens=20,
        texts=2,
        tasks=2,
        task_turns=2,
        repeats=2,
        batches=4,
        events=10_000,
        chunk=5,
        budget=60.0,
    )
