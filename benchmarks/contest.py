"""A contest: each contestant's store in a folder of its own, and phases in which they take steps in turn."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from benchmarks.figures import exponent, folder_bytes, growth, summary
from benchmarks.floors import fdatasync_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    from benchmarks.contestant import Answer
    from benchmarks.runner import Field

ROOM = 4_000_000_000
ENDINGS = ("unsupported", "failed", "wrong")
"""Why a contestant may have no figures, or none that count."""


@dataclass
class Tally:
    """What one contestant did in a phase."""

    seconds: list[float] = field(default_factory=list)
    ending: dict[str, str] = field(default_factory=dict)
    """Empty, or one of `ENDINGS` with the reason."""
    over: bool = False
    """Whether its time was over, or its room full."""
    spent: float = 0.0
    """Seconds that were timed so far."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """The bytes of the closed store after so many steps."""
    checked: bool = False
    """Whether the state that it read back was looked at, and was right."""
    partial: bool = False
    """Whether it has messages alone, and no place for attributes."""
    after: int | None = None
    """How many steps the phase before had, which this one reads; `None` if that is no matter."""

    def note(self, answer: Answer, share: int = 1) -> None:
        """Take in what a step answered; its seconds are those of so many steps together."""
        if "error" in answer:
            answer = {"failed": answer["error"]}
        for ending in ENDINGS:
            if ending in answer:
                self.ending = {ending: answer[ending]}
                return
        seconds = answer.get("seconds", ())
        self.seconds += [each / share for each in seconds]
        self.spent += sum(seconds)

    def row(self, *, grows: bool) -> dict[str, Any]:
        """Give it as data for the results."""
        if not self.seconds and not self.ending:
            self.ending = {"failed": "it did nothing"}
        row: dict[str, Any] = {**self.ending, "checked": self.checked, "over": self.over}
        if self.seconds:
            row |= summary(self.seconds)
        if self.partial:
            row["partial"] = True
        if self.after is not None:
            row["after"] = self.after
        if grows and len(self.seconds) >= 10:
            row["growth"] = growth(self.seconds)
            row["exponent"] = exponent(row["growth"]["steps"], row["growth"]["seconds"])
        if self.sizes:
            row["bytes"] = self.sizes[-1][1]
            row["sizes"] = [list(pair) for pair in self.sizes]
            row["bytes_exponent"] = exponent(*zip(*self.sizes, strict=True))
        return row


Tallies = dict[str, Tally]


class Step(Protocol):
    """Something that each contestant does when it is its turn."""

    @property
    def share(self) -> int:
        """What its seconds are divided by, if they are of many steps together."""

    def take(self, contest: Contest, name: str, tally: Tally) -> Answer:
        """Have the contestant of this name do it."""


@dataclass
class Ask:
    """A request.

    Attributes:
        method: which.
        arguments: its arguments, or what gives them for a contestant's name.
        steps: how many seconds there have to be in the answer.
        check: tells what is wrong with an answer, if anything is.
        share: what the seconds are divided by, if they are of many steps together.
    """

    method: str
    arguments: dict[str, Any] | Callable[[str], dict[str, Any]]
    steps: int = 1
    check: Callable[[str, Answer], str | None] | None = None
    share: int = 1

    def take(self, contest: Contest, name: str, tally: Tally) -> Answer:
        """Ask, and check the answer."""
        arguments = self.arguments(name) if callable(self.arguments) else self.arguments
        answer = contest.field.ask(name, {"do": self.method, **arguments})
        if not {"error", *ENDINGS} & answer.keys():
            count = len(answer["seconds"])
            if count != self.steps and contest.field.kind(name) != "floor":
                return {"wrong": f"{self.steps} steps in {self.method!r} gave {count} times"}
            if self.check is not None:
                if why := self.check(name, answer):
                    return {"wrong": why}
                tally.checked = True
        return answer


@dataclass
class Weigh:
    """Closes the store, weighs its files, and opens it again.

    Attributes:
        session: is read then, so that the next step is not the first one after opening.
    """

    session: str
    share: int = 1

    def take(self, contest: Contest, name: str, tally: Tally) -> Answer:
        """Weigh, in no time."""
        for request in (
            {"do": "close"},
            {"do": "open", **contest.place(name)},
            {"do": "latest", "session": self.session},
        ):
            answer = contest.field.ask(name, request)
            if answer.keys() & {"failed", "error"}:
                return answer
            if request["do"] == "close":
                tally.sizes.append((len(tally.seconds), folder_bytes(contest.folder / name)))
        return {}


class Contest:
    """One contest; as a context manager it opens everybody's store, and removes them all at its end.

    Args:
        field: who takes part.
        folder: where the stores go, a folder each; made, and removed at the end.
        durability: `full` or `normal`.
        budget: seconds that a peer has for a phase.
        only: the names of those who take part; `None` means all.

    Attributes:
        fdatasync: what the disk took for one, measured after each step.
        room: bytes that a peer's files may grow to; then it stops where it is.
    """

    def __init__(
        self, field: Field, folder: Path, durability: str, budget: float, only: Iterable[str] | None = None
    ) -> None:
        self.field, self.folder, self.durability = field, folder, durability
        self._budget = budget
        self._names = [e.name for e in field.entrants if only is None or e.name in set(only)]
        self._broken: dict[str, Answer] = {}
        self.fdatasync: list[float] = []
        self.room = ROOM

    def __enter__(self) -> Self:
        self.field.revive()
        for name in self._names:
            (self.folder / name).mkdir(parents=True)
            answer = self.field.ask(name, {"do": "open", **self.place(name)})
            if answer.keys() & {"failed", "error"}:
                self._broken[name] = {"failed": answer.get("failed") or answer["error"]}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._names:
            self.field.ask(name, {"do": "close"})
        shutil.rmtree(self.folder)

    def place(self, name: str) -> dict[str, str]:
        """Give the arguments of `open`."""
        return {"folder": str(self.folder / name), "durability": self.durability}

    def phase(
        self, steps: Iterable[Step], *, of: Tallies | None = None, budget: float | None = None
    ) -> Tallies:
        """Have everybody take the steps, in turn, until they are done or their time is over.

        Args:
            steps: what each does.
            of: the phase that made what this one reads; who did not manage that does not take part.
            budget: seconds for each, if not the contest's own.
        """
        tallies = {name: self._tally(name, of) for name in self._names}
        for turn, step in enumerate(steps):
            going = [name for name, tally in tallies.items() if not tally.ending and not tally.over]
            if not going:
                break
            for name in self.field.order(going, turn):
                self._take(step, name, tallies[name], self._budget if budget is None else budget)
                self.fdatasync.append(fdatasync_seconds(self.folder))
        return tallies

    def _tally(self, name: str, of: Tallies | None) -> Tally:
        tally = Tally(ending=dict(self._broken.get(name, {})))
        if of is not None:
            tally.ending = tally.ending or dict(of[name].ending)
            tally.after, tally.partial = len(of[name].seconds), of[name].partial
        return tally

    def _take(self, step: Step, name: str, tally: Tally, budget: float) -> None:
        answer = step.take(self, name, tally)
        tally.note(answer, step.share)
        # Ours and its floors are what the others are compared with, as far as they come.
        if self.field.kind(name) == "peer":
            tally.over = tally.spent > budget or folder_bytes(self.folder / name) > self.room
        if "failed" in answer:
            self._broken[name] = answer

    def weigh(self, tallies: Tallies, session: str) -> None:
        """Weigh everybody's store as it is at the end of a phase."""
        for name, tally in tallies.items():
            if not tally.ending and (not tally.sizes or tally.sizes[-1][0] != len(tally.seconds)):
                tally.note(Weigh(session).take(self, name, tally))

    def check(self, tallies: Tallies, session: str, expected: Callable[[int], Answer]) -> None:
        """Read everybody's latest state of a session, and mark those whose state is wrong.

        Args:
            tallies: of the phase that wrote it.
            session: its name.
            expected: gives what `seen` tells of the right state after so many steps.
        """
        for name, tally in tallies.items():
            if tally.ending:
                continue
            answer = self.field.ask(name, {"do": "latest", "session": session})
            if "unsupported" in answer:
                continue
            if answer.keys() & {"failed", "error"}:
                tally.note(answer)
            elif why := difference(answer, expected(len(tally.seconds))):
                tally.note({"wrong": why})
            else:
                tally.checked = True
                tally.partial = answer["attributes"] is None


def difference(answer: Answer, expected: Answer) -> str | None:
    """Tell what is wrong with a state that was read, if anything is."""
    if answer["messages"] != expected["messages"]:
        return f"it has {answer['messages']} messages, and should have {expected['messages']}"
    if answer["checksum"] != expected["checksum"]:
        return "its messages are not those that it was given"
    if answer["attributes"] is not None and answer["attributes"] != expected["attributes"]:
        return f"its attributes are {answer['attributes']!r}, and should be {expected['attributes']!r}"[:300]
    return None
