"""The verb that repairs a file."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from eventstate.cli.options import file_argument, file_name, open_store, output_options
from eventstate.cli.output import escape, progress

if TYPE_CHECKING:
    from eventstate.cli.output import Output


@click.command()
@file_argument
@click.argument("new", type=file_name, required=False)
@output_options
@click.pass_context
def repair(ctx: click.Context, file: str, new: str | None, out: Output) -> None:
    """Make anew what is derived, or save the rest.

    Without NEW, indexes, tags, snapshots and lists of events are made again from what was recorded, which is
    not touched. With NEW, all that can be proven of a damaged FILE goes into that file, and FILE stays as it
    is: what comes after damage is lost on its branch, other sessions stay whole. What is lost is told, and
    the exit status is then 1.

    \b
    Examples:
      eventstate repair agent.db
      eventstate repair agent.db saved.db
    """
    if new is None:
        with open_store(file, read_only=False) as store, progress("rebuilding") as bar:
            rebuilt = store.rebuild(bar.show)
        out.result(dataclasses.asdict(rebuilt), str(rebuilt))
        return
    from eventstate.repair.salvage import salvage

    with progress("salvaging") as bar:
        saved = salvage(file, new, progress=bar.show)
    told = {"ok": saved.ok, **dataclasses.asdict(saved)}
    out.result(told, "\n".join(map(escape, str(saved).splitlines())))
    if not saved.ok:
        ctx.exit(1)
