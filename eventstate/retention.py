"""What takes something out of a session's past, and says so: erasing, pruning, deleting and purging."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from eventstate.commits import CommitOptions
from eventstate.errors import AttributeNotFoundError, EventStateError
from eventstate.journal.append import MAIN, microseconds
from eventstate.past import Past
from eventstate.values.paths import as_path, show

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from eventstate.journal.records import Branch, Draft
    from eventstate.removed import Erased, Pruned, Purged

_TRIES: Final = 4


class _Plan(Protocol):
    @property
    def any(self) -> bool:
        """Whether there is anything to do."""


P = TypeVar("P", bound=_Plan)


class Retention(Past):
    """The half of a session that decides what is kept."""

    def erase(
        self,
        what: Any,
        *,
        actor: str | None = None,
        reason: str | None = None,
        metadata: dict[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Erased:
        """Remove payloads from the past for good: from every branch of the session, and from the file.

        What was erased is absent from all states, as if it had never been there; the commits that wrote it
        stay, the chain of hashes holds, and a commit of kind `erase` says what was done, though not to which
        attribute, as names can be data too. The file is rebuilt, and its log cut, so that nothing is left in
        free pages; copies made before, such as backups, are not reached, and how long a value was may still
        be told by the sizes in commits. A session's model has to do without what is erased.

        Args:
            what: an attribute, as a top-level key or a tuple of keys; or a `range` of versions: what their
                events put in place, with notes among them. What another event put in place again, such as a
                rollback's, is another's.
            actor: who did it.
            reason: why.
            metadata: anything else that is storable.
            dry_run: only say what would be done.

        Raises:
            AttributeNotFoundError: the attribute never was there.
            RoundNotFoundError: the versions are not there, or were pruned.
        """
        from eventstate.journal.erase import Eraser
        from eventstate.removed import Erased

        draft = self._draft("erase", CommitOptions(actor=actor, reason=reason, metadata=metadata))
        branch = self._alive_or_deleted()
        eraser = Eraser(self._journal, branch.session)
        path = () if isinstance(what, range) else as_path(what)
        plan = self._removed(
            lambda: eraser.plan_path(path) if path else eraser.plan_range(branch, what),
            lambda plan: eraser.write(plan, draft),
            dry_run=dry_run,
        )
        if path and not plan.branches:
            raise AttributeNotFoundError(f"{self._writer.title}: {show(path)} never was there")
        names = tuple(line.name for line in plan.branches)
        return Erased(plan.gone, plan.rewritten, names, self._journal.removals.pending, dry_run)

    def _removed(
        self, make: Callable[[], P], write: Callable[[P], int | None], *, dry_run: bool, scrub: bool = True
    ) -> P:
        """Make a plan and carry it out; if the session moves meanwhile, make another."""
        for attempt in range(_TRIES):
            epoch = self._journal.branches.epoch()
            try:
                plan = make()
            except EventStateError:
                if self._journal.branches.epoch() == epoch or attempt == _TRIES - 1:
                    raise
                continue  # what it read was removed while it did
            if dry_run or not plan.any:
                return plan
            made = [plan]

            def act(made: list[P] = made, *, last: bool = attempt == _TRIES - 1) -> int | None:
                if last:  # other writers are too fast: now they wait
                    made[0] = make()
                return write(made[0])

            if self._journal.removals.remove(act, scrub=scrub):
                return made[0]
        return plan

    def _draft(self, kind: str, options: CommitOptions) -> Draft:
        return options.draft(self._journal, kind, (), 0)._replace(base=None, auto_round=False)

    def _alive_or_deleted(self, *, keyed: bool = True) -> Branch:
        """Give the branch, unless it was purged."""
        branch = self._writer.branch(keyed=keyed)
        self._journal.branches.head(branch)
        return branch

    def prune(
        self,
        *,
        keep_rounds: int | None = None,
        older_than: datetime | timedelta | None = None,
        actor: str | None = None,
        reason: str | None = None,
        metadata: dict[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Fold this branch's past to the state of the oldest round that is kept, and give the space back.

        Older rounds can't be read any more, except those that a fork, a merge or a tag refers to. Of their
        commits the hashes are left, so that the chain holds; their `commit_id`s are forgotten. The oldest
        round that is whole is one that was the latest when it was made.

        Args:
            keep_rounds: how many rounds to keep, those with the highest numbers; at least 1.
            older_than: drop the rounds recorded before this time (with a zone), or longer ago than this. With
                `keep_rounds` too, only rounds that neither keeps are dropped.
            actor: who did it.
            reason: why.
            metadata: anything else that is storable.
            dry_run: only say what would be dropped.

        Raises:
            ValueError: neither is given, or one makes no sense.
            RoundNotFoundError: nothing was written yet.
        """
        if keep_rounds is None and older_than is None:
            raise ValueError("say what to keep: keep_rounds or older_than")
        if keep_rounds is not None and (type(keep_rounds) is not int or keep_rounds < 1):
            raise ValueError(f"keep_rounds is at least 1, not {keep_rounds!r}")
        from eventstate.journal.prune import Pruner
        from eventstate.removed import Pruned

        draft = self._draft("prune", CommitOptions(actor=actor, reason=reason, metadata=metadata))
        if isinstance(older_than, timedelta):
            older_than = self._journal.appender.clock() - older_than
        since = None if older_than is None else microseconds(older_than)
        pruner, before = Pruner(self._journal, self._alive_or_deleted()), self._journal.connection.size()
        plan = self._removed(
            lambda: pruner.plan(keep_rounds, since),
            lambda plan: pruner.write(plan, draft),
            dry_run=dry_run,
            scrub=False,
        )
        if not plan.any or plan.cut is None:
            return Pruned(0, 0, 0, 0, None, (), 0, dry_run)
        kept = (c.round for c in plan.kept if c.round is not None and c.number < plan.cut.number)
        freed = 0 if dry_run else max(before - self._journal.connection.size(), 0)
        counts = plan.rounds, len(plan.dropped), plan.events
        return Pruned(*counts, plan.cut.version, plan.cut.round, tuple(sorted(set(kept))), freed, dry_run)

    def delete(
        self, *, actor: str | None = None, reason: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Delete the session, with all its branches: a commit, after which nothing is written to it.

        Its latest state is then `None` and it is not listed; its past stays readable, until `purge`.

        Raises:
            SessionDeletedError: it was deleted before, or purged.
            RoundNotFoundError: nothing was written to it yet.
        """
        self._mark("delete", CommitOptions(actor=actor, reason=reason, metadata=metadata))

    def restore(
        self, *, actor: str | None = None, reason: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Take a deletion back, as a commit.

        Raises:
            ValueError: the session is not deleted.
            SessionDeletedError: it was purged.
        """
        if self.exists:
            raise ValueError(f"{self._writer.title}: not deleted")
        self._mark("restore", CommitOptions(actor=actor, reason=reason, metadata=metadata))

    def _mark(self, kind: str, options: CommitOptions) -> None:
        main = self._alive_or_deleted()
        while main.parent is not None:
            main = main.parent
        names = self.user_id, self.session_id, MAIN
        self._journal.appender.append(*names, self._draft(kind, options), main)

    def purge(
        self,
        *,
        actor: str | None = None,
        reason: str | None = None,
        metadata: dict[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Purged:
        """Leave nothing of the session in the file but the hashes of its commits, for good.

        A commit of kind `purge`, which is of no session, says that it was done, with counts in its metadata
        and without names. A session of the same name is then a new one. No key is needed for it.

        Args:
            actor: who did it.
            reason: why.
            metadata: anything else that is storable.
            dry_run: only say what would be removed.

        Raises:
            SessionDeletedError: it was purged before.
            RoundNotFoundError: nothing was written to it yet.
        """
        from eventstate.removed import Purged

        journal, branch = self._journal, self._alive_or_deleted(keyed=False)
        counts = journal.branches.count(branch.session)

        def act() -> int:
            nonlocal counts
            journal.branches.head(branch)  # once it is purged, another session may have its number
            counts = journal.branches.count(branch.session)
            told = dict(zip(("branches", "commits", "events"), counts, strict=True))
            options = CommitOptions(actor=actor, reason=reason, metadata={**(metadata or {}), **told})
            return journal.removals.purge(branch.session, self._draft("purge", options))

        if not dry_run:
            journal.removals.remove(act)
        return Purged(*counts, journal.removals.pending, dry_run)
