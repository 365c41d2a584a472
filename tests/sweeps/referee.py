"""What must hold after a power cut or an error, whatever the work was."""

from __future__ import annotations

import contextlib
import functools
import shutil
from typing import TYPE_CHECKING, Any

from eventstate import EventStateError, StateStore, StorageError, StoreClosedError
from tests.stores import packed
from tests.sweeps.workloads import COPY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventstate.testing import CrashPoint, ErrorPoint, Trial
    from tests.sweeps.workloads import Workload

Contents = tuple[Any, ...]


def contents(store: StateStore) -> Contents:
    """Give what a store holds, but for the times and salts."""
    commits = [
        (
            *(commit.position, commit.user_id, commit.session_id, commit.branch, commit.version),
            *(commit.events, commit.round, commit.kind, commit.tag, commit.actor, commit.reason),
            *(commit.commit_id, repr(commit.metadata)),
        )
        for commit in store.commits()
    ]
    branches = []
    for info in store.sessions():
        for name in store.session(info.user_id, info.session_id).branches():
            session = store.session(info.user_id, info.session_id, name)
            names = tuple(turn.id for turn in session.rounds())
            branches.append((info.user_id, info.session_id, name, packed(session.state()), names))
    return commits, branches


def gist(store: StateStore) -> Contents:
    """Give what a store holds, but for the order of commits, and what goes by it."""
    commits, branches = contents(store)
    return sorted((commit[1:4] + commit[7:] for commit in commits), key=repr), branches


class Referee:
    """Knows what a workload leaves if nothing goes wrong, after each of its steps.

    Args:
        workload: what is to be done.
        folder: an empty one.
    """

    def __init__(self, workload: Workload, folder: Path) -> None:
        self.workload = workload
        self.start: Path | None = None
        if callable(workload.start):
            self.start = folder / "start.db"
            with StateStore(self.start, durability="normal") as store:
                workload.start(store)
        elif workload.start is not None:
            self.start = workload.start
        path = folder / "a.db"
        if self.start is not None:
            shutil.copyfile(self.start, path)
        self.contents: dict[int, Contents] = {}
        """By the position of the last commit."""
        self.counts: list[int] = []
        """The position of the last commit after so many steps."""
        with StateStore(path, durability="normal", **workload.options) as store:
            self._learn(store)
            for step in workload.steps:
                step(store)
                self._learn(store)
        assert self.counts[-1] > self.counts[0], "a workload that commits nothing can lose nothing"
        with StateStore(path, durability="normal", read_only=True) as store:
            self.final = self.told(store)
        assert workload.secret not in path.read_bytes() or not workload.secret
        self._wrong: Exception | None = None

    def told(self, store: StateStore) -> Contents:
        """Give what of a store must be as if nothing had gone wrong, after errors and their mending."""
        return gist(store) if self.workload.together else contents(store)

    def _learn(self, store: StateStore) -> None:
        self.counts.append(store.seal().position)
        self.contents[self.counts[-1]] = contents(store)

    def play(self, trial: Trial, durability: str = "full") -> None:
        """Do the work, on a disk that works; for `crash_points`."""
        store = self._open(trial, durability)
        for number, step in enumerate(self.workload.steps, 1):
            if self.workload.reopen:
                store.close()
                store = self._open(trial, durability)
            step(store)
            trial.acknowledge(number)

    def _open(self, trial: Trial, durability: str = "full") -> StateStore:
        store = trial.open(durability=durability, **self.workload.options)
        store._journal.connection.pragma("wal_autocheckpoint", self.workload.pages)
        return store

    def judge_crash(self, point: CrashPoint) -> int:
        """Check what a power cut has left, and give how many acknowledged commits are lost."""
        with StateStore(point.path, durability="normal") as store:
            report = store.verify()
            assert report.ok, str(report)
            position = store.seal().position
            assert position in self.contents, f"half a step: {position} commits"
            assert contents(store) == self.contents[position], "a commit is not what was written"
            session = store.session("somebody", "after")
            session.save({"usable": True})
            assert session.state() == {"usable": True}
        self._look_for_secret(point.path, position)
        if 0 < self.workload.copy <= len(point.acknowledged):
            with StateStore(point.path.with_name(COPY)) as copied:
                report = copied.verify()
                assert report.ok, f"the copy: {report}"
                expected = self.contents[self.counts[self.workload.copy]]
                assert contents(copied) == expected, "the copy is not what was copied"
        return sum(count > position for count in self.counts[1 : len(point.acknowledged) + 1])

    def _look_for_secret(self, path: Path, position: int) -> None:
        """Check that what the last step removed is not in the bytes of a closed store either."""
        if self.workload.secret and position == self.counts[-1]:
            for file in path.parent.glob(f"{path.name}*"):
                assert self.workload.secret not in file.read_bytes(), f"the secret is in {file.name}"

    def play_on(self, trial: Trial) -> None:
        """Do the work on a disk that fails, each step again if it left no commit; for `error_points`."""
        self._wrong = None
        try:
            self._play_on(trial)
        except Exception as error:  # judged with the point that it belongs to
            if not trial.disk.failures:
                raise
            self._wrong = error

    def _play_on(self, trial: Trial) -> None:
        player = _Player(trial, self)
        for number, step in enumerate(self.workload.steps, 1):
            if self.workload.reopen:
                player.close()
            player.do(step, number)
        if trial.disk.failures:  # else it is for the close to fail, and not for these reads
            trial.disk.heal()
            report = player.store().verify()
            assert report.ok, str(report)
            assert self.told(player.store()) == self.final, "the open store has other contents"
        player.close()

    def judge_error(self, point: ErrorPoint) -> None:
        """Check what is in the file after `play_on`."""
        if self._wrong is not None:
            raise self._wrong
        assert point.error is None
        assert len(point.acknowledged) == len(self.workload.steps)
        with StateStore(point.path, durability="normal") as store:
            report = store.verify()
            assert report.ok, str(report)
            assert self.told(store) == self.final, "the file has other contents"
        self._look_for_secret(point.path, self.counts[-1])


