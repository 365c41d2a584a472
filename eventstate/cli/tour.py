"""The verb that shows the others at work, on a small chat in which something goes wrong."""

from __future__ import annotations

import os
import shlex
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from eventstate.session import Session
    from eventstate.store import StateStore

_USER: Final = "ada"
_SESSION: Final = "picnic"


@click.command()
@click.option(
    "--keep",
    metavar="PATH",
    type=click.Path(),
    help="Leave the store in this new file, to look around in it; e.g. --keep tour.db",
)
def tour(keep: str | None) -> None:
    """See all of this at work on a small chat.

    It is recorded in a store of its own, which is gone afterwards.

    \b
    Examples:
      eventstate tour
      eventstate tour --keep tour.db
    """
    if keep is not None and os.path.lexists(keep):
        raise click.ClickException(f"{keep}: exists; the tour needs a new file")
    with tempfile.TemporaryDirectory() as folder:
        guide = _Guide(keep or str(Path(folder, "tour.db")), keep or "tour.db")
        _record(guide)
        _read(guide)
        _change(guide)
        guide.say("What has to be forgotten can be taken out of every state and out of the file.")
        guide.run("erase", "booked", "--reason", "it rains after all", "--dry-run")
        guide.say("Check the file: each commit is chained to the one before by its hash.")
        guide.run("verify")
    if keep is not None:
        click.echo(f"\nThe store is in {keep}; look around with: eventstate log {shlex.quote(keep)}")


class _Guide:
    """Tells what is going on, does it, and insists that it comes out as told.

    Args:
        path: the store's file.
        name: what it is called in the commands that are shown.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self._name = name
        self._steps = 0

    def say(self, text: str) -> None:
        """Begin the next step."""
        self._steps += 1
        click.secho(f"\n{self._steps}. {text}", bold=True)

    def run(self, verb: str, *arguments: str, transcript: str | None = None) -> None:
        """Show a command and run it."""
        from eventstate.cli import main

        files = [] if transcript is None else [transcript]
        shown = [verb, self._name, *map(os.path.basename, files), *arguments]
        click.echo(f"$ eventstate {shlex.join(shown)}")
        status = main.main([verb, self._path, *files, *arguments, "--table"], standalone_mode=False)
        self.expect(f"eventstate {verb}", holds=not status)

    def open(self) -> StateStore:
        """Open the store, for what has no verb and for looking after the verbs."""
        from eventstate.store import StateStore

        return StateStore(self._path)

    def expect(self, what: str, *, holds: bool) -> None:
        """Stop the tour if something is not as it was told."""
        if not holds:
            raise click.ClickException(f"step {self._steps} of the tour went wrong: {what}")


def _session(store: StateStore, branch: str = "main") -> Session:
    return store.session(_USER, _SESSION, branch)


def _record(guide: _Guide) -> None:
    guide.say("Record a chat: each message becomes a round.")
    with resources.as_file(resources.files("eventstate.cli") / "tour.jsonl") as transcript:
        size = len(transcript.read_bytes().splitlines())
        guide.run("record", "--user", _USER, "--session", _SESSION, transcript=str(transcript))
    guide.run("sessions")
    with guide.open() as store:
        session = _session(store)
        guide.expect("a round a message", holds=len(list(session.rounds())) == size)
        guide.expect("every message", holds=len(session.state()["messages"]) == size)


def _read(guide: _Guide) -> None:
    guide.say("List the newest rounds, and read an older one as it was.")
    guide.run("log", "--limit", "4")
    guide.run("show", "/messages/3/content", "--at", "4")

    guide.say("Sunday was agreed on. What did round 7 do?")
    guide.run("diff", "6", "7")
    guide.run("show", "/messages/6/tool_calls/0/function/arguments", "--at", "7")

    guide.say("Saturday! Ask one attribute what happened to it, and each of them who set it last.")
    guide.run("history", "pending_tool_calls")
    guide.run("blame")
    with guide.open() as store:
        session = _session(store)
        paths = {change.path for change in session.diff(6, 7)}
        guide.expect("the difference", holds={("pending_tool_calls",), ("tool_usage", "book")} <= paths)
        pending = [len(change.after) for change in session.history("pending_tool_calls")]
        guide.expect("the history", holds=pending == [0, 1, 0, 1, 0])
        origin = session.blame()["tool_usage", "book"]
        guide.expect("the blame", holds=(origin.round, origin.actor) == (7, "assistant"))


def _change(guide: _Guide) -> None:
    guide.say("Go back. That is a new round, so the mistake stays on record...")
    with guide.open() as store:
        last = _session(store).state()
    guide.run("rollback", "6", "--reason", "the wrong day")
    with guide.open() as store:
        session = _session(store)
        guide.expect("the state of round 6", holds=session.state() == session.state(at=6))

        guide.say("...and going back can be taken back.")
        click.echo(">>> session.undo().id")
        click.echo(session.undo().id)
        guide.expect("the state before", holds=session.state() == last)

    guide.say("Do better on a branch, and merge what comes of it.")
    guide.run("fork", "sunday", "--at", "6")
    with guide.open() as store:
        session, branch = _session(store), _session(store, "sunday")
        click.echo('>>> branch = store.session("ada", "picnic", branch="sunday")')
        click.echo('>>> branch.update(lambda state: state.update(booked="the meadow, Sunday")).id')
        click.echo(branch.update(lambda state: state.update(booked="the meadow, Sunday")).id)
        guide.expect("the branch alone", holds="booked" not in session.state())
        click.echo(">>> session.merge(branch).round.id")
        merged = session.merge(branch).round
        guide.expect("no conflict", holds=merged is not None)
        click.echo(None if merged is None else merged.id)
        guide.expect("both changes", holds=session.state() == last | {"booked": "the meadow, Sunday"})
    guide.run("show", "booked")
