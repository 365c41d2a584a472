"""Many tasks, loops, threads and processes on one file: no round is lost, none is there by halves."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import StateStore, StoreClosedError
from eventstate.services import EventSession, StateService
from eventstate.services.faces import Faces

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proves("processes")

TASKS, SESSIONS, THREADS, PROCESSES, TIMES = 1000, 100, 4, 3, 25
PATIENCE = 120
"""Seconds after which something hangs; nothing here takes a hundredth of it."""


def state_of(number: int) -> dict[str, Any]:
    return {"n": number, "messages": [{"text": f"message {number}"}] * (number % 3)}


async def kept(service: StateService, user: str, session: str | None = None) -> dict[int, Any]:
    """Give the states of all rounds by their numbers."""
    rounds = await service.list_rounds(user, session)
    return {turn.id: await service.export_state(user, session, turn.id) for turn in rounds}


def numbers(states: dict[int, Any]) -> list[int]:
    """Give what the states were made of, which has to be whole."""
    assert all(state == state_of(state["n"]) for state in states.values())
    return sorted(state["n"] for state in states.values())


def workers() -> list[threading.Thread]:
    """Give the threads in which stores do what blocks."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("eventstate")]


@pytest.mark.parametrize("memory", [True, False])
def test_a_thousand_tasks_that_save_to_a_hundred_sessions_get_rounds_of_their_own(
    path: Path,
    memory: bool,  # noqa: FBT001 - parametrized
) -> None:
    async def run() -> None:
        async with StateService(":memory:" if memory else path) as service:

            async def save(number: int) -> tuple[int, int, int]:
                name = number % SESSIONS
                return name, await service.save_state("alice", state_of(number), f"s{name}"), number

            saved = await asyncio.gather(*map(save, range(TASKS)))
            assert len({(name, turn) for name, turn, _ in saved}) == TASKS
            for name in range(SESSIONS):
                mine = {turn: state_of(number) for of, turn, number in saved if of == name}
                assert sorted(mine) == list(range(1, TASKS // SESSIONS + 1))
                assert await kept(service, "alice", f"s{name}") == mine
            assert len(await service.list_sessions()) == SESSIONS
            assert (await service._face().verify()).ok

    asyncio.run(run())


def test_saves_to_one_session_with_and_without_numbers_are_all_kept(path: Path) -> None:
    async def run() -> None:
        async with StateService(path, max_waiting=8) as service:
            given = (service.save_state("alice", state_of(n), round_id=1000 + n) for n in range(50))
            automatic = (service.save_state("alice", state_of(n)) for n in range(50, 100))
            rounds = await asyncio.gather(
                *(call for pair in zip(given, automatic, strict=True) for call in pair)
            )
            assert rounds[::2] == list(range(1000, 1050))
            states = await kept(service, "alice")
            # A number that was given may replace a round that was numbered automatically before.
            for turn, state in states.items():
                assert turn in rounds
                assert state == state_of(state["n"])
            replaced = sum(count - 1 for count in Counter(rounds).values())
            assert len(states) == 100 - replaced

    asyncio.run(run())


def test_threads_with_loops_of_their_own_share_a_service(path: Path) -> None:
    service = StateService(path)
    asyncio.run(service.start())
    failed: list[BaseException] = []

    def work(number: int) -> None:
        async def save() -> None:
            for step in range(TIMES):
                await service.save_state("alice", state_of(number * TIMES + step))

        async def run() -> None:
            await asyncio.gather(save(), service.save_state("bob", state_of(number)))

        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - it is told below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert failed == []

    async def end() -> None:
        states = await kept(service, "alice")
        assert sorted(states) == list(range(1, THREADS * TIMES + 1))
        assert numbers(states) == list(range(THREADS * TIMES))
        assert numbers(await kept(service, "bob")) == list(range(THREADS))
        await service.stop()

    asyncio.run(end())
    assert workers() == []


def save_in_another_process(path: str, number: int) -> list[int]:
    async def run() -> list[int]:
        async with StateService(path) as service:
            calls = (service.save_state("alice", state_of(number * TIMES + step)) for step in range(TIMES))
            return list(await asyncio.gather(*calls))

    return asyncio.run(run())


def test_processes_that_save_to_one_session_get_rounds_of_their_own(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context) as pool:
        saving = [pool.submit(save_in_another_process, str(path), number) for number in range(PROCESSES)]
        rounds = [turn for future in saving for turn in future.result(PATIENCE)]
    assert sorted(rounds) == list(range(1, PROCESSES * TIMES + 1))

    async def run() -> None:
        async with StateService(path) as service:
            assert numbers(await kept(service, "alice")) == list(range(PROCESSES * TIMES))

    asyncio.run(run())


@pytest.mark.parametrize("steps", range(8))
def test_a_save_that_is_cancelled_has_happened_or_has_not(path: Path, steps: int) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            await service.save_state("alice", state_of(0))
            for number in range(1, 11):
                saving = asyncio.ensure_future(service.save_state("alice", state_of(number)))
                neighbour = asyncio.ensure_future(service.save_state("bob", state_of(number)))
                for _ in range(steps):
                    await asyncio.sleep(0)
                saving.cancel()
                [outcome] = await asyncio.gather(saving, return_exceptions=True)
                assert await neighbour == number
                states = await kept(service, "alice")
                assert sorted(states) == list(range(1, len(states) + 1))
                if isinstance(outcome, int):
                    assert states[outcome] == state_of(number)
                else:
                    assert isinstance(outcome, asyncio.CancelledError)
                    assert steps > 0 or number not in numbers(states)
            assert numbers(states)[0] == 0
            assert await service.save_state("alice", state_of(99)) == len(states) + 1
            assert numbers(await kept(service, "bob")) == list(range(1, 11))

    asyncio.run(run())


@pytest.mark.parametrize("steps", [1, 3, 10, 100])
def test_a_loop_that_is_closed_in_the_middle_of_saves_leaves_nothing_half(path: Path, steps: int) -> None:
    service = StateService(path)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, __: None)  # it tells of each task that was destroyed
    try:
        loop.run_until_complete(service.start())
        acknowledged: list[int] = []

        async def save(number: int) -> None:
            await service.save_state("alice", state_of(number))
            acknowledged.append(number)

        tasks = [loop.create_task(save(number)) for number in range(50)]
        for _ in range(steps):
            loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
    del tasks

    async def again(other: StateService) -> None:
        states = await kept(other, "alice")
        assert sorted(states) == list(range(1, len(states) + 1))
        assert set(acknowledged) <= set(numbers(states))
        assert len(numbers(states)) == len(set(numbers(states)))
        turn = await other.save_state("alice", state_of(99))
        assert await other.export_state("alice", round_id=turn) == state_of(99)

    async def both() -> None:
        async with StateService(path) as other:
            await again(other)
        await again(service)
        await service.stop()

    asyncio.run(both())
    assert workers() == []


def test_a_service_serves_one_loop_after_the_other() -> None:
    service = StateService()
    asyncio.run(service.start())
    for number in range(5):
        assert asyncio.run(service.save_state("alice", state_of(number))) == number + 1
        assert len(workers()) == 1
    assert asyncio.run(service.export_state("alice")) == state_of(4)
    assert asyncio.run(service.health()) is True
    asyncio.run(service.stop())
    assert workers() == []


def test_what_is_closed_gives_no_faces_and_leaves_no_thread() -> None:
    async def run() -> None:
        with StateStore(":memory:") as store:
            async with EventSession(store) as session:
                assert await session.rounds("trip") == []
                assert len(workers()) == 1
            assert workers() == []
            faces = Faces(store)
            assert faces.here() is faces.here()
            await faces.close()
            with pytest.raises(StoreClosedError, match="not used any more"):
                faces.here()

    asyncio.run(run())


@pytest.mark.parametrize("steps", range(7))
def test_saves_that_wait_when_the_service_is_stopped_are_made_or_refused(path: Path, steps: int) -> None:
    async def run() -> None:
        service = StateService(path)
        await service.start()
        saving = [asyncio.ensure_future(service.save_state("alice", state_of(n))) for n in range(50)]
        for _ in range(steps):
            await asyncio.sleep(0)
        await service.stop()
        outcomes = await asyncio.gather(*saving, return_exceptions=True)
        made = [n for n, outcome in enumerate(outcomes) if type(outcome) is int]
        refused = [outcome for outcome in outcomes if isinstance(outcome, StoreClosedError)]
        assert len(made) + len(refused) == 50
        async with service:
            assert numbers(await kept(service, "alice")) == made

    asyncio.run(run())


@pytest.mark.parametrize("memory", [True, False])
def test_a_service_stays_started_if_its_stop_is_cancelled_while_saves_wait(
    path: Path,
    memory: bool,  # noqa: FBT001 - parametrized
) -> None:
    async def run() -> None:
        service = StateService(":memory:" if memory else path, max_waiting=2)
        await service.start()
        saving = [asyncio.ensure_future(service.save_state("alice", state_of(n))) for n in range(50)]
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(service.stop())
        await asyncio.sleep(0)
        assert await service.health() is False
        stopping.cancel()
        [stopped] = await asyncio.gather(stopping, return_exceptions=True)
        assert isinstance(stopped, asyncio.CancelledError)
        assert len(set(await asyncio.gather(*saving))) == 50
        assert await service.health() is True
        assert numbers(await kept(service, "alice")) == list(range(50))
        await service.stop()
        assert workers() == []
        assert await service.health() is False

    asyncio.run(run())


def test_a_stop_that_is_cancelled_does_not_keep_another_one_from_it(path: Path) -> None:
    async def run() -> None:
        service = StateService(path, max_waiting=2)
        await service.start()
        saving = [asyncio.ensure_future(service.save_state("alice", state_of(n))) for n in range(50)]
        await asyncio.sleep(0)
        stops = [asyncio.ensure_future(service.stop()) for _ in range(3)]
        await asyncio.sleep(0)
        stops[1].cancel()
        stopped = await asyncio.gather(*stops, return_exceptions=True)
        assert [type(outcome) for outcome in stopped].count(type(None)) == 2
        assert len(set(await asyncio.gather(*saving))) == 50
        assert workers() == []
        async with service:
            assert numbers(await kept(service, "alice")) == list(range(50))

    asyncio.run(run())


def test_a_service_is_not_started_while_it_is_stopped_nor_left_started_by_a_stop(path: Path) -> None:
    async def run() -> None:
        service = StateService(path, max_waiting=2)
        await service.start()
        saving = [asyncio.ensure_future(service.save_state("alice", state_of(n))) for n in range(50)]
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(service.stop())
        await asyncio.sleep(0)
        with pytest.raises(StoreClosedError, match="is being stopped"):
            await service.start()
        await asyncio.gather(stopping, *saving)
        starting = asyncio.ensure_future(service.start())
        await asyncio.sleep(0)
        await service.stop()
        assert starting.done()
        assert await service.health() is False
        assert workers() == []

    asyncio.run(run())


def test_services_that_start_and_stop_at_once_open_one_store(path: Path) -> None:
    async def run() -> None:
        service = StateService(path)
        await asyncio.gather(*(service.start() for _ in range(5)))
        assert await service.save_state("alice", state_of(1)) == 1
        await asyncio.gather(*(service.stop() for _ in range(5)))
        assert await service.health() is False
        starting = asyncio.ensure_future(service.start())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await service.start()
        assert await service.export_state("alice") == state_of(1)
        await service.stop()

    asyncio.run(run())
    with StateStore(path) as store:
        assert store.session("alice").state() == state_of(1)
