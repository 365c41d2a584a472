"""Every error of the library: each is an `EventStateError` and also the fitting builtin."""

from __future__ import annotations


class EventStateError(Exception):
    """The base of all errors raised by eventstate."""


class ConflictError(EventStateError, RuntimeError):
    """A commit whose branch moved since it was read; nothing was written.

    Attributes:
        expected: the version that the writer had seen.
        actual: the version that the branch has now.
    """

    def __init__(self, message: str, *, expected: int, actual: int) -> None:
        super().__init__(message)
        self.expected = expected
        self.actual = actual

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), str(self), {"expected": self.expected, "actual": self.actual})


class RoundNotFoundError(EventStateError, KeyError):
    """No such round, tag, version or moment in this branch."""

    __str__ = Exception.__str__


class AttributeNotFoundError(EventStateError, KeyError):
    """An attribute that is neither in the state nor in the one that it should come from."""

    __str__ = Exception.__str__


class BranchNotFoundError(EventStateError, KeyError):
    """No such branch, or no such session."""

    __str__ = Exception.__str__


class SessionDeletedError(EventStateError, LookupError):
    """A session that was deleted, and not restored, or that was purged; nothing was written."""


class BranchExistsError(EventStateError, ValueError):
    """The name of a new branch, or of a new tag, is taken."""


class UnsupportedValueError(EventStateError, TypeError):
    """A value that could not come back exactly as it was; nothing was written.

    Attributes:
        path: keys and indexes that lead from the state to the offender.
    """

    def __init__(self, message: str, *, path: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), str(self), {"path": self.path})


class InvalidStateError(EventStateError, ValueError):
    """A state that is no dict, fails its model, or is edited after its round ended."""


class CorruptJournalError(EventStateError, ValueError):
    """The file, or a row in it, is damaged, or is no journal of eventstate."""


class EncryptionError(EventStateError, ValueError):
    """Something encrypted that was changed or moved, or a wrong key; plaintext where there must be none."""


class KeyNotFoundError(EncryptionError, KeyError):
    """A key that was destroyed, or is in another key ring, or no key ring at all."""

    __str__ = Exception.__str__


class MissingPackageError(EventStateError, ImportError):
    """A package that only some of eventstate needs, and that is not installed."""


class NewerFormatError(EventStateError, ValueError):
    """The journal was written by a newer eventstate than this one."""


class StorageError(EventStateError, OSError):
    """The file or the disk refuses: a folder, a missing file, no permission, disk full, an I/O error."""


class ReadOnlyError(StorageError, PermissionError):
    """A write to a store, a file or a disk that is read-only."""


class TranscriptError(EventStateError, ValueError):
    """A line of a transcript that can't be read, or can't be recorded."""


class DivergedError(TranscriptError):
    """A conversation that is not the one which its session holds."""


class ImportFailedError(EventStateError, ValueError):
    """Something of another program's that can't be brought in: damaged, of another kind, or not storable."""


class AgentBusyError(EventStateError, RuntimeError):
    """An agent that is asked for a reply while it gives another one."""


class StoreBusyError(EventStateError, TimeoutError):
    """Another process held the write lock for longer than the store's time-out."""


class StoreClosedError(EventStateError, RuntimeError):
    """The store is closed, or was opened by the parent of this forked process."""


def _revive(cls: type[Exception], message: str, fields: dict[str, object]) -> Exception:
    return cls(message, **fields)