class _Player:
    """Goes on after an error, with the same store if that is open."""

    def __init__(self, trial: Trial, referee: Referee) -> None:
        self._trial = trial
        self._referee = referee
        self._store: StateStore | None = None
        self._errors: list[EventStateError] = []

    def store(self) -> StateStore:
        """Give the store, opened again if it is closed."""
        if self._store is None:
            self._store = self._again(functools.partial(self._referee._open, self._trial))
        return self._store

    def _again(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except EventStateError as error:
            self.failed(error)
            return action()

    def failed(self, error: EventStateError) -> None:
        """Look at an error, and go on with a disk that works."""
        self._errors.append(error)
        assert len(self._errors) == 1, f"an error, though the disk works again: {error}"
        assert isinstance(error, StorageError), repr(error)
        assert str(self._trial.folder) in str(error), f"which file? {error}"
        self._trial.disk.heal()
        if self._store is not None and self._store.closed:
            with contextlib.suppress(StoreClosedError):
                self._store.session("u").state()
                raise AssertionError("a closed store was read")
            self._store = None

    def do(self, step: Callable[[StateStore], object], number: int) -> None:
        """Do a step, and again if it failed and left no commit."""
        store = self.store()
        try:
            step(store)
        except EventStateError as error:
            self.failed(error)
            before, after = self._referee.counts[number - 1 : number + 1]
            present = self.store().seal().position
            together = self._referee.workload.together
            assert present in {before, after} or (together and before < present < after), "half a step"
            if present < after:
                step(self.store())
        self._trial.acknowledge(number)

    def close(self) -> None:
        """Close the store; it is closed even if that fails."""
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except EventStateError as error:
                self.failed(error)
            assert store.closed
