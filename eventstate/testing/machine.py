"""A Hypothesis state machine that checks the replay of a user's own agents and models."""

from __future__ import annotations

import copy
import hashlib
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventstate.errors import ConflictError
from eventstate.model import StateModel
from eventstate.store import StateStore
from eventstate.testing.replay import assert_replays, difference

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from eventstate.commits import CommitKeywords
    from eventstate.history import Commit
    from eventstate.session import Session

__all__ = ["ReplayMachine", "assert_replays"]

_IDS = ("user", "session")
_FIRST = datetime(2030, 1, 1, tzinfo=UTC)
_numbers = st.integers(0, 30)


class Mark(NamedTuple):
    """A version that was given a round's number, and its state as plain data."""

    number: int
    version: int
    state: dict[Any, Any]


class Line:
    """What is expected of a branch: its marks in the order of writing, and its last version."""

    def __init__(self, name: str, log: list[Mark], version: int, *, whole: bool) -> None:
        self.name = name
        self.log = log
        self.version = version
        self.whole = whole
        """Whether all is known of its past; not if somebody else made the fork."""

    def rounds(self) -> list[Mark]:
        """Give what each number names, in the order of the numbers."""
        named = {mark.number: mark for mark in self.log}
        return [named[number] for number in sorted(named)]

    def state(self) -> dict[Any, Any]:
        """Give the latest state; nobody changes it."""
        return self.rounds()[-1].state if self.log else {}

    def undone(self) -> dict[Any, Any] | None:
        """Give the latest state before the last round was written; `None` if there was none."""
        numbers = [mark.number for mark in self.log]
        last = max(i for i, number in enumerate(numbers) if number == max(numbers))
        return Line(self.name, self.log[:last], 0, whole=True).state() if last else None


