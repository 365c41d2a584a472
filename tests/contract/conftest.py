"""A store of each kind, and a session in it; whatever a test did, the store has to verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import Session, StateStore
from tests.stores import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, path: Path, clock: Clock) -> Iterator[StateStore]:
    name = ":memory:" if request.param == "memory" else path
    with StateStore(name, durability="normal", clock=clock) as store:
        yield store
        if not store.closed:
            report = store.verify()
            assert report.ok, str(report)


@pytest.fixture
def session(store: StateStore) -> Session:
    return store.session("alice", "trip")
