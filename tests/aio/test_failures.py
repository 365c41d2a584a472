"""One that fails leaves its neighbours; a transaction that fails leaves nothing, and the store as it was."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import (
    BranchNotFoundError,
    ConflictError,
    KeyNotFoundError,
    MemoryKeyRing,
    Round,
    SessionDeletedError,
    StateStore,
    StorageError,
    UnsupportedValueError,
    aio,
)
from eventstate.journal import statements as sql
from eventstate.testing import FaultyDisk
from eventstate.values.codec import MAX_DEPTH
from tests.aio.loops import PATIENCE, in_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from tests.promises import Proofs

OPTIONS: dict[str, Any] = {"durability": "normal"}


def count(state: Any) -> None:
    state["n"] = state.get("n", 0) + 1


def stop(error: BaseException) -> Callable[[Any], None]:
    def change(_: Any) -> None:
        raise error

    return change


class Stopped(Exception):  # noqa: N818 - no error, a stand-in for one
    """Raised by what updates a state."""


FAILING: dict[str, tuple[type[BaseException], Callable[[aio.StateStore], Coroutine[Any, Any, Any]]]] = {
    "an update that raises": (Stopped, lambda store: store.session("u").update(stop(Stopped()))),
    "an update that is cancelled": (
        asyncio.CancelledError,
        lambda store: store.session("u").update(stop(asyncio.CancelledError())),
    ),
    "an update that raises StopIteration": (
        RuntimeError,
        lambda store: store.session("u").update(stop(StopIteration())),
    ),
    "an update to what can't be stored": (
        UnsupportedValueError,
        lambda store: store.session("u").update(lambda state: state.update(x=object())),
    ),
    "a save of what can't be stored": (
        UnsupportedValueError,
        lambda store: store.session("u").save({"x": object()}),
    ),
    "a stale version": (ConflictError, lambda store: store.session("u").save({"n": 9}, expected_version=99)),
    "a deleted session": (SessionDeletedError, lambda store: store.session("deleted").save({"n": 9})),
    "a note on a deleted session": (SessionDeletedError, lambda store: store.session("deleted").note("x")),
    "a branch that is not there": (
        BranchNotFoundError,
        lambda store: store.session("u", branch="none").save({"n": 9}),
    ),
    "a key that is not there": (KeyNotFoundError, lambda store: store.session("sealed").update(count)),
    "a coroutine nobody awaits": (TypeError, lambda store: store.session("u").update(lambda _: settled())),
}


async def settled() -> None:
    """Do nothing."""


@pytest.mark.proves("tasks")
@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("kind", FAILING)
@in_loop
async def test_one_that_fails_leaves_its_neighbours_of_its_own_session_and_of_others(
    tmp_path: Path, kind: str, place: int
) -> None:
    keys = MemoryKeyRing()
    keys.create("sealed")
    async with aio.StateStore(tmp_path / "a.db", keys=keys, **OPTIONS) as store:
        for name in ("u", "deleted", "sealed"):
            await store.session(name).save({"n": 0})
        await store.session("deleted").delete()
        keys.destroy("sealed")
        works: list[Coroutine[Any, Any, Any]] = [
            store.session("u").update(count),
            store.session("new").update(count),
            store.session("u").update(count),
            store.session("new").note("noted"),
        ]
        expected, failing = FAILING[kind]
        works.insert(place, failing(store))
        results = await asyncio.gather(*works, return_exceptions=True)
        assert type(results.pop(place)) is expected
        assert all(isinstance(result, Round | int) for result in results), results
        assert [result.id for result in results[::2] if isinstance(result, Round)] == [2, 3]
        assert await store.session("u").state() == {"n": 2}
        assert await store.session("new").state() == {"n": 1}
        assert (await store.verify()).ok
    with StateStore(tmp_path / "a.db") as again:
        assert again.session("u").state() == {"n": 2}
        assert len(list(again.commits())) == 4 + 4


def break_append(monkeypatch: pytest.MonkeyPatch, store: aio.StateStore, nth: int) -> None:
    """Let the n-th commit from now on fail when its rows stand in the file."""
    appender, calls = store.plain._journal.appender, []
    real = appender.add

    def add(*arguments: Any) -> Any:
        made = real(*arguments)
        calls.append(made)
        if len(calls) == nth + 1:
            raise StorageError("injected")
        return made

    monkeypatch.setattr(appender, "add", add)


@pytest.mark.proves("tasks")
@pytest.mark.parametrize("nth", range(6))
@in_loop
async def test_a_commit_that_fails_when_it_is_written_is_taken_back_and_its_neighbours_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """Sessions come into being, updates stand on each other, there are notes; what follows is made anew."""
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        sessions = [store.session("u", name) for name in ("old", "old", "old", "new", "newer", "newer")]
        await sessions[0].save({"n": 0})
        break_append(monkeypatch, store, nth)
        works = [session.update(count) for session in sessions[:4]]
        notes = [session.note("noted", number) for number, session in enumerate(sessions[4:])]
        results = await asyncio.gather(*works, *notes, return_exceptions=True)
        assert [type(result) for result in results].count(StorageError) == 1
        assert type(results[nth]) is StorageError
        assert await sessions[0].state() == {"n": 3 - (nth < 3)}
        assert await sessions[0].version == (await sessions[0].state())["n"] + 1
        assert await sessions[3].exists == (nth != 3)
        noted = [note.data async for note in sessions[4].notes()]
        assert noted == [number for number in range(2) if number + 4 != nth]
        assert (await store.verify()).ok
        results = await asyncio.gather(*(session.update(count) for session in sessions))
        assert await sessions[3].state() == {"n": 2 - (nth == 3)}
        assert (await store.verify()).ok
    with StateStore(tmp_path / "a.db") as again:
        assert again.session("u", "old").state() == {"n": 6 - (nth < 3)}


@in_loop
async def test_when_the_commit_fails_every_waiter_gets_the_error_and_the_store_goes_on(
    tmp_path: Path, proved: Proofs
) -> None:
    with FaultyDisk() as disk:
        async with aio.StateStore(tmp_path / "a.db", vfs=disk.name) as store:
            old, new = store.session("old"), [store.session("new", str(n)) for n in range(3)]
            await old.save({"n": 0})
            cached = (await store.stats()).cached
            disk.fail(1, kinds={"sync"})
            body = old.round()
            (await body.__aenter__())["n"] = 7
            works = [old.update(count), old.note("noted"), *(session.update(count) for session in new)]
            works += [session.note("noted") for session in new]
            works.append(body.__aexit__(None, None, None))  # the update before it goes first: a conflict
            results = await asyncio.gather(*works, return_exceptions=True)
            assert disk.failures == 1
            disk.heal()
            assert {type(result) for result in results[:-1]} == {StorageError}
            assert isinstance(results[-1], StorageError | ConflictError)
            assert len({id(result) for result in results}) == len(results), "each waiter has its own"
            assert all(str(tmp_path) in str(result) for result in results[:-1])
            assert await old.state() == {"n": 0}
            assert await old.version == 1
            assert [await session.exists for session in new] == [False] * 3
            assert (await store.stats()).cached == cached
            assert not old.plain._writer._open
            # As if nothing had been.
            others = [store.session("another", str(n)) for n in range(3)]
            await asyncio.gather(*(session.save({"by": session.session_id}) for session in others))
            await asyncio.gather(*(session.update(count) for session in (old, *new)))
            assert [await session.state() for session in (old, *new)] == [{"n": 1}] * 4
            for session in others:
                assert await session.state() == {"by": session.session_id}
            assert (await store.verify()).ok
    with StateStore(tmp_path / "a.db") as again:
        assert len(list(again.commits())) == 1 + 3 + 4
        assert again.session("new", "1").state() == {"n": 1}
    proved("disk error")


@in_loop
async def test_a_disk_that_fills_up_in_the_middle_of_a_group_leaves_nothing_of_it(
    tmp_path: Path, proved: Proofs
) -> None:
    with FaultyDisk() as disk:
        async with aio.StateStore(tmp_path / "a.db", vfs=disk.name) as store:
            session = store.session("old")
            await session.save({"n": 0})
            store.plain._journal.connection.pragma("cache_size", 10)  # pages: more go to the disk at once
            names = [str(number) for number in range(8)]
            for room in (0, 50_000, 100_000):
                disk.fill(room)
                works = [store.session("new", name).save({"text": name * 30_000}) for name in names]
                results = await asyncio.gather(session.update(count), *works, return_exceptions=True)
                disk.heal()
                assert all(isinstance(result, StorageError) for result in results), (room, results)
                assert [info.user_id async for info in store.sessions()] == ["old"]
                assert await session.state() == {"n": 0}
                assert (await store.verify()).ok
                proved("disk error")
            await asyncio.gather(*(store.session("new", name).save({"text": name}) for name in names))
            assert await store.session("new", "3").state() == {"text": "3"}
            assert (await store.verify()).ok


@in_loop
async def test_what_another_process_commits_in_between_makes_the_group_plan_anew_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    async with aio.StateStore(path, **OPTIONS) as store:
        sessions = [store.session("u", str(number)) for number in range(3)]
        for session in sessions[:2]:
            await session.save({"n": 0})
        appender = store.plain._journal.appender
        real, groups = appender.append_all, []

        def append_all(requests: Any) -> Any:
            groups.append(len(requests))
            if len(groups) == 1:
                with StateStore(path, **OPTIONS) as other:
                    for number in range(3):
                        other.session("u", str(number)).update(lambda state: state.update(n=10))
            return real(requests)

        monkeypatch.setattr(appender, "append_all", append_all)
        works = [session.update(count) for session in sessions[:2] for _ in range(4)]
        turns = await asyncio.gather(*works, sessions[2].save({"n": 1}), sessions[2].note("noted"))
        assert groups == [10, 9], "the note stands, the others are made at once again"
        assert [turn.id for turn in turns[:4] if isinstance(turn, Round)] == [3, 4, 5, 6]
        assert [(await session.state())["n"] for session in sessions] == [14, 14, 1]
        assert (await store.verify()).ok


@pytest.mark.proves("tasks")
@pytest.mark.parametrize("lost", ["a note", "a commit id that was seen"])
@in_loop
async def test_a_version_that_fits_by_chance_does_not_let_a_commit_overwrite_another_process_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """One was planned to follow on something that came to nothing; another's commit has its version now."""
    path = tmp_path / "a.db"
    async with aio.StateStore(path, **OPTIONS) as store:
        session = store.session("u")
        await session.save({"n": 0}, commit_id="seen")
        appender = store.plain._journal.appender
        real_all, real_add, tries = appender.append_all, appender.add, list[int]()

        def append_all(requests: Any) -> Any:
            tries.append(len(requests))
            if len(tries) == 1:
                with StateStore(path, **OPTIONS) as other:
                    other.session("u").update(lambda state: state.update(n=10))
            return real_all(requests)

        def add(branch: Any, tip: Any, draft: Any, *rest: Any) -> Any:
            if draft.kind == "note" and len(tries) == 1:
                raise StorageError("injected")
            return real_add(branch, tip, draft, *rest)

        body = session.round()
        (await body.__aenter__())["n"] = 1
        monkeypatch.setattr(appender, "append_all", append_all)
        monkeypatch.setattr(appender, "add", add)
        if lost == "a note":
            works = [session.note("noted"), body.__aexit__(None, None, None)]
            results = await asyncio.gather(*works, return_exceptions=True)
            assert [type(result) for result in results] == [StorageError, ConflictError]
            assert await session.state() == {"n": 10}
        else:
            await asyncio.gather(session.update(count, commit_id="seen"), session.update(count))
            assert await session.state() == {"n": 11}
            with pytest.raises(ConflictError):
                await body.__aexit__(None, None, None)
        assert (await store.verify()).ok


