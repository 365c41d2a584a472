"""What waits at one time shares a transaction and an fsync, and no more of it waits than is allowed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import CommitOptions, InvalidStateError, StateStore, aio
from eventstate.group import commit_all
from eventstate.testing import FaultyDisk
from eventstate.values.delta import Edit, Op
from tests.aio.loops import Gate, in_loop, settle
from tests.stores import ids, packed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.promises import Proofs

TASKS = 64


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with FaultyDisk() as disk:
        yield disk


def count(state: Any) -> None:
    state["n"] = state.get("n", 0) + 1


def counted(store: aio.StateStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the commits of each transaction from now on."""
    appender = store.plain._journal.appender
    real, groups = appender.append_all, list[int]()

    def append_all(requests: Any) -> Any:
        groups.append(len(requests))
        return real(requests)

    monkeypatch.setattr(appender, "append_all", append_all)
    return groups


async def in_a_round(session: aio.Session, entered: asyncio.Barrier) -> None:
    async with session.round() as state:
        count(state)
        await entered.wait()


WAVES: dict[str, Callable[[aio.Session, int], Awaitable[Any]]] = {
    "saves": lambda session, number: session.save({"n": number}),
    "updates": lambda session, _: session.update(count),
    "notes": lambda session, number: session.note("noted", number),
    "numbered rounds": lambda session, number: session.save({"n": number}, round_id=number),
}


@pytest.mark.parametrize("kind", WAVES)
@in_loop
async def test_commits_to_many_sessions_that_wait_at_one_time_cost_one_fsync(
    tmp_path: Path, disk: FaultyDisk, proved: Proofs, kind: str
) -> None:
    async with aio.StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        sessions = [store.session("u", str(number)) for number in range(TASKS)]
        await asyncio.gather(*(session.save({"n": -1}) for session in sessions))
        for wave in range(3):
            before = (await store.seal()).position
            disk.forget()
            await asyncio.gather(*(WAVES[kind](session, wave) for session in sessions))
            assert disk.fsyncs == {"a.db-wal": 1}
            assert (await store.seal()).position == before + TASKS
        assert (await store.verify()).ok
    proved("one fsync", 3 * TASKS)


@in_loop
async def test_live_rounds_that_end_at_one_time_cost_one_fsync(tmp_path: Path, disk: FaultyDisk) -> None:
    async with aio.StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        sessions = [store.session("u", str(number)) for number in range(TASKS)]
        await asyncio.gather(*(session.save({"n": 0}) for session in sessions))
        disk.forget()
        entered = asyncio.Barrier(TASKS)
        await asyncio.gather(*(in_a_round(session, entered) for session in sessions))
        assert disk.fsyncs == {"a.db-wal": 1}
        assert [await session.state() for session in sessions] == [{"n": 1}] * TASKS


@pytest.mark.parametrize("kind", WAVES)
@in_loop
async def test_commits_to_one_session_that_wait_at_one_time_cost_one_fsync(
    tmp_path: Path, disk: FaultyDisk, proved: Proofs, kind: str
) -> None:
    async with aio.StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        session = store.session("u")
        await session.save({"n": 0})
        for wave in range(3):
            disk.forget()
            numbers = range(wave * TASKS + 1, (wave + 1) * TASKS + 1)
            await asyncio.gather(*(WAVES[kind](session, number) for number in numbers))
            assert disk.fsyncs == {"a.db-wal": 1}
        last = 0 if kind == "notes" else 3 * TASKS
        assert await session.state() == {"n": last}, "in the order in which they were asked for"
        assert (await store.verify()).ok
    proved("one fsync", 3 * TASKS)


@in_loop
async def test_new_sessions_come_into_being_together_with_one_fsync(tmp_path: Path, disk: FaultyDisk) -> None:
    async with aio.StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        await store.session("first").save({})
        disk.forget()
        await asyncio.gather(*(store.session("u", str(number)).save({"n": 0}) for number in range(TASKS)))
        assert disk.fsyncs == {"a.db-wal": 1}
        disk.forget()
        await asyncio.gather(*(store.session("new").update(count) for _ in range(TASKS)))
        assert disk.fsyncs == {"a.db-wal": 2}, "what follows on a session's first commit waits for that"
        assert await store.session("new").state() == {"n": TASKS}


@pytest.mark.parametrize("order", ["nunu", "unun"])
@in_loop
async def test_notes_and_changes_in_any_order_share_a_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        await session.save({"n": 0})
        groups = counted(store, monkeypatch)
        await asyncio.gather(
            *(session.note("noted") if each == "n" else session.update(count) for each in order)
        )
        assert groups == [4]
        assert await session.state() == {"n": 2}


