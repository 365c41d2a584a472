"""A path for a store; what a test wrote there has to verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "agent.db"
    yield path
    if path.exists():
        with StateStore(path) as store:
            report = store.verify()
            assert report.ok, str(report)
