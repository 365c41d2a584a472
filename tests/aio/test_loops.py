"""One event loop at a time: loops that end or stand beside each other, forks, threads, the store's end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import ConflictError, StateStore, StorageError, StoreClosedError, aio
from tests.aio.loops import PATIENCE, Gate, in_loop, settle, stores_threads, until
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.proves("tasks")

OPTIONS: dict[str, Any] = {"durability": "normal"}


def count(state: Any) -> None:
    state["n"] = state.get("n", 0) + 1


def held(store: aio.StateStore, release: threading.Event) -> None:
    """Keep the store's thread busy until it is released."""
    worker = store._worker
    assert worker is not None
    worker.submit(lambda: assert_true(release.wait(PATIENCE)))


def assert_true(value: object) -> None:
    assert value


def test_a_loop_that_is_closed_in_the_middle_of_saves_loses_nothing_that_was_begun_and_the_next_goes_on(
    tmp_path: Path,
) -> None:
    store = aio.StateStore(tmp_path / "a.db", max_waiting=5, **OPTIONS)
    release = threading.Event()
    first = asyncio.new_event_loop()
    first.run_until_complete(store.open())
    session = store.session("u")
    first.run_until_complete(session.save({"n": 0}))
    other, go = store.session("other"), asyncio.Event()
    inside = first.create_task(body(other))  # is in the middle of a round
    ending = first.create_task(body(session, go))  # has ended one
    first.run_until_complete(until(lambda: bool(session.plain._writer._open and other.plain._writer._open)))
    first.run_until_complete(settle())
    held(store, release)
    begun = [first.create_task(session.update(count)) for _ in range(3)]
    first.run_until_complete(settle())
    go.set()
    first.run_until_complete(settle())
    waiting = [first.create_task(session.update(count)) for _ in range(4)]
    first.run_until_complete(settle())
    lost = first.create_task(body(session))
    first.run_until_complete(settle())
    first.close()  # with all of them pending
    release.set()

    async def second() -> None:
        assert await session.state() == {"n": 3}, "what was begun is made, what waited never happened"
        await asyncio.gather(*(session.update(count) for _ in range(20)))
        assert await session.state() == {"n": 23}
        assert not session.plain._writer._open
        assert (await store.verify()).ok
        await store.close()

    asyncio.run(second())
    tasks = [*begun, *waiting, lost, inside, ending]
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio would say so on stderr
    del begun, waiting, lost, inside, ending, tasks, task
    gc.collect()
    assert not other.plain._writer._open
    assert not stores_threads()
    with StateStore(tmp_path / "a.db") as again:
        assert again.session("u").state() == {"n": 23}


async def body(session: aio.Session, go: asyncio.Event | None = None) -> None:
    async with session.round(on_error="keep") as state:
        count(state)
        await (asyncio.sleep(3600) if go is None else go.wait())


