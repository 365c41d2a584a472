"""Which operations of a disk fail, and the log of all of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import apsw

from eventstate.testing.platter import FOLDER, Kind, Operation

if TYPE_CHECKING:
    from collections.abc import Collection

How = Literal["fail", "shorten", "tear"]

_CODES: Final[dict[Kind, int]] = {
    "create": apsw.SQLITE_CANTOPEN,
    "open": apsw.SQLITE_CANTOPEN,
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
}
_MESSAGES: Final = {
    apsw.SQLITE_FULL: "database or disk is full",
    apsw.SQLITE_CANTOPEN: "unable to open database file",
}


class Fault(NamedTuple):
    """What shall go wrong, and when."""

    nth: int
    code: int | None
    kinds: Collection[Kind]
    how: How
    lasting: bool


class Faults:
    """What a disk and its open files share.

    Attributes:
        log: what was asked, in order.
        failures: how many operations were made to fail since `plan`, or since there was no room.
        lies: whether fsyncs do nothing.
        room: bytes by which files may grow; `None` is no bound.
        known: the paths whose contents are in the log, or came about there.
        rng: chooses the sectors of torn writes.
    """

    def __init__(self, seed: int, *, lies: bool) -> None:
        self.log: list[Operation] = []
        self.failures = 0
        self.lies = lies
        self.room: int | None = None
        self.known: set[str] = set()
        self.rng = random.Random(seed)  # noqa: S311 - tests need no secrets
        self._fault: Fault | None = None
        self._countdown = 0

    def plan(self, fault: Fault | None) -> None:
        """Have this fault come, or none."""
        self._fault = fault
        self._countdown = 0 if fault is None else fault.nth

    def ask(self, kind: Kind) -> How | None:
        """Count an operation, and say how it shall fail, if it shall."""
        fault = self._fault
        if fault is None or kind not in fault.kinds:
            return None
        self._countdown -= 1
        if self._countdown > 0 or (self._countdown < 0 and not fault.lasting):
            return None
        self.failures += 1
        return fault.how

    def failed(self, operation: Operation, data: bytes = b"", code: int | None = None) -> Exception:
        """Log that an operation failed, and give the error to raise."""
        self.log.append(operation._replace(done=False, data=data))
        if code is None and self._fault is not None:
            code = self._fault.code
        code = code if code is not None else _CODES[operation.kind]
        error = apsw.exception_for(code)
        error.args = (_MESSAGES.get(code, "disk I/O error"),)
        return error

    def sync_folder(self, folder: str) -> bool:
        """Log that SQLite syncs a folder, and say whether it worked."""
        failed = self.ask("sync") is not None
        self.log.append(Operation("sync", FOLDER, folder=folder, done=not (failed or self.lies)))
        return not failed

    def grow(self, size: int) -> int:
        """Take `size` bytes of the room, as far as there is some, and give how many there were."""
        if self.room is None:
            return size
        taken = min(size, self.room)
        self.room -= taken
        if taken < size:
            self.failures += 1
        return taken
