"""The page that is made of a run's results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import plots
from benchmarks.texts import count_text, ratio_text, size_text, time_text, value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = "results.json", "RESULTS.md"

_INTRO = (
    "One run on one machine. Each contestant is a process of its own, and takes a few steps through its own",
    "public API; then it is the next one's turn, over and over, so that the machine's moods fall on all",
    "alike. What each read back was compared with what it had been given. Times of a shared machine are",
    "noisy: compare the ratios. Files are in the system's cache: nothing was read from a cold disk.",
    "",
)
_WORKLOADS = (
    "With FULL, a step shall be on disk when the call returns; with NORMAL a power cut may take the newest.",
    "Of each step the median, percentiles and the worst. `vs. ours` is the ratio of medians over the steps",
    "that both took: above 1, eventstate is faster. Floors are in italics: they do less than a store has to.",
    "`grows` is the exponent of a fit: n^1 doubles as the session doubles, n^0 stays. `bytes` are all files,",
    "closed.",
    "",
)

Results = dict[str, Any]
Row = dict[str, Any]


def write(results: Results, out: Path, notes: Path = HERE) -> Path:
    """Write the results, the plots and the page; give the page's path.

    Args:
        results: as `benchmarks.suite` makes them.
        out: the folder; made if it is not there.
        notes: where `ahead.md` and `tried.md` are, which are written by hand and go into the page.
    """
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    (out / RESULTS).write_text(text, encoding="utf-8")
    drawn = plots.draw(results, out)
    path = out / PAGE
    path.write_text("\n".join(page(results, drawn, notes)) + "\n", encoding="utf-8")
    return path


def page(results: Results, drawn: dict[str, list[tuple[str, str]]], notes: Path) -> Iterator[str]:
    """Give the lines of the page.

    Args:
        results: of the run.
        drawn: the plots, by the name of the table that each belongs to: files and what they show.
        notes: where the parts are that were written by hand.
    """
    yield from _intro(results)
    yield from _targets(results["targets"])
    yield from ("## Workloads", "")
    yield from _WORKLOADS
    for table in results["tables"]:
        yield from _table(results, table)
        for file, title in drawn.get(table["name"], ()):
            yield from (f"![{title}]({file})", "")
    yield from _ahead(results, notes)
    yield from _durability(results)
    yield from _written(notes / "tried.md")


def _intro(results: Results) -> Iterator[str]:
    machine, disk = results["machine"], results["fdatasync"]
    yield from ("# What it costs, beside its peers", "")
    if results["quick"]:
        yield from ("**From a quick run, with small sizes: read it as a sample, not as a measurement.**", "")
    yield from _INTRO
    yield f"- Machine: {machine['cores']} cores, {machine['processor']}; {machine['system']};"
    yield f"  files on {machine['file_system']}."
    yield f"- Python {machine['python']}, SQLite {machine['sqlite']}, apsw {machine['apsw']}."
    yield (
        f"- The disk's floor, one 4 KiB append and `fdatasync`: p50 {time_text(disk['p50'])},"
        f" p90 {time_text(disk['p90'])}, p99 {time_text(disk['p99'])}, max {time_text(disk['max'])},"
        f" before and after the run."
    )
    if results["fsyncs"] is None:
        yield "- Fsyncs were not counted: that needs `strace`."
    else:
        yield "- Fsyncs were counted by `strace`, in a short run of their own with FULL."
    yield ""
    option = " --quick" if results["quick"] else ""
    option += f" --budget {results['budget']:g} --seed {results['seed']}"
    yield f"To repeat it: `python -m benchmarks{option}`, where a peer has so many seconds for"
    yield f"each thing. It took {_long(results['seconds'])} here; all figures are in [{RESULTS}]({RESULTS})."
    yield ""


def _long(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 300 else f"{seconds / 60:.0f} minutes"


def _targets(targets: list[Row]) -> Iterator[str]:
    if not targets:
        return
    met = sum(target["met"] is True for target in targets)
    missed = sum(target["met"] is False for target in targets)
    yield from ("## Targets", "")
    told = f"{met} of {len(targets)} met"
    if missed:
        told += f", **{missed} missed**"
    if unknown := len(targets) - met - missed:
        told += f", {unknown} not measured"
    yield from (f"{told}.", "")
    yield from ("| target | measured | limit | |", "|---|--:|--:|---|")
    for target in targets:
        word = {True: "met", False: "**missed**", None: "not measured"}[target["met"]]
        measured, limit = (value_text(target[key], target["unit"]) for key in ("value", "limit"))
        sense = "at least" if target.get("at_least") else "at most"
        yield f"| {target['title']} | {measured} | {sense} {limit} | {word} |"
    yield ""
    for target in targets:
        if target.get("note"):
            yield f"- {target['title']}: {target['note']}"
    yield ""


def title(results: Results, name: str) -> str:
    """Give the name of a contestant for the reader."""
    told: str = results["contestants"][name].get("name", name)
    return told


def ranked(results: Results, table: Row) -> list[str]:
    """Give who has figures in a table: ours, the floors, and the peers from the fastest on."""
    kinds = {name: about["kind"] for name, about in results["contestants"].items()}
    rows = table["rows"]
    names = [name for name, row in rows.items() if "p50" in row and not {"wrong", "failed"} & row.keys()]
    return sorted(names, key=lambda name: (("ours", "floor", "peer").index(kinds[name]), rows[name]["p50"]))


def _table(results: Results, table: Row) -> Iterator[str]:
    yield from (f"### {table['title']}", "")
    columns = {name: _cells(results, table, name) for name in ranked(results, table)}
    if columns:
        most = max(table["rows"][name]["n"] for name in columns)
        percentiles = ("p50", *(("p90",) if most >= 10 else ()), *(("p99",) if most >= 100 else ()), "max")
        if table["durability"] == "full":
            columns["fdatasync"] = {key: time_text(table["fdatasync"][key]) for key in percentiles}
        order = (*percentiles, "vs. ours", "fsyncs", "bytes", "grows", "bytes grow", "steps")
        shown = [column for column in order if any(column in cells for cells in columns.values())]
        yield f"| one {table['step']} | {' | '.join(shown)} |"
        yield f"|---|{'--:|' * len(shown)}"
        for name, cells in columns.items():
            yield f"| {_who(results, name)} | {' | '.join(cells.get(column, '') for column in shown)} |"
        yield ""
    yield from _endings(results, table)


def _who(results: Results, name: str) -> str:
    if name not in results["contestants"]:
        return f"*{name}*"
    who = title(results, name)
    return {"ours": f"**{who}**", "floor": f"*{who}*"}.get(results["contestants"][name]["kind"], who)


def _cells(results: Results, table: Row, name: str) -> dict[str, str]:
    """Give what a contestant's row has in each column."""
    row = table["rows"][name]
    cells = {percentile: time_text(row[percentile]) for percentile in ("p50", "p90", "p99", "max")}
    if results["contestants"][name]["kind"] != "ours":
        cells["vs. ours"] = ratio_text(row.get("ratio"))
    counted = (results["fsyncs"] or {}).get(name, {})
    key = "task_turn" if table["name"].startswith("tasks") else "turn"
    if table["durability"] == "full" and table["step"] == "turn" and key in counted:
        cells["fsyncs"] = count_text(counted[key])
    if row.get("bytes"):
        cells["bytes"] = size_text(row["bytes"])
    if row.get("exponent") is not None:
        cells["grows"] = f"n^{row['exponent']:.2f}"
    if row.get("bytes") and row.get("bytes_exponent") is not None:
        cells["bytes grow"] = f"n^{row['bytes_exponent']:.2f}"
    if row["n"] < table["count"]:
        cells["steps"] = f"{row['n']:,} of {table['count']:,}"
    return cells


