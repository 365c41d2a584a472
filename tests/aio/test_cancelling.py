"""A cancelled commit was made or was not, nothing else is lost by it, and everything is given back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import ConflictError, StateStore, StoreClosedError, aio
from eventstate.journal.heads import Heads
from tests.aio.loops import PATIENCE, Gate, in_loop, settle, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

pytestmark = pytest.mark.proves("tasks")

OPTIONS: dict[str, Any] = {"durability": "normal"}


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[aio.StateStore]:
    """Open a store with a session, and see that what was lent is given back in the end."""
    async with aio.StateStore(path / "a.db", **OPTIONS, **options) as store:
        session = store.session("u")
        await session.save({"n": 0})
        yield store
        assert (await store.verify()).ok
        assert (await store.stats()).cached >= 1


def count(state: Any) -> None:
    state["n"] = state.get("n", 0) + 1


async def count_later(state: Any) -> None:
    await asyncio.sleep(0)
    count(state)


async def in_a_round(session: aio.Session, commit_id: str) -> None:
    async with session.round(commit_id=commit_id) as state:
        count(state)


WRITES: dict[str, Callable[[aio.Session, str], Coroutine[Any, Any, Any]]] = {
    "save": lambda session, name: session.save({"n": 1}, commit_id=name),
    "update": lambda session, name: session.update(count, commit_id=name),
    "async update": lambda session, name: session.update(count_later, commit_id=name),
    "round": in_a_round,
}

OTHERS: dict[str, Callable[[aio.Session, str], Coroutine[Any, Any, Any]]] = {
    "note": lambda session, _: session.note("noted"),
    "rollback": lambda session, _: session.rollback(1),
    "undo": lambda session, _: session.undo(),
    "tag": lambda session, _: session.tag("here"),
    "fork": lambda session, _: session.fork("other"),
    "delete": lambda session, _: session.delete(),
    "state": lambda session, _: session.state(),
}


def lent(session: aio.Session) -> int:
    """Count the states that are lent to a session's writers."""
    return len(session.plain._writer._open)


