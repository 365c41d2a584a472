"""Whose session a file's name or a key of Redis means.

All of them join the names of user and session without escaping, so that some can be read in two ways. Users
that are known settle it, the longest that fits; without, a file's whole name is the session's, and the user
of a key ends where it first can.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

STATE: Final = "user_state:"
"""What keys of agentscope-runtime's RedisStateService start with."""

_USER, _SESSION, _END = "user_id:", ":session:", ":state"


class Named(NamedTuple):
    """Whose session something is."""

    kind: str
    """`"json-session"`, `"redis-state"` or `"redis-session"`."""
    user_id: str
    session_id: str
    ambiguous: bool
    """Whether it could be read otherwise."""

    @property
    def names(self) -> tuple[str, str]:
        """Those of the user and of the session."""
        return self.user_id, self.session_id


class Names:
    """Reads names.

    Args:
        users: the ids of users that are known.
        prefix: what the keys of AgentScope's RedisSession start with; anything if `None`.
    """

    def __init__(self, users: Iterable[str] = (), prefix: str | None = None) -> None:
        self._users = sorted(set(users), key=len, reverse=True)
        self._prefix = prefix

    def file(self, stem: str) -> Named:
        """Read the name of a file of JSONSession, without its ending: `{session}` or `{user}_{session}`."""
        user = self._known(stem, "_")
        return Named(
            "json-session", user or "", stem if user is None else stem[len(user) + 1 :], ambiguous=False
        )

    def key(self, key: str) -> Named | None:
        """Read a key of Redis; `None` if it is no session's."""
        if key.startswith(STATE):
            return self._split("redis-state", key[len(STATE) :], ":")
        start = key.find(_USER) if self._prefix is None else len(self._prefix)
        if start < 0 or not key.startswith(_USER, start) or not key.startswith(self._prefix or ""):
            return None
        if not key.endswith(_END):
            return None
        named = self._split("redis-session", key[start + len(_USER) : -len(_END)], _SESSION)
        if named is not None and self._prefix is None and key.count(_USER) > 1:
            named = named._replace(ambiguous=True)  # the prefix may be longer
        return named

    def _split(self, kind: str, text: str, separator: str) -> Named | None:
        user = self._known(text, separator)
        if user is not None:
            return Named(kind, user, text[len(user) + len(separator) :], ambiguous=False)
        user, found, session = text.partition(separator)
        several = len(re.findall(f"(?={re.escape(separator)})", text)) > 1
        return Named(kind, user, session, ambiguous=several) if found else None

    def _known(self, text: str, separator: str) -> str | None:
        return next((user for user in self._users if user and text.startswith(user + separator)), None)
