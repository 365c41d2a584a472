"""What a test suite needs to trust a store: states, edits, failing disks, power cuts, replays.

The strategies (`states`, `edits`, `agent_sessions` and their like) and `ReplayMachine` need Hypothesis:
`pip install eventstate[testing]`. The others need nothing more than the library does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventstate.testing.crashes import CrashPoint, ErrorPoint, Trial, crash_points, error_points
    from eventstate.testing.disk import FaultyDisk
    from eventstate.testing.machine import ReplayMachine
    from eventstate.testing.platter import Operation
    from eventstate.testing.replay import assert_replays
    from eventstate.testing.scripts import play
    from eventstate.testing.strategies import StateEdit, agent_sessions, edits, keys, states, values

_HOMES = {
    "crashes": ("CrashPoint", "ErrorPoint", "Trial", "crash_points", "error_points"),
    "disk": ("FaultyDisk",),
    "machine": ("ReplayMachine",),
    "platter": ("Operation",),
    "replay": ("assert_replays",),
    "scripts": ("play",),
    "strategies": ("StateEdit", "agent_sessions", "edits", "keys", "states", "values"),
}

__all__ = [
    "CrashPoint",
    "ErrorPoint",
    "FaultyDisk",
    "Operation",
    "ReplayMachine",
    "StateEdit",
    "Trial",
    "agent_sessions",
    "assert_replays",
    "crash_points",
    "edits",
    "error_points",
    "keys",
    "play",
    "states",
    "values",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"eventstate.testing.{module}"), name)
    raise AttributeError(f"module 'eventstate.testing' has no attribute {name!r}")
