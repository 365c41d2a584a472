"""What the verbs share: the file, the session in it, and the point of its past that is meant."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from eventstate.cli.output import Output, escape

if TYPE_CHECKING:
    from eventstate.keys import FileKeyRing
    from eventstate.session import Session
    from eventstate.store import StateStore
    from eventstate.timeline import At

F = TypeVar("F", bound=Callable[..., Any])

_LISTED: Final = 20  # sessions that an error names


def text(value: str) -> str:
    """Take text that a file can hold; what a shell hands over may be bytes that are no UTF-8."""
    value.encode()  # its UnicodeEncodeError is a ValueError, of which click makes a usage error
    return value


def file_name(value: str) -> str:
    """Take the name of a store's file."""
    if not value:
        raise ValueError("a file needs a name")
    return text(value)


def point(value: str) -> int | str:
    """Take a point of a session's past; a tag and a time are told apart once the session is open."""
    return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else text(value)


file_argument = click.argument("file", type=file_name)
user_option = click.option("--user", type=text, metavar="TEXT", help="Whose session; e.g. --user alice")
session_option = click.option(
    "--session",
    "session_id",
    type=text,
    metavar="TEXT",
    help='The session\'s name, "default" by default; e.g. --session trip',
)
durability_option = click.option(
    "--durability",
    type=click.Choice(["full", "normal"]),
    default="full",
    show_default=True,
    help="Whether each round waits for the disk; normal is quicker, and a power cut may cost the newest"
    " rounds; e.g. --durability normal",
)
branch_option = click.option(
    "--branch",
    type=text,
    metavar="TEXT",
    default="main",
    show_default=True,
    help="The branch of the session; e.g. --branch what-if",
)
at_option = click.option(
    "--at",
    type=point,
    metavar="POINT",
    help="A round's number, a tag, or a time in ISO 8601, UTC if it names no zone; e.g. --at 3",
)
version_option = click.option(
    "--version", type=click.IntRange(min=0), help="A version, between two rounds too; e.g. --version 12"
)
reason_option = click.option(
    "--reason", type=text, metavar="TEXT", help='Why, for the record; e.g. --reason "wrong tool"'
)
actor_option = click.option(
    "--actor", type=text, metavar="TEXT", help="Who does it, for the record; e.g. --actor alice"
)
yes_option = click.option("--yes", is_flag=True, help="Do it without asking; e.g. --yes")
keys_option = click.option(
    "--keys",
    type=file_name,
    metavar="KEYFILE",
    envvar="EVENTSTATE_KEYS",
    show_envvar=True,
    help="The keys of encrypted sessions; e.g. --keys agent.keys",
)


def output_options(function: F) -> F:
    """Add the options of the output; the function gets it as `out`."""

    @click.option(
        "--json/--table", "as_json", default=None, help="JSON or a table, whatever stdout is; e.g. --json"
    )
    @click.option("--nl", is_flag=True, help="One JSON value a line; e.g. --nl")
    @functools.wraps(function)
    def command(*, as_json: bool | None, nl: bool, **rest: Any) -> Any:
        if nl and as_json is False:
            raise click.UsageError("--nl is JSON; it does not go with --table.")
        return function(out=Output(as_json=as_json, nl=nl), **rest)

    return command  # type: ignore[return-value]


def with_session(*, read_only: bool) -> Callable[[F], F]:
    """Add the file and the options that choose a session; the function gets it, opened, as `session`."""

    def decorate(function: F) -> F:
        @file_argument
        @user_option
        @session_option
        @branch_option
        @keys_option
        @functools.wraps(function)
        def command(
            *,
            file: str,
            user: str | None,
            session_id: str | None,
            branch: str,
            keys: str | None,
            **rest: Any,
        ) -> Any:
            with open_store(file, read_only=read_only, keys=keys) as store:
                return function(session=_choose(store, user, session_id, branch), **rest)

        return command  # type: ignore[return-value]

    return decorate


