"""What tests of modules get: a session in memory, and modules bound to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import Session, StateStore
from tests.agents.modules import Team

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def session() -> Iterator[Session]:
    with StateStore(":memory:") as store:
        yield store.session("u", "s")


@pytest.fixture
def team(session: Session) -> Team:
    module = Team()
    module.bind(session)
    return module