TASKS, TIMES, PROCESSES = 16, 5, 3

_barrier: Any = None


def _begin(barrier: Any) -> None:
    global _barrier  # noqa: PLW0603 - a barrier can't be sent to a process that runs already
    _barrier = barrier


async def _count(path: Path) -> list[int]:
    async with aio.StateStore(path, durability="normal") as store:
        _barrier.wait(PATIENCE)

        async def task(number: int) -> list[int]:
            session = store.session("shared")
            own = store.session("own", str(number))
            ids = []
            for _ in range(TIMES):
                ids.append((await session.update(count)).id)
                await own.update(count)
            return ids

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(task(number)) for number in range(TASKS)]
        return [number for done in tasks for number in done.result()]


def count_in_tasks(path: Path) -> list[int]:
    return asyncio.run(_count(path))


@pytest.mark.proves("processes")
def test_processes_with_many_tasks_each_lose_no_count_and_share_no_round(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, _begin, (context.Barrier(PROCESSES),)) as pool:
        done = [pool.submit(count_in_tasks, path) for _ in range(PROCESSES)]
        ids = [number for run in done for number in run.result(PATIENCE)]
    total = PROCESSES * TASKS * TIMES
    assert sorted(ids) == list(range(1, total + 1))
    with StateStore(path) as store:
        assert store.session("shared").state() == {"n": total}
        for number in range(TASKS):
            assert store.session("own", str(number)).state() == {"n": PROCESSES * TIMES}
        assert store.verify().ok


