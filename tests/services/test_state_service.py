"""The contract of `StateService`, row by row, in a file and in memory."""

from __future__ import annotations

import asyncio
import collections
import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import InvalidStateError, StateStore, StoreClosedError, TypeRegistry, UnsupportedValueError
from eventstate.keys import MemoryKeyRing
from eventstate.services import StateService
from tests.contract.test_dataclasses import Step
from tests.stores import packed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["memory", "file"])
def service(request: pytest.FixtureRequest, path: Path) -> StateService:
    if request.param == "memory":
        return StateService(durability="normal")
    return StateService(path, durability="normal")


def test_automatic_rounds_begin_at_one_and_follow_the_highest(service: StateService) -> None:
    async def run() -> None:
        async with service:
            assert await service.save_state("alice", {"n": 1}) == 1
            assert await service.save_state("alice", {"n": 2}) == 2
            assert await service.save_state("alice", {"n": 21}, round_id=21) == 21
            assert await service.save_state("alice", {"n": 5}, round_id=5) == 5
            assert await service.save_state("alice", {"n": 22}) == 22
            assert await service.save_state("alice", {"n": 0}, round_id=0) == 0
            assert [turn.id for turn in await service.list_rounds("alice")] == [0, 1, 2, 5, 21, 22]
            assert await service.export_state("alice") == {"n": 22}

    asyncio.run(run())


def test_the_first_automatic_round_after_round_zero_is_one(service: StateService) -> None:
    async def run() -> None:
        async with service:
            assert await service.save_state("alice", {"n": 0}, round_id=0) == 0
            assert await service.export_state("alice") == {"n": 0}
            assert await service.save_state("alice", {"n": 1}) == 1

    asyncio.run(run())


def test_a_round_is_exported_by_its_number_and_replaced_whole(service: StateService) -> None:
    async def run() -> None:
        async with service:
            await service.save_state("alice", {"a": 1, "b": 2})
            await service.save_state("alice", {"c": 3})
            assert await service.export_state("alice", round_id=1) == {"a": 1, "b": 2}
            assert await service.save_state("alice", {"d": 4}, round_id=1) == 1
            assert await service.export_state("alice", round_id=1) == {"d": 4}
            assert await service.export_state("alice") == {"c": 3}
            assert await service.save_state("alice", {"e": 5}) == 3
            assert await service.export_state("alice", round_id=3) == {"e": 5}

    asyncio.run(run())


def test_none_and_an_empty_session_are_the_default_one(service: StateService) -> None:
    async def run() -> None:
        async with service:
            assert await service.save_state("alice", {"n": 1}, None) == 1
            assert await service.save_state("alice", {"n": 2}, "") == 2
            assert await service.save_state("alice", {"n": 3}, "default") == 3
            assert await service.export_state("alice", "default") == {"n": 3}
            assert await service.export_state("alice", "") == {"n": 3}
            assert await service.export_state("alice", "other") is None
            assert [info.session_id for info in await service.list_sessions()] == ["default"]

    asyncio.run(run())


def test_what_is_missing_is_none_and_an_empty_state_is_not(service: StateService) -> None:
    async def run() -> None:
        async with service:
            assert await service.export_state("alice") is None
            assert await service.export_state("alice", round_id=1) is None
            await service.save_state("alice", {})
            assert await service.export_state("alice") == {}
            assert await service.export_state("alice", round_id=1) == {}
            assert await service.export_state("alice", round_id=0) is None
            assert await service.export_state("alice", round_id=2) is None
            assert await service.export_state("bob") is None

    asyncio.run(run())


def test_users_and_sessions_are_apart_whatever_they_are_called(service: StateService) -> None:
    names = [
        ("u", "s1"),
        ("u_s1", "s"),
        ("u", "../s1"),
        ("", "s1"),
        ("u/s1", "s1"),
        ("u", "after-deletion-1"),
    ]

    async def run() -> None:
        async with service:
            for number, (user, name) in enumerate(names):
                assert await service.save_state(user, {"n": number}, name) == 1
            for number, (user, name) in enumerate(names):
                assert await service.export_state(user, name) == {"n": number}
            listed = [(info.user_id, info.session_id) for info in await service.list_sessions()]
            assert sorted(listed) == sorted(names)
            mine = [info.session_id for info in await service.list_sessions("u")]
            assert mine == ["../s1", "after-deletion-1", "s1"]

    asyncio.run(run())


def test_states_are_copied_both_ways(service: StateService) -> None:
    async def run() -> None:
        async with service:
            state: dict[str, Any] = {"messages": [{"text": "a"}]}
            saving = asyncio.ensure_future(service.save_state("alice", state))
            await asyncio.sleep(0)
            state["messages"].append("late")  # while it is saved
            await saving
            state["messages"][0]["text"] = "later"
            assert await service.export_state("alice") == {"messages": [{"text": "a"}]}
            first = await service.export_state("alice")
            assert first is not None
            first["messages"].append("mine")
            assert await service.export_state("alice") == {"messages": [{"text": "a"}]}
            assert await service.export_state("alice", round_id=1) == {"messages": [{"text": "a"}]}

    asyncio.run(run())


