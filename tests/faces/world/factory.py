"""The runtime's real factory makes our service, configured by environment variables alone."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import StateStore
from eventstate.services import StateService, register
from tests.faces.face import awaited

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_services = importlib.import_module("agentscope_runtime.engine.services.agent_state")


@pytest.fixture
def factory() -> Iterator[Any]:
    """The real factory with our service registered, and afterwards as it was."""
    real = _services.StateServiceFactory
    before = dict(real._registry)
    register(real)
    yield real
    real._registry = before


def made(folder: Path) -> list[str]:
    """Tell the names of the journals in a folder."""
    return [path.name for path in folder.glob("*.db")]


@awaited
async def test_the_factory_makes_a_service_on_the_file_that_the_environment_names(
    tmp_path: Path, factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "states.db"
    monkeypatch.setenv("STATE_BACKEND", "eventstate")
    monkeypatch.setenv("STATE_EVENTSTATE_PATH", str(path))
    service = await factory.create()
    assert type(service) is StateService
    assert not path.exists()
    with pytest.raises(RuntimeError):
        await service.export_state("u")
    async with service:
        assert await service.health()
        assert await service.save_state("u", {"n": 1}) == 1
        assert await service.export_state("u") == {"n": 1}
    with StateStore(path) as store:
        assert store.session("u").state() == {"n": 1}
        assert store.verify().ok


@awaited
async def test_the_environments_text_sets_the_other_parameters_and_unknown_ones_are_left_out(
    tmp_path: Path, factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_EVENTSTATE_PATH", str(tmp_path / "states.db"))
    monkeypatch.setenv("STATE_EVENTSTATE_DURABILITY", "normal")
    monkeypatch.setenv("STATE_EVENTSTATE_TIMEOUT", "5.5")
    monkeypatch.setenv("STATE_EVENTSTATE_SNAPSHOT_EVERY", "10")
    monkeypatch.setenv("STATE_EVENTSTATE_REDIS_URL", "another backend's")
    async with await factory.create("EventState") as service:
        assert await service.save_state("u", {"n": 1}) == 1
    monkeypatch.setenv("STATE_EVENTSTATE_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="timeout"):
        await factory.create("eventstate")


@awaited
async def test_an_argument_goes_before_the_environment(
    tmp_path: Path, factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_EVENTSTATE_PATH", str(tmp_path / "environment.db"))
    async with await factory.create("eventstate", path=str(tmp_path / "argument.db")) as service:
        await service.save_state("u", {"n": 1})
    assert made(tmp_path) == ["argument.db"]


@awaited
async def test_two_services_of_the_factory_share_a_file_and_lose_no_round(
    tmp_path: Path, factory: Any
) -> None:
    path = str(tmp_path / "states.db")
    one, other = [await factory.create("eventstate", path=path) for _ in range(2)]
    async with one, other:
        rounds = await asyncio.gather(*((one, other)[n % 2].save_state("u", {"n": n}) for n in range(40)))
        assert sorted(rounds) == list(range(1, 41))
        for number, turn in enumerate(rounds):
            assert await one.export_state("u", round_id=turn) == {"n": number}


@awaited
async def test_the_default_backend_is_still_the_original_one(factory: Any) -> None:
    assert type(await factory.create()) is _services.InMemoryStateService
