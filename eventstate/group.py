"""Commits that are made together: in one transaction, with one fsync, and each whole by itself.

First all are planned, without a lock: a plan reads what stands in the file, and what the plans before it
leave of it. Then they are appended, each in a savepoint. What was planned on a commit that came to nothing
conflicts there, and is planned again, as is what lost against another process.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from eventstate.errors import ConflictError, CorruptJournalError, InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from eventstate.commits import CommitOptions
    from eventstate.journal.append import Appended, Request
    from eventstate.journal.journal import Journal
    from eventstate.journal.records import Draft
    from eventstate.rounds import Round
    from eventstate.values.delta import Edit
    from eventstate.writer import Opened, Writer

_EAGER: Final = 3
_PAUSE: Final = 0.001
_MAX_PAUSE: Final = 0.05


class Line:
    """A branch while commits are planned on it: the state, as the ones before leave it."""

    __slots__ = ("_last", "_owner", "_tried", "ahead", "closed", "noted", "opened", "planned", "queued")

    def __init__(self) -> None:
        self.opened: Opened | None = None
        self.planned = 0
        """How many commits the next one would follow on that are not in the file yet."""
        self.noted: list[Writer] = []
        """Who made those of them that are notes, one each."""
        self.closed = False
        """Whether no state can be told on it before those are in the file."""
        self.queued = False
        """Whether a commit waits for that, and with it those that were asked for later."""
        self.ahead = False
        """Whether the state has more in it than the file."""
        self._owner: Writer | None = None
        self._last: Draft | None = None
        self._tried: Draft | None = None

    @property
    def changing(self) -> bool:
        """Whether the next commit would follow on others than notes that are not in the file yet."""
        return self.planned > len(self.noted)

    def advance(self, writer: Writer) -> Opened | None:
        """Give the state that the next commit follows on; `None` if that can't be told yet."""
        if self.opened is None:
            self._owner, self.opened = writer, writer.open()
            self.opened.version += len(self.noted)
        elif self._last is not None:
            if self.opened.head is None:  # the session comes into being with the one before
                return None
            if not self.has_tried(self._last):
                writer.journal.bring(self.opened.head, self._last, self.opened.accept)
            self.opened.accept = None
            self.opened.latest = self.opened.state
            self.opened.highest = self._named(self._last, self.opened.highest)
            self.opened.version += len(self._last.events)
            self.opened.source = None
            self.ahead, self._last = True, None
        return self.opened

    @staticmethod
    def _named(draft: Draft, highest: int | None) -> int | None:
        """Tell the latest round after a draft; `None` if only the file can tell."""
        if draft.round is not None:
            return draft.round if highest is not None and draft.round >= highest else None
        return None if highest is None else highest + 1

    def add(self, draft: Draft) -> None:
        """Take note of a commit that was planned on the state that `advance` gave."""
        self._last = draft
        self.planned += 1
        # Whether a round that was given a number becomes the latest may be for the file to tell.
        highest = None if self.opened is None else self.opened.highest
        self.closed = draft.round is not None and self._named(draft, highest) is None

    def try_out(self, draft: Draft, writer: Writer) -> None:
        """Fold a draft into the state before it is written, since nobody knows that it fits.

        Raises:
            InvalidStateError: it does not.
        """
        if self.opened is None:
            return
        self._tried, self.ahead = draft, self.opened.head is not None
        try:
            if self.opened.head is not None:
                writer.journal.bring(self.opened.head, draft)
            else:
                writer.journal.fold(draft, {})
        except CorruptJournalError as error:
            raise InvalidStateError(f"{writer.title}: edits that do not fit the state: {error}") from error

    def has_tried(self, draft: Draft) -> bool:
        """Say whether a draft is in the state already, though not in the file."""
        return self._tried is draft

    def add_note(self, writer: Writer) -> None:
        """Take note of a commit that leaves the state as it is."""
        self.planned += 1
        self.noted.append(writer)
        if self.opened is not None:
            self.opened.version += 1

    def is_last(self, draft: Draft) -> bool:
        """Say whether the state stands where `draft` leaves it once it is written: nobody went on from it."""
        return self._last is draft

    def close(self) -> None:
        """Give the state back, unless it has in it what is not in the file."""
        if self.opened is None or self._owner is None:
            return
        if self.ahead:
            self.opened.head = None
        self._owner.close(self.opened)