@in_loop
async def test_with_normal_durability_they_share_a_transaction_and_cost_no_fsync(
    tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aio.StateStore(tmp_path / "a.db", vfs=disk.name, durability="normal") as store:
        session = store.session("u")
        await session.save({"n": 0})
        groups = counted(store, monkeypatch)
        disk.forget()
        await asyncio.gather(*(session.update(count) for _ in range(TASKS)))
        assert groups == [TASKS]
        assert disk.fsyncs.total() == 0


@in_loop
async def test_what_comes_while_a_transaction_is_written_is_gathered_for_the_next(
    tmp_path: Path, disk: FaultyDisk
) -> None:
    async with aio.StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        session = store.session("u")
        await session.save({"n": 0})
        disk.forget()
        async with Gate(store):
            first = asyncio.create_task(session.update(count))
            await settle()
            more = []
            for _ in range(5):
                more += [asyncio.create_task(session.update(count)) for _ in range(3)]
                await settle()
        await asyncio.gather(first, *more)
        assert disk.fsyncs == {"a.db-wal": 2}
        assert await session.state() == {"n": 16}


@in_loop
async def test_commits_are_made_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    """Also past those that wait for what is in the file."""
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        await asyncio.gather(
            session.save({"n": 1}),
            session.save({"n": 2}, if_changed=True),
            session.save({"n": 3}),
            session.save({"n": 4}, round_id=9),
            session.note("noted"),
            session.save({"n": 5}),
            session.update(lambda state: state.update(six=state["n"] + 1), expected_version=None),
        )
        assert [(turn.id, state) async for turn, state in session.replay()] == [
            *((number, {"n": number}) for number in (1, 2, 3)),
            (9, {"n": 4}),
            (10, {"n": 5}),
            (11, {"n": 5, "six": 6}),
        ]
        [note] = [note async for note in session.notes()]
        assert note.seq == 5


@in_loop
async def test_rounds_with_numbers_that_wait_together_are_the_latest_only_if_they_are_the_highest(
    tmp_path: Path,
) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        await session.save({"n": 10}, round_id=5)
        await asyncio.gather(
            session.update(count),
            session.update(count),
            session.save({"n": 100}, round_id=6),
            session.update(count),
            session.save({"n": 200}, round_id=2),
            session.update(count),
            session.save({"n": 20}, round_id=9),
            session.update(count),
            session.save({"n": 30}, round_id=10),
            session.update(count),
        )
        assert {turn.id: state["n"] async for turn, state in session.replay()} == {
            2: 200,
            5: 10,
            6: 100,
            7: 12,
            8: 13,
            9: 20,
            10: 30,
            11: 31,
        }


@in_loop
async def test_a_late_round_is_not_what_those_after_it_begin_with(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        await session.save({"n": 0}, round_id=5)
        await session.save({"n": 50}, round_id=1)
        await asyncio.gather(
            session.update(count),
            session.update(count),
            session.save({"n": 100}, round_id=2),
            session.update(count),
            session.save({"n": 2}, round_id=6),
            session.update(count),
        )
        assert {turn.id: state["n"] async for turn, state in session.replay()} == {
            1: 50,
            2: 100,
            5: 0,
            6: 2,
            7: 2,
            8: 3,
            9: 4,
        }


@in_loop
async def test_edits_that_follow_on_a_version_conflict_with_a_change_of_the_same_moment(
    tmp_path: Path,
) -> None:
    """Not with a note: what is planned before them is not in the file yet."""
    from eventstate import ConflictError
    from eventstate.commits import CommitOptions
    from eventstate.values.delta import Edit, Op

    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        await session.save({"list": [1, 2, 3]})
        edits = [Edit(("list",), Op.SET, [1, 2, 3, 4])]
        noted = await asyncio.gather(
            session.note("noted"), session.write("written", CommitOptions(), 1, edits), session.note("noted")
        )
        assert [type(one).__name__ for one in noted] == ["int", "Round", "int"]
        base = await session.version
        results = await asyncio.gather(
            session.save({"list": []}),
            session.write("written", CommitOptions(), base, edits),
            return_exceptions=True,
        )
        assert isinstance(results[1], ConflictError)
        assert await session.state() == {"list": []}


@in_loop
async def test_a_note_at_the_end_of_a_round_of_the_same_session_is_no_conflict(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        await session.save({"n": 0})
        async with Gate(store) as gate:
            gate.open()
            async with session.round() as state:
                count(state)
                first = asyncio.create_task(session.note("before"))
                await settle()
                second = asyncio.create_task(session.note("at once"))
            await asyncio.gather(first, second)
        assert await session.state() == {"n": 1}
        assert [note.name async for note in session.notes()] == ["before", "at once"]


# Back-pressure


@pytest.mark.parametrize("most", [1, 3, 64])
@in_loop
async def test_no_more_wait_than_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    groups: list[int] = []

    def counted(journal: Any, jobs: Any) -> None:
        groups.append(len(jobs))
        commit_all(journal, jobs)

    monkeypatch.setattr("eventstate.aio.committer.commit_all", counted)
    async with aio.StateStore(tmp_path / "a.db", durability="normal", max_waiting=most) as store:
        session = store.session("u")
        await session.save({"n": 0})
        queue = session._committer._queue
        assert queue is not None
        groups.clear()
        waited: list[int] = []
        async with Gate(store):
            tasks = [asyncio.create_task(session.update(count)) for _ in range(100)]
            await settle()
            waited.append(len(queue._waiting))
        for task in tasks:
            await task
            waited.append(len(queue._waiting))
        assert await session.state() == {"n": 100}
        assert max(waited) <= most
        assert max(groups) == most
        assert sum(groups) == 100


@pytest.mark.parametrize("wrong", [0, -1, True, 1.0, None])
def test_a_bound_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="max_waiting"):
        aio.StateStore(":memory:", max_waiting=wrong)


@in_loop
async def test_closing_waits_for_those_too_that_wait_for_a_place(tmp_path: Path) -> None:
    store = aio.StateStore(tmp_path / "a.db", durability="normal", max_waiting=2)
    await store.open()
    session = store.session("u")
    tasks = [asyncio.create_task(session.update(count)) for _ in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert [turn.id for turn in await asyncio.gather(*tasks)] == list(range(1, 21))
    with StateStore(tmp_path / "a.db") as again:
        assert again.session("u").state() == {"n": 20}


# The thousand


@in_loop
async def test_a_thousand_tasks_save_to_a_hundred_sessions_with_a_handful_of_fsyncs(
    tmp_path: Path, disk: FaultyDisk, proved: Proofs
) -> None:
    async with aio.StateStore(tmp_path / "a.db", vfs=disk.name) as store:
        await store.session("first").save({})
        disk.forget()

        async def task(number: int) -> tuple[int, int, dict[str, Any]]:
            state = {
                "by": number,
                "text": "x" * (number % 50),
                "list": [number, float(number), number % 2 == 0],
            }
            turn = await store.session("user", str(number % 100)).save(state)
            return number % 100, turn.id, state

        made = await asyncio.gather(*(task(number) for number in range(1000)))
        fsyncs = disk.fsyncs.total()
        assert len({(session, turn) for session, turn, _ in made}) == 1000
        assert fsyncs <= 5
        assert (await store.verify()).ok
        for number in range(100):
            last = max((turn, packed(state)) for session, turn, state in made if session == number)
            assert packed(await store.session("user", str(number)).state()) == last[1]
    with StateStore(tmp_path / "a.db") as again:
        for number in range(100):
            session = again.session("user", str(number))
            assert ids(session) == list(range(1, 11))
            expected = {turn: packed(state) for at, turn, state in made if at == number}
            assert {turn.id: packed(state) for turn, state in session.replay()} == expected
    proved("tasks", 1000)


@in_loop
async def test_one_session_under_many_tasks_of_every_kind_stays_exact(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal", snapshot_every=7) as store:
        session = store.session("u")
        await session.save({"n": 0})

        async def count_later(state: Any) -> None:
            await asyncio.sleep(0)
            count(state)

        for _ in range(3):
            async with asyncio.TaskGroup() as group:
                for number in range(8):
                    group.create_task(session.update(count))
                    group.create_task(session.update(count_later))
                    group.create_task(session.note("noted", number))
                    group.create_task(session.update(count, commit_id=f"{number}"))
        assert await session.state() == {"n": 3 * 16 + 8}
        assert len([note async for note in session.notes()]) == 24
        assert not session.plain._writer._open
        assert (await store.verify()).ok


@in_loop
async def test_what_changes_nothing_after_a_commit_of_the_same_moment_names_that_one(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        await session.save({"n": 0})
        made, named, again = await asyncio.gather(
            session.save({"n": 1}),
            session.save({"n": 1}, if_changed=True),
            session.save({"n": 2}, expected_version=2),
        )
        assert (made.id, named) == (2, made)
        assert again.id == 3


@in_loop
async def test_edits_that_fit_in_part_leave_nothing_for_those_who_wait_with_them(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        await session.save({"x": 1})
        edits = [Edit(("a",), Op.SET, 1), Edit(("nope", "deep"), Op.SET, 2)]
        async with Gate(store):
            waiting = asyncio.gather(
                session.write("written", CommitOptions(), 1, edits),
                session.save({"x": 5, "a": 1}),
                session.update(count),
                return_exceptions=True,
            )
            await settle()
        refused, *made = await waiting
        assert isinstance(refused, InvalidStateError)
        assert not any(isinstance(outcome, BaseException) for outcome in made)
        assert await session.state() == {"x": 5, "a": 1, "n": 1}
    with StateStore(tmp_path / "a.db") as plain:
        assert plain.session("u").state() == {"x": 5, "a": 1, "n": 1}
