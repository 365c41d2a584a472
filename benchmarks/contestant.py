"""What a contestant is: a process that does what it is told, one line of JSON at a time.

This file runs in the environments of the peers as well, so it needs nothing but the standard library. A
contestant is a class with the methods below; `main(TheClass)` runs it. Each request is one line on the
standard input, `{"do": "turns", "session": "a", ...}`, with the method's name and its arguments; each answer
is one line, which is one of

    {"seconds": [...], ...}      how long each step took, and what the method tells besides
    {"unsupported": "why"}       there is no such thing in the contestant's public API
    {"error": "..."}             it failed; the next request can be tried

Seconds are taken by the contestant, around the calls of its own public API alone: what prepares the input and
what checks the result stays outside (`Laps` helps with that).
"""

# ruff: noqa: ARG002 - what is not overridden has no use for its arguments
from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import traceback
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

Answer = dict[str, Any]

TURN_ATTRIBUTES = ("turn", "last_role", "score")
"""What a turn sets: a whole number, a text, a float. No turn sets anything else."""
SMALL_ATTRIBUTES = tuple(f"small_{number:02}" for number in range(20))
"""What `change` changes: numbers, texts, booleans and null, one or a few at a time."""


class UnsupportedError(Exception):
    """The contestant has nothing like what was asked for; the message says why, in one sentence."""


class Laps:
    """A stopwatch: `with laps: ...` adds the seconds that the block took to `laps.seconds`."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def seen(messages: list[Any], attributes: dict[str, Any] | None) -> Answer:
    """Give the part of an answer that lets the contestants' states be compared.

    Args:
        messages: all messages of the session, as they were given.
        attributes: the session's other attributes with their values; `None` if the contestant has no
            place for any.
    """
    text = json.dumps(messages, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return {"messages": len(messages), "checksum": checksum, "attributes": attributes}


class Contestant:
    """One contestant: a subclass overrides what it can do, the rest answers that it is not supported.

    Sessions are named by a text. A session begins with the first call that writes to it; nothing makes it
    beforehand. Each method that takes a list does its items one after the other, and answers with as many
    seconds.
    """

    lacks: dict[str, str] = {}  # noqa: RUF012 - never changed
    """For methods that are not overridden: why, in one sentence."""

    def open(self, folder: str, durability: str) -> None:
        """Open the store, or open it again, with its files in `folder`, which is there.

        Args:
            folder: where all files of the store go.
            durability: `full` (on disk when a call returns) or `normal` (may lose the newest at a power
                cut). One that can't choose does what it does, and `about` says it.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the store: everything in its files, and no file open."""
        raise NotImplementedError

    def about(self) -> Answer:
        """Give `name`, `version`, `durability` (what it really does) and `note`; works before `open` too."""
        raise NotImplementedError

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        """Take turns, each one commit: a message is appended, and attributes are set.

        Args:
            session: its name.
            turns: each with a `message` (role, content, and whatever chat messages have), which goes to
                the end of the list `messages`, and `set`, a dict of `TURN_ATTRIBUTES` with their values.
        """
        raise self._lack("turns")

    def change(self, session: str, changes: list[dict[str, Any]]) -> Answer:
        """Change some of `SMALL_ATTRIBUTES`, in one commit for each dict of `changes`.

        The session has no messages then.
        """
        raise self._lack("change")

    def stream(self, session: str, texts: list[str], every: int) -> Answer:
        """Append a new message and let its content grow by `texts`, a token each.

        There is a commit after each `every` tokens, which holds all of the text so far, and one after the
        last; `seconds` has one for each commit. The message is `{"role": "assistant", "content": text}`.
        """
        raise self._lack("stream")

    def latest(self, session: str) -> Answer:
        """Read the whole latest state, and answer with what `seen` tells of it, and `seconds` of one."""
        raise self._lack("latest")

    def cold(self, folder: str, durability: str, session: str) -> Answer:
        """Open the closed store and read the latest state; `seconds` is one, of both."""
        laps = Laps()
        with laps:
            self.open(folder, durability)
        answer = self.latest(session)
        return {**answer, "seconds": [laps.seconds[0] + sum(answer["seconds"])]}

    def history(self, session: str, attribute: str) -> Answer:
        """Find all values that an attribute ever had; `seconds` of one, and `count`, how many they are."""
        raise self._lack("history")

    def at(self, session: str, turns: list[int]) -> Answer:
        """Read the whole states as they were after these turns, the first being 1.

        `messages` has how many messages each had.
        """
        raise self._lack("at")

    def fork(self, session: str, at: int, names: list[str]) -> Answer:
        """Make durable branches, forks or copies of the session as it was after turn `at`, one per name."""
        raise self._lack("fork")

    def tasks(self, sessions: list[str], turns: list[dict[str, Any]]) -> Answer:
        """Have as many concurrent tasks as there are sessions, each taking all turns in its session.

        They are asyncio tasks, or threads if the contestant has no asynchronous face. `seconds` is one, of
        them all together.
        """
        raise self._lack("tasks")

    def append(self, session: str, batches: list[int]) -> Answer:
        """Append events of one small value each, as many in one commit as each number says."""
        raise self._lack("append")

    def _lack(self, method: str) -> UnsupportedError:
        return UnsupportedError(self.lacks.get(method, "its public API has no such operation"))


METHODS = (
    "about",
    "append",
    "at",
    "change",
    "close",
    "cold",
    "fork",
    "history",
    "latest",
    "open",
    "stream",
    "tasks",
    "turns",
)
"""What can be asked for."""


def answer(contestant: Contestant, request: dict[str, Any]) -> Answer:
    """Do what a request says, and give the answer."""
    arguments = dict(request)
    method = arguments.pop("do")
    if method not in METHODS:
        return {"error": f"no such request: {method!r}"}
    try:
        return getattr(contestant, method)(**arguments) or {}
    except UnsupportedError as error:
        return {"unsupported": str(error)}
    except Exception as error:  # noqa: BLE001 - it is told to the one who asked
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def serve(contestant: Contestant, requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until there are no more of them."""
    for line in requests:
        answers.write(json.dumps(answer(contestant, json.loads(line))) + "\n")
        answers.flush()


def main(kind: type[Contestant]) -> None:
    """Run a contestant on the standard streams; what it prints itself goes to the standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(kind(), sys.stdin, answers)
