"""Agents bound through asyncio whose event loop is closed in the middle of a commit."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any
from unittest import mock

import pytest

from eventstate import StateStore, aio
from tests.agents.sessions import check_marks, kinds, until, waiting
from tests.agents.test_agent_tree import Pair
from tests.aio.loops import PATIENCE, run


@pytest.mark.parametrize("end", ["closed", "cancelled", "left"])
@pytest.mark.parametrize("landed", ["before", "after", "never"])
def test_after_a_loop_closed_in_the_middle_of_a_commit_the_tree_is_what_the_session_holds(
    end: str, landed: str
) -> None:
    gate, begun, waits = threading.Event(), threading.Event(), list[bool]()
    with StateStore(":memory:") as store:
        over = aio.StateStore.over(store)
        worker: Any = over._worker
        session = over.session("u")
        pair = Pair()
        pair.bind(session)
        attempt = session.attempt

        def hold() -> None:
            begun.set()
            waits.append(gate.wait(PATIENCE))

        async def held(*args: Any, **kwargs: Any) -> Any:
            if landed == "never" and not begun.is_set():
                begun.set()
                await waiting()
            if not begun.is_set():
                worker.submit(hold)
            return await attempt(*args, **kwargs)

        with mock.patch.object(session, "attempt", held):
            loop = asyncio.new_event_loop()
            task = loop.create_task(pair.one())
            loop.run_until_complete(until(begun.is_set))
            tasks = asyncio.all_tasks(loop)
            for each in tasks:
                each._log_destroy_pending = False  # type: ignore[attr-defined]
            if landed == "before":
                gate.set()
                until_done = threading.Event()
                worker.submit(until_done.set)
                assert until_done.wait(PATIENCE)
            if end == "cancelled":
                gate.set()
                for each in tasks:
                    each.cancel()
                loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()
            if end == "closed":
                tasks.clear()
                del task, each
                gc.collect()
            gate.set()

        async def again() -> None:
            await pair.two("two")
            await pair.one("three")

        run(again())
        assert pair.state_dict() == store.session("u").state()
        check_marks(session)
        assert kinds(session).count("reply") in ({2} if landed == "never" else {2, 3})
        asyncio.run(over.close())
        assert all(waits)
