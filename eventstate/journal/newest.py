"""The newest commits, remembered for as long as nothing else was committed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from eventstate.journal.chain import EMPTY_CHAIN, HASH_SIZE, TAG_SIZE, link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstate.journal.branches import Branches
    from eventstate.journal.records import Branch, Commit

_CACHED: Final = 4096


class Tip(NamedTuple):
    """A branch's last commit."""

    commit: Commit
    is_latest: bool
    """Whether its round is the latest, so that nothing more has to be looked up."""
    deleted: int | None
    """The key of the commit that deleted the session."""
    epoch: int
    """How often payloads were removed from the store; what was read in another epoch is void."""


class Last(NamedTuple):
    """The store's last commit: what the next one follows on."""

    position: int = 0
    recorded_at: int = 0
    chain: bytes = EMPTY_CHAIN

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, bytes, bytes]]) -> Self | None:
        """Give the last commit, from the newest ones: position, time, hash and what they have of the chain.

        Args:
            rows: the newest first, back to one that has the chain whole, or to the store's first.

        Returns:
            `None` if the last one's chain is not what the hashes make it.
        """
        chain = EMPTY_CHAIN
        for _, _, hashed, stored in reversed(rows):
            chain = stored if len(stored) == HASH_SIZE else link(chain, hashed)
        if not rows:
            return cls()
        position, recorded_at, _, stored = rows[0]
        whole = len(stored) >= TAG_SIZE and chain.startswith(stored)
        return cls(position, recorded_at, chain) if whole else None

    def then(self, commit: Commit) -> Last:
        """Give what follows on a commit that follows on this one."""
        return Last(commit.position, commit.recorded_at, link(self.chain, commit.hash))


class Newest:
    """What is known of the newest commits at one stamp of the connection; at another it is void.

    So a writer who is alone asks the file nothing before a commit. See `Connection.stamp`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of what changes it; it is read as it is
        self._known = _Known(None)

    def tip(self, stamp: int | None, branch: int) -> Tip | None:
        """Give a branch's tip, if it is known at this stamp."""
        known = self._known
        return known.tips.get(branch) if known.stamp == stamp else None

    def last(self, stamp: int) -> Last | None:
        """Give the store's last commit, if it is known at this stamp."""
        known = self._known
        return known.last if known.stamp == stamp else None

    def learn(self, stamp: int | None, branch: int, tip: Tip) -> None:
        """Remember a tip that was read since this stamp was, unless there were commits meanwhile."""
        with self._lock:
            if self._known.stamp is None or (stamp or 0) > self._known.stamp:
                self._known = _Known(stamp)
            if stamp is not None and stamp == self._known.stamp:
                self._known.keep(branch, tip)

    def follow(self, before: int, after: int, tips: dict[int, Tip | None], last: Last | None) -> None:
        """Go on to the stamp after a transaction that gave branches other tips.

        Args:
            before: the stamp when the transaction had begun.
            after: the stamp when it was committed, with nothing else in between.
            tips: by branch; `None` for what has to be read again.
            last: the store's last commit; `None` if it has to be read again.
        """
        with self._lock:
            known = self._known
            if known.stamp != before:
                known = self._known = _Known(before)
            for branch, tip in tips.items():
                known.keep(branch, tip)
            known.stamp, known.last = after, last

    def forget(self) -> None:
        """Forget all."""
        with self._lock:
            self._known = _Known(None)


class _Known:
    """What holds at one stamp."""

    __slots__ = ("last", "stamp", "tips")

    def __init__(self, stamp: int | None) -> None:
        self.stamp = stamp
        self.tips: OrderedDict[int, Tip] = OrderedDict()
        self.last: Last | None = None

    def keep(self, branch: int, tip: Tip | None) -> None:
        """Put in a branch's tip, or take it out."""
        if tip is None:
            self.tips.pop(branch, None)
            return
        self.tips[branch] = tip
        if len(self.tips) > _CACHED:
            self.tips.popitem(last=False)


class Frontier:
    """The newest commits while a transaction adds to them; nothing of it is remembered before its commit.

    Args:
        branches: reads what is not known.
        stamp: the connection's, with the write lock held.
    """

    def __init__(self, branches: Branches, stamp: int) -> None:
        self._branches = branches
        self._stamp = stamp
        self._tips: dict[int, Tip | None] = {}
        self._last = branches.newest.last(stamp)
        self._void = False

    @property
    def last(self) -> Last:
        """The store's last commit."""
        if self._last is None:
            self._last = self._branches.last_of_all()
        return self._last

    def tip(self, branch: Branch) -> Tip | None:
        """Give a branch's tip."""
        tip = self._tips.get(branch.id)
        if tip is None and branch.id not in self._tips:
            tip = self._branches.newest.tip(self._stamp, branch.id)
        return tip if tip is not None else self._branches.read_tip(branch)

    def follow(self, branch: Branch, tip: Tip | None, commit: Commit) -> None:
        """Go on to a commit that was just added after a tip."""
        self._last = self.last.then(commit)
        self._tips[branch.id] = None if tip is None else _after(tip, commit)
        if commit.kind in {"delete", "restore"}:  # all branches of the session have other tips
            self._void = True

    def publish(self, stamp: int) -> None:
        """Have the newest commits remembered, now that they are committed.

        Args:
            stamp: the connection's since then.
        """
        newest = self._branches.newest
        if self._void:
            newest.forget()
        else:
            newest.follow(self._stamp, stamp, self._tips, self._last)


def _after(tip: Tip, commit: Commit) -> Tip | None:
    """Give the tip that a commit after `tip` is; `None` if only the file knows which round is the latest."""
    is_latest = False
    if commit.round is not None:
        if not tip.is_latest or tip.commit.round is None:
            return None
        is_latest = commit.round >= tip.commit.round
    return Tip(commit, is_latest, tip.deleted, tip.epoch)
