"""Which statements SQLite runs: what is counted where times would only tell the machine's mood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import StateStore


def statements(store: StateStore, action: Callable[[], object]) -> list[str]:
    """Give the statements that SQLite runs for `action`."""
    seen: list[str] = []
    connection = store._journal.connection._db
    assert connection is not None

    def trace(_: Any, statement: str, __: Any) -> bool:
        seen.append(statement)
        return True

    connection.exec_trace = trace
    try:
        action()
    finally:
        connection.exec_trace = None
    return seen