def _endings(results: Results, table: Row) -> Iterator[str]:
    """Tell who has no figures, and why; the same reason once."""
    reasons: dict[str, list[str]] = {}
    for name, row in table["rows"].items():
        who = title(results, name)
        if "wrong" in row:
            reasons.setdefault(f"**wrong**: {row['wrong']}", []).append(who)
        elif "failed" in row:
            reasons.setdefault(f"**failed**: {row['failed']}", []).append(who)
        elif "unsupported" in row and results["contestants"][name]["kind"] == "peer":
            reasons.setdefault(f"not here: {row['unsupported']}", []).append(who)
    for reason, names in reasons.items():
        yield f"- {'; '.join(names)}: {reason.rstrip('.')}."
    stopped = [
        title(results, name)
        for name, row in table["rows"].items()
        if row["over"] and row.get("n", table["count"]) < table["count"]
    ]
    if stopped:
        yield f"- Stopped, as the time or the room for it was over: {'; '.join(stopped)}."
    shorter = [
        f"{title(results, name)} ({row['after']:,})"
        for name, row in table["rows"].items()
        if "after" in row and "p50" in row and row["after"] != _most(table)
    ]
    if shorter:
        yield f"- Of a session with fewer turns, as making it was stopped: {'; '.join(shorter)}."
    if reasons or stopped or shorter:
        yield ""