def test_a_program_that_ends_in_the_middle_leaves_whole_commits_and_no_complaint(tmp_path: Path) -> None:
    """`asyncio.run` cancels what is left; the store is never closed."""
    script = """
        import asyncio, sys
        from eventstate import aio

        def count(state):
            state["n"] = state.get("n", 0) + 1

        async def main():
            store = aio.StateStore(sys.argv[1])
            await store.open()
            session = store.session("u")
            await session.update(count)
            tasks = [asyncio.create_task(session.update(count)) for _ in range(50)]
            await asyncio.sleep(0)
            await tasks[0]

        asyncio.run(main())
        print("done")
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(script), str(tmp_path / "a.db")],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=PATIENCE,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
    with StateStore(tmp_path / "a.db") as store:
        assert store.session("u").state() == {"n": 51}
        assert store.verify().ok


def test_one_loop_after_the_other_may_use_a_store(tmp_path: Path) -> None:
    store = aio.StateStore(tmp_path / "a.db", **OPTIONS)

    async def use() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(store.session("u").update(count))

    asyncio.run(store.open())
    for _ in range(3):
        asyncio.run(use())
    asyncio.run(store.close())
    assert not stores_threads()
    with StateStore(tmp_path / "a.db") as again:
        assert again.session("u").state() == {"n": 30}


def test_one_loop_after_the_other_may_open_a_store_in_several_tasks(tmp_path: Path) -> None:
    store = aio.StateStore(tmp_path / "a.db", **OPTIONS)

    async def use() -> None:
        await asyncio.gather(*(store.open() for _ in range(3)))
        await store.session("u").update(count)
        await store.close()

    for _ in range(3):
        asyncio.run(use())
    with StateStore(tmp_path / "a.db") as again:
        assert again.session("u").state() == {"n": 3}


@in_loop
async def test_a_second_loop_is_refused_as_long_as_commits_wait_in_the_first(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session = store.session("u")
        async with Gate(store):
            task = asyncio.create_task(session.update(count))
            await settle()
            with pytest.raises(RuntimeError, match="another event loop"):
                await asyncio.to_thread(asyncio.run, session.update(count))
        await task
        await asyncio.to_thread(asyncio.run, session.update(count))  # nobody waits: it may
        await session.update(count)
        assert await session.state() == {"n": 3}


@in_loop
async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = aio.StateStore(tmp_path / "a.db")
    assert store.closed
    await store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.session("u"),
        lambda: store.plain,
        store.sessions,
        store.commits,
    ]
    for _ in range(2):
        for call in calls:
            with pytest.raises(StoreClosedError, match=r"a\.db: not open"):
                call()
        for asked in (store.stats(), store.verify(), store.seal(), store.tables()):
            with pytest.raises(StoreClosedError):
                await asked
        await store.open()
        await store.open()
        session = store.session("u")
        await session.update(count)
        await store.close()
        await store.close()
        for work in (
            session.update(count),
            session.save({}),
            session.state(),
            session.note("x"),
            body(session),
        ):
            with pytest.raises(StoreClosedError):
                await work
        assert not session.plain._writer._open
    assert "(closed)" in repr(store)


@in_loop
async def test_an_error_of_the_opening_comes_from_open_and_leaves_nothing(tmp_path: Path) -> None:
    store = aio.StateStore(tmp_path / "none" / "a.db")
    with pytest.raises(StorageError, match="does not exist"):
        await store.open()
    assert store.closed
    (tmp_path / "none").mkdir()
    async with store:
        await store.session("u").save({})


@in_loop
async def test_closing_lets_the_commits_that_wait_be_made_and_refuses_what_comes_later(
    tmp_path: Path,
) -> None:
    store = aio.StateStore(tmp_path / "a.db", **OPTIONS)
    await store.open()
    session = store.session("u")
    entered = session.round()
    (await entered.__aenter__())["late"] = True
    async with Gate(store):
        tasks = [asyncio.create_task(session.update(count)) for _ in range(10)]
        await settle()
        closings = [asyncio.create_task(store.close()) for _ in range(3)]
        await settle()
        with pytest.raises(StoreClosedError, match="being closed"):
            await session.update(count)
    await asyncio.gather(*tasks, *closings)
    with pytest.raises(StoreClosedError):
        await entered.__aexit__(None, None, None)
    assert store.closed
    assert not session.plain._writer._open
    with StateStore(tmp_path / "a.db") as again:
        assert again.session("u").state() == {"n": 10}


@in_loop
async def test_a_loop_that_never_stops_saving_does_not_keep_a_store_from_closing(tmp_path: Path) -> None:
    store = aio.StateStore(tmp_path / "a.db", **OPTIONS)
    await store.open()

    async def work() -> int:
        done = 0
        with contextlib.suppress(StoreClosedError):
            while True:
                await store.session("u").update(count)
                done += 1
        return done

    tasks = [asyncio.create_task(work()) for _ in range(4)]
    await until(lambda: store.plain.session("u").exists)
    await store.close()
    done = sum(await asyncio.gather(*tasks))
    with StateStore(tmp_path / "a.db") as again:
        assert again.session("u").state() == {"n": done}


@in_loop
async def test_over_a_plain_store_both_may_be_used_in_tasks_and_threads_and_the_plain_one_stays_open(
    tmp_path: Path,
) -> None:
    with StateStore(tmp_path / "a.db", **OPTIONS) as plain:
        async with aio.StateStore.over(plain, max_waiting=8) as store:
            assert store.plain is plain
            session, same = store.session("u"), plain.session("u")
            with ThreadPoolExecutor(4) as threads:
                loop = asyncio.get_running_loop()
                runs = [loop.run_in_executor(threads, same.update, count) for _ in range(40)]
                await asyncio.gather(*(session.update(count) for _ in range(40)), *runs)
            assert await session.state() == same.state() == {"n": 80}
            assert not session.plain._writer._open
        assert store.closed
        assert not plain.closed
        with pytest.raises(StoreClosedError):
            await store.open()
        with pytest.raises(StoreClosedError):
            await session.save({})
        assert same.update(count).id == 81
        async with aio.StateStore.over(plain) as second:
            await second.session("u").update(count)
        assert plain.verify().ok
    with pytest.raises(TypeError, match="StateStore is expected"):
        aio.StateStore.over("a.db")  # type: ignore[arg-type]


@in_loop
async def test_a_plain_store_that_is_closed_under_the_tasks_is_an_error_for_each(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session = store.session("u")
        await session.save({"n": 0})
        async with Gate(store):
            tasks = [asyncio.create_task(session.update(count)) for _ in range(5)]
            await settle()
            store.plain.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [StoreClosedError] * 5
        assert store.closed


def test_a_forked_child_gets_an_error_and_never_hangs(tmp_path: Path) -> None:
    script = """
        import asyncio, os, sys, warnings
        from eventstate import StoreClosedError, aio

        warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads
        store = aio.StateStore(sys.argv[1])

        async def refused(session):
            works = [session.save({"n": 2}), session.state(), session.note("x"), session.update(dict.clear)]
            for work in [*works, session.latest, store.stats(), store.verify()]:
                try:
                    await work
                except StoreClosedError:
                    continue
                return f"{work} was not refused"
            try:
                async with session.round():
                    return "a round was not refused"
            except StoreClosedError:
                pass
            await store.close()
            return "refused"

        async def main(how):
            session = store.session("u")
            await session.save({"n": 1})
            if how == "in the loop":
                child = os.fork()
                if not child:
                    answer = await refused(session)
                    print(answer, flush=True)
                    os._exit(0)
                os.waitpid(child, 0)
            return session

        async def end(session):
            await session.save({"n": 3})
            await store.close()

        asyncio.run(store.open())
        session = asyncio.run(main(sys.argv[2]))
        if sys.argv[2] == "outside":
            child = os.fork()
            if not child:
                print(asyncio.run(refused(session)), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
        asyncio.run(end(session))
        print("the parent goes on")
    """
    for how in ("in the loop", "outside"):
        path = tmp_path / f"{how}.db"
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), str(path), how],
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
            timeout=PATIENCE,
        )
        assert done.stdout == "refused\nthe parent goes on\n", done.stderr
        with StateStore(path) as store:
            assert store.session("u").state() == {"n": 3}


def test_a_store_that_is_forgotten_ends_its_thread(tmp_path: Path) -> None:
    async def forget() -> None:
        store = aio.StateStore(tmp_path / "a.db")
        await store.open()
        await store.session("u").save({"n": 1})

    asyncio.run(forget())
    gc.collect()
    for thread in stores_threads():
        thread.join(PATIENCE)
    assert not stores_threads()
    assert os.path.exists(tmp_path / "a.db")  # noqa: PTH110 - a look at the folder, not at the file
    with StateStore(tmp_path / "a.db") as again:
        assert again.session("u").state() == {"n": 1}


@in_loop
async def test_a_round_entered_before_another_task_s_commit_conflicts_and_gives_its_state_back(
    tmp_path: Path,
) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session = store.session("u")
        await session.save({"n": 0})
        with pytest.raises(ConflictError):
            async with session.round() as state:
                count(state)
                await session.update(count)
        assert await session.state() == {"n": 1}
        assert not session.plain._writer._open