@in_loop
async def test_an_error_that_can_not_be_copied_reaches_every_waiter_too(tmp_path: Path) -> None:
    class Odd(Exception):  # noqa: N818 - of a user's
        def __init__(self, one: str, other: str) -> None:
            super().__init__(one + other)

    broken = False

    def entropy(size: int) -> bytes:
        if broken:
            raise Odd("no ", "entropy")
        return bytes(size)

    async with aio.StateStore(tmp_path / "a.db", entropy=entropy, **OPTIONS) as store:
        await store.session("a").save({"n": 0})
        broken = True
        results = await asyncio.gather(
            *(store.session(name).update(count) for name in "abc"), return_exceptions=True
        )
        assert [type(result) for result in results] == [Odd] * 3
        journal = store.plain._journal
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal.postings, "follow", lambda *_: entropy(1))  # in nobody's own savepoint
            broken = True
            patch.setattr(journal.appender, "entropy", bytes)
            works = [store.session(name).update(count) for name in "abc"]
            results = await asyncio.gather(*works, return_exceptions=True)
            assert [type(result) for result in results] == [Odd] * 3
        broken = False
        assert [info.user_id async for info in store.sessions()] == ["a"]
        with contextlib.suppress(ConflictError):
            await store.session("b").save({"n": 1}, expected_version=5)
        assert not await store.session("b").exists


