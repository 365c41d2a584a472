"""A key ring, and a closed store with an encrypted session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import MemoryKeyRing
from tests.encryption.lives import NAMES, erase, live, opened, prune

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ring() -> MemoryKeyRing:
    ring = MemoryKeyRing()
    ring.create(*NAMES)
    return ring


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
def lived(path: Path, ring: MemoryKeyRing) -> Path:
    """A closed store with an encrypted session, and plaintext ones of bob and carol."""
    with opened(path, ring, snapshot_every=3) as store:
        live(store)
        for user in ("bob", "carol"):
            store.session(user).save({"n": 1})
            store.session(user).save({"n": 2}, actor="somebody")
    return path


@pytest.fixture
def pruned(lived: Path, ring: MemoryKeyRing) -> Path:
    """The same after an erasure and a pruning, with a root that a fork needs, and newer snapshots."""
    with opened(lived, ring, snapshot_every=1) as store:
        erase(store.session(*NAMES))
        prune(store.session(*NAMES))
        store.session(*NAMES).save({"secret-attribute": "secret-value"}, reason="secret-because")
    return lived
