"""The command line: `eventstate VERB FILE ...`.

Its modules import nothing but click at their top, so that `--help` is quick.
"""

from __future__ import annotations

import errno
from typing import Any

import click

from eventstate.cli import change, check, imports, keys, look, record, repair, retain, tour
from eventstate.cli.output import escape
from eventstate.errors import EventStateError


class _Verbs(click.Group):
    """Tells the library's errors in one line, and lists the verbs in the order of their use."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EventStateError as error:
            raise click.ClickException(escape(" ".join(str(error).split()))) from error
        except OSError as error:  # of the transcript, or of stdout
            if error.errno == errno.EPIPE:
                raise  # click ends quietly
            raise click.ClickException(str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(cls=_Verbs)
def main() -> None:
    """Look into a store of agents' states, and into their whole past.

    FILE is the store; each verb's --help has examples. What is printed is a table on a terminal and
    JSON in a pipe.

    \b
    Example:
      eventstate tour
    """


for _verb in (
    record.record,
    imports.import_,
    look.sessions,
    look.log,
    look.show,
    look.diff,
    look.history,
    look.blame,
    change.rollback,
    change.fork,
    retain.erase,
    retain.prune,
    retain.delete,
    retain.restore,
    retain.purge,
    check.seal,
    check.verify,
    repair.repair,
    keys.keys,
    tour.tour,
):
    main.add_command(_verb)
