"""An embedded, event-sourced state store for agents."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventstate.agents.agent import Agent
    from eventstate.agents.metadata import StateMetadata
    from eventstate.agents.module import StateModule
    from eventstate.agents.streaming import stream_printing_messages
    from eventstate.commits import CommitOptions
    from eventstate.errors import (
        AgentBusyError,
        AttributeNotFoundError,
        BranchExistsError,
        BranchNotFoundError,
        ConflictError,
        CorruptJournalError,
        DivergedError,
        EncryptionError,
        EventStateError,
        ImportFailedError,
        InvalidStateError,
        KeyNotFoundError,
        MissingPackageError,
        NewerFormatError,
        ReadOnlyError,
        RoundNotFoundError,
        SessionDeletedError,
        StorageError,
        StoreBusyError,
        StoreClosedError,
        TranscriptError,
        UnsupportedValueError,
    )
    from eventstate.history import Blame, Change, Commit, Diff, Note
    from eventstate.inventory import SessionInfo, StoreStats
    from eventstate.keys import FileKeyRing, Key, KeyRing, MemoryKeyRing
    from eventstate.merge import MergeConflict, MergeResult
    from eventstate.removed import Erased, Pruned, Purged
    from eventstate.repair.rebuild import Rebuilt
    from eventstate.repair.salvage import Cut, Salvaged, salvage
    from eventstate.rounds import Round
    from eventstate.services.event_session import EventSession
    from eventstate.services.state_service import StateService
    from eventstate.session import Session
    from eventstate.store import StateStore
    from eventstate.values.delta import MISSING
    from eventstate.values.registry import TypeRegistry, Unregistered
    from eventstate.verify import Finding, VerifyReport
    from eventstate.verify.seal import Seal

_HOMES = {
    "agents.agent": ("Agent",),
    "agents.metadata": ("StateMetadata",),
    "agents.module": ("StateModule",),
    "agents.streaming": ("stream_printing_messages",),
    "commits": ("CommitOptions",),
    "errors": (
        "AgentBusyError",
        "AttributeNotFoundError",
        "BranchExistsError",
        "BranchNotFoundError",
        "ConflictError",
        "CorruptJournalError",
        "DivergedError",
        "EncryptionError",
        "EventStateError",
        "ImportFailedError",
        "InvalidStateError",
        "KeyNotFoundError",
        "MissingPackageError",
        "NewerFormatError",
        "ReadOnlyError",
        "RoundNotFoundError",
        "SessionDeletedError",
        "StorageError",
        "StoreBusyError",
        "StoreClosedError",
        "TranscriptError",
        "UnsupportedValueError",
    ),
    "history": ("Blame", "Change", "Commit", "Diff", "Note"),
    "inventory": ("SessionInfo", "StoreStats"),
    "keys": ("FileKeyRing", "Key", "KeyRing", "MemoryKeyRing"),
    "merge": ("MergeConflict", "MergeResult"),
    "repair.rebuild": ("Rebuilt",),
    "repair.salvage": ("Cut", "Salvaged", "salvage"),
    "removed": ("Erased", "Pruned", "Purged"),
    "rounds": ("Round",),
    "services.event_session": ("EventSession",),
    "services.state_service": ("StateService",),
    "session": ("Session",),
    "store": ("StateStore",),
    "values.delta": ("MISSING",),
    "values.registry": ("TypeRegistry", "Unregistered"),
    "verify": ("Finding", "VerifyReport"),
    "verify.seal": ("Seal",),
}

__all__ = [
    "MISSING",
    "Agent",
    "AgentBusyError",
    "AttributeNotFoundError",
    "Blame",
    "BranchExistsError",
    "BranchNotFoundError",
    "Change",
    "Commit",
    "CommitOptions",
    "ConflictError",
    "CorruptJournalError",
    "Cut",
    "Diff",
    "DivergedError",
    "EncryptionError",
    "Erased",
    "EventSession",
    "EventStateError",
    "FileKeyRing",
    "Finding",
    "ImportFailedError",
    "InvalidStateError",
    "Key",
    "KeyNotFoundError",
    "KeyRing",
    "MemoryKeyRing",
    "MergeConflict",
    "MergeResult",
    "MissingPackageError",
    "NewerFormatError",
    "Note",
    "Pruned",
    "Purged",
    "ReadOnlyError",
    "Rebuilt",
    "Round",
    "RoundNotFoundError",
    "Salvaged",
    "Seal",
    "Session",
    "SessionDeletedError",
    "SessionInfo",
    "StateMetadata",
    "StateModule",
    "StateService",
    "StateStore",
    "StorageError",
    "StoreBusyError",
    "StoreClosedError",
    "StoreStats",
    "TranscriptError",
    "TypeRegistry",
    "Unregistered",
    "UnsupportedValueError",
    "VerifyReport",
    "salvage",
    "stream_printing_messages",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"eventstate.{module}"), name)
    raise AttributeError(f"module 'eventstate' has no attribute {name!r}")
