"""A session: the unit of order and consistency, and one branch of it."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Literal, Unpack

from eventstate.checks import check_on_error, check_state, check_text
from eventstate.commits import NO_OPTIONS, CommitKeywords, CommitOptions
from eventstate.editing import LiveRound, editing
from eventstate.errors import AttributeNotFoundError, InvalidStateError, RoundNotFoundError
from eventstate.journal.branches import Point, View
from eventstate.journal.records import ForkPoint
from eventstate.retention import Retention
from eventstate.values.delta import MISSING, Differ, Edit, Place, diff, look
from eventstate.values.paths import Path, as_path, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from eventstate.merge import MergeResult, Resolver
    from eventstate.rounds import Round
    from eventstate.timeline import At
    from eventstate.writer import Opened


class Session(Retention):
    """One branch of a session; made by `StateStore.session`, which writes nothing."""

    def save(self, state: Any, **options: Unpack[CommitKeywords]) -> Round:
        """Make `state` the state, as a new round; only the difference is journaled.

        Args:
            state: a dict, or an instance of the session's model.
            **options: see `CommitOptions`.

        Returns:
            The new round; the latest one if nothing was to be written.

        Raises:
            UnsupportedValueError: the state holds what could not come back exactly.
            InvalidStateError: it is no dict, or not what the model asks for.
            ConflictError: the branch is not at `expected_version`.
        """
        plain = self._dumped(state)
        return self._writer.commit(
            "save", CommitOptions(**options), lambda opened: diff(opened.state, plain, self._journal.codec)
        )

    def round(
        self, *, on_error: Literal["discard", "keep"] = "discard", **options: Unpack[CommitKeywords]
    ) -> LiveRound:
        """Edit the latest state live; the changes are committed as one round when the body ends.

        An exception in the body discards them, and is raised again.

        Args:
            on_error: `"keep"` commits what was done before the exception; the round's kind is
                then `interrupted`.
            **options: see `CommitOptions`.

        Raises:
            ConflictError: the branch moved while the body ran; nothing was written.
        """
        check_on_error(on_error)
        checked = CommitOptions(**options) if options else NO_OPTIONS
        return LiveRound(self._writer, self._model, checked, keep=on_error == "keep")

    def update(self, change: Callable[[Any], object], **options: Unpack[CommitKeywords]) -> Round:
        """Edit the latest state live with `change`, as one round, again on each conflict.

        Args:
            change: gets the live state; it may be called more than once, and its result is not used.
            **options: see `CommitOptions`; with `expected_version` a conflict is not tried again.

        Raises:
            ConflictError: the branch is not at `expected_version`.
        """

        def edits(opened: Opened) -> list[Edit]:
            with editing(opened, self._journal.codec, self._model) as live:
                change(live.root)
                return live.edits()

        return self._writer.commit("update", CommitOptions(**options), edits)

    def note(
        self, name: str, data: Any = None, *, actor: str | None = None, reason: str | None = None
    ) -> int:
        """Journal a fact that changes no state, such as a tool called; inside a round too.

        Returns:
            The version that the note has.
        """
        check_text(name, "name")
        return self._writer.note(name, data, CommitOptions(actor=actor, reason=reason))

    def rollback(
        self, at: At, *, paths: Iterable[Any] | None = None, **options: Unpack[CommitKeywords]
    ) -> Round:
        """Make an earlier state the newest, as a new round; nothing is taken out of the history.

        Args:
            at: what to go back to.
            paths: only these attributes, each a name or a tuple of keys; the others stay. A key that
                comes back stands before the keys that it stood before.
            **options: see `CommitOptions`.

        Raises:
            RoundNotFoundError: there is no such round, tag or moment.
            InvalidStateError: the session's model refuses the state that would come of it.
            AttributeNotFoundError: one of `paths` is neither there nor in the latest state.
        """
        chosen = (
            None
            if paths is None
            else [as_path(path) for path in ([paths] if isinstance(paths, str) else paths)]
        )

        def edits(opened: Opened) -> list[Edit]:
            codec = self._journal.codec
            if chosen is not None and (found := self._changed_back(opened, at, chosen)) is not None:
                return found
            target = self._plain(at)
            if target is None:
                raise RoundNotFoundError(f"{self!r}: no round to go back to")
            if chosen is None:
                return diff(opened.state, self._accepted(target), codec)
            state = codec.copy(opened.latest)
            for path in chosen:
                if look(state, path) is MISSING and look(target, path) is MISSING:
                    raise AttributeNotFoundError(f"{show(path)}: neither at {at!r} nor in the latest state")
                _transplant(state, target, path)
            return diff(opened.state, self._accepted(state), codec)

        return self._writer.commit("rollback", CommitOptions(**options), edits)

    def _changed_back(self, opened: Opened, at: At, paths: list[Path]) -> list[Edit] | None:
        """Give what leads attributes back, if that can be told without the states they stand in.

        It can't if one of them comes or goes, as the order of keys then matters, or stands in another.
        """
        inside = any(one == other[: len(one)] for one, other in itertools.permutations(paths, 2))
        if self._model is not None or opened.head is None or opened.latest is not opened.state or inside:
            return None
        codec, reader = self._journal.codec, self._journal.reader
        differ = Differ(codec, [])
        point = self._writer.timeline(opened.head.branch).resolve(at)
        values = self._steady(lambda _: [reader.value(point, path) for path in paths])
        for path, then in zip(paths, values, strict=True):
            now = look(opened.state, path)
            if now is MISSING or then is MISSING:
                return None
            differ.at_key(Place(path[:-1]), path[-1], now, then)
        return differ.out

    def undo(self, **options: Unpack[CommitKeywords]) -> Round:
        """Take the last round back, as a new round; undoing that brings it back.

        Raises:
            RoundNotFoundError: there is no round.
            InvalidStateError: the session's model refuses the state before it.
        """

        def edits(opened: Opened) -> list[Edit]:
            branch = self._writer.branch()
            commit = self._journal.branches.latest(View(branch))
            if commit is None:
                raise RoundNotFoundError(f"{self!r}: no round to undo")
            point = self._writer.timeline(branch).before(commit)
            target = {} if point is None else self._journal.reader.state(point)
            return diff(opened.state, self._accepted(target), self._journal.codec)

        return self._writer.commit("undo", CommitOptions(**options), edits)

    def fork(
        self,
        name: str,
        at: At | None = None,
        *,
        version: int | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Session:
        """Start a branch at a point of this one, whose past it shares; nothing is copied.

        Raises:
            BranchExistsError: the session has a branch of that name.
            RoundNotFoundError: there is no such point.
        """
        check_text(name, "branch")
        branch = self._writer.branch()
        timeline = self._writer.timeline(branch)
        point, named = timeline.start(at, version)
        start = self._journal.branches.owner(point)
        draft = self._writer.mark("fork", CommitOptions(actor=actor, reason=reason), start)
        fork = ForkPoint(name, start.branch, start.version, timeline.origin(named), named)
        self._writer.append(draft._replace(fork=fork), name)
        return Session(self._journal, self.user_id, self.session_id, name, self._model)

    def merge(
        self, other: Session, resolve: Resolver | None = None, **options: Unpack[CommitKeywords]
    ) -> MergeResult:
        """Bring the other branch's changes since the common past into this one, attribute by attribute.

        Args:
            other: a branch of the same session.
            resolve: gets each `MergeConflict` and gives the value that the attribute shall have,
                or `MISSING` to leave it out. Without it, conflicts are returned and nothing is written.
            **options: see `CommitOptions`.

        Returns:
            The new round, or the conflicts.

        Raises:
            ValueError: `other` is no other branch of this session, or `round_id` is not the latest or later.
            InvalidStateError: the session's model refuses the merged state.
        """
        from eventstate.merge import MergeResult, Unresolved, base_state, merged

        if (other._journal, other.user_id, other.session_id) != (
            self._journal,
            self.user_id,
            self.session_id,
        ):
            raise ValueError(f"{other!r} is no branch of {self!r}")
        if other.branch == self.branch:
            raise ValueError(f"{self!r} can't be merged with itself")
        branches, reader = self._journal.branches, self._journal.reader
        branch, their_branch = self._writer.branch(), other._writer.branch()
        checked = CommitOptions(**options)

        def edits(opened: Opened) -> list[Edit]:
            latest = branches.latest(View(branch))
            if checked.round_id is not None and latest is not None and checked.round_id < (latest.round or 0):
                raise ValueError(
                    f"a merge into round {checked.round_id} would not show: {latest.round} is later"
                )
            point = branches.latest_point(View(their_branch))
            theirs = branches.owner(point if point is not None else Point(their_branch, 0))
            base = base_state(self._journal, Point(branch, opened.version), theirs)
            opened.source = theirs
            states = (base, opened.latest, reader.state(theirs))
            state = self._accepted(merged(self._journal.codec, *states, resolve))
            return diff(opened.state, state, self._journal.codec)

        try:
            return MergeResult(self._writer.commit("merge", checked, edits))
        except Unresolved as stopped:
            return MergeResult(None, stopped.conflicts)

    @contextlib.contextmanager
    def what_if(self, at: At | None = None) -> Iterator[Any]:
        """Try things on a copy of a state, at first an empty one; nothing is journaled.

        Raises:
            RoundNotFoundError: there is no such round, tag or moment.
            InvalidStateError: nothing was saved yet, and the session's model can't be empty.
        """
        state = self.state(at)
        if state is None:
            try:
                state = self._typed({})
            except InvalidStateError as error:
                raise InvalidStateError(f"{self!r}: save a state first: {error}") from error
        yield state

    def tag(
        self,
        name: str,
        at: At | None = None,
        *,
        version: int | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Name a point; the tag stays there whatever comes later.

        Raises:
            BranchExistsError: the tag exists.
            RoundNotFoundError: there is no such point.
        """
        check_text(name, "tag")
        branch = self._writer.branch()
        point = self._journal.branches.owner(self._writer.timeline(branch).start(at, version)[0])
        self._writer.append(
            self._writer.mark("tag", CommitOptions(actor=actor, reason=reason), point)._replace(tag=name)
        )

    def _dumped(self, state: Any) -> dict[Any, Any]:
        if self._model is not None:
            return self._model.dump(state)
        return check_state(state)

    def _accepted(self, state: dict[Any, Any]) -> dict[Any, Any]:
        """Give `state` as it is, if the session's model takes it."""
        if self._model is not None:
            self._model.load(self._journal.codec.copy(state))  # a validator may change what it gets
        return state


def _transplant(state: dict[Any, Any], target: dict[Any, Any], path: Path) -> None:
    """Give the attribute at `path` of `state` the value that it has in `target`, or take it out."""
    value = look(target, path)
    for depth in range(1, len(path)):
        parent = look(state, path[:depth])
        if type(parent) is not dict:
            if value is MISSING:
                return
            _put(state, target, path[:depth], {})
    parent = look(state, path[:-1])
    if value is MISSING:
        parent.pop(path[-1], None)
    else:
        _put(state, target, path, value)


def _put(state: dict[Any, Any], target: dict[Any, Any], path: Path, value: Any) -> None:
    """Set the attribute at `path`; a new key goes before the first of those that follow it in `target`."""
    parent, key = look(state, path[:-1]), path[-1]
    keys = list(parent)
    parent[key] = value
    if len(parent) == len(keys):
        return
    order = list(look(target, path[:-1]))
    follower = next((other for other in order[order.index(key) + 1 :] if other in parent), MISSING)
    for other in keys[keys.index(follower) :] if follower is not MISSING else ():
        parent[other] = parent.pop(other)
