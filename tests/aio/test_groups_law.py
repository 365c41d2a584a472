"""Whatever tasks ask for at one time, what comes of it is what comes of asking one after the other."""

from __future__ import annotations

import asyncio
import copy
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import (
    ConflictError,
    MemoryKeyRing,
    Round,
    RoundNotFoundError,
    SessionDeletedError,
    UnsupportedValueError,
    aio,
)
from eventstate.commits import CommitOptions
from eventstate.values.delta import Edit, Op
from tests.aio.loops import run
from tests.stores import packed

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from eventstate.history import Commit

pytestmark = pytest.mark.proves("tasks")

State = dict[Any, Any]

NAMES = ("old", "new", "sealed", "other")
KINDS = ("save", "count", "append", "note", "round", "wait", "write")


class Boom(Exception):  # noqa: N818 - no error, a stand-in for one
    """Raised by what updates a state."""


class Ask(NamedTuple):
    """What one task asks for."""

    kind: str
    session: str
    twin: int
    """Which of the objects that stand for the session."""
    value: Any
    round_id: int | None
    commit_id: str | None
    if_changed: bool
    expected: str | None


asks = st.builds(
    Ask,
    st.sampled_from([*KINDS, *KINDS[:6], "boom", "sometimes", "unsupported", "delete"]),
    st.sampled_from(NAMES),
    st.integers(0, 1),
    st.sampled_from([0, 1, True, 1.0, -0.0, "a", [1, [2]], {"k": {"n": 1}}, float("nan")]),
    st.none() | st.none() | st.integers(0, 5),
    st.none() | st.none() | st.sampled_from(["x", "y"]),
    st.booleans(),
    st.none() | st.none() | st.sampled_from(["now", "stale"]),
)
groups = st.lists(st.lists(asks, min_size=1, max_size=12), min_size=1, max_size=4)


@dataclass
class Line:
    """A session, as it follows from its commits."""

    version: int = 0
    named: list[tuple[int, State, int]] = field(default_factory=list)
    """Each round with its state and the position of its commit, in the order of writing."""
    written: list[tuple[int, int | None]] = field(default_factory=list)
    """The versions since the group began, each with the object that noted it, if it is a note."""
    ids: dict[str, int] = field(default_factory=dict)
    deleted: bool = False
    exists: bool = False

    @property
    def latest(self) -> tuple[int, State, int] | None:
        highest = max((number for number, _, _ in self.named), default=None)
        return next((mark for mark in reversed(self.named) if mark[0] == highest), None)

    @property
    def state(self) -> State:
        latest = self.latest
        return {} if latest is None else latest[1]

    def rounds(self) -> dict[int, bytes]:
        return {number: packed(state) for number, state, _ in sorted(self.named, key=lambda mark: mark[0])}


class Outcome(NamedTuple):
    """What must come of an ask at some moment."""

    error: type[Exception] | None = None
    state: State | None = None
    number: int | None = None
    position: int | None = None
    """Of a commit that was made before, and stands for this one."""