@pytest.mark.parametrize("kind", [*WRITES, *OTHERS])
@in_loop
async def test_what_is_cancelled_before_it_begins_is_not_done(tmp_path: Path, kind: str) -> None:
    async with opened(tmp_path) as store:
        session = store.session("u")
        before = (await store.seal()).position
        async with Gate(store):
            task = asyncio.create_task({**WRITES, **OTHERS}[kind](session, "x"))
            other = asyncio.create_task(store.session("other").save({"n": 7}))
            await settle()
            task.cancel()
            await settle()
            assert task.cancelled()
        await other
        assert (await store.seal()).position == before + 1
        assert await session.committed("x") is None
        assert await session.state() == {"n": 0}
        assert lent(session) == 0


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("kind", WRITES)
@in_loop
async def test_a_cancelled_commit_was_made_or_not_and_the_same_again_does_not_make_it_twice(
    tmp_path: Path, kind: str, steps: int
) -> None:
    async with opened(tmp_path) as store:
        session = store.session("u")
        task = asyncio.create_task(WRITES[kind](session, "x"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        found = await session.committed("x")
        assert await session.state() == {"n": 0 if found is None else 1}
        assert lent(session) == 0
        again = await WRITES[kind](session, "x")
        made = await session.committed("x")
        assert made is not None
        assert made.id == 2
        assert found in {None, made}
        assert again is None or again == made
        assert await session.state() == {"n": 1}


@pytest.mark.parametrize("kind", WRITES)
@in_loop
async def test_what_is_cancelled_while_its_transaction_is_written_is_made_whole(
    tmp_path: Path, kind: str
) -> None:
    async with opened(tmp_path) as store:
        session, loop = store.session("u"), asyncio.get_running_loop()
        appender = store.plain._journal.appender
        real = appender.append_all
        tasks: list[asyncio.Task[Any]] = []
        cancelled = asyncio.Event()

        def append_all(requests: Any) -> Any:
            def cancel() -> None:
                tasks[0].cancel()
                cancelled.set()

            if any(request.draft.commit_id == "x" for request in requests):
                loop.call_soon_threadsafe(cancel)
                asyncio.run_coroutine_threadsafe(cancelled.wait(), loop).result(PATIENCE)
            return real(requests)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(appender, "append_all", append_all)
            tasks.append(asyncio.create_task(WRITES[kind](session, "x")))
            other = asyncio.create_task(store.session("other").save({"n": 7}))
            with pytest.raises(asyncio.CancelledError):
                await tasks[0]
            await other
        made = await session.committed("x")
        assert made is not None
        assert made.id == 2
        assert await session.state() == {"n": 1}
        assert lent(session) == 0


@in_loop
async def test_a_round_that_is_cancelled_with_its_state_in_the_hand_gives_it_back(tmp_path: Path) -> None:
    """The loop may cancel a task after its result has come, and before it goes on."""
    cancelled: list[bool] = []

    def late(loop: asyncio.AbstractEventLoop, callback: Any, *values: Any) -> bool:
        def land() -> None:
            callback(*values)
            if not cancelled:
                cancelled.append(task.cancel())

        loop.call_soon_threadsafe(land)
        return True

    async with opened(tmp_path) as store:
        session = store.session("u")
        task = asyncio.create_task(in_a_round(session, "x"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("eventstate.aio.worker.post", late)
            with pytest.raises(asyncio.CancelledError):
                await task
        assert cancelled == [True]
        await store.stats()
        assert lent(session) == 0
        assert len(store.plain._journal.heads) == 1
        assert await session.state() == {"n": 0}


@in_loop
async def test_cancelling_again_and_again_leaves_no_state_lent_and_no_cache_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        sessions = [store.session("u", str(number)) for number in range(4)]
        await asyncio.gather(*(session.save({"n": 0}) for session in sessions))
        cached = (await store.stats()).cached
        for steps in range(12):
            works = [write(session, f"{steps}") for session in sessions for write in WRITES.values()]
            tasks = [asyncio.create_task(work) for work in works]
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in tasks[steps % 3 :: 2]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            kinds = {type(result) for result in results if isinstance(result, BaseException)}
            assert kinds <= {asyncio.CancelledError, ConflictError}
            await store.stats()  # what was to be given back is given back in the store's thread before it
            assert [lent(session) for session in sessions] == [0] * 4
        await asyncio.gather(*(session.state() for session in sessions))
        assert (await store.stats()).cached == cached
        put: list[Any] = []
        monkeypatch.setattr(Heads, "put", lambda _, head: put.append(head))
        await sessions[0].state()
        assert len(put) == 1


@in_loop
async def test_who_waits_for_a_place_can_be_cancelled_and_takes_none(tmp_path: Path) -> None:
    async with opened(tmp_path, max_waiting=2) as store:
        session = store.session("u")
        async with Gate(store):
            tasks = [asyncio.create_task(session.update(count)) for _ in range(4)]
            await settle()
            tasks[0].cancel()  # has a place
            tasks[3].cancel()  # waits for one
            await settle()
            assert [task.done() for task in tasks] == [True, False, False, True]
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await session.state() == {"n": 2}


@in_loop
async def test_who_gives_up_again_and_again_while_the_store_is_busy_leaves_nothing_waiting(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, max_waiting=4) as store:
        session = store.session("u")
        async with Gate(store):
            stays = asyncio.create_task(session.update(count))
            await settle()
            for _ in range(100):
                task = asyncio.create_task(session.save({"n": "never"}))
                await settle()
                task.cancel()
                await settle()
            queue = session._committer._queue
            assert queue is not None
            assert len(queue._waiting) <= 4
        await stays
        assert await session.state() == {"n": 1}


@in_loop
async def test_a_timeout_and_a_task_group_cancel_as_they_do_elsewhere(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        session = store.session("u")
        async with Gate(store) as gate:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await session.save({"n": 1})
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    for _ in range(3):
                        group.create_task(session.update(count))
                    group.create_task(session.save({"x": object()}))
            assert len(caught.value.exceptions) == 1
            gate.open()
        assert await session.state() == {"n": 0}
        assert await session.version == 1


@in_loop
async def test_an_opening_that_is_cancelled_closes_what_it_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[StateStore] = []

    class Watched(StateStore):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            made.append(self)

    monkeypatch.setattr("eventstate.aio.store.PlainStore", Watched)
    for steps in range(4):
        store = aio.StateStore(tmp_path / "a.db")
        task = asyncio.create_task(store.open())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        async with store:
            await store.session("u").update(count)
            assert await store.session("u").state() == {"n": steps + 1}
    for _ in range(1000):
        if all(plain.closed for plain in made):
            break
        await asyncio.sleep(0.01)
    assert all(plain.closed for plain in made)


@in_loop
async def test_a_close_that_is_cancelled_while_commits_wait_leaves_the_store_open(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        session = store.session("u")
        async with Gate(store):
            first = asyncio.create_task(session.update(count))
            await settle()
            closing = asyncio.create_task(store.close())
            await settle()
            with pytest.raises(StoreClosedError):
                await session.update(count)
            closing.cancel()
            await settle()
            assert closing.cancelled()
            second = asyncio.create_task(session.update(count))
            await settle()
        await asyncio.gather(first, second)
        assert await session.state() == {"n": 2}


@in_loop
async def test_a_close_that_is_cancelled_at_any_step_can_be_done_again(tmp_path: Path) -> None:
    for steps in range(6):
        store = aio.StateStore(tmp_path / "a.db", **OPTIONS)
        await store.open()
        update = asyncio.create_task(store.session("u").update(count))
        closing = asyncio.create_task(store.close())
        for _ in range(steps):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        with contextlib.suppress(StoreClosedError):  # if the close was first
            await update
        await store.close()
        assert store.closed
    async with aio.StateStore(tmp_path / "a.db") as store:
        assert (await store.verify()).ok


# What was done before an error


@in_loop
async def test_a_cancelled_round_keeps_what_was_done_if_asked_to_and_goes_on_being_cancelled(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        session = store.session("u")

        async def work(on_error: Any, **options: Any) -> None:
            async with session.round(on_error=on_error, **options) as state:
                count(state)
                await asyncio.sleep(3600)

        for on_error, more in (("keep", {}), ("discard", {}), ("keep", {"if_changed": True})):
            task = asyncio.create_task(work(on_error, **more))
            await until(lambda: lent(session) > 0)
            await settle()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert lent(session) == 0
        assert [(turn.id, turn.kind) async for turn in session.rounds()] == [
            (1, "save"),
            (2, "interrupted"),
            (3, "interrupted"),
        ]
        assert await session.state() == {"n": 2}


@in_loop
async def test_a_round_that_is_cancelled_again_while_it_keeps_is_kept_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        session = store.session("u")

        async def work() -> None:
            async with session.round(on_error="keep") as state:
                count(state)
                await asyncio.sleep(3600)

        task = asyncio.create_task(work())
        await until(lambda: lent(session) > 0)
        await settle()
        async with Gate(store):
            for _ in range(5):
                task.cancel()
                await settle()
            assert not task.done()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await session.state() == {"n": 1}


@in_loop
async def test_a_cancellation_that_comes_while_an_error_is_kept_is_not_lost(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        session, tries = store.session("u"), 0

        async def work() -> None:
            nonlocal tries
            while True:
                tries += 1
                with contextlib.suppress(ValueError):
                    async with session.round(on_error="keep") as state:
                        count(state)
                        await ready.wait()
                        raise ValueError

        ready = asyncio.Event()
        task = asyncio.create_task(work())
        await until(lambda: lent(session) > 0)
        await settle()
        async with Gate(store):
            ready.set()
            await settle()
            task.cancel()
            await settle()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert tries == 1
        assert await session.state() == {"n": 1}


@in_loop
async def test_an_error_keeps_nothing_if_nothing_was_changed_and_only_that_is_asked_for(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        session = store.session("u")
        for if_changed, rounds in ((True, 1), (False, 2)):
            with pytest.raises(ValueError, match="out"):
                async with session.round(on_error="keep", if_changed=if_changed):
                    raise ValueError("out")
            assert len([turn async for turn in session.rounds()]) == rounds


@in_loop
async def test_what_could_not_be_kept_is_told_with_the_error(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        session = store.session("u")
        with pytest.raises(ValueError, match="out") as caught:
            async with session.round(on_error="keep") as state:
                state["x"] = {1}
                await session.save({"n": 5})
                raise ValueError("out")
        assert "expected version" in str(caught.value.__notes__)
        assert await session.state() == {"n": 5}
        assert lent(session) == 0


@in_loop
async def test_with_nothing_but_notes_there_is_a_round_as_without_tasks(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        kinds = {}
        for name in ("plain", "tasks"):
            session = store.session(name)
            await session.note("noted")
            with pytest.raises(ValueError, match="out"):
                if name == "plain":
                    with session.plain.round(on_error="keep", if_changed=True):
                        raise ValueError("out")
                async with session.round(on_error="keep", if_changed=True):
                    raise ValueError("out")
            kinds[name] = [turn.kind async for turn in session.rounds()]
        assert kinds["tasks"] == kinds["plain"] == ["interrupted"]


def test_a_loop_that_ends_before_the_keeping_began_leaves_nothing_lent_and_says_so(tmp_path: Path) -> None:
    caught: list[BaseException] = []
    with StateStore(tmp_path / "a.db", **OPTIONS) as plain:
        plain.session("u").save({"n": 0})

        async def main() -> None:
            store = aio.StateStore.over(plain)
            session = store.session("u")

            async def work() -> None:
                try:
                    async with session.round(on_error="keep") as state:
                        count(state)
                        entered.set()
                        await asyncio.Event().wait()
                except asyncio.CancelledError as error:
                    caught.append(error)
                    assert lent(session) == 0
                    raise

            entered = asyncio.Event()
            task = asyncio.create_task(work())
            await entered.wait()
            task.cancel()
            await until(
                lambda: len(asyncio.all_tasks()) == 3
            )  # the one that keeps is there, and has not begun
            for other in asyncio.all_tasks() - {task, asyncio.current_task()}:
                other.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await store.close()

        asyncio.run(main())
        assert "may not have been kept" in str(caught[0].__notes__)
        assert plain.session("u").state() == {"n": 0}
        plain.session("u").update(count)
        assert plain.session("u").state() == {"n": 1}
