"""A process in which journals that mean harm are opened, with little memory and everything unusual told.

It reads paths, one a line, does all that can be done with each, and answers with a line of JSON: what
went wrong, or null. If it dies, the journal killed it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import resource
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eventstate import EventStateError, StateStore
from tests.damage.guard import Stuck, guarded
from tests.damage.judge import look
from tests.stores import Clock, everything

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session

MEGABYTES: Final = 64
"""How much memory a journal of some hundred KB may take, beyond what a whole one takes."""

STEPS: Final = 50_000_000
_WALL: Final = 1024  # MB of addresses beyond those in use, at which allocating fails
_KILO: Final = 1 if sys.platform == "darwin" else 1024
_TELLTALE: Final = frozenset({
    "compile", "ctypes.dlopen", "exec", "import", "marshal.loads", "os.exec", "os.posix_spawn", "os.system",
    "pickle.find_class", "socket.connect", "subprocess.Popen",
})  # fmt: skip


def exercise(path: str) -> None:
    """Open, verify, read and write, and let no error through but the library's own."""
    for read_only in (True, False):
        with (
            contextlib.suppress(EventStateError),
            StateStore(path, read_only=read_only, durability="normal", timeout=0.1, clock=Clock()) as store,
        ):
            store.verify()
            _attempt(functools.partial(everything, store))
            for name in ("main", "fork 0", "deep 0"):
                session = store.session("alice", "trip", name)
                look(session)
                _use(store, session)
            for call in (store.seal, store.stats, store.tables):
                _attempt(call)
            store.verify()
            _attempt(functools.partial(_remove, store.session("bob 2", "big")))
            _attempt(store.drop_snapshots)


def _use(store: StateStore, session: Session) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: session.state(at=2),
        lambda: session.state(version=5),
        lambda: session.state(at="stage 0"),
        lambda: session.state(at=Clock().now),
        session.blame,
        lambda: session.bisect(lambda state: state is None),
        lambda: session.update(lambda state: state.update(n=7)),
        lambda: session.save({"n": 1}, commit_id="again 0"),
        session.undo,
        lambda: session.rollback(1),
        lambda: session.note("x"),
        lambda: session.tag("new"),
        lambda: session.fork(f"from {session.branch}").save({"f": 1}),
        lambda: session.erase("plan"),
        lambda: session.prune(keep_rounds=2),
        lambda: session.merge(store.session("alice", "trip", "fork 1"), lambda conflict: conflict.theirs),
    ]
    for call in calls:
        _attempt(call)


def _remove(session: Session) -> None:
    session.delete()
    with contextlib.suppress(ValueError):  # what it says if the damage hides the deletion
        session.restore()
    session.purge()


def _attempt(call: Callable[[], Any]) -> None:
    with contextlib.suppress(EventStateError):
        call()


def _peak(*, reset: bool = False) -> int:
    """Give the most memory in use, in bytes, since it was reset, where the system can do that."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILO
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    [peak] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peak) * 1024


def main() -> None:
    """Answer each path that comes in; the first is a whole journal."""
    told: list[str] = []
    watching = False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in _TELLTALE:
            told.append(f"{event} {str(arguments)[:100]}")

    sys.addaudithook(watch)
    exercise(sys.stdin.readline().rstrip("\n"))
    limit = _peak() + (_WALL << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.stdout.write("null\n")
    sys.stdout.flush()
    for line in sys.stdin:
        before = _peak(reset=True)
        wrong: str | None = None
        told.clear()
        watching = True
        try:
            with guarded(STEPS):
                exercise(line.rstrip("\n"))
        except Stuck as stuck:
            wrong = f"it goes on without an end: {stuck}"
        except BaseException as error:  # noqa: BLE001 - whatever comes out is what is asked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            wrong = f"not one of the library's errors: {error!r} at {Path(last.filename).name}:{last.lineno}"
        watching = False
        grown = _peak() - before
        if told:
            wrong = f"it reached out: {told[0]}"
        elif wrong is None and grown > MEGABYTES << 20:
            wrong = f"it took {grown >> 20} MB"
        sys.stdout.write(json.dumps(wrong) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