@dataclass
class Asked:
    """An ask at work."""

    number: int
    ask: Ask
    expected: int | None = None
    base: int = 0
    mirror: State = field(default_factory=dict)
    body: AbstractAsyncContextManager[Any] | None = None
    live: Any = None
    fits: bool = False

    @property
    def options(self) -> dict[str, Any]:
        if self.ask.kind in {"write", "round"}:
            return {"round_id": self.ask.round_id, "metadata": {"by": self.number}}
        return {
            "round_id": self.ask.round_id,
            "commit_id": self.ask.commit_id,
            "if_changed": self.ask.if_changed,
            "expected_version": self.expected,
            "metadata": {"by": self.number},
        }

    def change(self, state: Any) -> None:
        """Do what an update does."""
        if self.ask.kind == "boom" or (self.ask.kind == "sometimes" and state.get("n", 0) % 2):
            raise Boom
        state["n"] = state.get("n", 0) + 1
        if self.ask.kind == "append":
            state.setdefault("list", []).append(copy.deepcopy(self.ask.value))

    async def wait(self, state: Any) -> None:
        await asyncio.sleep(0)
        self.change(state)

    def edit(self, state: Any) -> None:
        """Do what the body of a round does."""
        state.setdefault("by", []).append(self.number)
        state["v"] = copy.deepcopy(self.ask.value)

    async def do(self, session: aio.Session) -> Any:
        kind, options = self.ask.kind, self.options
        if kind == "save":
            return await session.save({"n": 0, "v": self.ask.value}, **options)
        if kind == "unsupported":
            return await session.save({"n": 0, "v": object()}, **options)
        if kind == "note":
            return await session.note("noted", self.number)
        if kind == "write":
            edits = [Edit(("w",), Op.SET, self.number)]
            return await session.write("written", CommitOptions(**options), self.base, edits)
        if kind == "round":
            assert self.body is not None
            self.edit(self.live)
            return await self.body.__aexit__(None, None, None)
        if kind == "delete":
            return await session.delete(metadata={"by": self.number})
        return await session.update(self.wait if kind == "wait" else self.change, **options)

    def foresee(self, line: Line) -> Outcome:
        """Say what must come of it if it is made now."""
        ask, options = self.ask, self.options
        if ask.kind == "unsupported":
            return Outcome(UnsupportedValueError)
        if line.deleted:
            return Outcome(SessionDeletedError)
        if ask.kind in {"note", "delete"}:
            return (
                Outcome(state=line.state)
                if ask.kind == "note" or line.exists
                else Outcome(RoundNotFoundError)
            )
        if ask.kind in {"round", "write"}:
            since = [noted for version, noted in line.written if version > self.base]
            others = [
                noted for noted in since if noted is None or (ask.kind == "round" and noted != ask.twin)
            ]
            if others:
                return Outcome(ConflictError)
            state = copy.deepcopy(self.mirror if ask.kind == "round" else line.state)
            if ask.kind == "write":
                state["w"] = self.number
            return self._named(line, state)
        seen = line.ids.get(options["commit_id"])
        if self.expected not in {None, line.version} and seen is None:
            return Outcome(ConflictError)
        state = copy.deepcopy(line.state)
        if ask.kind == "save":
            state = {"n": 0, "v": ask.value}
        else:
            try:
                self.change(state)
            except Boom:
                return Outcome(Boom)
        if seen is not None:
            return Outcome(position=seen)
        if ask.if_changed and line.latest is not None and packed(state) == packed(line.state):
            return Outcome(position=line.latest[2])
        return self._named(line, state)

    def _named(self, line: Line, state: State) -> Outcome:
        latest = line.latest
        following = 1 if latest is None else latest[0] + 1
        return Outcome(state=state, number=following if self.ask.round_id is None else self.ask.round_id)


