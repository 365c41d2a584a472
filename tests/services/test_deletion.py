"""What `delete_state` leaves: for the service's callers nothing, in the journal everything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import SessionDeletedError, StateStore
from eventstate.journal.branches import Branches
from eventstate.journal.sessions import Sessions
from eventstate.keys import MemoryKeyRing
from eventstate.services import StateService
from eventstate.services.life import Life, life_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.proves("delete")


async def seen(service: StateService, user: str = "alice") -> dict[int, Any]:
    """Give every round that the service shows."""
    rounds = await service.list_rounds(user)
    return {turn.id: await service.export_state(user, round_id=turn.id) for turn in rounds}


async def assert_nothing(service: StateService) -> None:
    assert await service.export_state("alice") is None
    assert [await service.export_state("alice", round_id=number) for number in range(4)] == [None] * 4
    assert await seen(service) == {}
    assert await service.list_sessions() == []
    assert await service.history("alice", "n") == []
    assert await service.delete_state("alice") is False


def test_a_deleted_session_has_no_state_and_begins_anew(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service, StateService(path) as other:
            await assert_nothing(service)
            for life in range(3):
                for number in (1, 2, 3):
                    assert await service.save_state("alice", {"n": (life, number)}) == number
                assert await seen(other) == {number: {"n": (life, number)} for number in (1, 2, 3)}
                assert await other.delete_state("alice") is True
                await assert_nothing(service)
                await assert_nothing(other)
            assert await service.save_state("alice", {}) == 1
            assert await service.export_state("alice") == {}
            assert await service.export_state("alice", round_id=2) is None

    asyncio.run(run())


def test_a_session_with_many_lives_and_forks_is_found_with_a_few_looks(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, find = [0], Branches.find

    def counted(branches: Branches, session: int, name: str) -> Any:
        looks[0] += 1
        return find(branches, session, name)

    async def run() -> None:
        async with StateService(path) as service:
            for life in range(20):
                assert (
                    life_of(service._face().plain, ("alice", "default")).next == f"after-deletion-{life + 1}"
                )
                await service.save_state("alice", {"life": life})
                for fork in range(3):
                    service.session("alice").plain.fork(f"fork {fork} of {life}")
                assert await service.export_state("alice") == {"life": life}
                assert await service.delete_state("alice")
            monkeypatch.setattr(Branches, "find", counted)
            monkeypatch.delattr(Sessions, "names")
            life_of(service._face().plain, ("alice", "default"))

    asyncio.run(run())
    assert looks[0] <= 11  # 1, 2, 4, 8, 16, 32, and halves between 16 and 32


def test_only_the_session_that_is_named_is_deleted(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            for user, name in (("alice", "a"), ("alice", "b"), ("bob", "a")):
                await service.save_state(user, {"n": 1}, name)
            assert await service.delete_state("alice", "a") is True
            listed = [(info.user_id, info.session_id, info.round) for info in await service.list_sessions()]
            assert listed == [("alice", "b", 1), ("bob", "a", 1)]
            assert await service.export_state("alice", "b") == {"n": 1}

    asyncio.run(run())


def test_a_deletion_outlasts_a_restart_and_is_seen_by_others(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            await service.save_state("alice", {"n": 1}, round_id=7)
            await service.delete_state("alice")
        async with StateService(path) as service:
            await assert_nothing(service)
            assert await service.save_state("alice", {"m": 2}) == 1
            assert await seen(service) == {1: {"m": 2}}
            assert [change.after for change in await service.history("alice", "m")] == [2]
            assert await service.history("alice", "n") == []
            await service.save_state("alice", {"m": 3})
            [info] = await service.list_sessions()
            assert (info.round, info.version, info.branches) == (2, 2, 2)
            assert info.recorded_at == (await service.list_rounds("alice"))[-1].recorded_at

    asyncio.run(run())


def test_the_journal_keeps_what_was_deleted_until_it_is_purged(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            await service.save_state("alice", {"n": 1})
            await service.delete_state("alice")
            await service.save_state("alice", {"n": 2})
            assert service.session("alice").branch == "after-deletion-1"
            with StateStore(path) as store:
                assert store.session("alice").state() == {"n": 1}
                assert [commit.kind for commit in store.commits()] == ["save", "fork", "save"]
                assert [commit.reason for commit in store.commits()] == [None, "deleted", None]
            await service.session("alice").purge()
            await assert_nothing(service)
            assert await service.save_state("alice", {"n": 3}) == 1
            assert await seen(service) == {1: {"n": 3}}

    asyncio.run(run())


def test_a_session_of_pruned_and_tagged_rounds_can_be_deleted(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            for number in range(6):
                await service.save_state("alice", {"n": number})
            await service.session("alice").tag("here", at=2)
            await service.session("alice").prune(keep_rounds=1)
            assert await service.delete_state("alice") is True
            await assert_nothing(service)
            for number in range(6):
                await service.save_state("alice", {"m": number})
            await service.session("alice").prune(keep_rounds=2)
            assert await seen(service) == {5: {"m": 4}, 6: {"m": 5}}
            assert await service.export_state("alice", round_id=1) is None
            assert await service.delete_state("alice") is True
            await assert_nothing(service)

    asyncio.run(run())


def test_forks_of_the_callers_own_are_no_new_beginning(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            await service.save_state("alice", {"n": 1})
            fork = await service.session("alice").fork("what-if")
            await fork.save({"n": 2})
            assert await service.export_state("alice") == {"n": 1}
            [info] = await service.list_sessions()
            assert info.round == 1
            assert await service.save_state("alice", {"n": 3}) == 2

    asyncio.run(run())


def test_a_session_without_rounds_is_not_listed_and_not_deleted(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            await service.session("alice").note("seen")
            await assert_nothing(service)

    asyncio.run(run())


def test_a_session_deleted_in_the_store_has_no_state_and_is_not_brought_back(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            await service.save_state("alice", {"n": 1})
            session = service.session("alice")
            await session.delete(reason="by hand")
            await assert_nothing(service)
            with pytest.raises(SessionDeletedError):
                await service.save_state("alice", {"n": 2})
            await assert_nothing(service)
            await session.restore()
            assert await seen(service) == {1: {"n": 1}}
            assert await service.save_state("alice", {"n": 2}) == 2

    asyncio.run(run())


def test_a_save_that_began_before_a_deletion_does_not_bring_the_session_back(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            await service.save_state("alice", {"n": 1})
            late = service.session("alice")  # as a save has it that was overtaken
            await service.delete_state("alice")
            await late.save({"n": 2})
            await assert_nothing(service)
            saving = [service.save_state("alice", {"n": number}) for number in range(20)]
            deleting = [service.delete_state("alice") for _ in range(5)]
            results = await asyncio.gather(*saving, *deleting)
            assert all(type(number) is int for number in results[:20])
            rounds = await seen(service)
            assert sorted(rounds) == list(range(1, len(rounds) + 1))

    asyncio.run(run())


@pytest.mark.parametrize("deletions", [0, 1])
@pytest.mark.parametrize("how", ["purge", "delete"])
def test_a_save_goes_on_in_a_new_session_if_its_own_is_purged_before_the_append(
    path: Path, monkeypatch: pytest.MonkeyPatch, deletions: int, how: str
) -> None:
    async def run(plain: StateStore) -> None:
        async with StateService(path) as service:
            for _ in range(deletions):
                await service.save_state("alice", {"n": 0})
                await service.delete_state("alice")
            await service.save_state("alice", {"n": 1})
            assert service._faces is not None
            appender = service._faces.store._journal.appender
            append = appender.append_all

            def late(requests: Any) -> Any:
                monkeypatch.setattr(appender, "append_all", append)
                getattr(plain.session("alice", "default"), how)()
                return append(requests)

            monkeypatch.setattr(appender, "append_all", late)
            if how == "delete":
                with pytest.raises(SessionDeletedError):
                    await service.save_state("alice", {"n": 2})
                await assert_nothing(service)
            else:
                assert await service.save_state("alice", {"n": 2}) == 1
                assert await seen(service) == {1: {"n": 2}}

    with StateStore(path) as plain:
        asyncio.run(run(plain))


@pytest.mark.parametrize("deletions", [0, 1])
def test_a_session_that_is_purged_while_it_is_read_has_no_state(
    path: Path, monkeypatch: pytest.MonkeyPatch, deletions: int
) -> None:
    async def run(plain: StateStore) -> None:
        async with StateService(path) as service:

            def last(life: Life) -> Any:
                turn = real(life)
                if turn is not None:
                    plain.session("alice", "default").purge()
                return turn

            real = Life.last
            reads: list[Callable[[], Awaitable[Any]]] = [
                lambda: service.export_state("alice"),
                lambda: service.export_state("alice", round_id=1),
                lambda: service.list_rounds("alice"),
                lambda: service.history("alice", "n"),
                lambda: service.delete_state("alice"),
                service.list_sessions,
            ]
            for read in reads if deletions else reads[:-1]:  # a list of sessions is one query
                for _ in range(deletions):
                    await service.save_state("alice", {"n": 0})
                    await service.delete_state("alice")
                await service.save_state("alice", {"n": 1})
                with monkeypatch.context() as patched:
                    patched.setattr(Life, "last", last)
                    assert not await read()
                await assert_nothing(service)

    with StateStore(path) as plain:
        asyncio.run(run(plain))


def test_of_several_who_delete_at_once_one_has_done_it(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as one, StateService(path) as other:
            for _ in range(10):
                await one.save_state("alice", {"n": 1})
                done = await asyncio.gather(*(service.delete_state("alice") for service in (one, other) * 4))
                assert done.count(True) == 1
                await assert_nothing(one)
            assert len(await one.session("alice").branches()) == 11

    asyncio.run(run())


def test_an_encrypted_session_is_deleted_and_stays_encrypted(path: Path) -> None:
    keys = MemoryKeyRing()
    keys.create("alice", "default")

    async def run() -> None:
        async with StateService(path, keys=keys) as service:
            await service.save_state("alice", {"n": "PIN 1234"})
            await service.delete_state("alice")
            await service.save_state("alice", {"n": "PIN 5678"})
            [info] = await service.list_sessions()
            assert (info.encrypted, info.round) == (True, 1)
            keys.destroy("alice")
            assert [info.user_id for info in await service.list_sessions()] == ["alice"]

    asyncio.run(run())
    assert b"PIN" not in path.read_bytes()
