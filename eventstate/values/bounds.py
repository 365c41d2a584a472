"""What keeps hostile bytes from taking much memory or time, before and while something is made of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    _Keys = TypeVar("_Keys", bound=Collection[Any])

MAX_ALIKE: Final = 1000
"""How many keys of one dict, or elements of one set, may have the same hash."""

SMALL: Final = 4096
"""Bytes of which neither a promised length nor a choice of keys takes much."""

_ARRAY_HEADS: Final = (b"\xdc", b"\xdd")
_FEW: Final = 8
_CROWDED: Final = 1 << 16  # bytes below which no choice of keys takes long


class CrowdedError(Exception):
    """There may be so many keys whose hashes can be chosen that dicts need care."""


def check_lengths(data: bytes) -> None:
    """Compare the lengths that are promised in `data` with what there is, without building anything.

    Room is made for the elements of arrays alone before they are there: what is decoded must not promise an
    array more of them than it has bytes. So a few arrays take no more room than other things of that size do.

    Raises:
        msgpack.UnpackException, ValueError: there is less.
    """
    if len(data) > SMALL and not _has_few_arrays(data):
        scanner = msgpack.Unpacker(max_buffer_size=len(data))
        scanner.feed(data)
        scanner.skip()


def _has_few_arrays(data: bytes) -> bool:
    """Say whether few arrays of more than 15 elements can begin in `data`; text in ASCII has none."""
    left = _FEW
    for head in _ARRAY_HEADS:
        at = data.find(head)
        while at >= 0:
            left -= 1
            if left < 0:
                return False
            at = data.find(head, at + 1)
    return True


def sparing(restore: Callable[[int, bytes], Any], size: int) -> Callable[[int, bytes], Any]:
    """Give an extension hook that does what `restore` does, but not too often.

    Strings and bytes are hashed under a secret, and 64 bits of an integer leave little choice. What is
    left are extension types.

    Args:
        restore: makes the value of an extension type.
        size: how many bytes are decoded.
    """
    if size <= _CROWDED:
        return restore
    left = MAX_ALIKE

    def hook(code: int, data: bytes) -> Any:
        """Make a value.

        Raises:
            CrowdedError: it is one too many to be made without care.
        """
        nonlocal left
        left -= 1
        if left < 0:
            raise CrowdedError
        return restore(code, data)

    return hook


def paired(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Make a dict, unless that would take time that grows with the square of its size.

    Raises:
        ValueError: it would.
    """
    refuse_alike([key for key, _ in pairs])
    return dict(pairs)


def refuse_alike(keys: _Keys) -> _Keys:
    """Give `keys` back, unless there are too many with one hash: each would be compared with all others.

    Raises:
        ValueError: there are.
    """
    if len(keys) > MAX_ALIKE:
        counts = Counter(map(hash, keys))
        if len(keys) - len(counts) > MAX_ALIKE and max(counts.values()) > MAX_ALIKE:
            raise ValueError(f"more than {MAX_ALIKE} keys with the same hash")
    return keys
