"""The live turn that most targets are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

if TYPE_CHECKING:
    from eventstate import Session

EARLY = 10
"""The turn that a later one is compared with: the first ones make the session."""


def take_turn(session: Session, number: int, text: str) -> int:
    """Append a message and change three small attributes; give the packed bytes of what changed."""
    message = {"role": "user" if number % 2 else "assistant", "content": text}
    with session.round() as state:
        state.setdefault("messages", []).append(message)
        state["turn"] = number
        state["last_role"] = message["role"]
        state["score"] = number / 7
    return sum(len(msgpack.packb(value)) for value in (message, number, message["role"], number / 7))
