"""What a test suite needs to trust a store: states, edits, failing disks, power cuts, replays.

`FaultyDisk`, `crash_points` and `error_points` need nothing more than the library does; the others
need Hypothesis: `pip install eventstate[testing]`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventstate.testing.crashes import CrashPoint, ErrorPoint, Trial, crash_points, error_points
    from eventstate.testing.disk import FaultyDisk
    from eventstate.testing.machine import ReplayMachine, assert_replays
    from eventstate.testing.platter import Operation
    from eventstate.testing.strategies import agent_sessions, edits, states

_HOMES = {
    "crashes": ("CrashPoint", "ErrorPoint", "Trial", "crash_points", "error_points"),
    "disk": ("FaultyDisk",),
    "machine": ("ReplayMachine", "assert_replays"),
    "platter": ("Operation",),
    "strategies": ("agent_sessions", "edits", "states"),
}

__all__ = [
    "CrashPoint",
    "ErrorPoint",
    "FaultyDisk",
    "Operation",
    "ReplayMachine",
    "Trial",
    "agent_sessions",
    "assert_replays",
    "crash_points",
    "edits",
    "error_points",
    "states",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"eventstate.testing.{module}"), name)
    raise AttributeError(f"module 'eventstate.testing' has no attribute {name!r}")