@pytest.mark.parametrize("statement", ["SAVEPOINT", "ROLLBACK_TO", "RELEASE"])
@in_loop
async def test_a_commit_that_can_not_be_taken_back_takes_the_whole_transaction_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Else the others would be committed with half of it."""
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        sessions = [store.session(name) for name in "abc"]
        await asyncio.gather(*(session.save({"n": 0}) for session in sessions))
        connection, seen = store.plain._journal.connection, list[str]()
        real = connection.run

        def refuse(asked: str, values: Any = ()) -> Any:
            seen.append(asked)
            first = asked == sql.ADD_COMMIT and seen.count(asked) == 1 and statement == "ROLLBACK_TO"
            if first or asked == getattr(sql, statement):
                raise StorageError(f"refused: {asked}")
            return real(asked, values)

        monkeypatch.setattr(connection, "run", refuse)
        results = await asyncio.gather(
            *(session.update(count) for session in sessions), return_exceptions=True
        )
        monkeypatch.undo()
        assert [isinstance(result, StorageError) for result in results] == [True] * 3
        assert (await store.verify()).ok
        assert [await session.version for session in sessions] == [1, 1, 1]
        await asyncio.gather(*(session.update(count) for session in sessions))
        assert [await session.state() for session in sessions] == [{"n": 1}] * 3


@in_loop
async def test_what_was_known_of_a_session_that_never_came_about_is_forgotten(tmp_path: Path) -> None:
    """Its number goes to the next one, which is another."""
    keys = MemoryKeyRing()
    keys.create("sealed")
    with FaultyDisk() as disk:
        async with aio.StateStore(tmp_path / "a.db", vfs=disk.name, keys=keys) as store:
            await store.session("first").save({})
            sealed, plain = store.session("sealed"), store.session("plain")
            disk.fail(1, kinds={"sync"})
            results = await asyncio.gather(*(sealed.note("noted") for _ in range(3)), return_exceptions=True)
            disk.heal()
            assert [type(result) for result in results] == [StorageError] * 3
            for number in range(2):
                turn = await plain.save({"n": number}, actor="me")
                assert turn.actor == "me"
            assert [turn.actor async for turn in plain.rounds()] == ["me", "me"]
            await sealed.save({"n": 1}, actor="I")
            assert [turn.actor async for turn in sealed.rounds()] == ["I"]
            assert (await store.verify()).ok


@in_loop
async def test_a_round_does_not_conflict_because_a_note_of_the_same_moment_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session = store.session("u")
        await session.save({"n": 0})
        appender = store.plain._journal.appender
        real = appender.add

        def add(branch: Any, tip: Any, draft: Any, *rest: Any) -> Any:
            if draft.kind == "note":
                raise StorageError("injected")
            return real(branch, tip, draft, *rest)

        body = session.round()
        (await body.__aenter__())["n"] = 1
        monkeypatch.setattr(appender, "add", add)
        works = [session.note("noted"), body.__aexit__(None, None, None)]
        noted, made = await asyncio.gather(*works, return_exceptions=True)
        assert type(noted) is StorageError
        assert not isinstance(made, BaseException)
        assert await session.state() == {"n": 1}


@in_loop
async def test_what_a_commit_that_failed_had_edited_is_not_taken_for_the_edits_of_the_next(
    tmp_path: Path,
) -> None:
    def go_too_deep(state: Any) -> None:
        for _ in range(MAX_DEPTH + 1):
            state["deeper"] = {}
            state = state["deeper"]

    async with aio.StateStore(tmp_path / "a.db", **OPTIONS) as store:
        session = store.session("a")
        await session.save({"n": 0})
        failed, made = await asyncio.gather(
            session.update(go_too_deep),
            session.save({"n": 1}),
            return_exceptions=True,
        )
        assert isinstance(failed, UnsupportedValueError)
        assert not isinstance(made, BaseException)
        assert await session.state() == {"n": 1}
        assert await session.state(version=made.version) == {"n": 1}
