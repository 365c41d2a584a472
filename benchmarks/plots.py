"""The plots of the page, as SVG; the same results give the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "eventstate",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}
OURS, FLOORS = "#c2185b", ("#555555", "#999999")
PEERS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#9467bd",
    "#8c564b",
    "#17becf",
    "#bcbd22",
    "#7f7f7f",
    "#e377c2",
    "#98df8a",
    "#ffbb78",
    "#aec7e8",
)
READING = ("latest", "cold", "history", "at", "fork")
"""The tables that one plot of bars shows."""
BELOW_READING = "cold"
"""The last of them in the page."""
SIZES = ("growing",)
TAILS = ("growing", "turns")

Results = dict[str, Any]
Table = dict[str, Any]


def draw(results: Results, out: Path) -> dict[str, list[tuple[str, str]]]:
    """Draw what there are figures for.

    Args:
        results: of a run.
        out: the folder for the files.

    Returns:
        By the name of the table that plots belong below: their files and what they show.
    """
    import matplotlib as mpl

    drawn: dict[str, list[tuple[str, str]]] = {}
    with mpl.rc_context(SETTINGS):
        for file, below, title, figure in _figures(results):
            figure.savefig(out / file, format="svg", metadata={"Date": None})
            drawn.setdefault(below, []).append((file, title))
    return drawn


def _figures(results: Results) -> Iterator[tuple[str, str, str, Figure]]:
    tables = {table["name"]: table for table in results["tables"]}
    for name, table in tables.items():
        if any(len(row["growth"]["steps"]) > 1 for row in table["rows"].values() if "growth" in row):
            title = f"How the time of a {table['step']} grows"
            yield f"{name}-growth.svg", name, title, _growth(results, table, title)
        if name in SIZES:
            title = f"How the files grow by {table['step']}s"
            yield f"{name}-sizes.svg", name, title, _sizes(results, table, title)
        if name in TAILS:
            title = f"The slowest {table['step']}s"
            yield f"{name}-tails.svg", name, title, _tails(results, table, title)
    bars = [tables[name] for name in READING if name in tables]
    if bars:
        title = "Ways of reading, medians"
        yield (
            "reading.svg",
            bars[-1]["name"] if BELOW_READING not in tables else BELOW_READING,
            title,
            _bars(results, bars),
        )


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _style(results: Results) -> dict[str, dict[str, Any]]:
    """Give each contestant the same colour and name in all plots."""
    floors, peers = iter(FLOORS * 9), iter(PEERS * 9)
    style = {}
    for name, about in results["contestants"].items():
        kind = about["kind"]
        color = OURS if kind == "ours" else next(floors if kind == "floor" else peers)
        style[name] = {"color": color, "label": about.get("name", name)}
    return style


def _good(table: Table) -> Iterator[tuple[str, dict[str, Any]]]:
    return (
        (name, row)
        for name, row in table["rows"].items()
        if "p50" in row and not {"wrong", "failed"} & row.keys()
    )


def _lines(results: Results, axes: Axes, series: dict[str, tuple[list[float], list[float]]]) -> None:
    style = _style(results)
    for name, (xs, ys) in series.items():
        kind = results["contestants"][name]["kind"]
        looks: dict[str, Any] = {"marker": "o", "markersize": 3, "linewidth": 1.2, **style[name]}
        if kind == "ours":
            looks |= {"linewidth": 2.5, "zorder": 3}
        elif kind == "floor":
            looks["linestyle"] = "--"
        axes.plot(xs, ys, **looks)
    _logarithmic(axes, "xy")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)


def _logarithmic(axes: Axes, which: str) -> None:
    """Make axes logarithmic, with plain numbers at the powers of ten alone."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for name in which:
        axes.set(**{f"{name}scale": "log"})
        axis = getattr(axes, f"{name}axis")
        axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _growth(results: Results, table: Table, title: str) -> Figure:
    figure = _figure(8, 4.5)
    axes = figure.add_subplot()
    series = {
        name: (row["growth"]["steps"], [value * 1e3 for value in row["growth"]["seconds"]])
        for name, row in _good(table)
        if "growth" in row
    }
    if table["durability"] == "full":
        axes.axhline(
            table["fdatasync"]["p50"] * 1e3, color="black", linewidth=0.8, linestyle=":", label="fdatasync"
        )
    _lines(results, axes, series)
    axes.set(xlabel="events" if table["name"].startswith("events") else f"{table['step']}s")
    axes.set(ylabel=f"ms a {table['step']}, median", title=title)
    return figure


def _sizes(results: Results, table: Table, title: str) -> Figure:
    figure = _figure(8, 4.5)
    axes = figure.add_subplot()
    series: dict[str, tuple[list[float], list[float]]] = {
        name: ([steps for steps, _ in row["sizes"]], [size / 1e6 for _, size in row["sizes"]])
        for name, row in _good(table)
        if row.get("bytes")
    }
    _lines(results, axes, series)
    axes.set(xlabel=f"{table['step']}s", ylabel="MB of all files, closed", title=title)
    return figure


def _tails(results: Results, table: Table, title: str) -> Figure:
    rows = list(_good(table))[::-1]
    figure = _figure(8, 1.2 + 0.32 * len(rows))
    axes = figure.add_subplot()
    style = _style(results)
    for place, (name, row) in enumerate(rows):
        values = [row[key] * 1e3 for key in ("p50", "p90", "p99", "max")]
        axes.plot((values[0], values[-1]), (place, place), color=style[name]["color"], linewidth=1.5)
        for value, marker in zip(values, "o|dx", strict=True):
            axes.plot(value, place, marker=marker, color=style[name]["color"], markersize=6)
    axes.set_yticks(range(len(rows)), [style[name]["label"] for name, _ in rows])
    _logarithmic(axes, "x")
    axes.set(xlabel="ms; dot p50, bar p90, diamond p99, cross max", title=title)
    return figure


def _bars(results: Results, tables: list[Table]) -> Figure:
    names = [name for name in results["contestants"] if any(name in dict(_good(table)) for table in tables)]
    figure = _figure(2.2 * len(tables) + 2, 1.2 + 0.28 * len(names))
    style = _style(results)
    places = {name: place for place, name in enumerate(reversed(names))}
    all_axes = figure.subplots(1, len(tables), sharex=True, sharey=True, squeeze=False)[0]
    for axes, table in zip(all_axes, tables, strict=True):
        most = max(row.get("after", 0) for row in table["rows"].values())
        for name, row in _good(table):
            if row.get("after", 0) < most:
                continue  # of a shorter session
            axes.barh(places[name], row["p50"] * 1e3, color=style[name]["color"])
        _logarithmic(axes, "x")
        axes.set(title=table["name"], xlabel="ms")
        axes.set_yticks(range(len(names)), [style[name]["label"] for name in reversed(names)])
    return figure
