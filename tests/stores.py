"""What tests of stores share: a clock that can be set, and what two states have to be to be the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from eventstate.values.codec import Codec

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

_CODEC = Codec()


class Clock:
    """A clock that says what it is told to, and goes a second further each time."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def packed(state: Any) -> bytes:
    """Give bytes that are equal for two states only if they are the same, type-strictly."""
    return _CODEC.encode(state)
