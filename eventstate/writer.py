"""How every change of a branch is made: read the newest state, find the edits, append, or try again."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from eventstate.errors import (
    BranchNotFoundError,
    ConflictError,
    CorruptJournalError,
    InvalidStateError,
    RoundNotFoundError,
    SessionDeletedError,
)
from eventstate.group import Attempt, Noting, commit_all
from eventstate.journal.append import MAIN, Appended, Request
from eventstate.journal.branches import Point, View
from eventstate.journal.records import Branch, Commit, Draft, Event
from eventstate.timeline import Timeline, described
from eventstate.values.delta import Edit, Op, apply, copied, diff

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.commits import CommitOptions
    from eventstate.journal.heads import Head
    from eventstate.journal.journal import Journal
    from eventstate.journal.newest import Tip
    from eventstate.rounds import Round

REACHING: Final = frozenset({"merge", "rollback", "undo"})
"""Kinds whose events are made of what stands at other points, too."""


class Opened:
    """A branch's newest state, taken for one writer, who may read it but not change it."""

    __slots__ = ("accept", "deleted", "head", "highest", "latest", "source", "state", "version")

    def __init__(
        self,
        head: Head | None,
        version: int,
        state: dict[Any, Any],
        latest: dict[Any, Any],
        highest: int | None = None,
        *,
        deleted: bool = False,
    ) -> None:
        self.head = head
        """`None` if nothing was ever written, and after the head was given back."""
        self.version = version
        self.state = state
        """What the next events follow on."""
        self.latest = latest
        """What the latest round names: mostly `state` itself, but not after a round that was written late."""
        self.highest = highest
        """The number of the latest round, if its commit is the branch's last."""
        self.source: Point | None = None
        """For a merge: what is merged."""
        self.deleted = deleted
        self.accept: Callable[[], None] | None = None
        """Brings `state` to where the last edits that were made of it lead, once these are drafted."""


