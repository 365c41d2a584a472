"""What updates a state is called in the store's thread, or in the loop if it is a coroutine function."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

from eventstate import ConflictError, InvalidStateError, aio
from tests.aio.loops import PATIENCE, Gate, in_loop, settle

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proves("tasks")

OPTIONS: dict[str, Any] = {"durability": "normal"}
WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


def count(state: Any) -> None:
    state["n"] = state.get("n", 0) + 1


@in_loop
async def test_an_update_sees_the_context_of_the_task_that_asked_for_it(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session = store.session("u")

        def sign(state: Any) -> None:
            state[WHO.get()] = threading.current_thread() is threading.main_thread()

        async def sign_later(state: Any) -> None:
            await asyncio.sleep(0)
            sign(state)

        async def task(name: str) -> None:
            WHO.set(name)
            await session.update(sign if name < "c" else sign_later)

        await asyncio.gather(*(task(name) for name in "abcd"))
        assert await session.state() == {"a": False, "b": False, "c": True, "d": True}
        assert WHO.get() == "nobody"


@in_loop
async def test_a_coroutine_function_is_called_again_on_each_conflict_until_its_change_stands(
    tmp_path: Path,
) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session, calls = store.session("u"), 0

        async def change(state: Any) -> None:
            nonlocal calls
            calls += 1
            if calls < 4:
                await session.update(count)
            state["seen"] = state.get("n", 0)

        assert (await session.update(change)).id == 4
        assert calls == 4
        assert await session.state() == {"n": 3, "seen": 3}
        calls = 0
        with pytest.raises(ConflictError):
            await session.update(change, expected_version=await session.version)
        assert calls == 1
        with pytest.raises(ConflictError):
            await session.update(change, expected_version=1)
        assert calls == 1
        assert not session.plain._writer._open


@in_loop
async def test_many_coroutine_functions_that_count_at_one_time_lose_no_count(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session = store.session("u")

        async def change(state: Any) -> None:
            await asyncio.sleep(0)
            count(state)

        turns = await asyncio.gather(*(session.update(change) for _ in range(10)))
        assert sorted(turn.id for turn in turns) == list(range(1, 11))
        assert await session.state() == {"n": 10}


@in_loop
async def test_a_conflict_out_of_the_change_itself_is_raised_and_not_tried_again(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session, other, calls = store.session("u"), store.session("other"), list[int]()

        async def change(_: Any) -> None:
            calls.append(1)
            await other.save({}, expected_version=99)

        with pytest.raises(ConflictError, match="other"):
            await session.update(change)

        def plain_change(_: Any) -> None:
            calls.append(1)
            other.plain.save({}, expected_version=99)

        with pytest.raises(ConflictError, match="other"):
            await session.update(plain_change)
        assert len(calls) == 2
        assert not await session.exists


@in_loop
async def test_what_gives_a_coroutine_without_being_a_coroutine_function_is_refused(tmp_path: Path) -> None:
    """Else its change would silently be none."""
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session = store.session("u")

        async def change(state: Any) -> None:
            count(state)

        with pytest.raises(TypeError, match="coroutine"):
            await session.update(lambda state: change(state))  # noqa: PLW0108 - that is the point
        assert not await session.exists

        class Counts:
            async def __call__(self, state: Any) -> None:
                count(state)

        await session.update(Counts())
        await session.update(functools.partial(change))
        await session.update(lambda state: state.pop("n"))
        assert await session.state() == {}
        assert await session.version == 3


@in_loop
async def test_a_slow_update_keeps_commits_waiting_but_not_the_loop_and_they_are_made_together(
    tmp_path: Path,
) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session, release, begun = store.session("u"), threading.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(state: Any) -> None:
            loop.call_soon_threadsafe(begun.set)
            assert release.wait(PATIENCE)
            count(state)

        first = asyncio.create_task(session.update(slow))
        await begun.wait()
        others = [asyncio.create_task(store.session(name).update(count)) for name in ("u", "a", "b")]
        await settle()
        assert not any(task.done() for task in (first, *others))
        report = await store.verify()  # beside it: no lock is held
        assert report.ok
        release.set()
        await asyncio.gather(first, *others)
        assert await session.state() == {"n": 2}


@in_loop
async def test_an_update_that_uses_the_async_store_in_the_store_s_own_thread_is_refused_at_once(
    tmp_path: Path,
) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session, other = store.session("u"), store.session("other")
        await other.save({"n": 7})

        async def use() -> Any:
            return await other.state()

        async def write() -> Any:
            return await other.save({"n": 8})

        for inner in (use, write):
            with pytest.raises(RuntimeError, match="own thread"):
                await session.update(lambda state, inner=inner: state.update(n=asyncio.run(inner())))  # type: ignore[misc]
        await session.update(count)
        assert await other.state() == {"n": 7}


@in_loop
async def test_an_update_may_read_the_plain_store_and_write_to_other_sessions_of_it(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session, other = store.session("u"), store.session("other").plain

        def change(state: Any) -> None:
            other.update(count)
            session.plain.note("inside")
            state["other"] = other.state()["n"]

        await asyncio.gather(session.update(change), store.session("third").update(count))
        assert await session.state() == {"other": 1}
        await asyncio.gather(*(session.update(change) for _ in range(3)))
        assert (await session.state())["other"] == other.state()["n"] >= 4
        assert (await store.verify()).ok


@in_loop
async def test_an_update_that_is_seen_in_a_state_that_never_came_about_is_called_again(
    tmp_path: Path,
) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session, seen = store.session("u"), list[int]()
        await session.save({"n": 0})

        def choosy(state: Any) -> None:
            seen.append(state["n"])
            if state["n"] == 2:
                raise ValueError("not with two")
            count(state)

        results = await asyncio.gather(
            session.update(count), session.update(choosy), session.update(choosy), return_exceptions=True
        )
        assert [type(result).__name__ for result in results] == ["Round", "Round", "ValueError"]
        assert seen == [1, 2, 2]
        assert await session.state() == {"n": 2}


@in_loop
async def test_a_model_is_given_and_checked_as_in_the_plain_store(tmp_path: Path) -> None:
    class Trip(pydantic.BaseModel):
        n: int = 0
        places: list[str] = []

    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session = store.session("u", model=Trip)
        await session.save(Trip(n=1))

        def go(trip: Trip) -> None:
            trip.places.append("Rome")

        async def stay(trip: Trip) -> None:
            trip.n += 1

        await asyncio.gather(session.update(go), session.update(go), session.update(stay))
        async with session.round() as trip:
            trip.n = 9
        assert await session.state() == Trip(n=9, places=["Rome", "Rome"])
        with pytest.raises(InvalidStateError):
            await session.save({"n": "many"})


@in_loop
async def test_a_live_state_refuses_to_be_changed_after_its_update(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session, kept = store.session("u"), list[Any]()

        def keep(state: Any) -> None:
            count(state)
            kept.append(state)

        await session.update(keep)
        async with Gate(store) as gate:
            gate.open()
            async with session.round() as state:
                kept.append(state)
        for live in kept:
            with pytest.raises(InvalidStateError):
                live["n"] = 5
        assert await session.state() == {"n": 1}