def _most(table: Row) -> int:
    most: int = max(row.get("after", 0) for row in table["rows"].values())
    return most


class Ahead(NamedTuple):
    """Where peers are ahead of us in one table: each with its share of ours, and what has to be known."""

    title: str
    time: list[str]
    bytes: list[str]


def ahead(results: Results) -> Iterator[Ahead]:
    """Give the tables where a peer's median or file is below ours."""
    ours = next((name for name, about in results["contestants"].items() if about["kind"] == "ours"), None)
    for table in results["tables"]:
        rows, told = table["rows"], Ahead(table["title"], [], [])
        mine = rows.get(ours, {})
        for name in ranked(results, table):
            row = rows[name]
            if results["contestants"][name]["kind"] != "peer":
                continue
            ratio, remark = row.get("ratio"), _remark(results, table, name)
            if ratio is not None and ratio < 1:
                told.time.append(f"{title(results, name)} {ratio:.2f}{remark}")
            if row.get("bytes") and mine.get("bytes", 0) > row["bytes"] and row["n"] == mine["n"]:
                told.bytes.append(f"{title(results, name)} {row['bytes'] / mine['bytes']:.2f}{remark}")
        if told.time or told.bytes:
            yield told


def _remark(results: Results, table: Row, name: str) -> str:
    """Tell what makes a peer's figure another thing than ours."""
    counted = (results["fsyncs"] or {}).get(name, {})
    remarks = ["no fsync"] * (table["durability"] == "full" and counted.get("turn") == 0)
    partial = any(each["rows"].get(name, {}).get("partial") for each in results["tables"])
    remarks += ["messages alone"] * partial
    return f" ({', '.join(remarks)})" if remarks else ""


def _ahead(results: Results, notes: Path) -> Iterator[str]:
    yield from ("## Where a peer is ahead", "")
    if not any(about["kind"] == "peer" for about in results["contestants"].values()):
        yield from ("No peer took part in this run.", "")
        return
    told = list(ahead(results))
    if not told:
        yield from ("Nowhere: no peer's median, and no peer's file, is below ours.", "")
        return
    yield "Each peer whose median is below ours, with its share of our time; and likewise of our bytes. With"
    yield "*no fsync*, a power cut takes what was acknowledged; *messages alone*: it stores nothing else."
    yield from ("", "| workload | of our time | of our bytes |", "|---|---|---|")
    for each in told:
        yield f"| {each.title} | {'; '.join(each.time)} | {'; '.join(each.bytes)} |"
    yield ""
    yield from _written(notes / "ahead.md")


def _durability(results: Results) -> Iterator[str]:
    yield from ("## Who took part, and when what they were told is on disk", "")
    yield from ("| | version | on disk | |", "|---|---|---|---|")
    for name, about in results["contestants"].items():
        if "failed" in about:
            yield f"| {name} | | | **did not start**: {about['failed']} |"
        else:
            cells = [about.get(key, "") for key in ("name", "version", "durability", "note")]
            yield f"| {' | '.join(_escaped(cells))} |"
    yield ""


def _escaped(values: Iterable[str]) -> Iterator[str]:
    return (value.replace("|", "\\|").replace("\n", " ") for value in values)


def _written(path: Path) -> Iterator[str]:
    """Give a part that was written by hand, as it is."""
    if path.is_file():
        yield from (*path.read_text(encoding="utf-8").rstrip().split("\n"), "")
