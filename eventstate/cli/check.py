"""The verbs that prove a file: to check it, and to keep what proves it later."""

from __future__ import annotations

import dataclasses

import click

from eventstate.cli.options import file_argument, keys_option, open_store, output_options
from eventstate.cli.output import Output, escape, progress
from eventstate.errors import EventStateError


@click.command()
@file_argument
@click.option(
    "--seal",
    "known",
    metavar="SEAL",
    help="What `eventstate seal` gave: nothing up to there was changed or cut off; e.g. --seal 12:9f2c",
)
@keys_option
@output_options
@click.pass_context
def verify(ctx: click.Context, *, file: str, known: str | None, keys: str | None, out: Output) -> None:
    """Check the whole file.

    What is not as it was written is told, and where that is. The exit status is 1 if anything is found.
    Without the keys of encrypted sessions their hashes are checked, but not their states.

    \b
    Examples:
      eventstate verify agent.db
      eventstate verify agent.db --seal "$(cat agent.seal)"
    """
    try:
        with open_store(file, read_only=True, keys=keys) as store, progress("verifying") as bar:
            report = store.verify(bar.show, seal=known)
    except EventStateError:
        raise
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--seal") from error
    lines = map(escape, str(report).splitlines())
    out.result({"ok": report.ok, **dataclasses.asdict(report)}, "\n".join(lines))
    if not report.ok:
        ctx.exit(1)


@click.command()
@file_argument
def seal(file: str) -> None:
    """Print what proves later that nothing was changed.

    It is the position of the last commit and the chained hash of all up to it. Keep it where nobody can
    change it, and give it to `eventstate verify --seal`.

    \b
    Examples:
      eventstate seal agent.db
    """
    with open_store(file, read_only=True) as store:
        click.echo(store.seal())
