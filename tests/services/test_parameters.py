"""Parameters of `StateService` as a factory gives them, and the factory itself."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from eventstate.services import StateService, register

if TYPE_CHECKING:
    from collections.abc import Callable


def test_every_parameter_may_be_text(path: Path) -> None:
    async def run() -> None:
        parameters = {
            "path": str(path),
            "durability": "normal",
            "timeout": "0.5",
            "read_only": "false",
            "cache_bytes": "0",
            "snapshot_every": "2",
            "max_waiting": "1",
        }
        async with StateService(**parameters) as service:  # type: ignore[arg-type] # a factory does not look
            saves = (service.save_state("alice", {"n": number}) for number in range(5))
            assert sorted(await asyncio.gather(*saves)) == [1, 2, 3, 4, 5]
            stats = service.session("alice").plain._journal.connection
            assert (stats.timeout, stats.read_only) == (0.5, False)
            assert (await service._face().stats()).snapshots >= 2
            assert (await service._face().stats()).cached == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("true", True),
        ("True", True),
        (" 1 ", True),
        (True, True),
        ("FALSE", False),
        ("0", False),
        (False, False),
    ],
)
def test_a_flag_may_be_said_in_several_ways(text: str | bool, flag: bool) -> None:  # noqa: FBT001 - parametrized
    assert StateService(read_only=text)._options["read_only"] is flag


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_number_of_snapshots_is_none(nothing: str | None) -> None:
    assert StateService(snapshot_every=nothing)._options["snapshot_every"] is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("path", "", ValueError),
        ("path", "a\0b", ValueError),
        ("path", b"agent.db", TypeError),
        ("path", None, TypeError),
        ("durability", "ful", ValueError),
        ("durability", None, ValueError),
        ("timeout", "soon", ValueError),
        ("timeout", "nan", ValueError),
        ("timeout", "inf", ValueError),
        ("timeout", "-1", ValueError),
        ("timeout", -0.5, ValueError),
        ("timeout", 10**400, ValueError),
        ("timeout", True, TypeError),
        ("timeout", None, TypeError),
        ("read_only", "yes, please", ValueError),
        ("read_only", "", ValueError),
        ("read_only", 1, TypeError),
        ("read_only", None, TypeError),
        ("cache_bytes", "64 MB", ValueError),
        ("cache_bytes", "-1", ValueError),
        ("cache_bytes", 1.5, TypeError),
        ("cache_bytes", None, TypeError),
        ("snapshot_every", "0", ValueError),
        ("snapshot_every", "often", ValueError),
        ("snapshot_every", False, TypeError),
        ("max_waiting", "0", ValueError),
        ("max_waiting", "1.5", ValueError),
        ("max_waiting", None, TypeError),
        ("types", "agent.Plan", TypeError),
        ("keys", "keys.json", TypeError),
        ("vfs", 7, TypeError),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{name}"):
        StateService(**{name: value})


class Factory:
    """What the runtime's factory does: names without case, parameters that the constructor knows."""

    backends: ClassVar[dict[str, Callable[..., Any]]] = {}

    @classmethod
    def register_backend(cls, name: str, constructor: Callable[..., Any]) -> None:
        cls.backends[name.lower()] = constructor

    @classmethod
    def create(cls, name: str, **parameters: Any) -> Any:
        constructor = cls.backends[name]
        known = inspect.signature(constructor).parameters
        assert all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in known.values())
        return constructor(**{name: value for name, value in parameters.items() if name in known})


def test_a_factory_makes_services_once_they_are_registered(path: Path) -> None:
    register(Factory)
    register(Factory, "Journal")
    assert Factory.backends == {"eventstate": StateService, "journal": StateService}

    async def run() -> None:
        service = Factory.create("eventstate", path=str(path), timeout="5", ttl_seconds="3600")
        async with service:
            assert await service.save_state("alice", {"n": 1}) == 1

    asyncio.run(run())


@pytest.mark.parametrize("factory", [None, object(), dict, Path("factory")])
def test_what_is_no_factory_is_refused(factory: Any) -> None:
    with pytest.raises(TypeError, match="register_backend"):
        register(factory)


def test_a_backend_has_a_name_of_text() -> None:
    with pytest.raises(TypeError, match="name"):
        register(Factory, 7)  # type: ignore[arg-type] # it is the test's subject
