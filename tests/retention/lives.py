"""Random lives of a session: what is done, in what order, and what can be read of it afterwards."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from eventstate import EventStateError, RoundNotFoundError, StateStore
from tests.retention.raw import marker
from tests.stores import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eventstate import Session

State = dict[str, Any]
Step = tuple[str, int]

KEYS = ("a", "b", "d", "l")
INNER = ("x", "y", "z")
PATHS = ("a", "b", "d", "l", ("d", "x"), ("d", "y"), ("d", "deep"), ("d", "deep", "x"))

CHANGES = ("set", "nest", "put", "deep", "append", "insert", "cut", "pop", "text")
STEPS = (
    *CHANGES,
    "round",
    "late",
    "same",
    "note",
    "tag",
    "fork",
    "fork version",
    "fork tag",
    "merge",
    "rollback",
    "rollback path",
    "undo",
)

steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 999)), min_size=2, max_size=24)


@dataclass
class Life:
    """A session to which things happen."""

    store: StateStore
    made: int = 0
    notes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path | str, **options: Any) -> Life:
        """Open a store."""
        return cls(StateStore(path, durability="normal", clock=Clock(), **options))

    def session(self, branch: str = "main") -> Session:
        return self.store.session("alice", "trip", branch)

    @property
    def branches(self) -> list[str]:
        return self.session().branches()

    @property
    def markers(self) -> list[str]:
        """All that were ever given."""
        return [marker(number) for number in range(self.made)]

    def marker(self) -> str:
        self.made += 1
        return marker(self.made - 1)

    def live(self, steps: list[Step]) -> None:
        """Do all of it; what can't be done is left out."""
        if not self.session().exists:
            self.session().save({"a": self.marker()})
        for what, pick in steps:
            self.step(what, pick)

    def step(self, what: str, pick: int) -> None:
        session = self.session(self.branches[pick % len(self.branches)])
        if what in CHANGES:
            session.update(lambda state: self.change(state, what, pick))
        elif what == "round":
            with session.round(actor="somebody") as state:
                for index, change in enumerate(CHANGES):
                    if pick >> index & 1:
                        self.change(state, change, pick + index)
        elif what == "same":
            session.save(session.state())
        elif what == "late":
            state = session.state()
            self.change(state, "set", pick)
            self.change(state, "append", pick)
            session.save(state, round_id=pick % (self.latest(session) + 3))
        elif what == "note":
            session.note("noted", {"text": self.marker()})
        else:
            with contextlib.suppress(RoundNotFoundError):  # what was pruned, or lies after a fork's start
                self.refer(session, what, pick)

    def refer(self, session: Session, what: str, pick: int) -> None:
        turns, tags = list(session.rounds()), session.tags()
        turn = turns[pick % len(turns)] if turns else None
        name = f"{what} {session.branch} {session.version} {len(self.branches)} {len(tags)}"
        versions = sorted({turn.version for turn in turns})
        if what == "tag":
            session.tag(name, at=turn)
        elif what == "fork":
            session.fork(name, at=turn)
        elif what == "fork version" and versions:
            session.fork(name, version=versions[pick % len(versions)])
        elif what == "fork tag" and tags:
            session.fork(name, at=sorted(tags)[pick % len(tags)])
        elif what == "merge":
            other = self.session(self.branches[pick // 7 % len(self.branches)])
            if other.branch != session.branch:
                session.merge(other, lambda c: c.ours if pick % 2 else c.theirs)
        elif what == "rollback" and turn is not None:
            session.rollback(turn)
        elif what == "rollback path" and turn is not None:
            both = session.state(turn).keys() | session.state().keys()
            if both:
                session.rollback(turn, paths=[sorted(both)[pick % len(both)]])
        elif what == "undo" and turns:
            session.undo()

    def latest(self, session: Session) -> int:
        turn = session.latest
        return 0 if turn is None else turn.id

    def change(self, state: Any, what: str, pick: int) -> None:
        key, inner = KEYS[pick % len(KEYS)], INNER[pick // 5 % len(INNER)]
        if what == "set":
            state[key] = self.marker()
        elif what == "nest":
            state[key] = {inner: self.marker(), "other": [self.marker()]}
        elif what == "put":
            self.dict_at(state, "d")[inner] = self.marker()
        elif what == "deep":
            self.dict_at(self.dict_at(state, "d"), "deep")[inner] = self.marker()
        elif what == "pop":
            state.pop(key, None)
        elif what == "text":
            text = state.get("a")
            state["a"] = (text if isinstance(text, str) else "") + self.marker()
        else:
            if not isinstance(state.get("l"), list):
                state["l"] = []
            items = state["l"]
            if what == "append":
                items.append({"role": self.marker(), "parts": [self.marker()]} if pick % 2 else self.marker())
            elif what == "insert":
                items.insert(pick % (len(items) + 1), self.marker())
            else:
                del items[pick % (len(items) + 1) :][:1]
                if items and isinstance(items[-1], dict):
                    items[-1]["role"] = self.marker()

    def dict_at(self, state: Any, key: str) -> Any:
        if not isinstance(state.get(key), dict):
            state[key] = {}
        return state[key]

    # What can be read

    def states(self) -> dict[tuple[str, int], State]:
        """Give the state of every branch at every version that can be read."""
        found = {}
        for name in self.branches:
            session = self.session(name)
            for version in range(session.version + 1):
                state = readable(session, version)
                if state is not None:
                    found[name, version] = state
        return found

    def named(self) -> Iterator[tuple[str, Any, State]]:
        """Walk what rounds and tags name: `(branch, round or tag, state)`, and what `None` names."""
        for name in self.branches:
            session = self.session(name)
            yield name, None, session.state()
            for turn, state in session.replay():
                yield name, turn.id, state
            for tag in session.tags():
                yield name, tag, session.state(tag)


def readable(session: Session, version: int) -> State | None:
    try:
        state: State = session.state(version=version)
    except EventStateError:
        return None
    return state


def without(state: State, path: Any) -> State:
    """Give a state without an attribute."""
    state = copy.deepcopy(state)
    *way, last = (path,) if isinstance(path, str) else path
    node: Any = state
    for key in way:
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(last, None)
    return state


def texts(value: Any) -> Iterator[str]:
    """Walk the texts in a value, keys of dicts left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def held(value: Any, path: Any) -> set[str]:
    """Give the markers that an attribute of a state holds."""
    for key in (path,) if isinstance(path, str) else path:
        value = value.get(key) if isinstance(value, dict) else None
    return {text[at : at + 24] for text in texts(value) for at in range(0, len(text), 24)}