def test_states_come_back_exactly(service: StateService) -> None:
    state = {
        1: True,
        "1": 1.0,
        None: (1, {2, 3}, b"\x00"),
        "big": 2**80,
        "nan": math.nan,
        "when": dt.datetime(2030, 1, 1, tzinfo=dt.UTC),
        "lone": "\ud800",
        "z": {"b": -0.0, "a": []},
    }

    async def run() -> None:
        async with service:
            await service.save_state("alice", state)
            assert packed(await service.export_state("alice")) == packed(state)

    asyncio.run(run())


def test_a_state_that_is_no_dict_or_can_not_be_kept_is_refused(service: StateService) -> None:
    async def run() -> None:
        async with service:
            wrongs: list[Any] = [None, [], "text", 7, collections.OrderedDict(a=1), {"a"}]
            for wrong in wrongs:
                with pytest.raises(InvalidStateError, match=type(wrong).__name__):
                    await service.save_state("alice", wrong)
            for value in (object(), collections.OrderedDict(), bytearray(b"x"), Step("x")):
                with pytest.raises(UnsupportedValueError, match="/a/b/0") as caught:
                    await service.save_state("alice", {"a": {"b": [value]}})
                assert caught.value.path == ("a", "b", 0)
            assert await service.export_state("alice") is None
            assert await service.list_sessions() == []

    asyncio.run(run())


def test_a_live_state_is_saved_as_a_plain_one(service: StateService) -> None:
    async def run() -> None:
        async with service:
            await service.save_state("alice", {"a": [1]})
            async with service.session("alice").round() as live:
                live["a"].append(2)
                await service.save_state("bob", live)
            state = await service.export_state("bob")
            assert (type(state), state) == (dict, {"a": [1, 2]})

    asyncio.run(run())


@pytest.mark.parametrize(
    ("number", "error"),
    [(-1, ValueError), (1 << 62, ValueError), (True, TypeError), ("1", TypeError), (1.0, TypeError)],
)
def test_a_round_that_can_be_none_is_refused(
    service: StateService, number: Any, error: type[Exception]
) -> None:
    async def run() -> None:
        async with service:
            await service.save_state("alice", {"n": 1})
            with pytest.raises(error, match="a round is"):
                await service.save_state("alice", {"n": 2}, round_id=number)
            with pytest.raises(error, match="a round is"):
                await service.export_state("alice", round_id=number)
            assert await service.export_state("alice") == {"n": 1}

    asyncio.run(run())


def test_names_that_are_no_text_are_refused(service: StateService) -> None:
    async def run() -> None:
        async with service:
            for user, name, what in ((None, "s", "user_id"), (1, "s", "user_id"), ("u", 7, "session_id")):
                with pytest.raises(TypeError, match=what):
                    await service.save_state(user, {}, name)  # type: ignore[arg-type] # it is the test's subject
                with pytest.raises(TypeError, match=what):
                    await service.export_state(user, name)  # type: ignore[arg-type] # the same
            with pytest.raises(ValueError, match="surrogate"):
                await service.save_state("\ud800", {})

    asyncio.run(run())


def test_calls_before_start_and_after_stop_are_refused(service: StateService) -> None:
    async def refused() -> None:
        calls: list[Any] = [
            service.save_state("alice", {}),
            service.export_state("alice"),
            service.list_sessions(),
            service.list_rounds("alice"),
            service.history("alice", "a"),
            service.delete_state("alice"),
        ]
        for call in calls:
            with pytest.raises(StoreClosedError, match=r"not started.*start\(\)") as caught:
                await call
            assert isinstance(caught.value, RuntimeError)
        with pytest.raises(StoreClosedError, match="not started"):
            service.session("alice")
        assert await service.health() is False

    async def run() -> None:
        await refused()
        await service.stop()
        await service.start()
        opened = service._faces
        await service.start()
        assert service._faces is opened
        assert await service.health() is True
        assert await service.save_state("alice", {"n": 1}) == 1
        assert await service.save_state("alice", {"n": 2}) == 2
        await service.stop()
        await service.stop()
        await refused()
        async with service:
            assert await service.health() is True
            assert await service.export_state("alice") == {"n": 2}
            assert await service.export_state("alice", round_id=1) == {"n": 1}
            assert await service.save_state("alice", {"n": 3}) == 3
        assert await service.health() is False

    asyncio.run(run())


def test_making_a_service_does_nothing_yet(path: Path) -> None:
    service = StateService(path)
    assert repr(service) == f"<StateService {str(path)!r} (not started)>"
    assert not path.exists()
    asyncio.run(service.start())
    assert path.exists()
    assert "not started" not in repr(service)
    asyncio.run(service.stop())
    assert not path.with_name("agent.db-wal").exists()


def test_two_services_in_memory_have_nothing_to_do_with_each_other() -> None:
    async def run() -> None:
        async with StateService() as one, StateService() as other:
            await one.save_state("alice", {"n": 1})
            assert await other.export_state("alice") is None

    asyncio.run(run())


