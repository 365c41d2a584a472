"""What ends a check that would go on for ever."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any, Final

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERY: Final = 10_000
_SECONDS: Final = 60.0  # of the processor, for what loops outside of SQLite


class Stuck(BaseException):
    """Something took more steps than it can ever need; no `Exception`, lest it is caught."""


@contextlib.contextmanager
def guarded(steps: int) -> Iterator[None]:
    """Stop the body once connections that are opened in it took too many steps of SQLite's machine.

    Raises:
        Stuck: they did, or the body took very long outside of SQLite.
    """
    left = steps // _EVERY

    def step() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    def hook(connection: apsw.Connection) -> None:
        connection.set_progress_handler(step, _EVERY)

    def alarm(*_: Any) -> None:
        raise Stuck(f"{_SECONDS} s outside of SQLite")

    before = signal.signal(signal.SIGPROF, alarm)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS)
    apsw.connection_hooks.append(hook)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(hook)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    if left < 0:
        raise Stuck(f"{steps} steps of SQLite's machine")
