"""What is kept elsewhere to prove later that nothing was rewritten or cut off."""

from __future__ import annotations

import re
from typing import NamedTuple, Self


class Seal(NamedTuple):
    """The position of a store's last commit, and the hash of the chain up to it.

    As a string it can be written down anywhere: `Seal.parse` reads it again.
    """

    position: int
    chain: str
    """In hexadecimal digits."""

    def __str__(self) -> str:
        return f"{self.position}:{self.chain}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a seal as `str` writes it.

        Raises:
            ValueError: it is none.
        """
        found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no seal, which is a position, a colon and 64 hexadecimal digits")
        return cls(int(found[1]), found[2])
