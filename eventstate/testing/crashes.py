"""The power cut at every operation of a piece of work, and the disk failing at every one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

import apsw

from eventstate.errors import EventStateError
from eventstate.store import StateStore
from eventstate.testing.disk import KINDS, FaultyDisk
from eventstate.testing.platter import Kept, Kind, Operation, Platter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from types import TracebackType

    from eventstate.testing.faults import How

_T = TypeVar("_T")

Fault = Literal["once", "lasting", "short", "torn", "full"]

IMAGES: Final[tuple[Kept, ...]] = ("nothing", "everything", "ordered", "some", "garbled")
FAULTS: Final[tuple[Fault, ...]] = ("once", "lasting")

_HOW: Final[dict[Fault, How]] = {"short": "shorten", "torn": "tear"}
_HARMLESS: Final[frozenset[Kind]] = frozenset({"open", "read"})
_NAME: Final = "store.db"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - on Linux, a folder in memory; only ever used through tempfile
_START: Final = datetime(2030, 1, 1, tzinfo=UTC)


class Trial:
    """What a workload works with: a store on a `FaultyDisk`, and somebody to tell what is done.

    The clock and the salts of its stores come from the seed: a trial with the same seed does the same.

    Attributes:
        disk: what the stores stand on.
        folder: an empty folder, for whatever else the workload writes through `disk`.
        path: of the store.
        acknowledged: what the workload has said to be done, each with the length of the disk's log then.
        stores: those that were opened, the newest last; what is still open is closed after the workload.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        start: str | os.PathLike[str] | None = None,
        lies: bool = False,
        number: int = 0,
    ) -> None:
        self.folder = folder
        self.path = folder / _NAME
        self.acknowledged: list[tuple[int, Any]] = []
        self.stores: list[StateStore] = []
        self._rng = random.Random(seed)  # noqa: S311 - tests need no secrets
        self._now = _START
        if start is not None:
            shutil.copyfile(start, self.path)
        # What is torn is another thing with each operation that fails.
        self.disk = FaultyDisk(seed=(seed << 32) + number, lies=lies)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disk.heal()
        try:
            self.close()
        finally:
            self.disk.unregister()

    def open(self, **options: Any) -> StateStore:
        """Open the store; the options are `StateStore`'s."""
        given = {"vfs": self.disk.name, "clock": self._clock, "entropy": self._rng.randbytes, **options}
        store = StateStore(self.path, **given)
        self.stores.append(store)
        return store

    def acknowledge(self, what: Any) -> None:
        """Say that something is done; a point after this has it among its `acknowledged`."""
        self.acknowledged.append((len(self.disk.log), what))

    def close(self) -> None:
        """Close the stores that the workload left open."""
        for store in self.stores:
            store.close()

    def _clock(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """The files that are left when the power is cut right after an operation.

    With the same seed and `numbers={point.number}`, `crash_points` gives it again.
    """

    path: Path
    """Of the store; there may be no file. The folder goes when the next point is asked for."""
    number: int
    """Of the operation, from 1; 0 is before the first."""
    operation: Operation | None
    kept: Kept
    """What is there of operations that no fsync has made safe; see `FaultyDisk.image`."""
    seed: int
    acknowledged: tuple[Any, ...] = field(repr=False)
    """What the workload had said to be done by then."""

    def __str__(self) -> str:
        after = "before the first operation" if self.operation is None else f"after {self.operation}"
        return f"seed {self.seed}, operation {self.number}: power cut {after}; kept: {self.kept}"


@dataclass(frozen=True, slots=True)
class ErrorPoint:
    """What a workload has left, one of whose operations failed; the disk works again.

    With the same seed and `numbers={point.number}`, `error_points` gives it again.
    """

    path: Path
    """Of the store. The folder goes when the next point is asked for."""
    number: int
    """Of the operation that failed, from 1."""
    operation: Operation
    fault: Fault
    seed: int
    error: EventStateError | None
    """What the workload raised, if it let it out."""
    store: StateStore | None
    """The one that was opened last, unless the workload closed it; it may have closed itself."""
    acknowledged: tuple[Any, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"seed {self.seed}, operation {self.number}: {self.operation}; fault: {self.fault}"


def crash_points(
    workload: Callable[[Trial], object],
    *,
    seed: int = 0,
    images: Sequence[Kept] = IMAGES,
    sample: int | None = None,
    numbers: Collection[int] | None = None,
    start: str | os.PathLike[str] | None = None,
    lies: bool = False,
) -> Iterator[CrashPoint]:
    """Run a workload, and give what a power cut leaves of its files, after every operation in turn.

    Reads are passed over, for they change nothing, and so is an image that was given already with the same
    `acknowledged`.

    Args:
        workload: gets a `Trial`: opens the store with `trial.open()`, works, and says with
            `trial.acknowledge(...)` what is done.
        seed: decides what is kept of what is not safe.
        images: the kinds of images to make at each operation; a kind that is named more than once is made as
            often, differently.
        sample: only so many of `images` at each operation, chosen by the seed.
        numbers: only the points after these operations, counted from 1.
        start: a closed store's file that the workload finds at `trial.path`, and that is safe.
        lies: use a disk that only says that it syncs. A check that still passes checks nothing.

    Example:
        ```python
        def workload(trial):
            session = trial.open().session("alice")
            for turn in range(3):
                session.save({"turn": turn})
                trial.acknowledge(turn)


        for point in crash_points(workload, seed=1):
            with StateStore(point.path) as store:
                assert store.verify().ok
                turns = [state["turn"] for _, state in store.session("alice").replay()]
                assert set(point.acknowledged) <= set(turns), point
        ```
    """
    with _folder() as folder:
        trial, _ = _run(workload, folder, seed, start, lies=lies)
        yield from _cuts(trial, folder, _Choice(seed, images, sample, numbers))


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which images are made."""

    seed: int
    images: Sequence[Kept]
    sample: int | None
    numbers: Collection[int] | None

    def at(self, number: int) -> Iterator[tuple[Kept, random.Random]]:
        """Give the kinds of images to make after an operation, each with what makes its choices."""
        if self.numbers is not None and number not in self.numbers:
            return
        chosen = _sample(range(len(self.images)), self.sample, f"{self.seed} {number}")
        for index in chosen:
            yield self.images[index], random.Random(f"{self.seed} {number} {index}")  # noqa: S311 - no secrets


def _cuts(trial: Trial, folder: Path, choice: _Choice) -> Iterator[CrashPoint]:
    platter = Platter()
    platter.expect(trial.disk.log)
    given: set[tuple[bytes, int]] = set()
    acknowledged: list[Any] = []
    waiting = list(trial.acknowledged)
    for number, operation in enumerate([None, *trial.disk.log]):
        if operation is not None:
            platter.take(operation)
        done = len(acknowledged)
        while waiting and waiting[0][0] <= number:
            acknowledged.append(waiting.pop(0)[1])
        if operation is not None and operation.kind in _HARMLESS and len(acknowledged) == done:
            continue
        for index, (kept, rng) in enumerate(choice.at(number)):
            files = platter.image(str(trial.folder), kept, rng)
            key = (_digest(files), len(acknowledged))
            if key in given:
                continue
            given.add(key)
            target = folder / f"{number}-{index}"
            target.mkdir()
            for name, data in files.items():
                (target / name).write_bytes(data)
            yield CrashPoint(target / _NAME, number, operation, kept, choice.seed, tuple(acknowledged))
            shutil.rmtree(target)


def error_points(
    workload: Callable[[Trial], object],
    *,
    seed: int = 0,
    faults: Sequence[Fault] = FAULTS,
    sample: int | None = None,
    numbers: Collection[int] | None = None,
    kinds: Collection[Kind] = KINDS,
    start: str | os.PathLike[str] | None = None,
) -> Iterator[ErrorPoint]:
    """Run a workload again and again, and fail its first operation, its second, until none is left to fail.

    Args:
        workload: as for `crash_points`. An `EventStateError` that it lets out is in the point's `error`; any
            other exception is raised. To go on after an error by itself, it calls `trial.disk.heal()`.
            What it leaves open is open still when the point is given; for closing to fail too, it closes.
        seed: decides what `sample` chooses.
        faults: how an operation fails: `"once"`: nothing of it is done; `"lasting"`: nor of those that
            follow. And if it is a write, `"short"`: only its first half is done; `"torn"`: only some sectors;
            `"full"`: it and all later writes find no room. One run each.
        sample: only so many of the fitting `faults` at each operation.
        numbers: only these operations, counted from 1.
        kinds: the operations to fail, and to count.
        start: as for `crash_points`.
    """
    with _folder() as folder:
        trial, size = _run(workload, folder, seed, start)
        log = [operation for operation in trial.disk.log[:size] if operation.kind in kinds]
        for number, operation in enumerate(log, 1):
            if numbers is not None and number not in numbers:
                continue
            fitting = [fault for fault in faults if fault in FAULTS or operation.kind == "write"]
            for fault in _sample(fitting, sample, f"{seed} {number}"):
                work = folder / f"{number}-{fault}"
                work.mkdir()
                with Trial(work, seed=seed, start=start, number=number) as trial:
                    _break(trial.disk, log[:number], fault, kinds)
                    try:
                        error = _attempt(workload, trial)
                    except BaseException as unexpected:
                        unexpected.add_note(f"seed {seed}, operation {number}: {operation}; fault: {fault}")
                        raise
                    trial.disk.heal()
                    acknowledged = tuple(what for _, what in trial.acknowledged)
                    store = trial.stores[-1] if trial.stores else None
                    yield ErrorPoint(trial.path, number, operation, fault, seed, error, store, acknowledged)
                shutil.rmtree(work)


def _run(
    workload: Callable[[Trial], object],
    folder: Path,
    seed: int,
    start: str | os.PathLike[str] | None,
    *,
    lies: bool = False,
) -> tuple[Trial, int]:
    """Run a workload on a disk that works; give the trial, all closed, and the log's length before it was."""
    work = folder / "work"
    work.mkdir()
    with Trial(work, seed=seed, start=start, lies=lies) as trial:
        workload(trial)
        size = len(trial.disk.log)
    shutil.rmtree(work)
    return trial, size


def _break(disk: FaultyDisk, log: list[Operation], fault: Fault, kinds: Collection[Kind]) -> None:
    """Have the last operation of `log` fail when it comes."""
    if fault == "full":
        writes = sum(operation.kind == "write" for operation in log)
        disk.fail(writes, apsw.SQLITE_FULL, kinds={"write"}, lasting=True)
    else:
        disk.fail(len(log), kinds=kinds, how=_HOW.get(fault, "fail"), lasting=fault == "lasting")


def _attempt(workload: Callable[[Trial], object], trial: Trial) -> EventStateError | None:
    try:
        workload(trial)
    except EventStateError as error:
        return error
    return None


def _sample(choices: Sequence[_T], count: int | None, seed: str) -> list[_T]:
    """Give all of `choices`, or so many of them, as the seed has it."""
    if count is None or count >= len(choices):
        return list(choices)
    return random.Random(seed).sample(list(choices), count)  # noqa: S311 - tests need no secrets


def _digest(files: dict[str, bytes]) -> bytes:
    hashed = hashlib.blake2b(digest_size=16)
    for name, data in files.items():
        hashed.update(f"{len(name)} {len(data)} {name}".encode())
        hashed.update(data)
    return hashed.digest()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder, in memory if the system has such, and remove it in the end."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as name:
        yield Path(name)