class Job(ABC):
    """A commit to be made."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.error: BaseException | None = None
        self._result: Any = None

    @abstractmethod
    def plan(self, line: Line) -> Request | None:
        """Give what is to be appended; `None` if that can't be told yet, or `done` without it."""

    @abstractmethod
    def settle(self, line: Line, draft: Draft, appended: Appended) -> Any:
        """Bring what is known of the branch to the commit that was made, and give the result."""

    def again(self, error: Exception) -> bool:  # noqa: ARG002 - some do
        """Say whether to plan anew after the append failed."""
        return False

    @property
    def done(self) -> bool:
        """Whether there is a result or an error."""
        return self._result is not None or self.error is not None

    def finish(self, result: Any) -> None:
        """Set the result."""
        self._result = result

    def outcome(self) -> Any:
        """Give the result, or raise the error."""
        error, self.error = self.error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # else its traceback would hold this frame, and this frame the error


class Attempt(Job):
    """Commits the edits that `make` gives for the newest state, again as long as another writer is faster.

    Args:
        writer: of the branch.
        kind: of the commit.
        options: of the commit.
        make: gets the newest state.
        given: whether `make` gives edits of somebody else's, which may not fit, and looks in the file for
            changes that came after them, so that all of the branch's have to be there.
    """

    def __init__(
        self,
        writer: Writer,
        kind: str,
        options: CommitOptions,
        make: Callable[[Opened], list[Edit]],
        *,
        given: bool = False,
    ) -> None:
        super().__init__(writer)
        self._kind = kind
        self._options = options
        self._make = make
        self._given = given
        self._seen = self._epoch = 0
        # These look at what is in the file, or must not be told what perhaps never will be.
        self._alone = options.if_changed or options.expected_version is not None

    def plan(self, line: Line) -> Request | None:
        """Draft the edits, on what the line's commits leave."""
        if line.closed or (line.planned and self._alone) or (line.changing and self._given):
            return None
        try:
            draft = self._draft(line)
        except BaseException:
            if not line.planned:
                raise
            return None  # seen in a state that may never be: it will be seen again, or not
        if draft is None:
            return None
        follows = line.planned > 0
        line.add(draft)
        return self.writer.request(draft, follows=follows)

    def _draft(self, line: Line) -> Draft | None:
        writer, options = self.writer, self._options
        opened = line.advance(writer)
        if opened is None:
            return None
        if opened.version < self._seen and writer.journal.branches.epoch() == self._epoch:
            raise CorruptJournalError(f"{writer.title}: was at version {self._seen}, is at {opened.version}")
        writer.expect(opened, options)
        opened.accept = None  # of edits that were made before
        edits = self._make(opened)
        if options.if_changed and not writer.changes(opened, edits):
            named = writer.named(options, opened)
            if named is not None:
                self.finish(named)
                return None
        draft = writer.draft(self._kind, options, opened, edits)
        if self._given:
            line.try_out(draft, writer)
        return draft

    def settle(self, line: Line, draft: Draft, appended: Appended) -> Round:
        """Bring the line's state to this commit, if none is planned after it, and tell the round."""
        self.writer.learn(appended)
        if line.opened is not None and appended.fresh and line.is_last(draft):
            line.ahead = False
            return self.writer.settle(line.opened, draft, appended, folded=line.has_tried(draft))
        return self.writer.told(draft, appended)

    def again(self, error: Exception) -> bool:
        """Plan anew after a conflict, unless the caller stated another version."""
        if not isinstance(error, ConflictError):
            return False
        self._seen, self._epoch = error.actual, self.writer.journal.branches.epoch()
        return self._options.expected_version is None or error.actual == error.expected


class Finish(Job):
    """Commits what was drafted on a state that its owner has opened, and gives that back in any case."""

    def __init__(self, writer: Writer, opened: Opened, draft: Draft) -> None:
        super().__init__(writer)
        self._opened = opened
        self._draft = draft
        self._notes = 0

    def plan(self, line: Line) -> Request:
        """Give the draft, which notes of its session's do not disturb; other changes of the branch wait."""
        self._notes = sum(writer is self.writer for writer in line.noted)
        line.planned += 1
        line.closed = True  # it is known in the file only whether this one comes about
        draft = self._draft._replace(base=self._opened.version + self._notes)
        return self.writer.request(draft, follows=self._notes > 0)

    def again(self, error: Exception) -> bool:
        """Plan anew after a conflict if notes were counted on: one of them may have come to nothing."""
        return isinstance(error, ConflictError) and self._notes > 0

    def settle(self, line: Line, draft: Draft, appended: Appended) -> Round:  # noqa: ARG002 - it has its own
        """Bring the owner's state to the commit."""
        self.writer.learn(appended)
        return self.writer.settle(self._opened, draft, appended)


