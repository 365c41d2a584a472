"""Contestants that need no store: an honest one, and some that go wrong in one way each.

python -m tests.benchmarks.fakes KIND NAME
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.contestant import Answer, Contestant, main, seen

LOG = "asked.txt"
STEP = 0.001


class Honest(Contestant):
    """Keeps its sessions in memory, weighs as many bytes as it has messages, and takes a millisecond a step.

    It notes what it is asked in a file beside its folder, so that a test sees the order.
    """

    step = STEP

    def __init__(self) -> None:
        self.name = sys.argv[2]
        self.folder = Path()
        self.past: dict[str, list[dict[str, Any]]] = {}

    def note(self, what: str) -> None:
        with (self.folder.parent / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{self.name} {what}\n")

    def open(self, folder: str, durability: str) -> None:  # noqa: ARG002
        if Path(folder) != self.folder:
            self.folder, self.past = Path(folder), {}

    def close(self) -> None:
        (self.folder / "store").write_bytes(bytes(sum(map(len, self.past.values()))))

    def about(self) -> Answer:
        return {"name": f"the {self.name}", "version": "1", "durability": "none", "note": "a | fake"}

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        self.note("turns")
        self.past.setdefault(session, []).extend(turns)
        return {"seconds": [self.step] * len(turns)}

    def latest(self, session: str) -> Answer:
        turns = self.past[session]
        attributes = {name: value for turn in turns for name, value in turn["set"].items()}
        return {"seconds": [self.step], **seen([turn["message"] for turn in turns], attributes)}

    def at(self, session: str, turns: list[int]) -> Answer:
        return {
            "seconds": [self.step] * len(turns),
            "messages": [len(self.past[session][:turn]) for turn in turns],
        }

    def history(self, session: str, attribute: str) -> Answer:
        return {
            "seconds": [self.step],
            "count": sum(attribute in turn["set"] for turn in self.past[session]),
        }


class Quick(Honest):
    """Takes half the time that the honest one does."""

    step = STEP / 2


class Tiring(Honest):
    """Takes a millisecond longer at each request."""

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        answer = super().turns(session, turns)
        self.step += STEP
        return answer


class Plain(Honest):
    """Has a place for messages alone."""

    def latest(self, session: str) -> Answer:
        return super().latest(session) | {"attributes": None}


class Chatty(Honest):
    """Prints."""

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        sys.stdout.write('{"seconds": []}\n')
        sys.stdout.flush()
        return super().turns(session, turns)


class Forgetful(Honest):
    """Leaves out a message when it reads."""

    def latest(self, session: str) -> Answer:
        turns = self.past[session]
        return {"seconds": [self.step], **seen([turn["message"] for turn in turns[1:]], None)}


class Confused(Honest):
    """Has the messages in another order."""

    def latest(self, session: str) -> Answer:
        turns = self.past[session]
        return {"seconds": [self.step], **seen([turn["message"] for turn in reversed(turns)], None)}


class Stale(Honest):
    """Gives old attributes."""

    def latest(self, session: str) -> Answer:
        turns = self.past[session]
        return {"seconds": [self.step], **seen([turn["message"] for turn in turns], turns[0]["set"])}


class Blind(Honest):
    """Finds one value less than there were, and old states with a message too many."""

    def history(self, session: str, attribute: str) -> Answer:
        answer = super().history(session, attribute)
        return {**answer, "count": answer["count"] - 1}

    def at(self, session: str, turns: list[int]) -> Answer:
        answer = super().at(session, turns)
        return {**answer, "messages": [count + 1 for count in answer["messages"]]}


class Skipping(Honest):
    """Times one step less than it was asked for."""

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        answer = super().turns(session, turns)
        return {"seconds": answer["seconds"][1:]}


class Raising(Honest):
    """Fails at its second request, and goes on."""

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        if self.past:
            raise ValueError("no more of this")
        return super().turns(session, turns)


class Dying(Honest):
    """Dies at its second request in its first life; in the next ones it lives."""

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        died = self.folder.parent.parent / "died"
        if self.past and not died.exists():
            died.touch()
            sys.stderr.write("out of memory\n")
            sys.stderr.flush()
            os._exit(9)
        return super().turns(session, turns)


class Hanging(Honest):
    """Does not answer its second request."""

    def turns(self, session: str, turns: list[dict[str, Any]]) -> Answer:
        if self.past:
            time.sleep(600)
        return super().turns(session, turns)


class Slow(Honest):
    """Says that it took an hour a step."""

    step = 3600.0


class Unable(Honest):
    """Cannot do anything."""

    lacks = {"turns": "it has no turns"}  # noqa: RUF012 - never changed
    turns = Contestant.turns


class Stillborn(Honest):
    """Can't even start."""

    def __init__(self) -> None:
        raise ImportError("no such package")


if __name__ == "__main__":
    main(globals()[sys.argv[1]])
