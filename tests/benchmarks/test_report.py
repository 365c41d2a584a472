"""The page: it says what the results say, what is missed, wrong and failed above all."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.texts import count_text, ratio_text, size_text, time_text, value_text

STORED = Path(__file__).resolve().parent / "results.json"


@pytest.fixture
def results() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return stored


def page(results: dict[str, Any], tmp_path: Path) -> str:
    return "\n".join(report.page(results, {}, tmp_path))


def section(text: str, title: str) -> str:
    """Gives what stands below a title, up to the next one of its kind."""
    mark = title.partition(" ")[0]
    return text.partition(f"{title}\n")[2].partition(f"\n{mark} ")[0]


def rows(text: str) -> dict[str, list[str]]:
    lines = [line[2:-2].split(" | ") for line in text.split("\n") if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in lines}


def test_a_target_that_is_missed_is_said_to_be_missed(results: dict[str, Any], tmp_path: Path) -> None:
    targets = section(page(results, tmp_path), "## Targets")
    assert "1 of 3 met, **1 missed**, 1 not measured." in targets
    assert "| A live turn beside its floor | 1.80 x | at most 2.00 x | met |" in targets
    assert "| Folding beside select and unpack | 0.21 x | at least 0.35 x | **missed** |" in targets
    assert "| Appending ahead of a peer |  | at most 1.00 x | not measured |" in targets
    assert "- Folding beside select and unpack: the rows are decoded one by one" in targets


def test_a_table_has_ours_then_the_floors_then_the_peers_from_the_fastest_on(
    results: dict[str, Any], tmp_path: Path
) -> None:
    table = rows(section(page(results, tmp_path), "### A session growing to 100 turns"))
    assert list(table) == ["one turn", "**eventstate**", "*bare apsw*", "Swift", "Heavy", "*fdatasync*"]
    figures = {name: dict(zip(table["one turn"], cells, strict=False)) for name, cells in table.items()}
    assert figures["**eventstate**"] == {
        "p50": "2.00 ms",
        "p90": "4.00 ms",
        "p99": "8.00 ms",
        "max": "16.0 ms",
        "vs. ours": "",
        "fsyncs": "1",
        "bytes": "200 kB",
        "grows": "n^0.02",
        "bytes grow": "n^0.87",
        "steps": "",
    }
    assert figures["Heavy"]["vs. ours"] == "15.0"
    assert figures["Heavy"]["fsyncs"] == "4"
    assert figures["Heavy"]["steps"] == "40 of 100"
    assert figures["*fdatasync*"]["p50"] == "1.00 ms"


def test_few_steps_have_no_percentiles_and_what_is_not_durable_no_fsync(
    results: dict[str, Any], tmp_path: Path
) -> None:
    table = rows(section(page(results, tmp_path), "### The latest state"))
    assert table["one read"] == ["p50", "max", "vs. ours"]
    assert "*fdatasync*" not in table


def test_who_was_wrong_or_failed_has_no_figures_but_the_reason(
    results: dict[str, Any], tmp_path: Path
) -> None:
    text = page(results, tmp_path)
    growing = section(text, "### A session growing to 100 turns")
    assert "- Liar: **wrong**: it has 99 messages, and should have 100." in growing
    assert "- gone: **failed**: the environment of gone could not be made: no network." in growing
    latest = section(text, "### The latest state")
    assert "- Swift: not here: it forgets." in latest
    assert "rows alone" not in latest
    cold = section(text, "### Opening and the latest state")
    assert "- Of a session with fewer turns, as making it was stopped: Heavy (40)." in cold
    assert "- Stopped, as the time or the room for it was over: Heavy.\n" in growing
    assert "| gone | | | **did not start**: the environment of gone could not be made: no network |" in text


def test_the_page_says_where_a_peer_is_ahead_and_only_there(results: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "ahead.md").write_text("Swift forgets.\n", encoding="utf-8")
    ahead = section(page(results, tmp_path), "## Where a peer is ahead")
    assert rows(ahead) == {
        "workload": ["of our time", "of our bytes"],
        "A session growing to 100 turns": ["Swift 0.20 (no fsync)", "Swift 0.45 (no fsync)"],
        "The latest state": ["Heavy 0.50 (messages alone)", ""],
    }
    assert ahead.endswith("\nSwift forgets.\n")
    for table in results["tables"]:
        table["rows"].pop("swift", None)
        table["rows"].get("heavy", {}).pop("partial", None)
    results["tables"][1]["rows"]["heavy"]["ratio"] = 1.0
    behind = section(page(results, tmp_path), "## Where a peer is ahead")
    assert behind.strip() == "Nowhere: no peer's median, and no peer's file, is below ours."


def test_the_page_tells_what_each_does_about_durability(results: dict[str, Any], tmp_path: Path) -> None:
    assert "| Swift | 1.2 | none \\| at all | fast |" in page(results, tmp_path)


def test_what_was_tried_is_included_as_it_is(results: dict[str, Any], tmp_path: Path) -> None:
    tried = "## What was tried and did not help\n\n- Magic: it did not work.\n"
    (tmp_path / "tried.md").write_text(tried, encoding="utf-8")
    assert tried in page(results, tmp_path)


def test_the_page_says_that_it_was_a_quick_run_and_that_nothing_was_counted(
    results: dict[str, Any], tmp_path: Path
) -> None:
    assert "quick run" not in page(results, tmp_path)
    assert "`python -m benchmarks --budget 5 --seed 7`" in page(results, tmp_path)
    results |= {"quick": True, "fsyncs": None}
    assert "quick run" in page(results, tmp_path)
    assert "`python -m benchmarks --quick --budget 5 --seed 7`" in page(results, tmp_path)
    assert "Fsyncs were not counted" in page(results, tmp_path)


def test_the_same_results_give_the_same_files(results: dict[str, Any], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for out in (one, two):
        assert report.write(results, out, tmp_path) == out / "RESULTS.md"
    names = sorted(path.name for path in one.iterdir())
    assert names == [
        "RESULTS.md",
        "growing-growth.svg",
        "growing-sizes.svg",
        "growing-tails.svg",
        "reading.svg",
        "results.json",
    ]
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()
    text = (one / "RESULTS.md").read_text(encoding="utf-8")
    assert all(f"]({name})" in text for name in names if name.endswith(".svg"))
    plot = (one / "growing-growth.svg").read_text(encoding="utf-8")
    assert "Swift" in plot
    assert "Liar" not in plot, "what was wrong is not shown"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (time_text(0.00000123), "1.23 µs"),
        (time_text(0.0123), "12.3 ms"),
        (time_text(123.4), "123 s"),
        (size_text(999), "999 B"),
        (size_text(123_456_789), "123 MB"),
        (ratio_text(None), ""),
        (ratio_text(0.0123), "0.012"),
        (ratio_text(1234.5), "1,234"),
        (count_text(1.0), "1"),
        (count_text(0.0625), "0.06"),
        (value_text(None, "x"), ""),
        (value_text("flat", "x"), "flat"),
        (value_text(1_000, "commits"), "1,000 commits"),
        (value_text(0.0123, ""), "0.012"),
    ],
)
def test_figures_are_written_for_people(text: str, expected: str) -> None:
    assert text == expected
