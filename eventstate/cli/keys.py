"""The verbs for the keys of encrypted sessions, which stand in a file of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from eventstate.cli.options import file_name, open_keys, output_options, text, yes_option
from eventstate.cli.output import escape

if TYPE_CHECKING:
    from eventstate.cli.output import Output

_keyfile_argument: Final = click.argument("keyfile", type=file_name)
_user_option: Final = click.option(
    "--user", type=text, metavar="TEXT", required=True, help="Whose session; e.g. --user alice"
)
_session_option: Final = click.option(
    "--session",
    "session_id",
    type=text,
    metavar="TEXT",
    default="default",
    show_default=True,
    help="The session's name; e.g. --session trip",
)


@click.group()
def keys() -> None:
    """Make, renew and destroy keys of sessions.

    They stand in KEYFILE, apart from the store; the other verbs read it with --keys, or as the variable
    EVENTSTATE_KEYS says. A session is encrypted if it has a key before its first round. Secrets are never
    printed.

    \b
    Examples:
      eventstate keys create agent.keys --user alice --session trip
      eventstate keys rotate agent.keys --user alice --session trip
      eventstate keys destroy agent.keys --user alice --session trip
    """


@keys.command()
@_keyfile_argument
@_user_option
@_session_option
@output_options
def create(keyfile: str, user: str, session_id: str, out: Output) -> None:
    """Make the first key of a session.

    KEYFILE is made if it is not there, and only its owner has access. A session that was begun without a
    key is never encrypted.

    \b
    Examples:
      eventstate keys create agent.keys --user alice
      eventstate record agent.db chats.jsonl --keys agent.keys
    """
    from eventstate.keys import FileKeyRing

    key = FileKeyRing(keyfile).create(user, session_id)
    out.result({"key": key.id}, f"key {escape(key.id)}")


@keys.command()
@_keyfile_argument
@_user_option
@_session_option
@output_options
def rotate(keyfile: str, user: str, session_id: str, out: Output) -> None:
    """Make a new key for a session's new events.

    What is there keeps its key.

    \b
    Examples:
      eventstate keys rotate agent.keys --user alice
    """
    key = open_keys(keyfile).rotate(user, session_id)
    out.result({"key": key.id}, f"key {escape(key.id)}")


@keys.command()
@_keyfile_argument
@_user_option
@_session_option
@yes_option
@output_options
def destroy(*, keyfile: str, user: str, session_id: str, yes: bool, out: Output) -> None:
    """Destroy all keys of a session: nothing of it can be read any more.

    That holds for its backups, too, but not for copies of KEYFILE. `eventstate purge` then takes what is
    left out of the store.

    \b
    Examples:
      eventstate keys destroy agent.keys --user alice --session trip
    """
    ring = open_keys(keyfile)
    if not yes:
        names = escape(f"{user!r}, {session_id!r}")
        click.confirm(f"Session {names} can never be read again. Destroy its keys?", abort=True, err=True)
    destroyed = ring.destroy(user, session_id)
    out.result({"destroyed": destroyed}, f"destroyed: {', '.join(map(escape, destroyed))}")