class Writer:
    """Writes to one branch of one session."""

    def __init__(self, journal: Journal, user_id: str, session_id: str, branch: str) -> None:
        self.journal = journal
        self.names = (user_id, session_id, branch)
        self._branch: Branch | None = None
        self._open: list[Opened] = []

    @property
    def title(self) -> str:
        """The branch in words, for messages."""
        user_id, session_id, branch = self.names
        return f"session {user_id!r}, {session_id!r}" + (f", branch {branch!r}" if branch != MAIN else "")

    def find_branch(self) -> Branch | None:
        """Give the branch; `None` if it is the first and nothing was written yet.

        Raises:
            BranchNotFoundError: another branch, which is not there.
            KeyNotFoundError: the session is encrypted, and there is no key.
            EncryptionError: there is a key, and the session is not encrypted.
        """
        branch, cipher = self._branch or self.locate_branch(), self.journal.cipher
        if branch is not None and (cipher.keys is not None or branch.sealed is not None):
            # Asked each time, as keys may be destroyed.
            user_id, session_id, _ = self.names
            cipher.check(user_id, session_id, encrypted=branch.sealed is not None)
        return branch

    def locate_branch(self) -> Branch | None:
        """Give the branch as `find_branch` does, without a look at keys.

        Raises:
            BranchNotFoundError: another branch, which is not there.
        """
        if self._branch is None:
            user_id, session_id, name = self.names
            session = self.journal.branches.session(user_id, session_id)
            found = None if session is None else self.journal.branches.find(session, name)
            if found is None and name != MAIN:
                raise BranchNotFoundError(f"{self.title}: no such branch")
            self._branch = found
        return self._branch

    def branch(self, *, keyed: bool = True) -> Branch:
        """Give the branch.

        Args:
            keyed: whether keys are looked at, as `find_branch` does.

        Raises:
            RoundNotFoundError: nothing was written yet.
        """
        branch = self.find_branch() if keyed else self.locate_branch()
        if branch is None:
            raise RoundNotFoundError(f"{self.title}: nothing was written yet")
        return branch

    def timeline(self, branch: Branch) -> Timeline:
        """Give what resolves the branch's rounds and tags."""
        return Timeline(self.journal, branch, self.title)

    def open(self) -> Opened:
        """Take the newest state; `close` gives it back."""
        branch = self.find_branch()
        if branch is None:
            nothing: dict[Any, Any] = {}
            opened = Opened(None, 0, nothing, nothing)
            self._open.append(opened)
            return opened
        while True:
            tip = self.journal.branches.tip(branch)
            if tip is None:
                raise self.journal.branches.gone(branch)
            try:
                opened = self._opened(branch, tip)
            except (CorruptJournalError, RoundNotFoundError):  # it may have been removed while it was read
                if self.journal.branches.epoch() == tip.epoch:
                    raise
            else:
                self._open.append(opened)
                return opened

    def _opened(self, branch: Branch, tip: Tip) -> Opened:
        """Take the state at a branch's last commit.

        Raises:
            RoundNotFoundError: it was pruned since the commit was read.
            CorruptJournalError: it was purged since, or is damaged.
        """
        head = self.journal.take_head(branch, tip)
        try:
            latest = head.state if tip.is_latest else self._latest(head)
        except BaseException:
            self.journal.put_head(head)
            raise
        highest = tip.commit.round if tip.is_latest else None
        deleted = tip.deleted is not None
        return Opened(head, head.commit.version, head.state, latest, highest, deleted=deleted)

    def _latest(self, head: Head) -> dict[Any, Any]:
        """Give what the latest round names: the head's own state, unless another was written after it."""
        point = self.journal.branches.latest_point(View(head.branch, head.commit.number))
        return head.state if point is None or self._is_head(point, head) else self.journal.reader.state(point)

    def _is_head(self, point: Point, head: Head) -> bool:
        """Say whether nothing but notes was written after `point`."""
        version = self.journal.branches.version_on(head.branch, point)
        return version is not None and (
            version == head.commit.version
            or not self.journal.reader.changed(head.branch, version, head.commit.version)
        )

    def close(self, opened: Opened) -> None:
        """Give the state back; a second time does nothing."""
        if opened in self._open:
            self._open.remove(opened)
        if opened.head is not None:
            self.journal.put_head(opened.head)
            opened.head = None

    def commit(
        self,
        kind: str,
        options: CommitOptions,
        make: Callable[[Opened], list[Edit]],
        *,
        given: bool = False,
    ) -> Round:
        """Commit the edits that `make` gives for the newest state, again as long as another writer is faster.

        Args:
            kind: of the commit.
            options: of the commit.
            make: gives the edits.
            given: whether they are somebody else's; see `Attempt`.

        Raises:
            ConflictError: the branch is not at `options.expected_version`.
        """
        job = Attempt(self, kind, options, make, given=given)
        commit_all(self.journal, [job])
        made: Round = job.outcome()
        return made

    def expect(self, opened: Opened, options: CommitOptions) -> None:
        """Raise unless the branch can be written by a writer who saw that version, or made the commit before.

        Raises:
            ConflictError: it has another version.
            SessionDeletedError: the session was deleted.
        """
        if opened.deleted:
            raise SessionDeletedError(f"{self.title}: deleted; restore it before anything is written")
        expected = options.expected_version
        if expected is None or expected == opened.version:
            return
        if self._seen(opened, options) is not None:
            return
        raise ConflictError(
            f"{self.title}: expected version {expected}, but it is at {opened.version}",
            expected=expected,
            actual=opened.version,
        )

    def finish(self, kind: str, options: CommitOptions, opened: Opened, edits: list[Edit]) -> Round:
        """Commit `edits`, which follow on the opened state, as a round."""
        if options.if_changed and not self.changes(opened, edits):
            named = self.named(options, opened)
            if named is not None:
                return named
        draft = self.draft(kind, options, opened, edits)
        return self.settle(opened, draft, self.append(draft))

    def draft(self, kind: str, options: CommitOptions, opened: Opened, edits: list[Edit]) -> Draft:
        """Give the commit that brings `edits` to the opened state; they are encoded at once."""
        if not edits and (opened.latest is not opened.state or opened.source is not None):
            # The latest round comes to name another state, or the branch has another one in its past,
            # and no event says so: the version has to.
            edits = [Edit((), Op.ORDER, list(opened.state))]
        events = tuple(map(self.journal.events.encode, edits))
        draft = options.draft(self.journal, kind, events, opened.version)
        if kind in REACHING and opened.head is not None:
            draft = draft._replace(epoch=opened.head.epoch)
        if opened.source is not None:
            draft = draft._replace(source=opened.source.branch.id, source_version=opened.source.version)
        return draft

    def settle(self, opened: Opened, draft: Draft, appended: Appended, *, folded: bool = False) -> Round:
        """Bring the opened state to the commit that was made of `draft`, give it back, and tell the round.

        Args:
            opened: the state.
            draft: what was to be written.
            appended: what was.
            folded: whether the state has the draft in it already.
        """
        if appended.fresh and opened.head is None:
            self.journal.begin_head(appended, draft)
        elif appended.fresh and opened.head is not None:
            head, opened.head = opened.head, None
            if not folded:
                self.journal.bring(head, draft, opened.accept)
            self.journal.advance_head(head, appended)
        return self.told(draft, appended)

    def told(self, draft: Draft, appended: Appended) -> Round:
        """Tell the round that a commit named."""
        if appended.fresh and draft.events:  # nobody can have given it a tag
            return described(self.journal, appended.branch, appended.commit, ())
        return self.timeline(appended.branch).describe(appended.commit)

    def named(self, options: CommitOptions, opened: Opened) -> Round | None:
        """Tell the round that stands for a commit without changes; `None` if nothing was written yet."""
        named = self._seen(opened, options) or self.journal.branches.latest(View(self.branch()))
        return None if named is None else self.timeline(self.branch()).describe(named)

    def _seen(self, opened: Opened, options: CommitOptions) -> Commit | None:
        """Find the commit that was made before with the same id."""
        if opened.head is None or options.commit_id is None:
            return None
        return self.journal.branches.find_commit(opened.head.branch, options.commit_id)

    def changes(self, opened: Opened, edits: list[Edit]) -> bool:
        """Say whether `edits`, brought to the opened state, give another one than the latest round's."""
        if opened.head is None or opened.latest is opened.state:
            return bool(edits) or opened.head is None
        return not self.journal.codec.same(self._edited(opened.state, edits), opened.latest)

    def _edited(self, state: dict[Any, Any], edits: list[Edit]) -> dict[Any, Any]:
        """Give a state as edits make it, sharing nothing with either.

        Raises:
            InvalidStateError: they do not fit it.
        """
        codec = self.journal.codec
        state = codec.copy(state)
        try:
            for edit in edits:
                apply(state, copied(edit, codec))
        except CorruptJournalError as error:
            raise InvalidStateError(f"{self.title}: edits that do not fit the state: {error}") from error
        return state

    def write(self, kind: str, options: CommitOptions, base: int, edits: list[Edit]) -> Round:
        """Commit edits that follow on the latest state as it was at version `base`.

        Notes that came after it do not matter.

        Raises:
            ConflictError: the state was changed since.
            InvalidStateError: the edits do not fit it.
        """
        return self.commit(kind, options, functools.partial(self.rebased, base, edits), given=True)

    def rebased(self, base: int, edits: list[Edit], opened: Opened) -> list[Edit]:
        """Give edits that follow on the latest state at `base` as such of the opened state.

        Raises:
            ConflictError: the state was changed since.
        """
        head, version, reader = opened.head, opened.version, self.journal.reader
        if base != version and (
            head is None
            or base > version
            or reader.changed(head.branch, base, version)
            or reader.erased(head.branch, base, version)
        ):
            message = f"{self.title}: expected version {base}, but it is at {version}"
            raise ConflictError(message, expected=base, actual=version)
        if opened.latest is opened.state:
            return edits
        return diff(opened.state, self._edited(opened.latest, edits), self.journal.codec)

    def note(self, name: str, data: Any, options: CommitOptions) -> int:
        """Append a note; writers that have the branch open go on as if it had been there before."""
        job = Noting(self, self.note_draft(name, data, options))
        commit_all(self.journal, [job])
        version: int = job.outcome()
        return version

    def note_draft(self, name: str, data: Any, options: CommitOptions) -> Draft:
        """Give the commit that journals a note."""
        value = self.journal.codec.encode_stored([name, data], ("note",))
        draft = options.draft(self.journal, "note", (Event(Op.NOTE, b"", value),), 0)
        return draft._replace(base=None, auto_round=False)

    def noted(self, appended: Appended) -> int:
        """Let writers that have the branch open go on after a note; give its version."""
        version = appended.commit.version
        for opened in tuple(self._open):
            if opened.version == version - 1:
                opened.version = version
        return version

    def mark(self, kind: str, options: CommitOptions, point: Point) -> Draft:
        """Draft a commit that refers to a point and has neither events nor a round."""
        draft = options.draft(self.journal, kind, (), 0)
        return draft._replace(
            base=None, auto_round=False, source=point.branch.id, source_version=point.version
        )

    def append(self, draft: Draft, branch: str | None = None) -> Appended:
        """Append to this branch, or make the first commit of the new one named `branch`."""
        user_id, session_id, name = self.names
        appended = self.journal.appender.append(user_id, session_id, branch or name, draft, self._branch)
        if branch is None:
            self.learn(appended)
        self.journal.removals.tidy()
        return appended

    def request(self, draft: Draft, *, follows: bool = False) -> Request:
        """Give what the journal needs to append a draft to this branch.

        Args:
            draft: the commit to be.
            follows: whether it was planned to follow on others that are appended at the same time.
        """
        return Request(*self.names, draft, self._branch, follows)

    def learn(self, appended: Appended) -> None:
        """Remember the branch that came into being with its first commit."""
        if self._branch is None:
            self._branch = appended.branch
