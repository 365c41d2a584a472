"""What a power cut leaves of the operations that a disk was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator

Kind = Literal["create", "open", "read", "write", "sync", "truncate", "delete"]
Kept = Literal["nothing", "everything", "ordered", "some", "garbled"]

SECTOR: Final = 512
"""Bytes that the disk writes at once."""

FOLDER: Final = "."
"""What the operations call the folder itself."""

_ODDS: Final = (0.1, 0.5, 0.9)


class Operation(NamedTuple):
    """Something that SQLite asked of the disk."""

    kind: Kind
    file: str
    """Its name without the folder's: `"a.db-wal"`; `"."` is the folder itself, `""` a file without a name."""
    offset: int = 0
    """In bytes; of a truncation, the new size."""
    size: int = 0
    """In bytes, of what was to be read or written."""
    data: bytes = b""
    """What was written; of a file that was there when it was first opened, what it held."""
    folder: str = ""
    done: bool = True
    """Whether the disk did it: not if it failed, or lied."""

    def __str__(self) -> str:
        text = f"{self.kind} {self.file or '(temporary file)'}"
        if self.kind in {"read", "write"}:
            text += f", {self.size} bytes at {self.offset}"
        elif self.kind == "truncate":
            text += f" to {self.offset} bytes"
        return text if self.done else f"{text}, not done"


class _Piece(NamedTuple):
    """A change of a file's bytes, or of its size, since it was last known."""

    number: int
    offset: int
    data: bytes | None
    """`None` for a truncation to `offset`."""


