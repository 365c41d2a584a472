"""The verbs that take something out of a session's past, and say so in it."""

from __future__ import annotations

import dataclasses
import itertools
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from eventstate.cli.options import (
    actor_option,
    find_attribute,
    output_options,
    reason_option,
    text,
    with_session,
    yes_option,
)

if TYPE_CHECKING:
    from eventstate.cli.output import Output
    from eventstate.session import Session

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done; e.g. --dry-run")


def _versions(value: str) -> range:
    """Take versions as a person counts them: both ends belong to them."""
    found = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", value)
    if found is None:
        raise ValueError(f"{value!r} is neither a version nor a range such as 3-7")
    first, last = int(found[1]), int(found[2] or found[1])
    return range(first, last + 1)


def _age(value: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
    if found is None:
        raise ValueError(f"{value!r} is no age such as 12h, 30d or 8w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _attribute(session: Session, attribute: str) -> tuple[Any, ...]:
    """Give the path that is meant, with its keys as they are in a state that has it."""
    from eventstate.values.delta import MISSING, look

    for _, state in itertools.chain([(None, session.state())], session.replay()):
        path = find_attribute(attribute, state)
        if look(state or {}, path) is not MISSING:
            return path
    return find_attribute(attribute)


def _confirm(question: str, *, yes: bool, dry_run: bool) -> None:
    if not yes and not dry_run:
        click.confirm(question, abort=True, err=True)


def _tell(out: Output, report: Any, sentence: str) -> None:
    would = "would be: " if report.dry_run else ""
    pending = (
        " (a reader holds the log; it will be cleaned later)" if getattr(report, "pending", False) else ""
    )
    out.result(dataclasses.asdict(report), would + sentence + pending)


@click.command()
@with_session(read_only=False)
@click.argument("attribute", type=text, required=False)
@click.option(
    "--versions",
    type=_versions,
    metavar="A[-B]",
    help="What these versions put in place; e.g. --versions 3-7",
)
@dry_run_option
@yes_option
@reason_option
@actor_option
@output_options
def erase(
    *,
    session: Session,
    attribute: str | None,
    versions: range | None,
    dry_run: bool,
    yes: bool,
    reason: str | None,
    actor: str | None,
    out: Output,
) -> None:
    """Remove values from the past for good.

    ATTRIBUTE, a top-level name or a JSON Pointer through dicts, is gone from all states of all branches of
    the session, and from the file. That it was done is recorded, not what it was.

    \b
    Examples:
      eventstate erase agent.db card --user alice --reason "asked for" --dry-run
      eventstate erase agent.db --versions 3-7 --user alice --yes
    """
    if (attribute is None) == (versions is None):
        raise click.UsageError("Give ATTRIBUTE or --versions, one of them.")
    what: Any = versions if attribute is None else _attribute(session, attribute)
    _confirm("It can't be brought back. Erase it?", yes=yes, dry_run=dry_run)
    report = session.erase(what, actor=actor, reason=reason, dry_run=dry_run)
    branches = ", ".join(report.branches) or "no branch"
    _tell(out, report, f"{report.events} events erased, {report.rewritten} rewritten, in {branches}")


@click.command()
@with_session(read_only=False)
@click.option(
    "--keep", "keep_rounds", type=click.IntRange(min=1), help="How many rounds to keep; e.g. --keep 100"
)
@click.option(
    "--older-than", type=_age, metavar="AGE", help="Drop what is older than this; e.g. --older-than 30d"
)
@dry_run_option
@yes_option
@reason_option
@actor_option
@output_options
def prune(
    *,
    session: Session,
    keep_rounds: int | None,
    older_than: timedelta | None,
    dry_run: bool,
    yes: bool,
    reason: str | None,
    actor: str | None,
    out: Output,
) -> None:
    """Fold a branch's past, and give the space back.

    Rounds before the oldest that is kept can't be read any more, except those that a fork, a merge or a
    tag needs.

    \b
    Examples:
      eventstate prune agent.db --user alice --keep 100 --dry-run
      eventstate prune agent.db --user alice --older-than 30d --yes
    """
    if keep_rounds is None and older_than is None:
        raise click.UsageError("Give --keep or --older-than, or both.")
    _confirm("What is dropped can't be brought back. Prune?", yes=yes, dry_run=dry_run)
    report = session.prune(
        keep_rounds=keep_rounds, older_than=older_than, actor=actor, reason=reason, dry_run=dry_run
    )
    freed = f", {report.freed:,} bytes freed" if report.freed > 0 else ""
    _tell(out, report, f"{report.rounds} rounds, {report.events} events dropped{freed}")


@click.command()
@with_session(read_only=False)
@yes_option
@reason_option
@actor_option
@output_options
def delete(*, session: Session, yes: bool, reason: str | None, actor: str | None, out: Output) -> None:
    """Delete a session, with all its branches.

    It is recorded, and its past stays in the file: `eventstate restore` takes it back, `eventstate purge`
    leaves nothing of it.

    \b
    Examples:
      eventstate delete agent.db --user alice --session trip --reason "asked for"
      eventstate restore agent.db --user alice --session trip
    """
    _confirm(f"Delete {session!r}?", yes=yes, dry_run=False)
    session.delete(actor=actor, reason=reason)
    out.result({"user": session.user_id, "session": session.session_id, "deleted": True}, "deleted")


@click.command()
@with_session(read_only=False)
@reason_option
@actor_option
@output_options
def restore(*, session: Session, reason: str | None, actor: str | None, out: Output) -> None:
    """Take the deletion of a session back.

    \b
    Examples:
      eventstate restore agent.db --user alice --session trip
    """
    session.restore(actor=actor, reason=reason)
    out.result({"user": session.user_id, "session": session.session_id, "deleted": False}, "restored")


@click.command()
@with_session(read_only=False)
@dry_run_option
@yes_option
@reason_option
@actor_option
@output_options
def purge(
    *, session: Session, dry_run: bool, yes: bool, reason: str | None, actor: str | None, out: Output
) -> None:
    """Leave nothing of a session but hashes.

    Those are needed to prove the rest of the file. That it was done is recorded, without names.

    \b
    Examples:
      eventstate purge agent.db --user alice --session trip --dry-run
      eventstate purge agent.db --user alice --session trip --yes
    """
    _confirm(f"{session!r} can't be brought back. Purge it?", yes=yes, dry_run=dry_run)
    report = session.purge(actor=actor, reason=reason, dry_run=dry_run)
    _tell(out, report, f"{report.commits} commits and {report.events} events purged")
