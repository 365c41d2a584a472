"""Recording processes that are killed: nothing that they acknowledged is lost, and all is whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session
    from tests.promises import Proofs

REPOSITORY = Path(__file__).resolve().parents[1]
KILLS = 100
LINES = 12
"""Commits that a worker acknowledges, at most, before the signal is sent; then come some more."""
WIDTH = 2048
"""Bytes of an acknowledgement: a pipe has room for some tens, so no worker runs far ahead of the others."""
DELAY = 0.003
"""Seconds at most between the last of them and the signal; a commit takes about as long."""


# In the worker.


def record(session: Session, acknowledge: Callable[[str, int], None]) -> None:
    """Write rounds, notes and forks without end, and acknowledge each when it is committed."""
    turn = next((last.id for last in session.rounds(reverse=True, limit=1)), 0)
    while True:
        turn += 1
        with session.round() as state:
            state["first"] = turn
            state.setdefault("turns", []).append(turn)
            state["text"] = "x" * (turn % 7 * 1000)
            state["last"] = turn
        acknowledge("round", turn)
        if turn % 2 == 0:
            session.note("noted", turn)
            acknowledge("note", turn)
        if turn % 5 == 0:
            fork = session.fork(f"fork {turn}")
            acknowledge("fork", turn)
            fork.save({"of": turn, "text": "y" * 5000})
            acknowledge("save", turn)


class Worker(NamedTuple):
    """A process that records into a session of its own."""

    session: str
    process: int
    output: TextIO
    acknowledged: set[tuple[str, int]]
    """By this worker, and by those that had the session before."""

    def read(self, lines: int | None = None) -> None:
        """Read so many acknowledgements, or all that are left."""
        texts = (
            [self.output.readline() for _ in range(lines)] if lines is not None else self.output.readlines()
        )
        for kind, turn in map(str.split, texts):
            self.acknowledged.add((kind, int(turn)))


def start(path: Path, session: str, before: set[tuple[str, int]]) -> Worker:
    """Fork a worker; nobody here may have a store open then."""
    output, acknowledged = os.pipe()
    process = os.fork()
    if process:
        os.close(acknowledged)
        return Worker(session, process, os.fdopen(output, encoding="utf-8"), before)

    def acknowledge(kind: str, turn: int) -> None:
        os.write(acknowledged, f"{kind} {turn}".ljust(WIDTH - 1).encode() + b"\n")

    try:
        os.close(output)
        with StateStore(path, snapshot_every=9) as store:
            record(store.session("u", session), acknowledge)
    finally:
        os._exit(1)


# In the process that starts and kills them.


def kill(running: list[Worker], rng: random.Random) -> Worker:
    """Let all workers acknowledge some commits, kill one, and give it with all that it acknowledged."""
    for worker in running:
        worker.read(rng.randint(1, LINES))
    worker = running.pop(rng.randrange(len(running)))
    time.sleep(rng.random() * DELAY)
    os.kill(worker.process, signal.SIGKILL)
    worker.read()
    worker.output.close()
    _, status = os.waitpid(worker.process, 0)
    assert os.WIFSIGNALED(status), f"the worker ended by itself: {status}"
    return worker


def check(path: Path, name: str, acknowledged: set[tuple[str, int]]) -> int:
    """Check a session, and give how many of its rounds came through without having been acknowledged."""
    with StateStore(path) as store:
        report = store.verify()
        assert report.ok, str(report)
        session = store.session("u", name)
        rounds = [turn.id for turn in session.rounds()]
        assert rounds == list(range(1, len(rounds) + 1))
        told = {turn for kind, turn in acknowledged if kind == "round"}
        assert max(told) <= len(rounds), "an acknowledged round is lost"
        state = session.state()
        assert state["first"] == state["last"] == len(rounds)
        assert state["turns"] == rounds
        notes = [note.data for note in session.notes()]
        assert notes == sorted(set(notes))
        assert {turn for kind, turn in acknowledged if kind == "note"} <= set(notes)
        branches = set(session.branches())
        assert {f"fork {turn}" for kind, turn in acknowledged if kind == "fork"} <= branches
        saved = {turn for kind, turn in acknowledged if kind == "save"}
        for turn in sorted(saved)[-3:]:
            assert store.session("u", name, f"fork {turn}").state() == {"of": turn, "text": "y" * 5000}
        return len(rounds) - len(told)


def supervise(path: Path, seed: int, kills: int, workers: int) -> dict[str, int]:
    """Start workers and kill them, one after the other, and check what they leave."""
    rng = random.Random(seed)
    running = [start(path, str(number), set()) for number in range(workers)]
    ended: list[Worker] = []
    done = 0
    while running:
        worker = kill(running, rng)
        done += 1
        check(path, worker.session, worker.acknowledged)
        if done + len(running) < kills:
            running.append(start(path, worker.session, worker.acknowledged))
        else:
            ended.append(worker)
    unacknowledged = 0
    for worker in ended:
        unacknowledged += check(path, worker.session, worker.acknowledged)
        with StateStore(path) as store:
            for turn, state in store.session("u", worker.session).replay():
                assert state["first"] == state["last"] == turn.id == len(state["turns"])
    kinds = Counter(kind for worker in ended for kind, _ in worker.acknowledged)
    return {"kills": done, "unacknowledged": unacknowledged, **kinds}


def killed(path: Path, seed: int, kills: int, workers: int) -> dict[str, int]:
    """Do it in a fresh process, which is safe to fork."""
    script = "import json, sys; from pathlib import Path; from tests.test_kill import supervise;"
    script += "print(json.dumps(supervise(Path(sys.argv[1]), *map(int, sys.argv[2:]))))"
    command = [sys.executable, "-c", script, str(path), str(seed), str(kills), str(workers)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    figures: dict[str, int] = json.loads(done.stdout)
    return figures


def test_a_process_killed_while_it_records_loses_nothing_that_it_acknowledged(
    tmp_path: Path, proved: Proofs
) -> None:
    figures = killed(tmp_path / "a.db", 1, KILLS, 1)
    proved("kill", figures["kills"])
    assert figures["kills"] == KILLS
    # Each worker is left to acknowledge something, and some are killed between a commit and its word.
    assert sum(figures[kind] for kind in ("round", "note", "fork", "save")) > KILLS
    assert figures["unacknowledged"] > 0
    assert figures["save"] > 0


def test_processes_killed_while_others_write_to_the_same_file_lose_nothing_either(
    tmp_path: Path, proved: Proofs
) -> None:
    figures = killed(tmp_path / "a.db", 2, KILLS // 2, 3)
    proved("kill", figures["kills"])
    assert figures["kills"] == KILLS // 2
    assert figures["round"] > KILLS // 2