@dataclass(slots=True)
class _File:
    """A file's bytes, whatever its name: those that are safe, and the changes since."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[_Piece] = field(default_factory=list)
    doubtful: set[int] = field(default_factory=set)
    """The numbers of the pieces that a failed fsync has left nobody knows where."""
    certain: set[int] = field(default_factory=set)
    """The numbers of those that are safe, but lie on doubtful ones."""

    def sync(self, *, done: bool) -> None:
        numbers = {piece.number for piece in self.pending} - self.certain
        if not done:
            self.doubtful |= numbers
            return
        self.certain |= numbers - self.doubtful
        while self.pending and self.pending[0].number in self.certain:
            _put(self.safe, self.pending.pop(0))
        self.certain &= {piece.number for piece in self.pending}


class _Entry(NamedTuple):
    """What a name in a folder has come to stand for since the folder was last synced."""

    number: int
    file: _File | None


class Platter:
    """Follows operations, and gives what is on the disk if the power is cut after the last of them.

    What is modelled, and it is no kinder than POSIX:

    - What was written is safe after an fsync of its file. Until then any sector of 512 bytes of it may have
      arrived or not, in any order, or be garbage; bytes beside it stay as they were ("powersafe
      overwrite", which SQLite takes for granted too). A truncation has happened or not.
    - A file that was made may not be there, one that was deleted may be back with its old bytes, until the
      folder is synced. SQLite does so with the first fsync of each journal or write-ahead log that it
      opens, and after a deletion if it asks for that.
    - After an fsync that failed, what it was to write is never safe again, though a later fsync succeeds.
    - Renames, links and permissions, which SQLite does not use, and media that go bad later are left out;
      so is the shared-memory file, which is made anew after each start.
    """

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, list[_Entry]]] = {}
        self._number = 0

    def expect(self, log: Iterable[Operation]) -> None:
        """Take from operations that will come which files are there already."""
        for operation in log:
            if operation.kind == "open" and operation.data:
                self.take(operation)

    def take(self, operation: Operation) -> None:
        """Follow one more operation."""
        self._number += 1
        entries = self._folders.setdefault(operation.folder, {})
        if operation.file == FOLDER:
            if operation.done:
                for states in entries.values():
                    del states[:-1]
            return
        if not operation.file or operation.kind == "read":
            return
        if operation.kind == "create":
            if operation.done:
                states = entries.setdefault(operation.file, [_Entry(0, None)])
                states.append(_Entry(self._number, _File()))
            return
        if operation.kind == "open":
            states = entries.get(operation.file, [])
            if operation.done and (not states or states[-1].file is None):
                entries[operation.file] = [_Entry(0, _File(bytearray(operation.data)))]
            return
        self._change(operation, entries[operation.file])

    def _change(self, operation: Operation, states: list[_Entry]) -> None:
        file = states[-1].file
        if operation.kind == "delete":
            if operation.done:
                states.append(_Entry(self._number, None))
        elif file is None:  # deleted, and only an open handle leads to it
            return
        elif operation.kind == "sync":
            file.sync(done=operation.done)
        elif operation.kind == "truncate":
            if operation.done:
                file.pending.append(_Piece(self._number, operation.offset, None))
        elif operation.data:  # a write that failed may have been done in part
            file.pending.append(_Piece(self._number, operation.offset, operation.data))

    @property
    def folders(self) -> list[str]:
        """The folders in which there are or were files, in the order in which they were met."""
        return [name for name, entries in self._folders.items() if entries]

    def image(self, folder: str, kept: Kept, rng: random.Random) -> dict[str, bytes]:
        """Give the files of a folder as a power cut leaves them, by their names.

        Args:
            folder: as the operations call it.
            kept: of what is not safe: nothing; everything; everything up to some moment (`"ordered"`);
                some of the sectors and names; the same, and some sectors garbled.
            rng: makes the choices.
        """
        entries = self._folders.get(folder, {})
        choice = _Choice(kept, rng, self._waiting(entries))
        files = {}
        for name, states in entries.items():
            file = choice.entry(states)
            if file is None:
                continue
            data = bytearray(file.safe)
            for piece in file.pending:
                if piece.number in file.certain:
                    _put(data, piece)
                else:
                    for part in choice.parts(piece):
                        _put(data, part)
            files[name] = bytes(data)
        return files

    @staticmethod
    def _waiting(entries: dict[str, list[_Entry]]) -> list[int]:
        """Give the numbers of the operations that are not safe."""
        numbers = {entry.number for states in entries.values() for entry in states[1:]}
        for states in entries.values():
            for entry in states:
                if entry.file is not None:
                    numbers |= {piece.number for piece in entry.file.pending} - entry.file.certain
        return sorted(numbers)


class _Choice:
    """Chooses what of the operations that are not safe is there."""

    def __init__(self, kept: Kept, rng: random.Random, waiting: list[int]) -> None:
        self._kept = kept
        self._rng = rng
        self._odds = rng.choice(_ODDS)
        self._last = rng.choice(waiting) if kept == "ordered" and waiting else 0

    def entry(self, states: list[_Entry]) -> _File | None:
        """Choose what a name stands for."""
        if self._kept == "nothing":
            return states[0].file
        if self._kept == "everything":
            return states[-1].file
        if self._kept == "ordered":
            reached = [entry for entry in states[1:] if entry.number <= self._last]
            return [states[0], *reached][-1].file
        return self._rng.choice(states).file

    def parts(self, piece: _Piece) -> Iterator[_Piece]:
        """Give what of a piece is there."""
        if self._kept == "everything" or (self._kept == "ordered" and piece.number < self._last):
            yield piece
        elif self._kept in {"some", "garbled"} or (self._kept == "ordered" and piece.number == self._last):
            for part in _divided(piece):
                if self._kept == "garbled" and part.data is not None and self._rng.random() < self._odds / 2:
                    yield part._replace(data=self._rng.randbytes(len(part.data)))
                elif self._rng.random() < self._odds:
                    yield part
                elif self._kept == "ordered":
                    return


def _divided(piece: _Piece) -> Iterator[_Piece]:
    if piece.data is None:
        yield piece
        return
    for start, end in sectors(piece.offset, len(piece.data)):
        yield piece._replace(offset=piece.offset + start, data=piece.data[start:end])


def sectors(offset: int, size: int) -> Iterator[tuple[int, int]]:
    """Divide a write where the disk does: give the start and end of each, within the write."""
    start = 0
    while start < size:
        end = min(start + SECTOR - (offset + start) % SECTOR, size)
        yield start, end
        start = end


def _put(data: bytearray, piece: _Piece) -> None:
    if piece.data is None:
        del data[piece.offset :]
    data.extend(bytes(max(piece.offset - len(data), 0)))
    if piece.data is not None:
        data[piece.offset : piece.offset + len(piece.data)] = piece.data
