"""What a disk, a crash or a hand can do to the bytes of a journal; each fault is replayed by its numbers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.damage.images import PAGE, Image, Originals, frames

if TYPE_CHECKING:
    from collections.abc import Callable

_FRAME_HEADER: Final = 24


class Fault(NamedTuple):
    """A damaged image, and what was done to it."""

    what: str
    image: Image
    live: bool
    """Whether there was a log beside the file."""


def fault(kind: str, originals: Originals, seed: int, number: int) -> Fault:
    """Make the fault of a kind that has this number; every other one is done to a journal with a log."""
    random_ = random.Random(f"{kind} {seed} {number}")
    live = number % 2 == 1
    image = originals.live if live else originals.closed
    while True:
        what, damaged = KINDS[kind](image, originals, random_)
        if damaged != image:
            where = "a live journal" if live else "a closed journal"
            return Fault(f"{kind} {number} of seed {seed}: {what} in {where}", damaged, live)


def _flip(image: Image, _: Originals, random_: random.Random) -> tuple[str, Image]:
    at = random_.randrange(len(image.file) + len(image.wal))
    part, offset = ("wal", at - len(image.file)) if at >= len(image.file) else ("file", at)
    data = bytearray(getattr(image, part))
    old = data[offset]
    data[offset] = old ^ 1 << random_.randrange(8) if random_.random() < 0.5 else random_.randrange(256)
    return f"byte {offset} of the {part} from {old:#04x} to {data[offset]:#04x}", _with(image, part, data)


def _swap(image: Image, _: Originals, random_: random.Random) -> tuple[str, Image]:
    part, starts = _pages(image, random_)
    one, other = random_.sample(range(len(starts)), 2)
    data = bytearray(getattr(image, part))
    here, there = (slice(starts[i], starts[i] + PAGE) for i in (one, other))
    data[here], data[there] = data[there], data[here]
    return f"pages {one + 1} and {other + 1} of the {part} exchanged", _with(image, part, data)


def _zero(image: Image, _: Originals, random_: random.Random) -> tuple[str, Image]:
    part, starts = _pages(image, random_)
    one = random_.randrange(len(starts))
    data = bytearray(getattr(image, part))
    # A sector, or the whole page.
    start, size = random_.choice([(starts[one], PAGE), (starts[one] + 512 * random_.randrange(8), 512)])
    data[start : start + size] = bytes(size)
    return f"{size} bytes at {start} of the {part} zeroed", _with(image, part, data)


def _stale(image: Image, originals: Originals, random_: random.Random) -> tuple[str, Image]:
    version = random_.randrange(len(originals.older))
    older = originals.older[version]
    # One write that was lost, or all that went to one sector of the file's beginning, or several.
    pages = random_.sample(range(min(len(older), len(image.file)) // PAGE), random_.choice([1, 1, 2, 5]))
    data = bytearray(image.file)
    for page in pages:
        where = slice(page * PAGE, (page + 1) * PAGE)
        data[where] = older[where]
    shown = ", ".join(str(page + 1) for page in sorted(pages))
    return f"pages {shown} as they were at stage {version}", _with(image, "file", data)


def _truncation(image: Image, _: Originals, random_: random.Random) -> tuple[str, Image]:
    part = _part(image, random_)
    data = getattr(image, part)
    unit = random_.choice([1, 512, PAGE])
    size = random_.randrange(len(data)) // unit * unit
    return f"{part} cut off at {size}", _with(image, part, data[:size])


def _tail(image: Image, _: Originals, random_: random.Random) -> tuple[str, Image]:
    part = _part(image, random_)
    data = bytearray(getattr(image, part))
    start = random_.randrange(len(data))
    how = random_.choice(["zeros", "noise", "repeats"])
    size = len(data) - start
    data[start:] = {
        "zeros": bytes(size),
        "noise": random_.randbytes(size),
        "repeats": (bytes(data[:PAGE]) * (size // PAGE + 1))[:size],
    }[how]
    return f"{part} from {start} on is {how}", _with(image, part, data)


KINDS: Final[dict[str, Callable[[Image, Originals, random.Random], tuple[str, Image]]]] = {
    "flip": _flip,
    "swap": _swap,
    "zero": _zero,
    "stale": _stale,
    "truncation": _truncation,
    "tail": _tail,
}


def _part(image: Image, random_: random.Random) -> str:
    return "wal" if image.wal and random_.random() < 0.5 else "file"


def _pages(image: Image, random_: random.Random) -> tuple[str, list[int]]:
    """Choose the file or the log, and say where its pages begin."""
    part = _part(image, random_)
    if part == "wal":
        return part, [start + _FRAME_HEADER for _, start in frames(image.wal)]
    return part, list(range(0, len(image.file), PAGE))


def _with(image: Image, part: str, data: bytes | bytearray) -> Image:
    return image._replace(**{part: bytes(data)})
