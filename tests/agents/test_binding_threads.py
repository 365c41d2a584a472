"""A bound module that several threads change, though it belongs to one."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from eventstate import EventStateError, StateStore
from tests.agents.modules import Memory

if TYPE_CHECKING:
    from pathlib import Path

THREADS, CHANGES = 4, 40


def test_threads_that_share_a_module_get_errors_and_the_journal_stays_whole(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        memory = Memory()
        memory.bind(session)
        done: Counter[bool] = Counter()

        def change(thread: int) -> None:
            for number in range(CHANGES):
                try:
                    memory.content.append([thread, number])
                except (EventStateError, RuntimeError, LookupError):
                    done[False] += 1
                else:
                    done[True] += 1

        threads = [threading.Thread(target=change, args=(thread,)) for thread in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done.total() == THREADS * CHANGES
        assert done[True] > 0
        assert store.verify().ok
        memory.reload()
        assert memory.state_dict() == session.state()
        memory.content.append("on")
        with StateStore(tmp_path / "a.db") as other:
            assert other.session("u").state() == memory.state_dict()
