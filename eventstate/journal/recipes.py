"""How a packed state is told by what stands in events: the form of a snapshot's data.

What an event put into a state, and nobody changed since, stands in the packed state byte for byte, as the
encoding is canonical. So a recipe says where, and holds only the rest itself.
"""

from __future__ import annotations

import itertools
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgpack

from eventstate.errors import CorruptJournalError
from eventstate.values.bounds import check_lengths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MARK: Final = b"\x02"
"""How data begins that is a recipe. A zlib stream, which other data is, begins with `x`."""

MAX_RATIO: Final = 100
FREE: Final = 1 << 20
"""States beyond this size take at least a hundredth of it in the file, so no small row takes much memory."""

MAX_SCANS: Final = 4
"""How often the runs of a recipe may go through all events up to its version."""

LEVEL: Final = 1  # zlib's fastest: three quarters of the gain at a fifth of the time

_COLUMNS: Final = 6
_MAX_VERSION: Final = 1 << 32


class Rule(NamedTuple):
    """Which events a run takes."""

    op: int
    path: bytes


class Part(NamedTuple):
    """A stretch of a packed state that stands in events."""

    at: int
    """Where it begins in the packed state, and"""
    length: int
    """its bytes, all in all."""
    first: int
    """The first event's `seq`, and"""
    last: int
    """the last one's; the same, if it is a slice of one event."""
    start: int
    """Where it begins in the value of each of them; of a run it goes on to the value's end."""
    rule: Rule | None
    """Of a run: it takes all events between these two that match."""

    @property
    def end(self) -> int:
        """Where it ends in the packed state."""
        return self.at + self.length


class Recipe(NamedTuple):
    """A packed state, told."""

    literal: bytes
    """What stands in no event: all that is before, between and after the parts."""
    parts: tuple[Part, ...]
    size: int
    checksum: int
    """The CRC-32 of the packed state: what stands in events may be damaged there."""

    def pack(self) -> bytes:
        """Give the bytes of it."""
        rules = list(dict.fromkeys(part.rule for part in self.parts if part.rule is not None))
        numbers: dict[Rule | None, int] = {rule: number for number, rule in enumerate(rules, 1)}
        columns: list[list[int]] = [[] for _ in range(_COLUMNS)]
        end = seq = 0
        for part in self.parts:
            row = (
                part.at - end,
                numbers.get(part.rule, 0),
                part.first - seq,
                part.last - part.first,
                part.start,
                part.length,
            )
            for column, number in zip(columns, row, strict=True):
                column.append(number)
            end, seq = part.end, part.last
        packed: bytes = msgpack.packb([self.literal, rules, columns, self.checksum])
        return packed

    def stored(self) -> bytes:
        """Give the form in which it stands in the file."""
        packed = self.pack()
        data = zlib.compress(packed, LEVEL)
        if len(packed) > max(FREE, MAX_RATIO * len(data)):
            data = zlib.compress(packed, 0)
        return MARK + data


def read(data: bytes, size: int, version: int) -> Recipe:
    """Read the recipe of a state.

    Args:
        data: as it stands in the file.
        size: of the packed state, in bytes.
        version: of the state.

    Raises:
        CorruptJournalError: it is none, or tells of what can't be.
    """
    try:
        literal, rules, columns, checksum = msgpack.unpackb(_inflated(data, size))
        parts = tuple(_parts([Rule(*rule) for rule in rules], columns))
        recipe = Recipe(literal, parts, size, checksum)
        _check(recipe, version)
    except (zlib.error, msgpack.UnpackException, ValueError, TypeError, LookupError) as error:
        raise CorruptJournalError(f"no recipe of a state: {error!r}") from error
    return recipe


def _inflated(data: bytes, size: int) -> bytes:
    if size < 0:
        raise ValueError("of no size")
    # A byte of the state takes no more than two here, told by reference or not.
    unpacker, most = zlib.decompressobj(), min(max(FREE, MAX_RATIO * len(data)), 2 * size + 1024)
    packed = unpacker.decompress(data[len(MARK) :], max_length=most)
    if not unpacker.eof:
        raise ValueError("it is cut off, or too long")
    check_lengths(packed)
    return packed


def _parts(rules: list[Rule], columns: list[list[int]]) -> Iterator[Part]:
    if {type(number) for column in columns for number in column} - {int}:
        raise ValueError("its numbers are none")
    end = seq = 0
    for before, number, first, span, start, length in zip(*columns, strict=True):
        rule = rules[number - 1] if number else None
        if number < 0 or min(before, span, start, length - 1) < 0 or (span and rule is None):
            raise ValueError("a part that can't be")
        seq += first
        part = Part(end + before, length, seq, seq + span, start, rule)
        end, seq = part.end, part.last
        yield part


def _check(recipe: Recipe, version: int) -> None:
    """Refuse a recipe that does not make a state of its size, or takes too long to be read.

    Raises:
        ValueError: it does.
    """
    literal, parts, size, _ = recipe
    if type(literal) is not bytes or len(literal) + sum(part.length for part in parts) != size:
        raise ValueError("it is not of the state's size")
    if parts and parts[-1].end > size:
        raise ValueError("it goes beyond the state")
    if any(not 0 < part.first <= part.last <= version < _MAX_VERSION for part in parts):
        raise ValueError("it tells of events that are not before it")
    if any(type(rule.op) is not int or type(rule.path) is not bytes for _, _, _, _, _, rule in parts if rule):
        raise ValueError("it tells of events that can't be")
    if scans(parts) > MAX_SCANS * version:
        raise ValueError("it goes through the events too often")


def scans(parts: tuple[Part, ...] | list[Part]) -> int:
    """Count the events that have to be looked at to find those of runs."""
    return sum(part.last - part.first + 1 for part in parts if part.rule is not None)


def tell(packed: bytes, parts: list[Part]) -> Recipe:
    """Make the recipe of a packed state of those parts of it that are told by events, in order."""
    ends = itertools.chain((0,), (part.end for part in parts))
    starts = itertools.chain((part.at for part in parts), (len(packed),))
    literal = b"".join(packed[end:start] for end, start in zip(ends, starts, strict=True))
    return Recipe(literal, tuple(parts), len(packed), zlib.crc32(packed))


def join(recipe: Recipe, told: Iterable[Sequence[bytes | memoryview]]) -> bytes:
    """Make a packed state of its recipe and what stands in events, the pieces of each part.

    Raises:
        CorruptJournalError: it is not the state of which the recipe was made.
    """
    literal, at, end = memoryview(recipe.literal), 0, 0
    pieces: list[bytes | memoryview] = []
    for part, found in zip(recipe.parts, told, strict=True):
        before = part.at - end
        pieces.append(literal[at : at + before])
        pieces += found
        at, end = at + before, part.end
    pieces.append(literal[at:])
    packed = b"".join(pieces)
    if zlib.crc32(packed) != recipe.checksum:
        raise CorruptJournalError("what a snapshot refers to is not what it was")
    return packed
