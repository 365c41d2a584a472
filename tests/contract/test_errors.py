"""Errors: each is also a builtin and crosses process boundaries; every public name is there."""

from __future__ import annotations

import pickle

import pytest

import eventstate
from eventstate import (
    AttributeNotFoundError,
    BranchExistsError,
    BranchNotFoundError,
    ConflictError,
    CorruptJournalError,
    EncryptionError,
    EventStateError,
    InvalidStateError,
    KeyNotFoundError,
    MissingPackageError,
    NewerFormatError,
    ReadOnlyError,
    RoundNotFoundError,
    StorageError,
    StoreBusyError,
    StoreClosedError,
    UnsupportedValueError,
)


def test_errors_are_builtins_too() -> None:
    for error, builtin in (
        (ConflictError, RuntimeError),
        (RoundNotFoundError, KeyError),
        (BranchNotFoundError, KeyError),
        (AttributeNotFoundError, KeyError),
        (BranchExistsError, ValueError),
        (UnsupportedValueError, TypeError),
        (InvalidStateError, ValueError),
        (CorruptJournalError, ValueError),
        (EncryptionError, ValueError),
        (KeyNotFoundError, KeyError),
        (KeyNotFoundError, EncryptionError),
        (MissingPackageError, ImportError),
        (NewerFormatError, ValueError),
        (StorageError, OSError),
        (ReadOnlyError, PermissionError),
        (StoreBusyError, TimeoutError),
        (StoreClosedError, RuntimeError),
    ):
        assert issubclass(error, EventStateError)
        assert issubclass(error, builtin)


@pytest.mark.parametrize(
    "error",
    [
        ConflictError("moved", expected=1, actual=2),
        UnsupportedValueError("/a: no", path=("a", 1)),
        RoundNotFoundError("no round 7"),
        StorageError("disk full"),
        KeyNotFoundError("no key"),
    ],
)
def test_errors_cross_process_boundaries_whole(error: EventStateError) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - as multiprocessing does
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_every_public_name_is_there() -> None:
    for name in eventstate.__all__:
        assert getattr(eventstate, name).__module__.startswith("eventstate") or name == "MISSING"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = eventstate.nothing
