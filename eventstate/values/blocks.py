"""Which runs of bytes two strings of bytes have in common, found in time that is bounded by their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_ANCHOR: Final = 32  # bytes by which two strings are brought together again
_REACHES: Final = (1 << 8, 1 << 12, 1 << 16, 1 << 20, 1 << 62)  # bytes: most edits are small, and found soon
_GROWTH: Final = 4
_ENOUGH: Final = 1 << 16  # equal bytes that leave no doubt


class Block(NamedTuple):
    """A run of bytes that two strings have in common."""

    old: int
    """Where it stands in the one,"""
    new: int
    """and where in the other."""
    length: int


def align(old: bytes, new: bytes, work: int) -> Iterator[Block]:
    """Find runs that two strings have in common, in the order in which they stand in both.

    Args:
        old: the one.
        new: the other.
        work: about how many bytes to look at besides those that are the same; then it ends.
    """
    i = j = 0
    while True:
        length = _prefix(old, i, new, j)
        if length:
            yield Block(i, j, length)
        i, j = i + length, j + length
        meeting, work = _meet(old, i, new, j, work)
        if meeting is None:
            return
        i, j = meeting


def _meet(old: bytes, i: int, new: bytes, j: int, work: int) -> tuple[tuple[int, int] | None, int]:
    """Find where two strings that differ from here on are the same again, and what is left of the work.

    Of several places within reach it is the one from which on they are the same for longest, as what is
    the same by chance, or was put in twice, soon ends.
    """
    for reach in _REACHES:
        best, longest = None, 0
        for step in _steps(min(reach, len(old) - i - _ANCHOR)):
            if work <= 0:
                break
            end = min(j + step + reach, len(new))
            there = new.find(old[i + step : i + step + _ANCHOR], j, end)
            work -= _ANCHOR + (end if there < 0 else there) - j
            if there < 0:
                continue
            length = _prefix(old, i + step, new, there, _ENOUGH)
            work -= length
            if length > longest:
                back = _suffix(old[i : i + step], new[j:there])
                best, longest = (i + step - back, there - back), length
        if best is not None or reach > max(len(old), len(new)):
            return best, work
    return None, work


def _steps(most: int) -> Iterator[int]:
    if most >= 0:
        yield 0
    step = _ANCHOR
    while step <= most:
        yield step
        step *= _GROWTH


def _prefix(old: bytes, i: int, new: bytes, j: int, enough: int = 1 << 62) -> int:
    """Count the equal bytes from two places on, in leaps that grow, then in leaps that shrink."""
    view, length, leap, growing = memoryview(old), 0, _ANCHOR, True
    while leap and length < enough:
        chunk = view[i + length : i + length + leap]
        if chunk and new.startswith(chunk, j + length):
            length += len(chunk)
            leap = 2 * leap if growing else leap // 2
        else:
            growing = False
            leap = min(leap, len(chunk)) // 2
    most = min(len(old) - i, len(new) - j, enough)
    while length < most and old[i + length] == new[j + length]:
        length += 1
    return length


def _suffix(old: bytes, new: bytes) -> int:
    """Count the equal bytes at the ends of two strings."""
    view, length, leap, growing, most = memoryview(old), 0, _ANCHOR, True, min(len(old), len(new))
    while leap:
        leap = min(leap, most - length)
        end = len(old) - length
        if leap and new.endswith(view[end - leap : end], 0, len(new) - length):
            length += leap
            leap = 2 * leap if growing else leap // 2
        else:
            growing = False
            leap //= 2
    while length < most and old[-length - 1] == new[-length - 1]:
        length += 1
    return length
