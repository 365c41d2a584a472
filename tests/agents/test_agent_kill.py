"""Processes that are killed while an agent replies: the session reopens whole and says what is unfinished."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import StateStore
from tests.agents.sessions import KINDS, check_marks, kinds, names, opened
from tests.agents.worker import Worker

if TYPE_CHECKING:
    from tests.promises import Proofs

REPOSITORY = Path(__file__).resolve().parents[2]
KILLS = 50
LINES = 40
"""Steps of replies that a process makes, at most, before the signal is sent; a reply has half as many."""
WIDTH = 2048
"""Bytes of a step's word: a pipe has room for some tens, so that no process runs far ahead."""
DELAY = 0.003
"""Seconds at most between the last of them and the signal; a note takes about as long."""


# In the process that is killed.


class Telling(Worker):
    """Says each of its steps."""

    output: int

    def tell(self, word: str) -> None:
        """Say something to who kills."""
        os.write(self.output, word.ljust(WIDTH - 1).encode() + b"\n")

    async def step(self) -> None:
        self.tell("step")
        await super().step()


async def reply_for_ever(path: Path, kind: str, output: int, generation: int) -> None:
    """Give one reply after the other, and acknowledge each when it was given."""
    async with opened(path, kind) as session:
        numbers = iter(range(1 << 30))
        agent = Telling(new_id=lambda: f"{generation}-{next(numbers)}")
        agent.output = output
        agent.bind(session)
        while True:
            await agent("hi")
            agent.tell(f"replied {agent._reply_id}")


def start(path: Path, kind: str, generation: int) -> tuple[int, Any]:
    """Fork such a process; nobody here may have a store open then."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, os.fdopen(reading, encoding="utf-8")
    try:
        os.close(reading)
        asyncio.run(reply_for_ever(path, kind, writing, generation))
    finally:
        os._exit(1)


# In the process that starts and kills them.


def kill(path: Path, kind: str, generation: int, rng: random.Random) -> list[str]:
    """Start a process, kill it somewhere, and give what it acknowledged."""
    process, output = start(path, kind, generation)
    words = [output.readline() for _ in range(rng.randint(0, LINES))]
    time.sleep(rng.random() * DELAY)
    os.kill(process, signal.SIGKILL)
    words += output.readlines()
    output.close()
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status), f"the process ended by itself: {status}"
    return [word.split()[1] for word in words if word.startswith("replied")]


def check(path: Path, acknowledged: list[str]) -> int:
    """Reopen the session, and give how many replies were unfinished."""
    with StateStore(path) as store:
        report = store.verify()
        assert report.ok, str(report)
        session = store.session("u", "s")
        state = session.state()
        if state is None:  # killed before the agent was bound
            assert not acknowledged
            return 0
        replies = [turn.metadata["reply_id"] for turn in session.rounds() if turn.kind == "reply"]
        assert set(acknowledged) <= set(replies), "an acknowledged reply is lost"
        # The state is what whole replies have left, and nothing else.
        assert state["log"] == replies == list(state["done"])
        assert all(own["whole"] and len(own["tools"]) == 5 for own in state["done"].values())
        before = names(session)
        agent = Worker()
        agent.bind(session)
        assert agent.state_dict() == state
        check_marks(session)
        marked = names(session)[len(before) :]
        unfinished = agent.unfinished()
        count = marked.count("reply.unfinished")
        assert count <= 1
        assert count <= len(unfinished)  # there may be some of earlier kills
        assert set(marked) <= {"reply.unfinished", "tool.unfinished"}
        agent.unbind()
        agent.bind(session)
        assert names(session) == [*before, *marked]
        assert agent.unfinished() == unfinished
        assert set(kinds(session)) <= {"save", "reply"}
        return count


def supervise(path: Path, kind: str, kills: int) -> dict[str, int]:
    """Start processes and kill them, one after the other, each going on from what the one before left."""
    rng = random.Random(f"kills {kind}")
    acknowledged: list[str] = []
    unfinished = 0
    for generation in range(kills):
        acknowledged += kill(path, kind, generation, rng)
        unfinished += check(path, acknowledged)
    with StateStore(path) as store:
        replies, calls = check_marks(store.session("u", "s"))
        told = names(store.session("u", "s"))
    return {
        "acknowledged": len(acknowledged),
        "unfinished": unfinished,
        "replies": replies,
        "calls": calls,
        "unfinished calls": told.count("tool.unfinished"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_killed_while_an_agent_replies_leaves_what_whole_replies_made_and_marks(
    kind: str, tmp_path: Path, proved: Proofs
) -> None:
    script = "import json, sys; from pathlib import Path; from tests.agents.test_agent_kill import supervise;"
    script += "print(json.dumps(supervise(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))"
    command = [sys.executable, "-c", script, str(tmp_path / "a.db"), kind, str(KILLS)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    proved("kill", KILLS)
    assert figures["unfinished"] > KILLS // 2
    assert figures["unfinished calls"] > KILLS // 4
    assert figures["acknowledged"] > 0
    assert figures["replies"] >= figures["acknowledged"] + figures["unfinished"]
