"""What there is of a session since it was deleted: each deletion makes a new branch, on which it goes on."""

from __future__ import annotations

import bisect
import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from eventstate.errors import KeyNotFoundError, SessionDeletedError
from eventstate.journal.append import MAIN

if TYPE_CHECKING:
    from eventstate.inventory import SessionInfo
    from eventstate.rounds import Round
    from eventstate.session import Session
    from eventstate.store import StateStore


class EndedError(Exception):
    """A session was deleted, and goes on, on another branch; no caller of the service sees this."""

    def __init__(self, branch: str) -> None:
        super().__init__(branch)
        self.branch = branch


class Life(NamedTuple):
    """A session from one deletion to the next."""

    session: Session
    next: str
    """The branch on which it goes on after a deletion."""

    def last(self) -> Round | None:
        """Give the latest round; `None` if there is no state."""
        return self.session.latest if self.session.exists else None


def life_of(store: StateStore, names: tuple[str, str]) -> Life:
    """Find a session's life of now; `names` are those of the user and of the session.

    A few names are looked for, since a session may have many branches.
    """
    branches = store._journal.branches  # noqa: SLF001 - it asks for branches one by one
    session, following = branches.session(*names), 1
    if session is not None:

        def is_taken(number: int) -> bool:
            return branches.find(session, _branch(number)) is not None

        bound = 1
        while is_taken(bound):
            bound *= 2
        following = bisect.bisect_left(
            range(bound), 1, lo=bound // 2 + 1, key=lambda number: 0 if is_taken(number) else 1
        )
    return Life(store.session(*names, _branch(following - 1)), _branch(following))


def _branch(ends: int) -> str:
    return MAIN if ends == 0 else f"after-deletion-{ends}"


def is_deleted(store: StateStore, names: tuple[str, str]) -> bool:
    """Say whether a session was deleted in the store itself, and neither restored nor purged since."""
    main = store.session(*names)
    return not main.exists and main.branches() != []


def as_now(store: StateStore, info: SessionInfo) -> SessionInfo:
    """Tell of a session as it is in its life of now; the round is `None` if it has no state."""
    life = life_of(store, (info.user_id, info.session_id))
    if life.session.branch == MAIN:
        return info
    try:
        last = life.last()
        if last is None:
            return dataclasses.replace(info, round=None)
        version = life.session.version
    except KeyNotFoundError:  # there is no telling, and the others have to be listed
        return info
    except SessionDeletedError:  # it was purged a moment ago
        return dataclasses.replace(info, round=None)
    return dataclasses.replace(info, version=version, round=last.id, recorded_at=last.recorded_at)
