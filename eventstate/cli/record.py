"""The verb that journals transcripts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from eventstate.cli.options import (
    durability_option,
    file_argument,
    keys_option,
    open_keys,
    output_options,
    session_option,
    user_option,
)
from eventstate.cli.output import Output, count, escape, progress


@click.command()
@file_argument
@click.argument("transcript", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@user_option
@session_option
@durability_option
@keys_option
@output_options
@click.pass_context
def record(
    ctx: click.Context,
    *,
    file: str,
    transcript: str,
    user: str | None,
    session_id: str | None,
    durability: Literal["full", "normal"],
    keys: str | None,
    out: Output,
) -> None:
    """Record chats, one round a message.

    FILE is made if it is not there. Each line of TRANSCRIPT (- for stdin) is a JSON object: a
    conversation with user_id, session_id and messages, or one message of the session that --user and
    --session name. Messages are in the OpenAI format; the other fields of a conversation become the
    metadata of its first round.

    Lines that can't be recorded are told by their numbers, and the exit status is then 1; the others
    are recorded. What was recorded before is passed over, so an interrupted run can be repeated, and
    a transcript that has grown adds what is new. Sessions that have a key before they are recorded first
    are encrypted.

    \b
    Examples:
      eventstate record agent.db chats.jsonl
      eventstate record agent.db trip.jsonl --user alice --session trip
    """
    from eventstate.errors import TranscriptError
    from eventstate.journal.files import is_part
    from eventstate.store import StateStore
    from eventstate.transcripts import Recorder
    from eventstate.values.registry import TypeRegistry

    if is_part(transcript, file):
        raise click.UsageError(f"{transcript} is the store itself, not a transcript.")
    ring = None if keys is None else open_keys(keys)
    size = 0 if transcript == "-" else Path(transcript).stat().st_size
    with (
        click.open_file(transcript, "rb") as lines,
        StateStore(file, durability=durability, types=TypeRegistry(unknown="keep"), keys=ring) as store,
        progress("recording", size or None, size=True) as bar,
    ):
        recorder = Recorder(store, user, session_id)
        title = "stdin" if transcript == "-" else transcript
        done = 0
        for number, line in enumerate(lines, 1):
            try:
                recorder.line(line)
            except TranscriptError as error:
                bar.say(f"{title}, line {number}: {escape(str(error))}")
            done += len(line)
            bar.show(done)
    counts = {
        "sessions": len(recorder.sessions),
        "messages": recorder.messages,
        "added": recorder.added,
        "refused": recorder.refused,
    }
    told = ", ".join((count(recorder.messages, "message"), count(recorder.added, "new round")))
    refused = f"; {count(recorder.refused, 'line')} refused" if recorder.refused else ""
    out.result(counts, f"{count(len(recorder.sessions), 'session')}, {told}{refused}")
    if recorder.refused:
        ctx.exit(1)
