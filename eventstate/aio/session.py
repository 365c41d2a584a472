"""A session, with `await`: its commits share transactions with those of all tasks."""
# ruff: noqa: SLF001 - it is the same session, and writes as that does

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

from eventstate.aio.past import Past
from eventstate.checks import check_on_error, check_text
from eventstate.commits import CommitKeywords, CommitOptions
from eventstate.editing import editing
from eventstate.ending import ended
from eventstate.errors import ConflictError, EventStateError
from eventstate.group import Attempt, Finish, Noting, pause
from eventstate.values.delta import copied, diff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
    from datetime import datetime, timedelta

    from eventstate.journal.records import Draft
    from eventstate.merge import MergeResult, Resolver
    from eventstate.removed import Erased, Pruned, Purged
    from eventstate.rounds import Round
    from eventstate.timeline import At
    from eventstate.values.delta import Edit
    from eventstate.writer import Opened, Writer

T = TypeVar("T", CommitKeywords, "Telling")


class Session(Past):
    """One branch of a session; made by `eventstate.aio.StateStore.session`, which writes nothing.

    See `eventstate.Session` for what each method does. A cancelled call's commit was made or was not;
    with a `commit_id`, `committed` tells, and the same call again does not make it twice.
    """

    async def save(self, state: Any, **options: Unpack[CommitKeywords]) -> Round:
        """Make `state` the state, as a new round; only the difference is journaled."""
        checked, journal = CommitOptions(**self._own(options)), self.plain._journal
        # Other tasks may change what the caller has, before this is written.
        packed = journal.codec.encode_stored(self.plain._dumped(state))

        def edits(opened: Opened) -> list[Edit]:
            return diff(opened.state, journal.codec.decode(packed), journal.codec)

        return await self.attempt("save", checked, edits)

    def write(
        self, kind: str, options: CommitOptions, base: int, edits: list[Edit]
    ) -> Coroutine[Any, Any, Round]:
        """Commit edits that follow on the latest state as it was at version `base`, but for notes.

        What they hold is copied before this returns what is to be awaited.

        Raises:
            ConflictError: the state was changed since.
            InvalidStateError: the edits do not fit it.
        """
        codec = self.plain._journal.codec
        make = partial(self.plain._writer.rebased, base, [copied(edit, codec) for edit in edits])
        own = options.having(self._metadata(options.metadata))
        return self.attempt(kind, own, make, given=True)

    async def attempt(
        self,
        kind: str,
        options: CommitOptions,
        make: Callable[[Opened], list[Edit]],
        *,
        given: bool = False,
    ) -> Round:
        """Commit the edits that `make` gives for the newest state, again on each conflict.

        Args:
            kind: of the commit.
            options: of the commit.
            make: called in the store's thread, where no lock is held, perhaps more than once.
            given: whether `make` gives edits of somebody else's, which may not fit.
        """
        job = Attempt(self.plain._writer, kind, options, make, given=given)
        made: Round = await self._committer.commit(job)
        return made

    def _own(self, options: T) -> T:
        """Make the metadata the commit's own: other tasks may change what the caller has meanwhile."""
        own = copy.copy(options)
        if type(own.get("metadata")) is dict:  # others are refused
            own["metadata"] = self._metadata(own["metadata"])
        return own

    def _metadata(self, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        codec = self.plain._journal.codec
        own: dict[str, Any] | None = codec.decode(codec.encode_stored(metadata, ("metadata",)))
        return own

    @contextlib.asynccontextmanager
    async def round(
        self, *, on_error: Literal["discard", "keep"] = "discard", **options: Unpack[CommitKeywords]
    ) -> AsyncIterator[Any]:
        """Edit the latest state live; the changes are committed as one round when the body ends.

        An exception or a cancellation in the body discards them, and is raised again; `on_error="keep"`
        commits what was done before it, as a round of kind `interrupted`, unless the event loop is gone.

        Raises:
            ConflictError: the branch moved while the body ran; nothing was written.
        """
        check_on_error(on_error)
        async with self._editing(
            "round", CommitOptions(**self._own(options)), keep=on_error == "keep"
        ) as edited:
            yield edited.root

    @contextlib.asynccontextmanager
    async def _editing(
        self, kind: str, options: CommitOptions, *, keep: bool = False
    ) -> AsyncIterator[_Edited]:
        writer, session = self.plain._writer, self.plain
        opened = await self._worker.call(partial(_open, writer, options), writer.close)
        mine = True  # to be given back here, and not by the committer
        try:
            with editing(opened, session._journal.codec, session._model) as live:
                edited = _Edited(live.root)
                try:
                    yield edited
                except BaseException as error:
                    # Nothing can be awaited any more when the loop is gone, and the body with it.
                    if keep and not isinstance(error, GeneratorExit):
                        try:
                            edits = live.edits()
                            draft = writer.draft("interrupted", options, opened, edits)
                            changed = not options.if_changed or writer.changes(opened, edits)
                        except EventStateError as failure:
                            error.add_note(f"what was done could not be kept: {failure}")
                        else:
                            mine = False
                            finish = partial(self._finish, opened, draft, options, changed=changed)
                            await self._keep(error, opened, finish)
                    raise
                edits = live.edits()
                changed = not options.if_changed or writer.changes(opened, edits)
                draft = writer.draft(kind, options, opened, edits)  # at once: others may hold the live state
            mine = False
            edited.made = await self._finish(opened, draft, options, changed=changed)
        finally:
            if mine:
                writer.close(opened)

    async def _finish(self, opened: Opened, draft: Draft, options: CommitOptions, *, changed: bool) -> Round:
        """Commit what was drafted on an opened state, if it is worth a round, and give the state back."""
        writer = self.plain._writer
        close = partial(writer.close, opened)
        if not changed:
            try:
                named = await self._worker.call(partial(writer.named, options, opened))
            except BaseException:
                close()
                raise
            if named is not None:
                close()
                return named
        made: Round = await self._committer.commit(Finish(writer, opened, draft), close)
        return made

    async def _keep(
        self, error: BaseException, opened: Opened, finish: Callable[[], Coroutine[Any, Any, Round]]
    ) -> None:
        """Have what was done before an error committed; the error goes on whatever comes of this.

        Args:
            error: the error.
            opened: the state that was edited.
            finish: commits, and gives the state back.

        Raises:
            CancelledError: the caller was cancelled meanwhile, which must not be lost.
        """
        begun = False

        async def work() -> Round:
            nonlocal begun
            begun = True
            return await finish()

        task = asyncio.ensure_future(work())
        cancelled = await ended(task)
        if not begun:
            self.plain._writer.close(opened)
        failure = None if task.cancelled() else task.exception()
        if task.cancelled():  # with all tasks, as the loop ends
            error.add_note("what was done may not have been kept: its commit was cancelled")
        elif isinstance(failure, EventStateError):
            error.add_note(f"what was done could not be kept: {failure}")
        elif failure is not None:
            raise failure
        if cancelled is not None and not isinstance(error, asyncio.CancelledError):
            raise cancelled

    async def update(self, change: Callable[[Any], object], **options: Unpack[CommitKeywords]) -> Round:
        """Edit the latest state live with `change`, as one round, again on each conflict.

        Args:
            change: gets the live state, in the store's thread, where no lock is held, but other commits
                wait; it may be called more than once. It must not wait for the loop, nor write to this
                branch: that would be a conflict each time. A coroutine function is called in the loop, and
                shares its transaction with no other change of the branch.
            **options: see `CommitOptions`; with `expected_version` a conflict is not tried again.

        Raises:
            TypeError: `change` is no coroutine function, and yet gives what is to be awaited.
        """
        checked = CommitOptions(**self._own(options))
        if inspect.iscoroutinefunction(change) or inspect.iscoroutinefunction(type(change).__call__):
            return await self._update_in_loop(change, checked)
        session, context = self.plain, contextvars.copy_context()

        def edits(opened: Opened) -> list[Edit]:
            with editing(opened, session._journal.codec, session._model) as live:
                _refuse_coroutine(change, context.run(change, live.root))
                return live.edits()

        return await self.attempt("update", checked, edits)

    async def _update_in_loop(self, change: Callable[[Any], Any], options: CommitOptions) -> Round:
        tries = 0
        while True:
            ended = False
            try:
                async with self._editing("update", options) as edited:
                    ended = True
                    await change(edited.root)
                    ended = False
            except ConflictError as error:
                # One out of `change` is of another branch, and its own affair.
                if ended or (options.expected_version is not None and error.actual != error.expected):
                    raise
            if edited.made is not None:
                return edited.made
            tries += 1
            await asyncio.sleep(pause(tries))

    async def note(
        self, name: str, data: Any = None, *, actor: str | None = None, reason: str | None = None
    ) -> int:
        """Journal a fact that changes no state, such as a tool called; inside a round too."""
        check_text(name, "name")
        writer = self.plain._writer
        draft = writer.note_draft(name, data, CommitOptions(actor=actor, reason=reason))
        version: int = await self._committer.commit(Noting(writer, draft))
        return version

    async def rollback(
        self, at: At, *, paths: Iterable[Any] | None = None, **options: Unpack[CommitKeywords]
    ) -> Round:
        """Make an earlier state the newest, as a new round."""
        return await self._worker.call(partial(self.plain.rollback, at, paths=paths, **self._own(options)))

    async def undo(self, **options: Unpack[CommitKeywords]) -> Round:
        """Take the last round back, as a new round; undoing that brings it back."""
        return await self._worker.call(partial(self.plain.undo, **self._own(options)))

    async def fork(
        self,
        name: str,
        at: At | None = None,
        *,
        version: int | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Session:
        """Start a branch at a point of this one, whose past it shares."""
        make = partial(self.plain.fork, name, at, version=version, actor=actor, reason=reason)
        return Session(await self._worker.call(make), self._worker, self._committer)

    async def merge(
        self, other: Session, resolve: Resolver | None = None, **options: Unpack[CommitKeywords]
    ) -> MergeResult:
        """Bring the other branch's changes since the common past into this one, attribute by attribute."""
        return await self._worker.call(partial(self.plain.merge, other.plain, resolve, **self._own(options)))

    @contextlib.asynccontextmanager
    async def what_if(self, at: At | None = None) -> AsyncIterator[Any]:
        """Try things on a copy of a state; nothing is journaled."""
        trial = self.plain.what_if(at)
        yield await self._worker.call(trial.__enter__)
        trial.__exit__(None, None, None)

    async def tag(
        self,
        name: str,
        at: At | None = None,
        *,
        version: int | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Name a point; the tag stays there whatever comes later."""
        make = partial(self.plain.tag, name, at, version=version, actor=actor, reason=reason)
        await self._worker.call(make)

    async def erase(self, what: Any, *, dry_run: bool = False, **told: Unpack[Telling]) -> Erased:
        """Remove payloads from the past for good."""
        return await self._worker.call(partial(self.plain.erase, what, dry_run=dry_run, **self._own(told)))

    async def prune(
        self,
        *,
        keep_rounds: int | None = None,
        older_than: datetime | timedelta | None = None,
        dry_run: bool = False,
        **told: Unpack[Telling],
    ) -> Pruned:
        """Fold this branch's past to the state of the oldest round that is kept."""
        bounds = partial(self.plain.prune, keep_rounds=keep_rounds, older_than=older_than)
        return await self._worker.call(partial(bounds, dry_run=dry_run, **self._own(told)))

    async def delete(self, **told: Unpack[Telling]) -> None:
        """Delete the session, with all its branches; its past stays readable."""
        await self._worker.call(partial(self.plain.delete, **self._own(told)))

    async def restore(self, **told: Unpack[Telling]) -> None:
        """Take a deletion back, as a commit."""
        await self._worker.call(partial(self.plain.restore, **self._own(told)))

    async def purge(self, *, dry_run: bool = False, **told: Unpack[Telling]) -> Purged:
        """Leave nothing of the session in the file but the hashes of its commits, for good."""
        return await self._worker.call(partial(self.plain.purge, dry_run=dry_run, **self._own(told)))


class Telling(TypedDict, total=False):
    """What can be told of a commit that takes something out."""

    actor: str | None
    reason: str | None
    metadata: dict[str, Any] | None


class _Edited:
    """A state that is edited, and the round that came of it."""

    __slots__ = ("made", "root")

    def __init__(self, root: Any) -> None:
        self.root = root
        self.made: Round | None = None


def _refuse_coroutine(change: Callable[[Any], object], result: object) -> None:
    """Raise if a function gave a coroutine, which nobody would await."""
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(f"{change!r} gives a coroutine; give a coroutine function")


def _open(writer: Writer, options: CommitOptions) -> Opened:
    """Take the newest state, if it can be written with those options."""
    opened = writer.open()
    try:
        writer.expect(opened, options)
    except BaseException:
        writer.close(opened)
        raise
    return opened
