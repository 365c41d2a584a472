"""What a session's past is told in: commits, notes, changes and differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, overload

from eventstate.journal.append import moment
from eventstate.journal.branches import Point
from eventstate.journal.origins import Origins
from eventstate.values.delta import MISSING, Edit, Op, apply, diff, look
from eventstate.values.paths import Path, pointer

if TYPE_CHECKING:
    from datetime import datetime

    from eventstate.journal.journal import Journal
    from eventstate.journal.records import Branch
    from eventstate.journal.records import Commit as CommitRow

Values = tuple[Any, Any]

_AHEAD: Final = 64  # events that are read at one time, at most


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction on one branch, as consumers of the store's feed see it."""

    position: int
    user_id: str
    session_id: str
    branch: str
    version: int
    events: int
    round: int | None
    kind: str
    tag: str | None
    actor: str | None
    reason: str | None
    commit_id: str | None
    metadata: dict[str, Any] = field(hash=False)
    recorded_at: datetime
    hash: str = field(repr=False)
    sealed: bool = False
    """Whether there are `actor`, `reason` or `metadata`, but no key to read them with."""


@dataclass(frozen=True, slots=True)
class Note:
    """A fact that was journaled without a change of state."""

    seq: int
    name: str
    data: Any = field(hash=False)
    recorded_at: datetime
    actor: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One change of one attribute.

    In a difference between two points it belongs to no single event: `seq`, `round`,
    `recorded_at`, `actor` and `reason` are `None`.
    """

    seq: int | None
    round: int | None
    recorded_at: datetime | None
    actor: str | None
    reason: str | None
    path: Path
    op: str
    _values: Callable[[], Values] = field(repr=False)

    @property
    def before(self) -> Any:
        """The value before the change, folded when asked for; `MISSING` if there was none."""
        return self._values()[0]

    @property
    def after(self) -> Any:
        """The value after the change, folded when asked for; `MISSING` if there is none."""
        return self._values()[1]

    def __str__(self) -> str:
        where = pointer(self.path) or "(order of keys)"
        if self.op == "order":
            return f"* {where}"
        before, after = self._values()
        if before is MISSING:
            return f"+ {where}: {after!r}"
        if after is MISSING:
            return f"- {where}: {before!r}"
        return f"~ {where}: {before!r} -> {after!r}"


class Diff(Sequence[Change]):
    """The changes that lead from one state to another, one for each attribute that differs."""

    def __init__(self, before: dict[Any, Any], after: dict[Any, Any], journal: Journal) -> None:
        self._before = before
        self._codec = journal.codec
        self.edits: list[Edit] = diff(before, after, journal.codec)
        """What turns the one into the other, to be applied in order."""
        ops: dict[bytes, tuple[Path, Op]] = {}
        for edit in self.edits:
            ops[journal.events.path_bytes(edit.path)] = (edit.path, edit.op)
        self._changes = [
            Change(
                None,
                None,
                None,
                None,
                None,
                path,
                op.name.lower(),
                _pair(look(before, path), look(after, path)),
            )
            for path, op in ops.values()
        ]

    def to_json_patch(self) -> list[dict[str, Any]]:
        """Give the difference as a JSON Patch (RFC 6902), for the JSON form of the states."""
        from eventstate.values.patch import json_patch

        return json_patch(self._before, self.edits, self._codec)

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> list[Change]: ...
    def __getitem__(self, index: int | slice) -> Change | list[Change]:
        return self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self._changes)) or "(no difference)"

    def __repr__(self) -> str:
        return f"<Diff of {len(self)} changes: {', '.join(pointer(change.path) for change in self._changes)}>"


class Blame(dict[Any, Change]):
    """Each attribute's path with the change that last set it; a plain name finds a top-level attribute."""

    def __missing__(self, key: Any) -> Change:
        if isinstance(key, tuple):
            raise KeyError(key)
        return self[(key,)]


class History:
    """Reads what happened to attributes along one branch's lineage."""

    def __init__(self, journal: Journal, branch: Branch) -> None:
        self._journal = journal
        self._branch = branch

    def attribute(self, path: Path, upto: int) -> list[Change]:
        """List the changes of an attribute, or of what is below it, oldest first."""
        found, fold = self._attribute(path, upto)
        changes = []
        commits = _Commits(self._journal).of_all([(owner, seq) for owner, seq, _, _ in found])
        for (index, (_, seq, op, where)), commit in zip(enumerate(found), commits, strict=True):
            target = where if len(where) > len(path) else path
            values = fold.lookup(index, target)
            if len(where) < len(path) and self._journal.codec.same(*map(_hide_missing, values())):
                continue  # what the attribute stands in was set anew, with the same value here
            changes.append(_change(commit, seq, target, op.name.lower(), values))
        return changes

    def notes(self, after: int, upto: int, name: str | None) -> Iterator[Note]:
        """Walk the notes after one version up to another, or those of one name, oldest first."""
        commits = _Commits(self._journal)
        for owner, seq, event in self._journal.reader.notes(self._branch, after, upto):
            title, data = self._journal.events.note(event)
            if name is None or title == name:
                commit = commits.of(owner, seq)
                yield Note(seq, title, data, moment(commit.recorded_at), commit.actor, commit.reason)

    def blame(self, state: dict[Any, Any], upto: int) -> Blame:
        """Find, for each attribute of `state`, the event that last set it."""
        last: dict[bytes, tuple[int, Branch, Op]] = {}
        encode = self._journal.events.path_bytes
        start = self._journal.reader.start(self._branch, upto)
        root = start, self._journal.branches.owner(Point(self._branch, start)).branch, Op.SET
        for owner, seq, op, path in self._journal.reader.paths(self._branch, start, upto):
            if op < Op.ORDER:
                last[encode(path)] = (seq, owner, op)
                if op == Op.DELETE and len(path) > 1:  # it may have left its dict empty
                    last[encode(path[:-1]) + b"\xc1"] = (seq, owner, op)
        commits = _Commits(self._journal)
        found = Blame()
        for path, empty in leaves(state):
            prefixes = [encode(path[:depth]) for depth in range(1, len(path) + 1)]
            if empty:
                prefixes.append(prefixes[-1] + b"\xc1")
            told = (last[p] for p in prefixes if p in last)
            seq, owner, op = max(told, key=lambda item: item[0], default=root)
            values = self._values_at(path, seq)
            found[path] = _change(commits.of(owner, seq), seq, path, op.name.lower(), values)
        return found

    def _values_at(self, path: Path, seq: int) -> Callable[[], Values]:
        def values() -> Values:
            found, fold = self._attribute(path, seq)
            if not found:  # of a pruned past, in which what it was before is not known
                after = look(self._journal.reader.state(Point(self._branch, seq)), path)
                return MISSING, after
            return fold.values(len(found) - 1, path)

        return values

    def _attribute(self, path: Path, upto: int) -> tuple[list[tuple[Branch, int, Op, Path]], _AttributeFold]:
        reader = self._journal.reader
        start = reader.start(self._branch, upto)
        found = list(reader.attribute(self._branch, start, upto, path))
        events = [(owner, seq) for owner, seq, _, _ in found]
        return found, _AttributeFold(self._journal, Point(self._branch, start), events)