def test_a_service_reads_what_a_store_wrote_and_the_other_way_round(path: Path) -> None:
    with StateStore(path) as store:
        store.session("alice").save({"n": 1})

    async def run() -> None:
        async with StateService(str(path)) as service:
            assert await service.export_state("alice") == {"n": 1}
            assert await service.save_state("alice", {"n": 2}) == 2

    asyncio.run(run())
    with StateStore(path) as store:
        assert store.session("alice").state() == {"n": 2}


def test_a_service_that_only_reads_refuses_to_save(path: Path) -> None:
    async def run() -> None:
        async with StateService(path) as service:
            await service.save_state("alice", {"n": 1})
        async with StateService(path, read_only="true") as service:
            assert await service.health() is True
            assert await service.export_state("alice") == {"n": 1}
            with pytest.raises(PermissionError):
                await service.save_state("alice", {"n": 2})

    asyncio.run(run())


def test_a_store_that_can_not_be_opened_is_told_at_start_and_is_not_healthy(tmp_path: Path) -> None:
    async def run() -> None:
        service = StateService(tmp_path)
        with pytest.raises(OSError, match=str(tmp_path)):
            await service.start()
        assert await service.health() is False
        with pytest.raises(StoreClosedError):
            await service.export_state("alice")
        await service.stop()

    asyncio.run(run())


def test_a_service_whose_file_was_taken_away_is_not_healthy(tmp_path: Path) -> None:
    async def run() -> None:
        async with StateService(tmp_path / "agent.db") as service:
            assert await service.health() is True
            (tmp_path / "agent.db").unlink()
            assert await service.health() is False

    asyncio.run(run())


def test_a_service_whose_file_has_another_ones_place_is_not_healthy(tmp_path: Path) -> None:
    async def run() -> None:
        async with StateService(tmp_path / "agent.db") as service, StateService(tmp_path / "other.db"):
            (tmp_path / "agent.db").rename(tmp_path / "moved.db")
            assert await service.health() is False
            (tmp_path / "agent.db").write_bytes(b"another file")
            assert await service.health() is False
            (tmp_path / "moved.db").replace(tmp_path / "agent.db")
            assert await service.health() is True

    asyncio.run(run())


def test_a_service_stays_healthy_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.chdir(tmp_path)
        async with StateService("agent.db") as service:
            monkeypatch.chdir("/")
            assert await service.health() is True
            assert await service.save_state("alice", {"n": 1}) == 1

    asyncio.run(run())


def test_a_service_whose_store_can_not_be_read_is_not_healthy(service: StateService) -> None:
    async def run() -> None:
        async with service:
            assert service._faces is not None
            service._faces.store.close()
            assert await service.health() is False

    asyncio.run(run())


def test_rounds_are_listed_from_a_number_to_before_another(service: StateService) -> None:
    async def run() -> None:
        async with service:
            assert await service.list_rounds("alice") == []
            for number in (1, 2, 3, 10):
                await service.save_state("alice", {"n": number}, round_id=number)

            async def numbers(**limits: Any) -> list[int]:
                return [turn.id for turn in await service.list_rounds("alice", **limits)]

            assert await numbers(start=2) == [2, 3, 10]
            assert await numbers(stop=3) == [1, 2]
            assert await numbers(start=2, limit=2) == [2, 3]
            assert await numbers(limit=0) == []

    asyncio.run(run())


def test_the_history_of_an_attribute_tells_every_change(service: StateService) -> None:
    async def run() -> None:
        async with service:
            assert await service.history("alice", "plan") == []
            for plan in ("a", "a", "b"):
                await service.save_state("alice", {"plan": plan, "inner": {"n": 1}})
            changes = await service.history("alice", "plan")
            assert [(change.round, change.after) for change in changes] == [(1, "a"), (3, "b")]
            assert len(await service.history("alice", ("inner", "n"))) == 1

    asyncio.run(run())


def test_a_session_gives_everything_else(service: StateService) -> None:
    async def run() -> None:
        async with service:
            await service.save_state("alice", {"n": 1})
            session = service.session("alice")
            await session.tag("early")
            await session.update(lambda state: state.update(n=2), reason="asked")
            assert await service.export_state("alice") == {"n": 2}
            await session.rollback(1)
            assert await service.export_state("alice") == {"n": 1}
            assert await service.save_state("alice", {"n": 4}) == 4
            assert await session.state("early") == {"n": 1}

    asyncio.run(run())


def test_types_and_keys_are_used(path: Path) -> None:
    keys = MemoryKeyRing()

    async def run() -> None:
        async with StateService(path, types=TypeRegistry(Step), keys=keys) as service:
            keys.create("alice", "default")
            await service.save_state("alice", {"step": Step("a"), "secret": "PIN 1234"})
            assert await service.export_state("alice") == {"step": Step("a"), "secret": "PIN 1234"}
            [info] = await service.list_sessions()
            assert info.encrypted

    asyncio.run(run())
    assert b"1234" not in path.read_bytes()