class Play:
    """Has groups made, and follows them in a model."""

    def __init__(self, path: Path, options: dict[str, Any]) -> None:
        self.path = path
        self.options = {"durability": "normal", **options}
        self.lines = {name: Line() for name in NAMES}
        self.position = 0
        self.count = 0

    async def play(self, given: list[list[Ask]]) -> None:
        async with aio.StateStore(self.path, **self.options) as store:
            first = Asked(0, Ask("save", "old", 0, 0, 3, None, if_changed=False, expected=None))
            made = await first.do(store.session("u", "old"))
            self.follow(await self.feed(store), {0: first}, {0: made})
            twins = {(name, twin): store.session("u", name) for name in NAMES for twin in (0, 1)}
            for group in given:
                await self.group(store, twins, group)
            assert (await store.verify()).ok
            for session in twins.values():
                assert not session.plain._writer._open
            await self.compare(store)
        async with aio.StateStore(self.path, **self.options) as store:
            await self.compare(store)

    async def feed(self, store: aio.StateStore) -> list[Commit]:
        commits = [commit async for commit in store.commits(self.position)]
        assert [commit.position for commit in commits] == [self.position + 1 + i for i in range(len(commits))]
        return commits

    async def group(
        self, store: aio.StateStore, twins: dict[tuple[str, int], aio.Session], group: list[Ask]
    ) -> None:
        made: dict[int, Asked] = {}
        for ask in group:
            self.count += 1
            line, session = self.lines[ask.session], twins[ask.session, ask.twin]
            asked = made[self.count] = Asked(self.count, ask, base=line.version)
            # A coroutine function's update is as a round: notes of its own after its beginning do not count.
            if ask.expected is not None and line.version and ask.kind != "wait":
                asked.expected = line.version if ask.expected == "now" else line.version - 1
            if ask.kind == "round":
                if line.deleted:
                    del made[self.count]
                    continue
                asked.body = session.round(**asked.options)
                asked.live = await asked.body.__aenter__()
                asked.mirror = copy.deepcopy(line.state)
                asked.edit(asked.mirror)
        for line in self.lines.values():
            line.written = []
        works = [asked.do(twins[asked.ask.session, asked.ask.twin]) for asked in made.values()]
        results = dict(zip(made, await asyncio.gather(*works, return_exceptions=True), strict=True))
        self.follow(await self.feed(store), made, results)

    def follow(self, commits: list[Commit], made: dict[int, Asked], results: dict[int, Any]) -> None:
        """Make the commits in the model, one after the other, and find a moment for what wrote nothing."""
        notes = {
            (asked.ask.session, results[number]): number
            for number, asked in made.items()
            if asked.ask.kind == "note" and isinstance(results[number], int)
        }
        waiting = dict(made)
        self.fit(waiting, results)
        for commit in commits:
            number = commit.metadata.get("by", notes.get((commit.session_id, commit.version)))
            assert number is not None
            self.make(commit, waiting.pop(number), results[number])
            self.fit(waiting, results)
        for number, asked in waiting.items():
            assert asked.fits, (asked, results[number])

    def make(self, commit: Commit, asked: Asked, result: Any) -> None:
        line = self.lines[commit.session_id]
        foreseen = asked.foresee(line)
        assert foreseen.state is not None, (asked, foreseen)
        assert commit.round == foreseen.number
        line.exists, self.position = True, commit.position
        if isinstance(result, Round):
            assert (result.id, result.version, result.position) == (
                commit.round,
                commit.version,
                commit.position,
            )
        assert not isinstance(result, BaseException), "written, and yet it failed"
        if commit.version > line.version:
            line.written.append((commit.version, asked.ask.twin if asked.ask.kind == "note" else None))
        line.version = commit.version
        if commit.kind == "delete":
            line.deleted = True
        if commit.round is not None:
            line.named.append((commit.round, foreseen.state, commit.position))
        if commit.commit_id is not None:
            line.ids[commit.commit_id] = commit.position

    def fit(self, waiting: dict[int, Asked], results: dict[int, Any]) -> None:
        for number, asked in waiting.items():
            foreseen, result = asked.foresee(self.lines[asked.ask.session]), results[number]
            if foreseen.error is not None:
                asked.fits |= type(result) is foreseen.error
            elif foreseen.position is not None:
                asked.fits |= isinstance(result, Round) and result.position == foreseen.position

    async def compare(self, store: aio.StateStore) -> None:
        for name, line in self.lines.items():
            session = store.session("u", name)
            state = await session.state()
            assert await session.version == line.version
            if line.deleted or line.latest is None:
                assert state is None or (not line.named and state == {})
            else:
                assert packed(state) == packed(line.state)
            assert {turn.id: packed(state) async for turn, state in session.replay()} == line.rounds()


@given(given=groups, every=st.sampled_from([None, 1]), cache=st.sampled_from([0, 1 << 20]))
def test_a_group_of_commits_does_what_its_commits_do_one_after_the_other(
    given: list[list[Ask]], every: int | None, cache: int
) -> None:
    keys = MemoryKeyRing()
    keys.create("u", "sealed")
    options = {"snapshot_every": every, "cache_bytes": cache, "keys": keys}
    with tempfile.TemporaryDirectory() as folder:
        play = Play(Path(folder) / "a.db", options)
        run(play.play(given))
        assert play.count == sum(map(len, given)), "each was asked for, and its outcome looked at"
