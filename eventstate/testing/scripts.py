"""What agents do in a session, as plain data, and how it is played.

`eventstate.testing.strategies.agent_sessions` draws such scripts.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from eventstate.rounds import Round
    from eventstate.session import Session


@dataclass(frozen=True, slots=True)
class Message:
    """Somebody says something."""

    role: str
    content: str

    def __call__(self, state: Any) -> None:
        """Put it at the end of `messages`."""
        state.setdefault("messages", []).append({"role": self.role, "content": self.content})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The agent calls a tool, and gets its result."""

    name: str
    arguments: dict[str, Any]
    result: Any

    def __call__(self, state: Any) -> None:
        """Put both at the end of `messages`, and count the call."""
        call = {"name": self.name, "arguments": copy.deepcopy(self.arguments)}
        result = {"role": "tool", "name": self.name, "content": copy.deepcopy(self.result)}
        state.setdefault("messages", []).extend([{"role": "assistant", "tool_calls": [call]}, result])
        calls = state.setdefault("calls", {})
        calls[self.name] = calls.get(self.name, 0) + 1


@dataclass(frozen=True, slots=True)
class Plan:
    """The agent makes a plan, or drops the one that it had."""

    steps: list[str] | None

    def __call__(self, state: Any) -> None:
        """Make it the state's `plan`."""
        state["plan"] = copy.copy(self.steps)


@dataclass(frozen=True, slots=True)
class Done:
    """The agent has done the first step of its plan."""

    def __call__(self, state: Any) -> None:
        """Take the step out of the `plan`."""
        if state.get("plan"):
            state["plan"].pop(0)


@dataclass(frozen=True, slots=True)
class Fact:
    """The agent remembers something."""

    key: str
    value: Any

    def __call__(self, state: Any) -> None:
        """Put it into the `memory`."""
        state.setdefault("memory", {})[self.key] = copy.deepcopy(self.value)


@dataclass(frozen=True, slots=True)
class Trim:
    """The agent forgets all but the newest messages."""

    keep: int

    def __call__(self, state: Any) -> None:
        """Cut `messages` at its start."""
        messages = state.setdefault("messages", [])
        del messages[: max(len(messages) - self.keep, 0)]


class Turn(NamedTuple):
    """A turn of the agent, which is one round unless it `fails`: then nothing is written."""

    steps: Sequence[Callable[[Any], None]]
    """What is done to the state, in order."""
    how: str
    """`"round"`, `"update"` or `"save"`."""
    fails: bool = False
    branch: int = 0
    """On which branch, counted round and round in the order of their making; the same below."""


class Noted(NamedTuple):
    """A note."""

    name: str
    data: Any
    branch: int = 0


class Rollback(NamedTuple):
    """Go back to a round, counted round and round."""

    to: int
    branch: int = 0


class Undo(NamedTuple):
    """Take the last round back."""

    branch: int = 0


class Fork(NamedTuple):
    """Start a branch at a round, counted round and round."""

    at: int
    branch: int = 0


class Tag(NamedTuple):
    """Name a round, counted round and round."""

    at: int
    branch: int = 0


Action = Turn | Noted | Rollback | Undo | Fork | Tag


class Played(NamedTuple):
    """A branch of a session after a script, and what plain dicts say of it."""

    session: Session
    rounds: dict[int, dict[Any, Any]]
    """The state at each round, by its number."""


class _Failed(Exception):  # noqa: N818 - no error, but a turn that is to fail
    pass


class _Line:
    """A branch while a script is played: its rounds in the order of writing, as plain states."""

    def __init__(self, session: Session, log: list[tuple[int, dict[Any, Any]]], given: int) -> None:
        self.session = session
        self.log = log
        self.given = given  # how many of them were there before the script

    def mirror(self) -> dict[Any, Any]:
        return copy.deepcopy(self.log[-1][1]) if self.log else {}

    def wrote(self, turn: Round, state: dict[Any, Any]) -> None:
        self.log.append((turn.id, state))


def play(session: Session, script: Iterable[Action]) -> list[Played]:
    """Carry a script out on a session and on plain dicts; what it can't do, it leaves out.

    Args:
        session: without a model. What is in it already, stays.
        script: as `agent_sessions` draws it.

    Returns:
        The session first, then the forks in the order of their making, each with what is expected of it.
    """
    given = [(turn.id, state) for turn, state in session.replay()]
    lines = [_Line(session, given, len(given))]
    for action in script:
        line = lines[action.branch % len(lines)]
        if isinstance(action, Turn):
            _take(line, action)
        elif isinstance(action, Noted):
            line.session.note(action.name, action.data)
        elif isinstance(action, Undo):
            if len(line.log) > line.given:
                before = copy.deepcopy(line.log[-2][1]) if len(line.log) > 1 else {}
                line.wrote(line.session.undo(reason="undone by the script"), before)
        elif line.log:
            _go(lines, line, action)
    return [Played(line.session, dict(line.log)) for line in lines]


def _take(line: _Line, turn: Turn) -> None:
    mirror = line.mirror()
    for step in turn.steps:
        step(mirror)

    def change(state: Any) -> None:
        for step in turn.steps:
            step(state)
        if turn.fails:
            raise _Failed

    try:
        if turn.how == "round":
            with line.session.round(actor="agent") as state:
                change(state)
        elif turn.how == "update":
            line.session.update(change, actor="agent")
        else:
            saved = line.mirror()
            change(saved)
            line.session.save(saved, actor="agent")
    except _Failed:
        return
    latest = line.session.latest
    if latest is None:
        raise AssertionError(f"{line.session!r}: there is no round after {turn!r}")
    line.wrote(latest, mirror)


def _go(lines: list[_Line], line: _Line, action: Rollback | Fork | Tag) -> None:
    """Do what refers to a round."""
    place = (action.to if isinstance(action, Rollback) else action.at) % len(line.log)
    number, state = line.log[place]
    session = line.session
    if isinstance(action, Rollback):
        line.wrote(session.rollback(number, reason="as the script says"), copy.deepcopy(state))
    elif isinstance(action, Tag):
        session.tag(_free("tag", session.tags()), at=number)
    else:
        fork = session.fork(_free("fork", session.branches()), at=number)
        lines.append(_Line(fork, line.log[: place + 1], min(line.given, place + 1)))


def _free(name: str, taken: Collection[str]) -> str:
    return next(f"{name}-{i}" for i in range(1, len(taken) + 2) if f"{name}-{i}" not in taken)