class _AttributeFold:
    """Folds only the events that touch one attribute; walking its changes in order folds each once."""

    def __init__(self, journal: Journal, start: Point, events: list[tuple[Branch, int]]) -> None:
        self._journal = journal
        self._start = start
        self._events = events
        self._state: dict[Any, Any] | None = None
        self._done = 0
        self._seen: tuple[int, Values] | None = None
        self._ahead: list[Edit] = []  # of the next events, the last one first
        self._size = 1
        self._stamp: int | None = None
        self._epoch = 0

    def lookup(self, index: int, path: Path) -> Callable[[], Values]:
        return lambda: self.values(index, path)

    def values(self, index: int, path: Path) -> Values:
        stamp = self._journal.connection.stamp()
        if stamp is None or stamp != self._stamp:
            self._stamp, epoch = stamp, self._journal.branches.epoch()
            if epoch != self._epoch:  # payloads were removed: they may be in what was folded
                self._state = self._seen = None
                self._epoch = epoch
        if self._seen is None or self._seen[0] != index:  # who reads `before` mostly reads `after` next
            before = self._copy(look(self._at(index), path))
            self._seen = index, (before, self._copy(look(self._at(index + 1), path)))
        return self._copy(self._seen[1][0]), self._copy(self._seen[1][1])

    def _copy(self, value: Any) -> Any:
        return value if value is MISSING else self._journal.codec.copy(value)

    def _at(self, count: int) -> dict[Any, Any]:
        if self._state is None or count < self._done:
            start = self._start
            self._state, self._done = self._journal.reader.state(start) if start.version else {}, 0
            self._ahead, self._size = [], 1
        while self._done < count:
            if not self._ahead:
                self._read(count - self._done)
            apply(self._state, self._ahead.pop())
            self._done += 1
        return self._state

    def _read(self, wanted: int) -> None:
        """Read the next events of a branch: those that are wanted, and more the longer it goes on."""
        owner, _ = self._events[self._done]
        some = self._events[self._done : self._done + min(max(wanted, self._size), _AHEAD)]
        seqs = [seq for _, seq in itertools.takewhile(lambda event: event[0].id == owner.id, some)]
        self._ahead = self._journal.reader.edits(owner, seqs)[::-1]
        self._size *= 2


class _Commits:
    """Finds the commits of events that are asked for in order; their actor and reason are in the clear."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._origins = Origins(journal.connection, journal.branches)
        self._told: CommitRow | None = None  # the one that was decrypted last

    def of(self, owner: Branch, seq: int) -> CommitRow:
        return self._clear(owner, self._origins.of(owner, seq))

    def of_all(self, events: list[tuple[Branch, int]]) -> Iterator[CommitRow]:
        for _, run in itertools.groupby(events, key=lambda event: event[0].id):
            own = list(run)
            owner = own[0][0]
            for commit in self._origins.of_all(owner, [seq for _, seq in own]):
                yield self._clear(owner, commit)

    def _clear(self, owner: Branch, commit: CommitRow) -> CommitRow:
        if owner.sealed is None or commit.metadata is None:
            return commit
        if self._told is None or self._told.id != commit.id:  # once for all events of the commit
            told = self._journal.told(owner, commit)
            self._told = commit._replace(actor=told.actor, reason=told.reason, metadata=None)
        return self._told


def leaves(state: dict[Any, Any]) -> Iterator[tuple[Path, bool]]:
    """Walk the attributes of a state that hold no further ones: `(path, whether it is an empty dict)`."""
    stack: list[tuple[Path, Any]] = [((key,), value) for key, value in reversed(state.items())]
    while stack:
        path, value = stack.pop()
        if type(value) is dict and value:
            stack.extend(((*path, key), child) for key, child in reversed(value.items()))
        else:
            yield path, type(value) is dict


def _change(commit: CommitRow, seq: int, path: Path, op: str, values: Callable[[], Values]) -> Change:
    return Change(
        seq, commit.round, moment(commit.recorded_at), commit.actor, commit.reason, path, op, values
    )


def _pair(before: Any, after: Any) -> Callable[[], Values]:
    return lambda: (before, after)


def _hide_missing(value: Any) -> Any:
    return (value,) if value is not MISSING else ()
