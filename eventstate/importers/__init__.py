"""What other programs kept of agents' states: AgentScope's files, and dumps of Redis."""

from __future__ import annotations

from eventstate.importers.importer import ImportResult, Problem, import_sessions

__all__ = ["ImportResult", "Problem", "import_sessions"]
