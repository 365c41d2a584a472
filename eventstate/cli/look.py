"""The verbs that read."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from eventstate.cli.options import (
    at_option,
    file_argument,
    find_at,
    find_attribute,
    find_point,
    open_store,
    output_options,
    point,
    text,
    user_option,
    version_option,
    with_session,
)
from eventstate.cli.output import Output, brief, contrast

if TYPE_CHECKING:
    from eventstate.history import Change
    from eventstate.rounds import Round
    from eventstate.session import Session


@click.command()
@file_argument
@user_option
@output_options
def sessions(file: str, user: str | None, out: Output) -> None:
    """List the sessions, of one user or of all.

    \b
    Examples:
      eventstate sessions agent.db
      eventstate sessions agent.db --user alice --nl
    """
    with open_store(file, read_only=True) as store:
        rows = map(dataclasses.asdict, store.sessions(user))
        out.rows(
            rows,
            ("user_id", "session_id", "round", "version", "branches", "recorded_at"),
            empty="no sessions",
        )


@click.command()
@with_session(read_only=True)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rounds; e.g. --limit 20")
@output_options
def log(session: Session, limit: int | None, out: Output) -> None:
    """List a session's rounds, the newest first.

    \b
    Examples:
      eventstate log agent.db --user alice --session trip
      eventstate log agent.db --user alice --limit 20 --nl
    """
    rows = map(round_row, session.rounds(reverse=True, limit=limit))
    out.rows(rows, ("round", "recorded_at", "kind", "actor", "reason", "tags", "version"), empty="no rounds")


def round_row(turn: Round) -> dict[str, Any]:
    """Give what there is to say of a round."""
    from eventstate.values.patch import to_json

    return {
        "round": turn.id,
        "recorded_at": turn.recorded_at,
        "kind": turn.kind,
        "actor": turn.actor,
        "reason": turn.reason,
        "tags": list(turn.tags),
        "version": turn.version,
        "metadata": to_json(turn.metadata),
        "hash": turn.hash,
    }


@click.command()
@with_session(read_only=True)
@click.argument("attribute", required=False)
@at_option
@version_option
@output_options
def show(
    *, session: Session, attribute: str | None, at: int | str | None, version: int | None, out: Output
) -> None:
    """Print the state, as it is or as it was.

    With ATTRIBUTE, a top-level name or a JSON Pointer, that alone; --nl prints the elements of a
    list one a line.

    \b
    Examples:
      eventstate show agent.db --user alice --at 3
      eventstate show agent.db /messages/0/content --user alice
      eventstate show agent.db messages --user alice --nl
    """
    from eventstate.values.patch import to_json

    place, version = find_point(session, at, version)
    state = session.state(place, version=version)
    if state is None:
        raise click.ClickException("no rounds yet")
    if attribute is None:
        out.attributes(to_json(state))
        return
    for key in find_attribute(attribute, state):
        try:
            state = state[key]
        except (KeyError, IndexError, TypeError):
            raise click.ClickException(f"no attribute {attribute!r} there") from None
    out.value(to_json(state))


@click.command()
@with_session(read_only=True)
@click.argument("a", type=point)
@click.argument("b", type=point)
@click.option("--patch", is_flag=True, help="A JSON Patch, as in RFC 6902; e.g. --patch")
@output_options
def diff(session: Session, a: int | str, b: int | str, patch: bool, out: Output) -> None:
    """Print what changed from A to B.

    Each is a round's number, a tag, or a time in ISO 8601.

    \b
    Examples:
      eventstate diff agent.db 2 3 --user alice
      eventstate diff agent.db before-tools 7 --user alice --patch
    """
    found = session.diff(find_at(session, a), find_at(session, b))
    if patch:
        out.value(found.to_json_patch())
        return
    rows = (_change_row(change, out) for change in found)
    out.rows(rows, ("op", "path", "before", "after"), empty="no difference")


@click.command()
@with_session(read_only=True)
@click.argument("attribute", type=text)
@output_options
def history(session: Session, attribute: str, out: Output) -> None:
    """Print every change of an attribute.

    ATTRIBUTE is a top-level name, or a JSON Pointer through dicts; a list has one history as a whole.
    The oldest change comes first; before or after is left out where the attribute was not there.

    \b
    Examples:
      eventstate history agent.db plan --user alice
      eventstate history agent.db /tool_usage/search --user alice --nl
    """
    changes = session.history(find_attribute(attribute, session.state()))
    if not changes:
        raise click.ClickException(f"no attribute {attribute!r} ever (inside a list, ask for the list)")
    rows = (_change_row(change, out) for change in changes)
    out.rows(rows, ("round", "recorded_at", "actor", "reason", "op", "before", "after"))


@click.command()
@with_session(read_only=True)
@click.argument("attribute", required=False)
@output_options
def blame(session: Session, attribute: str | None, out: Output) -> None:
    """Print who last changed each attribute.

    With ATTRIBUTE, a top-level name or a JSON Pointer, only it and what is below it.

    \b
    Examples:
      eventstate blame agent.db --user alice
      eventstate blame agent.db /tool_usage --user alice
    """
    from eventstate.values.paths import parse_pointer, pointer

    rows = list(map(_origin_row, session.blame().values()))
    if attribute is not None:
        top = pointer(parse_pointer(attribute))
        rows = [row for row in rows if row["path"] == top or row["path"].startswith(top + "/")]
        if not rows:
            raise click.ClickException(f"no attribute {attribute!r} there")
    out.rows(rows, ("path", "round", "recorded_at", "actor", "reason"), empty="no attributes")


def _origin_row(change: Change) -> dict[str, Any]:
    from eventstate.values.paths import pointer

    return {
        "path": pointer(change.path),
        "round": change.round,
        "recorded_at": change.recorded_at,
        "actor": change.actor,
        "reason": change.reason,
        "op": change.op,
        "seq": change.seq,
    }


def _change_row(change: Change, out: Output) -> dict[str, Any]:
    """Tell a change; where a value was not there, its field is not there either."""
    from eventstate.values.delta import MISSING
    from eventstate.values.patch import to_json

    row = _origin_row(change)
    if change.seq is None:  # of a difference, which no single commit made
        row = {"op": change.op, "path": row["path"]}
    before, after = change.before, change.after
    if out.table and before is not MISSING and after is not MISSING:
        before, after = contrast(before, after, to_json)
        return row | {"before": before, "after": after}
    form = (lambda value: brief(to_json(value))) if out.table else to_json
    there = {"before": before, "after": after}
    return row | {name: form(value) for name, value in there.items() if value is not MISSING}
