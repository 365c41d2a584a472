"""What keeps hostile bytes from taking much memory or time, before and while something is made of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgpack

if TYPE_CHECKING:
    from collections.abc import Collection

    _Keys = TypeVar("_Keys", bound=Collection[Any])

MAX_ALIKE: Final = 1000
"""How many keys of one dict, or elements of one set, may have the same hash."""

_SCANNED: Final = 4096  # bytes below which no promised length is worth a look
_CROWDED: Final = 1 << 16  # bytes below which no choice of keys takes long
_NO_EXTENSIONS: Final = bytes(set(range(256)) - {*range(0xC7, 0xCA), *range(0xD4, 0xD9)})


def check_lengths(data: bytes) -> None:
    """Compare the lengths that are promised in `data` with what there is, without building anything.

    Raises:
        msgpack.UnpackException, ValueError: there is less.
    """
    if len(data) > _SCANNED:
        scanner = msgpack.Unpacker(max_buffer_size=len(data))
        scanner.feed(data)
        scanner.skip()


def is_crowded(data: bytes) -> bool:
    """Say whether there may be so many keys whose hashes can be chosen that dicts need care.

    Strings and bytes are hashed under a secret, and 64 bits of an integer leave little choice. What is
    left are extension types.
    """
    return len(data) > _CROWDED and len(data.translate(None, _NO_EXTENSIONS)) > MAX_ALIKE


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
