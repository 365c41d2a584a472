"""The verbs that write: each adds to the past and takes nothing from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from eventstate.cli.look import round_row
from eventstate.cli.options import (
    actor_option,
    at_option,
    find_at,
    find_attribute,
    find_point,
    output_options,
    point,
    reason_option,
    text,
    version_option,
    with_session,
)

if TYPE_CHECKING:
    from eventstate.cli.output import Output
    from eventstate.session import Session


@click.command()
@with_session(read_only=False)
@click.argument("at", type=point)
@click.option(
    "--path",
    "attributes",
    multiple=True,
    type=text,
    help="Take only this attribute back, a name or a JSON Pointer; may be repeated; e.g. --path plan",
)
@reason_option
@actor_option
@output_options
def rollback(
    *,
    session: Session,
    at: int | str,
    attributes: tuple[str, ...],
    reason: str | None,
    actor: str | None,
    out: Output,
) -> None:
    """Go back to an earlier state, as a new round.

    AT is a round's number, a tag, or a time in ISO 8601.

    \b
    Examples:
      eventstate rollback agent.db 3 --user alice --reason "wrong tool"
      eventstate rollback agent.db before-tools --user alice --path plan
    """
    from eventstate.values.delta import MISSING, look

    place = find_at(session, at)
    states = session.state(place), session.state()
    paths = [find_attribute(text, *states) for text in attributes]
    for name, path in zip(attributes, paths, strict=True):
        if all(look(state, path) is MISSING for state in states):
            raise click.ClickException(f"no attribute {name!r}, neither then nor now")
    turn = session.rollback(place, paths=paths or None, reason=reason, actor=actor)
    what = ", ".join(attributes) or "the state"
    out.result(round_row(turn), f"round {turn.id}: {what} as at {at}")


@click.command()
@with_session(read_only=False)
@click.argument("name", type=text)
@at_option
@version_option
@reason_option
@actor_option
@output_options
def fork(
    *,
    session: Session,
    name: str,
    at: int | str | None,
    version: int | None,
    reason: str | None,
    actor: str | None,
    out: Output,
) -> None:
    """Start a branch at a point of another.

    It shares the past up to there, and is called NAME.

    \b
    Examples:
      eventstate fork agent.db what-if --user alice --at 3
      eventstate show agent.db --user alice --branch what-if
    """
    place, version = find_point(session, at, version)
    other = session.fork(name, place, version=version, reason=reason, actor=actor)
    latest = other.latest
    number = None if latest is None else latest.id
    out.result(
        {"branch": name, "from": session.branch, "round": number, "version": other.version},
        f"branch {name} starts at round {number} of {session.branch}",
    )
