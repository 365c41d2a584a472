"""Agno's SqliteDb as it was in version 2: the same calls, in an environment with that version."""

from __future__ import annotations

from benchmarks.contestant import main
from benchmarks.peers.agno import Agno

if __name__ == "__main__":
    main(Agno)
