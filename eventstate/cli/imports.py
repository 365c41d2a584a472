"""The verb that brings in what other programs kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import click

from eventstate.cli.options import (
    durability_option,
    file_argument,
    keys_option,
    open_keys,
    output_options,
    text,
)
from eventstate.cli.output import Output, count, escape, progress

if TYPE_CHECKING:
    from eventstate.importers import ImportResult


@click.command("import")
@file_argument
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path(exists=True))
@click.option(
    "--kind",
    type=click.Choice(["json-session", "rdb", "redis-json"]),
    help="Of what kind the files are, instead of looking; e.g. --kind rdb",
)
@click.option(
    "--users",
    type=text,
    multiple=True,
    metavar="TEXT",
    help="Known users, with commas between, to tell user and session apart; e.g. --users alice,bob",
)
@click.option(
    "--prefix", type=text, metavar="TEXT", help="What RedisSession's keys start with; e.g. --prefix prod:"
)
@click.option(
    "--database", type=click.IntRange(min=0), help="The only database of a dump to read; e.g. --database 1"
)
@click.option(
    "--force",
    is_flag=True,
    help="Write into sessions too that were changed since they were brought in; e.g. --force",
)
@click.option(
    "--skip-damaged",
    is_flag=True,
    help="Leave out damaged rounds, not their sessions; e.g. --skip-damaged",
)
@durability_option
@keys_option
@output_options
@click.pass_context
def import_(
    ctx: click.Context,
    *,
    file: str,
    sources: tuple[str, ...],
    kind: Literal["json-session", "rdb", "redis-json"] | None,
    users: tuple[str, ...],
    prefix: str | None,
    database: int | None,
    force: bool,
    skip_damaged: bool,
    durability: Literal["full", "normal"],
    keys: str | None,
    out: Output,
) -> None:
    """Bring in the sessions of AgentScope.

    FILE is made if it is not there. Each SOURCE is a folder in which JSONSession keeps its files, one of
    these files, or a dump of the Redis in which RedisStateService or RedisSession keep theirs: an RDB file,
    as redis-cli --rdb makes it, or JSON, as redis-dump does. Rounds keep their numbers; a file of
    JSONSession, and a key of RedisSession, is round 1. What expired in Redis since the dump was made is
    brought in, too.

    What was brought in before is passed over, so an interrupted import can be repeated, and what changed
    in a source since becomes a new commit of the same round. Sessions with damaged rounds, and sessions
    that were changed by others or deleted since, are refused as a whole and told, and the exit status is
    then 1; the others are brought in. A file {user}_{session}.json is a session of the user "" unless
    --users has the user; a key of RedisSession has its user, "default_user" if none was given there. Names
    of keys that could mean another user are told.

    \b
    Examples:
      eventstate import agent.db sessions/
      eventstate import agent.db sessions/ --users alice,bob
      eventstate import agent.db dump.rdb --prefix prod:
    """
    from eventstate.importers import import_sessions
    from eventstate.store import StateStore
    from eventstate.values.registry import TypeRegistry

    ring = None if keys is None else open_keys(keys)
    with (
        StateStore(file, durability=durability, types=TypeRegistry(unknown="keep"), keys=ring) as store,
        progress("importing") as bar,
    ):
        result = import_sessions(
            store,
            sources,
            kind=kind,
            users=[user for part in users for user in part.split(",")],
            prefix=prefix,
            database=database,
            force=force,
            skip_damaged=skip_damaged,
            progress=bar.show,
        )
    if out.table and result.problems:
        rows = [problem._asdict() for problem in result.problems]
        out.rows(rows, ("source", "key", "field", "message"))
    if out.table and result.ambiguous:
        named = ", ".join(map(repr, result.ambiguous))
        click.echo(escape(f"read up to the first place where the user can end: {named}; see --users"))
    counts = asdict(result) | {"problems": [problem._asdict() for problem in result.problems]}
    out.result(counts, _sentence(result))
    if not result.ok:
        ctx.exit(1)


def _sentence(result: ImportResult) -> str:
    told = [count(result.sessions, "session"), count(result.rounds, "round"), f"{result.added} new"]
    if result.skipped:
        told.append(f"{result.skipped} damaged and left out")
    if result.ignored:
        told.append(f"{result.ignored} other keys or files")
    return ", ".join(told) + (f"; {count(result.refused, 'session')} refused" if result.refused else "")
