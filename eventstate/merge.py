"""Three-way merge of two branches, attribute by attribute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from eventstate.errors import CorruptJournalError
from eventstate.journal.branches import Point
from eventstate.values.delta import MISSING, Missing
from eventstate.values.paths import Path, pointer

if TYPE_CHECKING:
    from eventstate.journal.journal import Journal
    from eventstate.journal.records import Branch
    from eventstate.rounds import Round
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


_DISPUTED: Final = object()
"""What an attribute was in a past on which both sides disagree already: nothing that either has now."""


def merged(
    codec: Codec, base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any], resolve: Resolver | None
) -> dict[Any, Any]:
    """Merge three states; where all three have a dict, its keys are merged one by one.

    Raises:
        Unresolved: there are conflicts and no resolver.
    """
    conflicts: list[MergeConflict] = []

    def settle(path: Path, *values: Any) -> Any:
        base, mine, other = (value if isinstance(value, Missing) else codec.copy(value) for value in values)
        conflict = MergeConflict(path, base, mine, other)
        if resolve is None:
            conflicts.append(conflict)
            return mine
        return resolve(conflict)

    state = _Merge(codec, settle).values((), base, ours, theirs)
    if conflicts:
        raise Unresolved(conflicts)
    return codec.copy(state)  # type: ignore[no-any-return]


class _Merge:
    """Merges values; `settle` says what becomes of an attribute that both sides changed."""

    def __init__(self, codec: Codec, settle: Callable[..., Any]) -> None:
        self._codec = codec
        self._settle = settle

    def values(self, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        if _same(self._codec, ours, theirs) or _same(self._codec, base, theirs):
            return ours
        if _same(self._codec, base, ours):
            return theirs
        if type(ours) is dict and type(theirs) is dict and (type(base) is dict or base is MISSING):
            return self.dicts(path, {} if base is MISSING else base, ours, theirs)
        return self._settle(path, MISSING if base is _DISPUTED else base, ours, theirs)

    def dicts(self, path: Path, *states: dict[Any, Any]) -> dict[Any, Any]:
        # By their bytes: `1` and `True` are two keys, though Python's dicts take one for the other.
        named = [{self._codec.encode(key): key for key in state} for state in states]
        _, ours, theirs = named
        out: dict[Any, Any] = {}
        for name, key in {**ours, **theirs}.items():
            values = (
                state[names[name]] if name in names else MISSING
                for names, state in zip(named, states, strict=True)
            )
            chosen = self.values((*path, key), *values)
            if chosen is not MISSING:
                out[key] = chosen
        return out


def _same(codec: Codec, one: Any, other: Any) -> bool:
    if one is MISSING or other is MISSING or one is _DISPUTED or other is _DISPUTED:
        return one is other
    return codec.same(one, other)


def base_state(journal: Journal, one: Point, other: Point) -> dict[Any, Any]:
    """Give the state that both points come from.

    After merges in both directions there can be several newest versions in the past of both. They are
    merged first, as git's recursive strategy does; what they disagree on is then as if both had changed it.
    """
    first, *more = common_pasts(journal, one, other)
    state = journal.reader.state(first)
    merging = _Merge(journal.codec, lambda *_: _DISPUTED)
    for point in more:
        state = merging.dicts((), base_state(journal, first, point), state, journal.reader.state(point))
    return state


def common_pasts(journal: Journal, one: Point, other: Point) -> list[Point]:
    """Find the newest versions that both points have in their past, by forks and by earlier merges."""
    reach, others = _reach(journal, one), _reach(journal, other)
    shared = [
        Point(point.branch, min(point.version, others[n].version))
        for n, point in reach.items()
        if n in others
    ]
    if not shared:
        raise CorruptJournalError("two branches of a session that have no past in common")
    pasts = [_reach(journal, point) for point in shared]
    newest = [
        point
        for point in shared
        if not any(
            past.get(point.branch.id, point).version >= point.version and point.branch.id in past
            for past, end in zip(pasts, shared, strict=True)
            if end is not point
        )
    ]
    return sorted(newest, key=lambda point: _position(journal, point), reverse=True)


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
    merges = journal.branches.merges(point)
    there = journal.branches.ids(branch.session) if merges else []
    for source, version in merges:
        if source in there:  # else a salvage had to leave it out
            yield Point(journal.branches.get(source), version)


def _position(journal: Journal, point: Point) -> int:
    commit = journal.branches.commit_of(point)
    return 0 if commit is None else commit.position
