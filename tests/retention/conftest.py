"""What these tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.retention.raw import Other, Peeper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def peeper() -> Iterator[Peeper]:
    peeper = Peeper()
    yield peeper
    peeper.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
def other(path: Path) -> Iterator[Other]:
    other = Other(path)
    yield other
    other.close()
