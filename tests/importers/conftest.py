"""A store to bring something into, and a dump."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import StateStore
from tests.importers.bringing import STATES, dumped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store() -> Iterator[StateStore]:
    """A store in memory."""
    with StateStore(":memory:") as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A dump with one session of three rounds."""
    return dumped(tmp_path, STATES)
