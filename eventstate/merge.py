"""Three-way merge of two branches, attribute by attribute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from eventstate.errors import CorruptJournalError
from eventstate.history import Round, look
from eventstate.journal.branches import Point
from eventstate.values.delta import MISSING
from eventstate.values.paths import Path, pointer

if TYPE_CHECKING:
    from eventstate.journal.journal import Journal
    from eventstate.journal.records import Branch
    from eventstate.values.codec import Codec


@dataclass(frozen=True, slots=True)
class MergeConflict:
    """An attribute that both branches changed, each to another value; `MISSING` where it is not there."""

    path: Path
    base: Any
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{pointer(self.path)}: {self.base!r} became {self.ours!r} here and {self.theirs!r} there"


Resolver: TypeAlias = Callable[[MergeConflict], Any]


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What came of a merge: the round that it made, or the conflicts for which it made none."""

    round: Round | None
    conflicts: tuple[MergeConflict, ...] = ()

    def __bool__(self) -> bool:
        return self.round is not None


class Unresolved(Exception):  # noqa: N818 - never seen outside: it carries the conflicts out of the write path
    """A merge that stops because of conflicts."""

    def __init__(self, conflicts: list[MergeConflict]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = tuple(conflicts)


class _Step(NamedTuple):
    """A dict that is being merged."""

    path: Path
    base: Any
    ours: Any
    theirs: Any


def merged(
    codec: Codec, base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any], resolve: Resolver | None
) -> dict[Any, Any]:
    """Merge three states; where all three have a dict, its keys are merged one by one.

    Raises:
        Unresolved: there are conflicts and no resolver.
    """
    conflicts: list[MergeConflict] = []

    def choose(step: _Step) -> Any:
        path, old, mine, other = step
        if _same(codec, mine, other) or _same(codec, old, other):
            return mine
        if _same(codec, old, mine):
            return other
        if type(mine) is dict and type(other) is dict and (type(old) is dict or old is MISSING):
            return combine(_Step(path, {} if old is MISSING else old, mine, other))
        conflict = MergeConflict(
            path, *(value if value is MISSING else codec.copy(value) for value in step[1:])
        )
        if resolve is None:
            conflicts.append(conflict)
            return mine
        return resolve(conflict)

    def combine(step: _Step) -> dict[Any, Any]:
        path, old, mine, other = step
        out = {}
        for key in (*mine, *(key for key in other if key not in mine)):
            chosen = choose(_Step((*path, key), *(look(state, (key,)) for state in (old, mine, other))))
            if chosen is not MISSING:
                out[key] = chosen
        return out

    state = choose(_Step((), base, ours, theirs))
    if conflicts:
        raise Unresolved(conflicts)
    return codec.copy(state)  # type: ignore[no-any-return]


def _same(codec: Codec, one: Any, other: Any) -> bool:
    if one is MISSING or other is MISSING:
        return one is other
    return codec.same(one, other)


def common_past(journal: Journal, one: Point, other: Point) -> Point:
    """Find the newest version that both points have in their past, by forks and by earlier merges."""
    reach, others = _reach(journal, one), _reach(journal, other)
    shared = [
        Point(point.branch, min(point.version, others[n].version))
        for n, point in reach.items()
        if n in others
    ]
    if not shared:
        raise CorruptJournalError("two branches of a session that have no past in common")
    # What is in the past of another was written before it, so the last one written is in no other's past.
    return max(shared, key=lambda point: _position(journal, point))


def _reach(journal: Journal, start: Point) -> dict[int, Point]:
    """Find how far the past of a point goes on each branch."""
    found: dict[int, Point] = {}
    stack = [journal.branches.owner(start)]
    while stack:
        point = stack.pop()
        known = found.get(point.branch.id)
        if known is not None and known.version >= point.version:
            continue
        found[point.branch.id] = point
        stack.extend(map(journal.branches.owner, _parents(journal, point)))
    return found


def _parents(journal: Journal, point: Point) -> Iterator[Point]:
    branch: Branch = point.branch
    if branch.parent is not None:
        yield Point(branch.parent, branch.parent_version)
    for source, version in journal.branches.merges(point):
        yield Point(journal.branches.get(source), version)


def _position(journal: Journal, point: Point) -> int:
    commit = journal.branches.commit_of(point)
    return 0 if commit is None else commit.position
