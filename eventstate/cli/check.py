"""The verb that checks a file."""

from __future__ import annotations

import dataclasses

import click

from eventstate.cli.options import file_argument, open_store, output_options
from eventstate.cli.output import Output, escape, progress


@click.command()
@file_argument
@output_options
@click.pass_context
def verify(ctx: click.Context, file: str, out: Output) -> None:
    """Check the whole file.

    What is not as it was written is told, and where that is. The exit status is 1 if anything is found.

    \b
    Examples:
      eventstate verify agent.db
      eventstate verify agent.db --json
    """
    with open_store(file, read_only=True) as store, progress("verifying") as bar:
        report = store.verify(bar.show)
    lines = map(escape, str(report).splitlines())
    out.result({"ok": report.ok, **dataclasses.asdict(report)}, "\n".join(lines))
    if not report.ok:
        ctx.exit(1)
