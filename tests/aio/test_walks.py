"""Walks read in pages; they may be left early, and an error comes where it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import CorruptJournalError, StoreClosedError, aio
from tests.aio.loops import in_loop
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

ROUNDS = 200

WALKS: dict[str, tuple[Callable[[aio.StateStore], AsyncIterator[Any]], int]] = {
    "rounds": (lambda store: store.session("u").rounds(), ROUNDS),
    "replay": (lambda store: store.session("u").replay(), ROUNDS),
    "notes": (lambda store: store.session("u").notes(), ROUNDS),
    "sessions": (lambda store: store.sessions(), ROUNDS + 1),
    "commits": (lambda store: store.commits(), 3 * ROUNDS),
}


async def filled(store: aio.StateStore) -> None:
    session = store.session("u")
    for number in range(0, ROUNDS, 50):
        works: list[Any] = []
        for n in range(number, number + 50):
            works += [
                session.save({"n": n}),
                session.note("noted", n),
                store.session("other", f"{n}").save({}),
            ]
        await asyncio.gather(*works)


@pytest.mark.parametrize("kind", WALKS)
@in_loop
async def test_a_walk_gives_all_and_can_be_left_early_or_begun_again(tmp_path: Path, kind: str) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        await filled(store)
        walk, total = WALKS[kind]
        assert len([thing async for thing in walk(store)]) == total
        for stop in (1, 8, 64, 65, total):
            seen = 0
            walked = walk(store)
            async for _ in walked:
                seen += 1
                if seen == stop:
                    break
            assert seen == stop
        first = walk(store)
        await anext(first)
        task = asyncio.create_task(_rest(first))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len([thing async for thing in walk(store)]) == total


async def _rest(walk: AsyncIterator[Any]) -> None:
    async for _ in walk:
        await asyncio.sleep(0)


@in_loop
async def test_walks_give_what_the_plain_ones_give(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        await filled(store)
        session, plain = store.session("u"), store.plain.session("u")
        several: list[dict[str, Any]] = [
            {},
            {"start": 5, "stop": 90},
            {"reverse": True, "limit": 70},
            {"limit": 0},
        ]
        for bounds in several:
            assert [turn async for turn in session.rounds(**bounds)] == list(plain.rounds(**bounds))
        assert [(turn, packed(state)) async for turn, state in session.replay(3, 30)] == [
            (turn, packed(state)) for turn, state in plain.replay(3, 30)
        ]
        assert [note async for note in session.notes("noted")] == list(plain.notes("noted"))
        assert [info async for info in store.sessions("other")] == list(store.plain.sessions("other"))
        assert [commit async for commit in store.commits(70)] == list(store.plain.commits(70))


@in_loop
async def test_an_error_in_the_middle_comes_after_all_that_is_before_it(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        await filled(store)
        turn = await store.session("u").state(at=100)
        assert turn is not None
        [*turns] = [turn async for turn in store.session("u").rounds(100, 101)]
        version = turns[0].version
        store.plain._journal.connection.all(
            "UPDATE events SET value = x'c1' WHERE id & 0xffffffff = ? AND id >> 32 = 1", (version,)
        )
        seen: list[int] = []
        with pytest.raises(CorruptJournalError):
            async for turn, _ in store.session("u").replay():
                seen.append(turn.id)
        assert seen == list(range(1, 100))


@in_loop
async def test_a_walk_in_a_store_that_is_closed_meanwhile_says_so(tmp_path: Path) -> None:
    store = aio.StateStore(tmp_path / "a.db", durability="normal")
    async with store:
        await filled(store)
        walk = store.commits()
        await anext(walk)
    with pytest.raises(StoreClosedError):
        await _rest(walk)


@in_loop
async def test_what_is_appended_during_a_walk_does_not_disturb_it(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        await filled(store)
        session, seen = store.session("u"), 0
        async for turn in session.rounds(stop=ROUNDS + 1):
            seen += 1
            assert turn.id == seen
            if seen % 50 == 0:
                await session.save({"more": seen})
        assert seen == ROUNDS
