"""The newest states, kept in memory between commits, and never trusted further than their version."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstate.journal.records import Branch, Commit
    from eventstate.journal.references import Known
    from eventstate.journal.snapshots import Marks


_MAX_ASKED: Final = 4096


class Head:
    """A branch's state at one of its commits."""

    __slots__ = ("branch", "commit", "epoch", "key", "known", "marks", "size", "state")

    def __init__(
        self,
        branch: Branch,
        commit: Commit,
        state: dict[Any, Any],
        size: int,
        marks: Marks,
        *,
        epoch: int,
        key: str | None,
    ) -> None:
        self.branch = branch
        self.commit = commit
        self.state = state
        self.size = size
        """About how many bytes the state takes when packed, and what is known of the last snapshot."""
        self.marks = marks
        self.epoch = epoch
        """The store's when the state was folded."""
        self.key = key
        """The id of the session's key at that time, if it is encrypted."""
        self.known: Known | None = None
        """The last snapshot made of it here, packed, to find in the next one what has not changed."""


class Heads:
    """A cache of heads, bounded by the packed size of their states; the least recently used go first.

    A head belongs to whoever took it, until it is put back: nobody reads a state that is being
    changed, and no lock is held while it is.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._heads: OrderedDict[int, Head] = OrderedDict()
        self._asked: OrderedDict[int, None] = OrderedDict()
        self._size = 0
        self.hits = 0
        self.misses = 0

    def take(self, branch: Branch) -> Head | None:
        """Take a branch's head out of the cache; the caller may change its state."""
        with self._lock:
            head = self._heads.pop(branch.id, None)
            if head is None:
                self.misses += 1
            else:
                self.hits += 1
                self._size -= head.size
            return head

    def wants(self, branch: Branch) -> bool:
        """Say whether the state of a branch is here, or was asked for before and had better be.

        What is asked for once is read and handed out, which takes half the time and no memory.
        """
        with self._lock:
            if branch.id in self._heads or branch.id in self._asked:
                return True
            self._asked[branch.id] = None
            while len(self._asked) > _MAX_ASKED:
                self._asked.popitem(last=False)
            return False

    def put(self, head: Head) -> None:
        """Put a head into the cache, unless a newer one is there."""
        with self._lock:
            other = self._heads.get(head.branch.id)
            if other is not None:
                if other.commit.number > head.commit.number:
                    return
                self._size -= other.size
            self._heads[head.branch.id] = head
            self._heads.move_to_end(head.branch.id)
            self._size += head.size
            while self._size > self._max_bytes and self._heads:
                _, oldest = self._heads.popitem(last=False)
                self._size -= oldest.size

    def drain(self) -> Iterator[Head]:
        """Take out all heads."""
        with self._lock:
            heads, self._heads, self._size = list(self._heads.values()), OrderedDict(), 0
        yield from heads

    def clear(self) -> None:
        """Forget all heads."""
        with self._lock:
            self._heads, self._size = OrderedDict(), 0
            self._asked.clear()

    @property
    def size(self) -> int:
        """The packed size of the cached states, about, in bytes."""
        return self._size

    def __len__(self) -> int:
        return len(self._heads)
