"""What can be read of a session: its state at any point, and how it came about."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from eventstate.checks import check_text
from eventstate.errors import BranchNotFoundError, CorruptJournalError, RoundNotFoundError
from eventstate.journal.branches import Point, View
from eventstate.journal.walk import Walk
from eventstate.values.paths import as_path
from eventstate.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate.history import Blame, Change, Diff, Note
    from eventstate.journal.journal import Journal
    from eventstate.model import StateModel
    from eventstate.rounds import Round
    from eventstate.timeline import At

T = TypeVar("T")


class Past:
    """The reading half of a session.

    Attributes:
        user_id: whose session it is.
        session_id: its name among the user's.
        branch: the name of the branch.
    """

    def __init__(
        self, journal: Journal, user_id: str, session_id: str, branch: str, model: StateModel | None = None
    ) -> None:
        self.user_id = check_text(user_id, "user_id")
        self.session_id = check_text(session_id, "session_id")
        self.branch = check_text(branch, "branch")
        self._journal = journal
        self._model = model
        self._writer = Writer(journal, user_id, session_id, branch)

    def __repr__(self) -> str:
        return f"<Session {self.user_id!r}, {self.session_id!r}, branch {self.branch!r}>"

    @property
    def exists(self) -> bool:
        """Whether anything was ever written to this branch, and the session was not deleted since.

        That can be told without a key.
        """
        try:
            branch = self._writer.locate_branch()
        except BranchNotFoundError:
            return False
        tip = None if branch is None else self._journal.branches.tip(branch)
        return tip is not None and tip.deleted is None

    @property
    def version(self) -> int:
        """The number of the branch's last event or note; 0 if there is none."""
        branch = self._writer.find_branch()
        return 0 if branch is None else self._journal.branches.head(branch).version

    @property
    def latest(self) -> Round | None:
        """The round with the highest number."""
        branch = self._writer.find_branch()
        return None if branch is None else self._writer.timeline(branch).latest()

    def state(self, at: At | None = None, *, version: int | None = None) -> Any:
        """Give a state as the caller's own copy.

        Args:
            at: a round's number, a tag, a moment (with a time zone: as it was then) or a `Round`.
            version: any version, between two rounds too.

        Returns:
            The latest state without arguments; `None` if there is none yet, or the session was deleted.

        Raises:
            RoundNotFoundError: there is no such round, tag, moment or version.
        """
        return self._typed(self._plain(at, version))

    def _plain(self, at: At | None = None, version: int | None = None) -> Any:
        branch = self._writer.find_branch()
        if at is None and version is None:
            branches = self._journal.branches
            tip = None if branch is None else branches.tip(branch)
            if branch is None or tip is None or tip.deleted is not None:
                return None
            if not tip.is_latest and branches.latest_point(View(branch)) is None:
                return None
            if tip.is_latest:
                # If it was removed just now, what follows tells.
                with contextlib.suppress(CorruptJournalError, RoundNotFoundError):
                    state = self._journal.glance(branch, tip)
                    if state is not None:
                        return state
            opened = self._writer.open()
            try:
                return self._journal.codec.copy(opened.latest)
            finally:
                self._writer.close(opened)
        if branch is None:
            raise RoundNotFoundError(f"{self._writer.title}: nothing was written yet")
        timeline, reader = self._writer.timeline(branch), self._journal.reader
        return self._steady(lambda epoch: reader.state(timeline.resolve(at, version), epoch))

    def _steady(self, read: Callable[[int], T]) -> T:
        """Read, given the epoch, and again if something was removed meanwhile."""
        while True:
            epoch = self._journal.branches.epoch()
            try:
                return read(epoch)
            except (CorruptJournalError, RoundNotFoundError):
                if self._journal.branches.epoch() == epoch:
                    raise

    def _typed(self, state: Any) -> Any:
        return state if self._model is None or state is None else self._model.load(state)

    def committed(self, commit_id: str) -> Round | None:
        """Find the round of the commit with an id that its writer gave; `None` if there is none.

        So a writer that was interrupted finds out whether its commit was made.
        """
        check_text(commit_id, "commit_id")
        branch = self._writer.find_branch()
        found = None if branch is None else self._journal.branches.find_commit(branch, commit_id)
        return None if branch is None or found is None else self._writer.timeline(branch).describe(found)

    def rounds(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[Round]:
        """Walk the rounds from number `start` to before `stop`, at most `limit` of them."""
        branch = self._writer.find_branch()
        if branch is None:
            return
        for count, (turn, _) in enumerate(self._writer.timeline(branch).rounds(start, stop, reverse=reverse)):
            if limit is not None and count >= limit:
                return
            yield turn

    def replay(self, start: int | None = None, stop: int | None = None) -> Iterator[tuple[Round, Any]]:
        """Walk the rounds with their states; the whole walk folds each event once.

        Each state is the caller's own.
        """
        branch = self._writer.find_branch()
        if branch is None:
            return
        journal = self._journal
        walk = Walk(journal.reader, journal.branches)
        for turn, commit in self._writer.timeline(branch).rounds(start, stop):
            state = walk.to(journal.branches.point(commit))
            yield turn, self._typed(journal.codec.copy(state))

    def history(self, attribute: Any) -> list[Change]:
        """List every change of an attribute, oldest first; the values are folded when looked at.

        Args:
            attribute: a top-level key, or a tuple of keys.
        """
        from eventstate.history import History

        branch = self._writer.find_branch()
        if branch is None:
            return []
        path, history = as_path(attribute), History(self._journal, branch)
        return self._steady(lambda _: history.attribute(path, self.version))

    def notes(self, name: str | None = None, *, after: int = 0) -> Iterator[Note]:
        """Walk the notes after a version, or those of one name, oldest first."""
        from eventstate.history import History

        branch = self._writer.find_branch()
        if branch is not None:
            yield from History(self._journal, branch).notes(after, self.version, name)

    def blame(self) -> Blame:
        """Tell for each attribute of what was written last, by path, the change that last set it."""
        from eventstate.history import Blame, History

        branch = self._writer.find_branch()
        if branch is None:
            return Blame()
        journal = self._journal

        def read(_: int) -> Blame:
            version = journal.branches.head(branch).version
            state = journal.reader.state(Point(branch, version))
            return History(journal, branch).blame(state, version)

        return self._steady(read)

    def diff(self, one: At, other: At) -> Diff:
        """Compare the states at two points.

        Raises:
            RoundNotFoundError: one of them is not there.
        """
        from eventstate.history import Diff

        return Diff(self._plain(one), self._plain(other), self._journal)

    def bisect(self, predicate: Callable[[Any], bool]) -> Round | None:
        """Find the first round whose state makes `predicate` false, if it is true before that.

        It folds as many states as the number of rounds has binary digits.
        """
        turns = list(self.rounds())
        low, high = 0, len(turns)
        while low < high:
            middle = (low + high) // 2
            if predicate(self.state(turns[middle])):
                low = middle + 1
            else:
                high = middle
        return turns[low] if low < len(turns) else None

    def tags(self) -> dict[str, int]:
        """Give the tags with the versions that they name."""
        branch = self._writer.find_branch()
        if branch is None:
            return {}
        return {name: point.version for name, point in self._journal.branches.tags(View(branch)).items()}

    def branches(self) -> list[str]:
        """List the session's branches in the order of their making."""
        session = self._journal.branches.session(self.user_id, self.session_id)
        return [] if session is None else self._journal.branches.names(session)
