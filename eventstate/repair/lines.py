"""What is known of each branch of a damaged journal, and how far it can be kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from eventstate.journal.records import STORE, row_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.journal.records import Commit


class Start(NamedTuple):
    """Whose a branch is, and where it starts."""

    user_id: str
    session_id: str
    encrypted: int
    session: int
    name: str
    parent: int | None = None
    parent_version: int | None = None
    origin: int | None = None
    origin_commit: int | None = None
    origin_round: int | None = None
    origin_named: int | None = None


class Need(NamedTuple):
    """An event that is not as it was written: what has to be on record for that."""

    number: int
    """Of its commit."""
    seq: int
    there: bool
    """Whether something stands in its place; if not, it has to be pruned."""
    digest: bytes | None
    """Of what stands there; `None` if that is op 7."""


class Record(NamedTuple):
    """What a commit says of removed payloads."""

    number: int
    told: dict[int, bytes | None]
    """By `seq`, the digests of what stands in the place of erased events."""
    roots: dict[int, bytes]
    """By version, the digests of roots."""
    pruned: int | None = None
    """Up to which version the past was folded; `None` if it was erased from."""
    genesis: bytes | None = None


class Told(NamedTuple):
    """What the records of a branch say, up to one of its commits."""

    events: dict[int, bytes | None]
    roots: dict[int, bytes]
    pruned: int
    genesis: bytes | None


@dataclass(slots=True)
class Line:
    """A branch on the way through its commits."""

    id: int
    number: int = 0
    """Of the last commit, or husk, that was seen of it."""
    hash: bytes | None = None
    version: int | None = None
    weight: int | None = 0
    start: Start | None = None
    last: int = 0
    """The highest number that is kept."""
    cut: bool = False
    why: str = ""
    lost: int = 0
    """Commits that were given up."""
    needs: list[Need] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    husks: list[int] = field(default_factory=list)
    tags: list[tuple[int, int, int]] = field(default_factory=list)
    """Of its tags: number, branch and version."""

    def stop(self, why: str) -> None:
        """Keep nothing more of it."""
        self.cut = True
        self.why = self.why or why

    def told(self) -> Told:
        """Give what is on record in what is kept of it."""
        told = Told({}, {}, 0, None)
        for record in self.records:
            if record.number > self.last:
                break
            if record.pruned is not None:
                told = told._replace(pruned=record.pruned, roots={}, genesis=record.genesis)
            told.events.update(record.told)
            told.roots.update(record.roots)
        return told


class Kept:
    """Finds what of all branches can be kept together.

    Args:
        lines: by number.
        head: gives the last commit of a branch that is there, up to a number.
        commit: gives a commit by its key, if it is there.
        root: says whether the root with a key is what its digest says, of the commit that it names.
    """

    def __init__(
        self,
        lines: dict[int, Line],
        head: Callable[[int, int], Commit | None],
        commit: Callable[[int], Commit | None],
        root: Callable[[Line, int, bytes], bool],
    ) -> None:
        self._lines = lines
        self._head = head
        self._commit = commit
        self._root = root

    def settle(self) -> None:
        """Cut branches until nothing that is kept needs anything that is not."""
        moved = True
        while moved:
            moved = False
            for number in sorted(self._lines):  # parents come before their forks
                line = self._lines[number]
                while line.last:
                    last, why = self._allowed(line)
                    if last >= line.last:
                        break
                    line.last = last
                    line.stop(why)
                    moved = True

    def reach(self, number: int | None) -> int:
        """Give the version up to which a branch is kept; -1 if nothing is left of it."""
        line = None if number is None else self._lines.get(number)
        head = None if line is None or not line.last else self._head(line.id, line.last)
        return -1 if head is None else head.version

    def _there(self, branch: int | None, key: int | None) -> bool:
        """Say whether a commit is kept."""
        line = None if branch is None else self._lines.get(branch)
        commit = None if line is None or key is None else self._commit(key)
        return line is not None and commit is not None and commit.number <= line.last

    def _allowed(self, line: Line) -> tuple[int, str]:
        """Give the number up to which a branch can be kept by what is kept of the others now, and why."""
        head = self._head(line.id, line.last)
        if head is None:  # husks alone need nothing
            return line.last, ""
        broken = self._broken_start(line)
        if broken:
            return 0, broken
        told = line.told()
        if told.pruned and not all(
            self._root(line, version, digest) for version, digest in told.roots.items()
        ):
            told = told._replace(pruned=0)
        limit, why = line.last, ""
        covered = self._number_at(line, told.pruned)
        for husk in line.husks:
            if covered < husk <= limit:
                limit, why = husk - 1, "the state that its pruned past was folded to can't be proven"
        for need in line.needs:
            pruned = need.seq <= told.pruned
            known = need.there and told.events.get(need.seq, b"") == need.digest
            if need.number <= limit and not (pruned if not need.there else pruned or known):
                limit = need.number - 1
                why = f"what is left of event {need.seq} can't be proven"
        for number, source, version in line.tags:
            if number <= limit and self.reach(source) < version:
                limit, why = number - 1, "a tag names a version that is lost"
        return limit, why

    def _number_at(self, line: Line, pruned: int) -> int:
        """Give the number of the last commit of a pruned past; husks come before it."""
        if not pruned:
            return 0
        low, high = 0, line.last
        while low < high:  # the last commit with this version or an older one
            middle = (low + high + 1) // 2
            head = self._head(line.id, middle)
            low, high = (middle, high) if head is None or head.version <= pruned else (low, middle - 1)
        return low

    def _broken_start(self, line: Line) -> str:
        start = line.start
        if line.id == STORE.id:
            return ""
        if start is None:
            return line.why or "its branch or session is missing"
        if start.origin is None:
            return ""
        parent = None if start.parent is None else self._lines.get(start.parent)
        if (
            parent is None
            or parent.start is None
            or parent.start.session != start.session
            or not self._there(start.origin, row_id(start.origin, start.origin_commit or 0))
        ):
            return "the branch from which it was forked is cut before"
        version = start.parent_version or 0
        while parent.start.parent is not None and version <= (parent.start.parent_version or 0):
            parent = self._lines.get(parent.start.parent)
            if parent is None or parent.start is None:
                return "the branch from which it was forked is cut before"
        if self.reach(parent.id) < version:
            return "the branch from which it was forked is cut before"
        named = start.origin_named
        if named is not None and not self._there(named >> 32, named):
            return "the round from which it was forked is lost"
        return ""
