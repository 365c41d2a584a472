"""Interrupts at random points of a reply: what is journaled is whole, and the next reply starts from it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import StateStore, aio
from tests.agents.agents import said, turns
from tests.agents.sessions import KINDS, check_marks, in_step, kinds, names, opened, plain
from tests.agents.worker import Worker
from tests.aio.loops import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.promises import Proofs

INTERRUPTS = 200
"""By each kind of session."""
LOOPS = 60
STEPS = 14
"""That a reply has, or a few more."""


async def disturb(agent: Worker, task: asyncio.Task[Any], rng: random.Random) -> str:
    """Interrupt a reply at a random point, or cancel its task; sometimes a second time."""
    goal = agent.steps + rng.randint(0, STEPS)
    while agent.steps < goal and not task.done():  # noqa: ASYNC110 - each turn of the loop is a point
        await asyncio.sleep(0)
    await turns(rng.randint(0, 6))
    way = rng.choices(("interrupt", "cancel", "twice"), (70, 15, 15))[0]
    if way == "cancel":
        task.cancel()
    else:
        await agent.interrupt("stop")
    if way == "twice":
        await turns(rng.randint(0, 8))
        await agent.interrupt("stop!")
    await asyncio.wait({task})
    return way


@pytest.mark.parametrize("kind", KINDS)
def test_after_an_interrupt_at_any_point_the_next_reply_starts_from_what_was_committed(
    kind: str, tmp_path: Path, proved: Proofs
) -> None:
    rng = random.Random(f"interrupts {kind}")
    ends: Counter[str] = Counter()

    async def main() -> None:
        async with opened(tmp_path / "a.db", kind) as session:
            agent = Worker()
            agent.bind(session)
            journal = plain(session)
            for _ in range(INTERRUPTS):
                committed = journal.state()
                task = asyncio.create_task(agent("hi"))
                way = await disturb(agent, task, rng)
                left = asyncio.all_tasks() - {asyncio.current_task()}
                assert not {each for each in left if "Worker" in repr(each)}
                if agent.started_from is not None:
                    assert agent.started_from == committed
                agent.started_from = None
                assert in_step(agent)
                assert agent._reply_task is None
                latest = journal.latest
                assert latest is not None
                own = latest.metadata.get("reply_id") == agent._reply_id
                state = journal.state()
                if task.cancelled():
                    assert way in ("cancel", "twice")
                    ends["cancelled"] += 1
                elif task.result() == said("done"):
                    # It was over before the interrupt came.
                    assert latest.kind == "reply"
                    assert state["done"][agent._reply_id]["whole"]
                    assert state["log"][-1] == agent._reply_id
                    ends["finished"] += 1
                else:
                    assert latest.kind == "interrupted"
                    assert state["done"][agent._reply_id] == "stopped"
                    ends["interrupted"] += 1
                if not own:  # nothing of it is left
                    assert state == committed
                    assert task.cancelled()
                    ends["discarded"] += 1
            assert agent.unfinished() == []
            replies, calls = check_marks(session)
            assert replies == INTERRUPTS
            assert calls > INTERRUPTS
            assert names(session).count("reply.unfinished") == 0
            assert set(kinds(session)) == {"save", "reply", "interrupted"}
            if kind == "plain":  # where nothing depends on how fast a disk is
                assert min(ends[end] for end in ("cancelled", "finished", "interrupted", "discarded")) > 0
            assert ends["interrupted"] > INTERRUPTS // 3
            assert names(session).count("tool.interrupted") > INTERRUPTS // 4

    asyncio.run(main())
    proved("reply", INTERRUPTS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_that_ends_at_any_point_of_a_reply_leaves_it_whole_or_marked(
    kind: str, tmp_path: Path, proved: Proofs
) -> None:
    rng = random.Random(f"loops {kind}")
    ends: Counter[bool] = Counter()
    with StateStore(tmp_path / "a.db") as store:
        over = aio.StateStore.over(store)
        session = (store if kind == "plain" else over).session("u", "s")
        agent = Worker()
        agent.bind(session)

        async def leave() -> None:
            task = asyncio.create_task(agent("hi"))
            goal = agent.steps + rng.randint(0, STEPS + 4)
            while agent.steps < goal and not task.done():  # noqa: ASYNC110 - each turn of the loop is a point
                await asyncio.sleep(0)
            await turns(rng.randint(0, 6))
            ends[task.done()] += 1

        for _ in range(LOOPS):
            committed = store.session("u", "s").state()
            asyncio.run(leave())  # which cancels everything, those tasks too that nobody else may cancel
            assert agent.started_from in (None, committed)
            agent.started_from = None
            assert in_step(agent)
            assert agent._reply_task is None
        run(agent("hi"))
        replies, calls = check_marks(session)
        assert LOOPS // 2 < replies <= LOOPS + 1
        assert calls > LOOPS
        assert agent.unfinished() == []
        assert min(ends.values()) > 0
        asyncio.run(over.close())
    proved("reply", LOOPS)