class Noting(Job):
    """Journals a note."""

    def __init__(self, writer: Writer, draft: Draft) -> None:
        super().__init__(writer)
        self._draft = draft

    def plan(self, line: Line) -> Request:
        """Give the draft as it is."""
        line.add_note(self.writer)
        return self.writer.request(self._draft)

    def settle(self, line: Line, draft: Draft, appended: Appended) -> int:  # noqa: ARG002 - the state stays
        """Let those who have the branch open go on, and give the note's version."""
        self.writer.learn(appended)
        return self.writer.noted(appended)


def commit_all(journal: Journal, jobs: Iterable[Job]) -> None:
    """Make commits, with one transaction for all that can be made at once; each has its own outcome."""
    waiting, passes = list(jobs), 0
    while waiting:
        waiting, conflicts = _pass(journal, waiting, single=passes > _EAGER)
        passes = passes + 1 if conflicts else 0
        if passes > _EAGER:
            time.sleep(pause(passes))


def pause(tries: int) -> float:
    """Tell how many seconds to wait after so many conflicts in a row; at first not at all."""
    return min(_PAUSE * 2 ** min(tries - _EAGER, 10), _MAX_PAUSE) if tries > _EAGER else 0.0


def _pass(journal: Journal, jobs: list[Job], *, single: bool) -> tuple[list[Job], bool]:
    """Make those commits that can be made at once; give the others, and whether there were conflicts.

    Args:
        journal: where to.
        jobs: what is to be made.
        single: make one commit a branch only: several whose making moves the branch, as with a note, would
            be in each other's way for ever.
    """
    lines: dict[tuple[str, str, str], Line] = {}
    planned: list[tuple[Job, Request]] = []
    later: list[Job] = []
    try:
        for job in jobs:
            line = lines.setdefault(job.writer.names, Line())
            try:
                waits = line.queued or (single and line.planned)
                request = None if waits else job.plan(line)
            except BaseException as error:  # noqa: BLE001 - it is that job's outcome, and no other's
                job.error = error
                if line.ahead:  # of edits that did not fit, some may be in its state
                    lines.pop(job.writer.names).close()
                continue
            if request is not None:
                planned.append((job, request))
            elif not job.done:
                line.queued = True
                later.append(job)
        beaten = _append(journal, planned, lines) if planned else []
    finally:
        for line in lines.values():
            line.close()
    return beaten + later, bool(beaten)


def _append(
    journal: Journal, planned: Sequence[tuple[Job, Request]], lines: dict[tuple[str, str, str], Line]
) -> list[Job]:
    """Append what was planned, and give the jobs that have to be planned anew."""
    try:
        outcomes = journal.appender.append_all([request for _, request in planned])
    except Exception as error:  # noqa: BLE001 - of the transaction, so it is everybody's outcome
        if len(planned) == 1 and planned[0][0].again(error):
            return [planned[0][0]]
        if len(planned) > 1:
            journal.branches.forget()  # those that came into being in it did not
        for job, _ in planned:
            job.error = error if len(planned) == 1 else _twin(error)
        return []
    beaten = []
    for (job, _), outcome in zip(planned, outcomes, strict=True):
        if isinstance(outcome, Exception):
            if job.again(outcome):
                beaten.append(job)
            else:
                job.error = outcome
    for (job, request), outcome in zip(planned, outcomes, strict=True):
        if not isinstance(outcome, Exception):
            try:
                job.finish(job.settle(lines[job.writer.names], request.draft, outcome))
            except Exception as error:  # noqa: BLE001 - it is that job's outcome
                job.error = error
    journal.removals.tidy()
    return beaten


def _twin(error: Exception) -> Exception:
    """Give the same error once more, for another task to add to, if it can be copied."""
    import copy

    try:
        twin = copy.copy(error)
    except Exception:  # noqa: BLE001 - of a clock of the user's, perhaps
        return error
    twin.__cause__ = error
    return twin