class ReplayMachine(RuleBasedStateMachine):
    """Checks that what your agent does to its session replays, whatever happens in between.

    Subclass it, and add a rule for each thing that the agent does; a rule changes the state by
    `self.change`, or gives `self.session` to the agent itself. The rules that are here already go
    back, undo, fork, take notes, reopen the store, drop its snapshots and let a second store write to
    the same file. After each step the session has to replay to what plain copies say.

    Example:
        >>> from hypothesis import settings, strategies as st
        >>> from hypothesis.stateful import rule, run_state_machine_as_test
        >>> class Assistant(ReplayMachine):
        ...     def initial(self):
        ...         return {"messages": [], "plan": None}
        ...
        ...     @rule(text=st.text())
        ...     def is_asked(self, text):
        ...         self.change(lambda state: state["messages"].append({"role": "user", "content": text}))
        ...
        ...     @rule(steps=st.lists(st.text()))
        ...     def makes_a_plan(self, steps):
        ...         with self.session.round(actor="planner") as state:
        ...             state["plan"] = steps
        >>> run_state_machine_as_test(Assistant, settings=settings(max_examples=3, deadline=None))

    With pytest: `TestAssistant = Assistant.TestCase`. A rule that does not fit is taken out by
    `fork = None`. What removes payloads (`erase`, `prune`, `delete`) is no matter of replay, and not
    to be used here. Clock and entropy of the store are the machine's, so that the same steps write the
    same file; Hypothesis repeats a run by its seed or `@reproduce_failure`.

    Attributes:
        model: a pydantic model as the type of the state; `initial` then gives an instance.
        options: further arguments of `StateStore`, such as `types` or `vfs`.
        folder: where the temporary folder with the file is made; the system's place if `None`.
        max_branches: how many branches the machine's own rule makes at most.
    """

    model: ClassVar[type[BaseModel] | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    folder: ClassVar[str | os.PathLike[str] | None] = None
    max_branches: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path()
        self._stores: list[StateStore] = []
        self._writer = 0
        self._lines: list[Line] = []
        self._at = 0
        self._position = self._written = self._ticks = self._draws = 0
        self._settings: dict[str, Any] = {}

    def initial(self) -> Any:
        """Give the state that the session begins with; override it."""
        return {} if self.model is None else self.model()

    # What rules have

    @property
    def store(self) -> StateStore:
        """The store that writes at present: one of two on the same file."""
        if not self._stores:
            self._begin()
        return self._stores[self._writer]

    @property
    def session(self) -> Session:
        """The session, on the branch that is written to at present."""
        store = self.store  # which may have to begin
        return store.session(*_IDS, self._line.name, self.model)

    @property
    def state(self) -> Any:
        """The latest state by the machine's own reckoning: a plain copy, or an instance of the model."""
        return self._instance(self._ready().state())

    def change(self, change: Callable[[Any], object], **options: Unpack[CommitKeywords]) -> None:
        """Change the state, as one round, by `update`, `round` or `save` in turn.

        Args:
            change: gets the state, first a plain copy and then the session's own, and has to do the same
                to both; so it is called at least twice. What it raises, it raises before anything is written.
            **options: as for `Session.save`.
        """
        expected = self.state
        change(expected)
        plain = copy.deepcopy(self._plain(expected))
        session = self.session
        self._written += 1
        if self._written % 3 == 0:
            session.update(change, **options)
        elif self._written % 3 == 1:
            with session.round(**options) as state:
                change(state)
        else:
            state = session.state()
            change(state)
            session.save(state, **options)
        if self._feed() or not (options.get("if_changed") or options.get("commit_id")):
            self._wrote(plain)

    # What happens beside

    @rule(to=_numbers)
    def roll_back(self, to: int) -> None:
        """Go back to a round."""
        rounds = self._ready().rounds()
        mark = rounds[to % len(rounds)]
        self.session.rollback(mark.number, reason="back")
        self._wrote(mark.state)

    @rule()
    def undo(self) -> None:
        """Take the last round back, unless nothing was there before."""
        line = self._ready()
        expected = line.undone()
        if line.whole and expected is not None:
            self.session.undo()
            self._wrote(expected)

    @precondition(lambda self: len(self._lines) < self.max_branches)
    @rule(at=_numbers, stay=st.booleans())
    def fork(self, at: int, *, stay: bool) -> None:
        """Start a branch at a round, and perhaps go on with it."""
        line = self._ready()
        rounds = line.rounds()
        mark, name = rounds[at % len(rounds)], f"fork-{len(self._lines)}"
        self.session.fork(name, at=mark.number)
        log = [other for other in line.log if other.number <= mark.number]
        self._lines.append(Line(name, log, 0, whole=line.whole))
        self._note(self._lines[-1], self._feed()[0], {})
        self._at = self._at if stay else len(self._lines) - 1

    @rule(to=_numbers)
    def change_branch(self, to: int) -> None:
        """Go on with another branch."""
        self._ready()
        self._at = to % len(self._lines)

    @rule(name=st.sampled_from(["tool.called", "reply.started"]), data=st.none() | st.integers())
    def take_note(self, name: str, data: Any) -> None:
        """Journal a note."""
        line = self._ready()
        self.session.note(name, data)
        self._wrote_note(line)
        note = list(self.session.notes())[-1]
        _expect("the last note", [note.seq, note.name, note.data], [line.version, name, data])

    @rule(cache_bytes=st.sampled_from([0, 500, 1 << 20]), snapshot_every=st.sampled_from([None, 1, 3]))
    def reopen(self, cache_bytes: int, snapshot_every: int | None) -> None:
        """Close the store and open it again, with other settings."""
        self._settings = {"cache_bytes": cache_bytes, "snapshot_every": snapshot_every}
        self.store.close()
        self._stores[self._writer] = self._open()

    @rule()
    def drop_snapshots(self) -> None:
        """Drop all snapshots."""
        self.store.drop_snapshots()

    @rule()
    def change_writer(self) -> None:
        """Go on with the other store, as another process would."""
        self._writer = 1 - self._writer

    @rule(retry=st.booleans())
    def meet_another_writer(self, *, retry: bool) -> None:
        """Let the other store write during a round: that is a conflict, and `update` tries again."""
        line = self._ready()
        other = self._stores[1 - self._writer].session(*_IDS, line.name)
        calls: list[int] = []

        def between(_: Any = None) -> None:
            calls.append(line.version)
            if len(calls) == 1:
                other.note("met")
                self._wrote_note(line)

        if retry:
            self.session.update(between)
            self._wrote(line.state())
            _expect("calls of what update() was given", len(calls), 2)
            return
        try:
            with self.session.round():
                between()
        except ConflictError:
            return
        raise AssertionError("a round was committed over what another writer wrote")

    # What has to hold

    @invariant()
    def replays(self) -> None:
        """Compare both stores with what is expected of the branch."""
        line = self._ready()
        probe = self._position % len(line.rounds())  # all would make a long run slow
        for store in self._stores:
            _check(store, line, slice(probe, probe + 1))

    def teardown(self) -> None:
        """Look at all branches, if no step has failed, and take the folder away."""
        try:
            if self._stores and sys.exc_info()[0] is None:
                self._ready()
                for line in self._lines:
                    for store in self._stores:
                        _check(store, line, slice(None))
                    session = self.store.session(*_IDS, line.name, self.model)
                    assert_replays(session, open_copy=self._open_copy)
                report = self.store.verify()
                _expect(f"verify: {report}", report.ok, expected=True)
        finally:
            for store in self._stores:
                store.close()
            if self._folder.name:
                shutil.rmtree(self._folder)

    # What was written

    def _begin(self) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=self.folder))
        self._stores.append(self._open())
        self._stores.append(self._open())
        self._lines = [Line("main", [], 0, whole=True)]
        state = self.initial()
        self._stores[0].session(*_IDS, model=self.model).save(state)
        self._wrote(copy.deepcopy(self._plain(state)))

    def _ready(self) -> Line:
        """Begin, if that is still to be done, and give what is expected of the branch."""
        if not self._stores:
            self._begin()
        self._adopt()
        return self._line

    @property
    def _line(self) -> Line:
        return self._lines[self._at]

    def _open(self) -> StateStore:
        return self._opened(self._folder / "agent.db", **{**self.options, **self._settings})

    def _open_copy(self, path: Path) -> StateStore:
        return self._opened(path, **{key: value for key, value in self.options.items() if key != "vfs"})

    def _opened(self, path: Path, **options: Any) -> StateStore:
        own: dict[str, Any] = {"durability": "normal", "clock": self._now, "entropy": self._chance}
        return StateStore(path, **{**own, **options})

    def _now(self) -> datetime:
        self._ticks += 1
        return _FIRST + timedelta(seconds=self._ticks)

    def _chance(self, size: int) -> bytes:
        self._draws += 1
        return hashlib.shake_128(self._draws.to_bytes(8, "big")).digest(size)

    def _instance(self, plain: dict[Any, Any]) -> Any:
        state = copy.deepcopy(plain)
        return state if self.model is None else StateModel(self.model).load(state)

    def _plain(self, state: Any) -> dict[Any, Any]:
        dumped: dict[Any, Any] = state if self.model is None else StateModel(self.model).dump(state)
        return dumped

    def _feed(self) -> list[Commit]:
        """Give the commits that the machine does not know yet."""
        return [
            commit
            for commit in self.store.commits(after=self._position)
            if (commit.user_id, commit.session_id) == _IDS
        ]

    def _wrote(self, state: dict[Any, Any]) -> None:
        """Check that a rule has just written one round, and take it into what is expected."""
        commits = self._feed()
        made = [(commit.branch, commit.round is not None) for commit in commits]
        _expect("branches that got a round", made, [(self._line.name, True)])
        self._note(self._line, commits[0], state)

    def _wrote_note(self, line: Line) -> None:
        commits = self._feed()
        _expect("a note", [(commit.kind, commit.version) for commit in commits], [("note", line.version + 1)])
        self._note(line, commits[0], {})

    def _note(self, line: Line, commit: Commit, state: dict[Any, Any]) -> None:
        self._position, line.version = commit.position, commit.version
        if commit.round is not None:
            line.log.append(Mark(commit.round, commit.version, state))

    def _adopt(self) -> None:
        """Take what a user's rule has written by itself for what is to be replayed from now on."""
        for commit in self._feed():
            session = self.store.session(*_IDS, commit.branch)
            line = next((line for line in self._lines if line.name == commit.branch), None)
            if line is None:
                known = [turn for turn in session.rounds() if turn.position < commit.position]
                log = [Mark(turn.id, turn.version, session.state(at=turn)) for turn in known]
                line = Line(commit.branch, log, 0, whole=False)
                self._lines.append(line)
            self._note(line, commit, session.state(version=commit.version))


def _check(store: StateStore, line: Line, probes: slice) -> None:
    """Compare a branch in a store with what is expected of it; look `probes` of the rounds up one by one."""
    session, rounds = store.session(*_IDS, line.name), line.rounds()
    where = f"{line.name!r}, {{}}"
    _expect(where.format("version"), session.version, line.version)
    _expect(where.format("state()"), session.state(), line.state())
    walked = list(session.replay())
    numbers = [(mark.number, mark.version) for mark in rounds]
    _expect(where.format("rounds"), [(turn.id, turn.version) for turn, _ in walked], numbers)
    for mark, (turn, state) in zip(rounds, walked, strict=True):
        _expect(where.format(f"replay() at round {turn.id}"), state, mark.state)
    for mark in rounds[probes]:
        _expect(where.format(f"state(at={mark.number})"), session.state(at=mark.number), mark.state)


def _expect(what: str, seen: Any, expected: Any) -> None:
    found = difference(seen, expected)
    if found is not None:
        raise AssertionError(f"{what}: seen and expected differ at {found}")
