"""What can be read of a session, with `await`."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from eventstate.aio.committer import Committer
    from eventstate.aio.worker import Worker
    from eventstate.history import Blame, Change, Diff, Note
    from eventstate.rounds import Round
    from eventstate.session import Session
    from eventstate.timeline import At

_STATES: Final = 8
"""How many states a walk holds at once."""


class Past:
    """The reading half of a session; see `eventstate.Session` for what each method does.

    Attributes:
        plain: the session that this one stands on.
    """

    def __init__(self, plain: Session, worker: Worker, committer: Committer) -> None:
        self.plain = plain
        self._worker = worker
        self._committer = committer

    def __repr__(self) -> str:
        return repr(self.plain).replace("<Session", "<aio.Session", 1)

    @property
    def user_id(self) -> str:
        """Whose session it is."""
        return self.plain.user_id

    @property
    def session_id(self) -> str:
        """Its name among the user's."""
        return self.plain.session_id

    @property
    def branch(self) -> str:
        """The name of the branch."""
        return self.plain.branch

    @property
    def exists(self) -> Coroutine[Any, Any, bool]:
        """Whether anything was ever written to it, and it was not deleted: `await session.exists`."""
        return self._worker.call(lambda: self.plain.exists)

    @property
    def version(self) -> Coroutine[Any, Any, int]:
        """The number of the branch's last event or note: `await session.version`."""
        return self._worker.call(lambda: self.plain.version)

    @property
    def latest(self) -> Coroutine[Any, Any, Round | None]:
        """The round with the highest number: `await session.latest`."""
        return self._worker.call(lambda: self.plain.latest)

    async def state(self, at: At | None = None, *, version: int | None = None) -> Any:
        """Give a state as the caller's own copy."""
        return await self._worker.call(partial(self.plain.state, at, version=version))

    async def committed(self, commit_id: str) -> Round | None:
        """Find the round of the commit with an id, as after a cancellation; `None` if it was not made."""
        return await self._worker.call(partial(self.plain.committed, commit_id))

    def rounds(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Round]:
        """Walk the rounds from number `start` to before `stop`, at most `limit` of them."""
        return self._worker.walk(partial(self.plain.rounds, start, stop, reverse=reverse, limit=limit))

    def replay(self, start: int | None = None, stop: int | None = None) -> AsyncIterator[tuple[Round, Any]]:
        """Walk the rounds with their states; the whole walk folds each event once."""
        return self._worker.walk(partial(self.plain.replay, start, stop), _STATES)

    def notes(self, name: str | None = None, *, after: int = 0) -> AsyncIterator[Note]:
        """Walk the notes after a version, or those of one name, oldest first."""
        return self._worker.walk(partial(self.plain.notes, name, after=after))

    async def history(self, attribute: Any) -> list[Change]:
        """List every change of an attribute, oldest first.

        A change's `before` and `after` are folded when looked at, in the thread that looks.
        """
        return await self._worker.call(partial(self.plain.history, attribute))

    async def blame(self) -> Blame:
        """Tell for each attribute of what was written last, by path, the change that last set it."""
        return await self._worker.call(self.plain.blame)

    async def diff(self, one: At, other: At) -> Diff:
        """Compare the states at two points."""
        return await self._worker.call(partial(self.plain.diff, one, other))

    async def bisect(self, predicate: Callable[[Any], bool | Awaitable[bool]]) -> Round | None:
        """Find the first round whose state makes `predicate` false, if it is true before that.

        Args:
            predicate: gets a state; it may be a coroutine function.
        """
        turns = [turn async for turn in self.rounds()]
        low, high = 0, len(turns)
        while low < high:
            middle = (low + high) // 2
            holds = predicate(await self.state(turns[middle]))
            if await holds if inspect.isawaitable(holds) else holds:
                low = middle + 1
            else:
                high = middle
        return turns[low] if low < len(turns) else None

    async def tags(self) -> dict[str, int]:
        """Give the tags with the versions that they name."""
        return await self._worker.call(self.plain.tags)

    async def branches(self) -> list[str]:
        """List the session's branches in the order of their making."""
        return await self._worker.call(self.plain.branches)