def open_store(file: str, *, read_only: bool, keys: str | None = None) -> StateStore:
    """Open a store that is there, with the keys in a file that is there."""
    from eventstate.store import StateStore
    from eventstate.values.registry import TypeRegistry

    _check_exists(file)
    ring = None if keys is None else open_keys(keys)
    return StateStore(file, read_only=read_only, types=TypeRegistry(unknown="keep"), keys=ring)


def open_keys(file: str) -> FileKeyRing:
    """Open a key file that is there."""
    from eventstate.keys import FileKeyRing

    _check_exists(file)
    return FileKeyRing(file)


def _check_exists(file: str) -> None:
    from eventstate.errors import StorageError

    if not Path(file).exists():  # opened for writing, it would be made
        raise StorageError(f"{file}: no such file")


def _named(
    store: StateStore, user: str | None, session_id: str | None, *, deleted: bool = False
) -> list[tuple[str, str]]:
    """Find the sessions that can be meant."""
    names = ((info.user_id, info.session_id) for info in store.sessions(user, deleted=deleted))
    return list(islice((name for name in names if session_id in {None, name[1]}), _LISTED + 1))


def _choose(store: StateStore, user: str | None, session_id: str | None, branch: str) -> Session:
    """Find the session that is meant, if there is but one that it can be."""
    from eventstate.errors import BranchNotFoundError

    name = "default" if session_id is None else session_id
    if user is not None and store.session(user, name).exists:
        found = [(user, name)]
    else:
        found = _named(store, user, session_id) or _named(store, user, session_id, deleted=True)
    if len(found) == 1:
        session = store.session(*found[0], branch)
        if branch != "main" and not session.exists:
            known = ", ".join(map(repr, store.session(*found[0]).branches()))
            raise BranchNotFoundError(f"session {found[0]!r}: no branch {branch!r}; there are: {known}")
        return session
    if found:
        raise click.UsageError(f"Which session? Give --user and --session.\n{_list(found)}")
    everything = [(info.user_id, info.session_id) for info in islice(store.sessions(), _LISTED + 1)]
    if not everything:
        raise click.ClickException("the store has no sessions")
    raise click.ClickException(f"no such session\n{_list(everything)}")


def _list(names: list[tuple[str, str]]) -> str:
    lines = [f"  --user {_quote(user)} --session {_quote(name)}" for user, name in names[:_LISTED]]
    more = ["  and more; `eventstate sessions FILE` lists them"] if len(names) > _LISTED else []
    return "\n".join(["There are:", *lines, *more])


def _quote(text: str) -> str:
    import shlex

    return shlex.quote(escape(text))


def find_at(session: Session, at: int | str) -> At:
    """Give the point that is meant: a number is a round, text a tag or else a time."""
    if not isinstance(at, str) or at in session.tags():
        return at
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return at  # the session says that there is no such tag
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def find_point(session: Session, at: int | str | None, version: int | None) -> tuple[At | None, int | None]:
    """Give what `--at` and `--version` mean; one of them at most may be there."""
    if at is not None and version is not None:
        raise click.UsageError("Give --at or --version, not both.")
    return None if at is None else find_at(session, at), version


def find_attribute(text: str, *states: Any) -> tuple[Any, ...]:
    """Read an attribute as a person types it, a name or a JSON Pointer.

    The first of the states that has it says which keys are no strings, and which are indexes of lists.
    """
    from eventstate.values.paths import parse_pointer

    parts = parse_pointer(text)
    for state in states:
        path: list[Any] = []
        node = state
        for part in parts:
            key = _key(part, node)
            if key is None:
                break
            path.append(key[0])
            node = node[key[0]]
        else:
            return tuple(path)
    return parts


def _key(part: str, node: Any) -> tuple[Any] | None:
    if isinstance(node, dict):
        if part in node:
            return (part,)
        return next(((key,) for key in node if not isinstance(key, str) and str(key) == part), None)
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return (int(part),)
    return None
