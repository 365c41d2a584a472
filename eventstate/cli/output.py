"""How results are printed: tables for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console
    from rich.text import Text

_BRIEF: Final = 70
_LABELS: Final = {"user_id": "user", "session_id": "session", "recorded_at": "time", "path": "attribute"}
_NUMBERS: Final = {"round", "version", "branches"}
_SHORT: Final = {*_NUMBERS, "recorded_at", "actor", "kind", "op"}
_VALUES: Final = {"before", "after"}  # one line each, of which a narrow terminal shows the beginning
# Control characters, other line ends, changes of direction, lone surrogates.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Output:
    """Prints what a verb found to stdout.

    Args:
        as_json: JSON or tables; `None` for JSON unless stdout is a terminal.
        nl: one JSON value a line.

    Attributes:
        table: whether it is for people.
    """

    def __init__(self, *, as_json: bool | None = None, nl: bool = False) -> None:
        self.table = not nl and (sys.stdout.isatty() if as_json is None else not as_json)
        self._nl = nl

    def rows(self, rows: Iterable[dict[str, Any]], columns: Sequence[str], *, empty: str = "nothing") -> None:
        """Print rows as they come, or a table of these columns of them."""
        if self.table:
            self._grid(rows, columns, empty)
        elif self._nl:
            for row in rows:
                click.echo(dumps(row))
        else:
            start = "["
            for row in rows:
                click.echo(start + dumps(row), nl=False)
                start = ",\n "
            click.echo("]" if start != "[" else "[]")

    def result(self, data: Any, sentence: str = "") -> None:
        """Print one result: as it is, or as the sentence that says it."""
        if self.table:
            click.echo(sentence or dumps(data, indent=2))
        else:
            click.echo(dumps(data, indent=None if self._nl else 2))

    def value(self, value: Any) -> None:
        """Print a value that is in JSON's form; with `nl`, the elements of a list one by one."""
        if self.table:
            _console().print(_highlighted(value), soft_wrap=True)
        elif self._nl and isinstance(value, list):
            for item in value:
                click.echo(dumps(item))
        else:
            self.result(value)

    def attributes(self, state: dict[str, Any]) -> None:
        """Print a state in JSON's form, attribute by attribute."""
        if not self.table:
            self.result(state)
            return
        grid = _table(("attribute", "value"))
        for key, value in state.items():
            grid.add_row(escape(key), _highlighted(value))
        _console().print(grid)

    def _grid(self, rows: Iterable[dict[str, Any]], columns: Sequence[str], empty: str) -> None:
        cells = [[_cell(row.get(column)) for column in columns] for row in rows]
        if not cells:
            click.echo(f"({empty})")
            return
        used = [index for index in range(len(columns)) if any(line[index] for line in cells)]
        grid = _table([columns[index] for index in used])
        for line in cells:
            grid.add_row(*(_styled(line[index], columns[index]) for index in used))
        _console().print(grid)


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Write JSON, with other letters than English ones as they are, if stdout can take them."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=_time)
    text = "\n".join(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, default=_time)
    return text


def count(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def escape(text: str) -> str:
    """Show as escapes what would move a terminal's cursor, or can't be printed."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def brief(value: Any) -> str:
    """Write a value that is in JSON's form in a few words."""
    return _cut(dumps(value))


def contrast(before: Any, after: Any, form: Callable[[Any], Any]) -> tuple[str, str]:
    """Write two lists or strings without what they begin with alike; other values as `brief` does.

    Args:
        before: any value.
        after: what became of it.
        form: gives the JSON form of a value.
    """
    if type(before) is type(after) and isinstance(before, (list, str)):
        pairs = enumerate(zip(before, after, strict=False))
        differ = (index for index, (one, other) in pairs if type(one) is not type(other) or one != other)
        shared = next(differ, min(len(before), len(after)))
        if isinstance(before, str) and shared >= _BRIEF:
            return _cut(f"… {dumps(form(before[shared:]))}"), _cut(f"… {dumps(form(after[shared:]))}")
        if isinstance(before, list) and shared < max(len(before), len(after)):
            return _rest(form(before[shared:]), shared), _rest(form(after[shared:]), shared)
    return brief(form(before)), brief(form(after))


def _rest(items: list[Any], shared: int) -> str:
    head = [f"… {shared}"] if shared else []
    return _cut("[" + ", ".join([*head, *map(dumps, items)]) + "]")


def _cut(text: str) -> str:
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1] + "…"


def _time(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no JSON for {value!r}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _styled(text: str, column: str) -> Text:
    from rich.text import Text

    if column in _VALUES:
        return Text(text, no_wrap=True, overflow="ellipsis")
    return Text(text, overflow="ellipsis" if column in _SHORT else "fold")


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def _table(columns: Sequence[str]) -> Any:
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        label = _LABELS.get(column, column)
        grid.add_column(
            label,
            min_width=len(label),
            justify="right" if column in _NUMBERS else "left",
            no_wrap=column in _SHORT,
            overflow="fold",
        )
    return grid


def _highlighted(value: Any) -> Text:
    from rich.highlighter import JSONHighlighter

    return JSONHighlighter()(dumps(value, indent=2))


class Bar(NamedTuple):
    """A progress bar: two functions."""

    show: Callable[..., None]
    """Is told how much is done, and the total if it is known only then."""
    say: Callable[[str], None]
    """Prints a line to stderr, above the bar."""


@contextlib.contextmanager
def progress(title: str, total: int | None = None, *, size: bool = False) -> Iterator[Bar]:
    """Show a progress bar while the block runs, if stderr is a terminal.

    Args:
        title: what is going on.
        total: how much there is to do; `None` if nobody knows.
        size: whether that is counted in bytes.
    """
    if not sys.stderr.isatty():
        yield Bar(lambda *_: None, lambda text: click.echo(text, err=True))
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    counter = DownloadColumn() if size else MofNCompleteColumn()
    columns = ("{task.description}", BarColumn(), counter, TimeRemainingColumn())
    with Progress(*columns, console=_console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield Bar(
            lambda done, total=total: bar.update(task, completed=done, total=total),
            lambda text: bar.console.print(text, soft_wrap=True),
        )
