"""The proof of states: every branch is folded once, from its events alone, and its snapshots compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventstate.errors import CorruptJournalError, EncryptionError, EventStateError, KeyNotFoundError
from eventstate.journal import statements as sql
from eventstate.journal.records import LOW, Branch, row_id

if TYPE_CHECKING:
    from eventstate.verify.inquiry import Inquiry


class Folds:
    """Folds branches, parents before their forks.

    Attributes:
        numbers: of the branches, in order.
    """

    def __init__(self, inquiry: Inquiry) -> None:
        self._inquiry = inquiry
        self.numbers: list[int] = []
        self._packed: dict[int, bytes] = {}
        """For forks that are still to come, the state that they start from."""
        self._closed: set[int] = set()
        """Branches that can't be folded, as a key is missing."""

    def check(self) -> None:
        """Fold all branches."""
        branches = [self._inquiry.branches.get(number) for number in self.numbers]
        self._inquiry.report.branches = len(branches)
        self._inquiry.report.sessions = len({branch.session for branch in branches})
        starts: dict[int, list[Branch]] = {}
        for branch in branches:
            if branch.id not in self._inquiry.heads:
                self._inquiry.find("the branch has no commits", branch)
            if branch.parent is not None:
                starts.setdefault(branch.parent.id, []).append(branch)
        for branch in branches:
            if branch.parent is not None and branch.parent.id in self._closed:
                self._unfolded(branch)  # nor can what starts from it
                continue
            report = self._inquiry.report
            before = len(report.findings), report.snapshots
            try:
                self._fold(branch, starts.get(branch.id, []))
            except KeyNotFoundError:
                del report.findings[before[0] :]  # what was looked at is looked at again
                report.snapshots = before[1]
                self._unfolded(branch)
            except (EventStateError, OverflowError) as error:
                self._inquiry.find(f"the state can't be folded: {error}", branch)

    def _fold(self, branch: Branch, forks: list[Branch]) -> None:
        roots = self._roots(branch)
        pruned = self._inquiry.pruned.get(branch.id, 0)
        if pruned <= branch.parent_version:  # commits without events: the state is the parent's
            pruned = 0
        if pruned and pruned not in roots:
            raise CorruptJournalError("the state that its pruned past was folded to is missing")
        stops = self._stops(branch, forks)
        if pruned:
            version, state = pruned, roots[pruned]
        else:
            version, state = branch.parent_version, self._start(branch)
        for stop in sorted(stops):
            if stop > version:
                state = self._inquiry.reader.advance(state, branch, version, stop)
                version = stop
            there: dict[Any, Any] | None = state
            if stop < version:  # in the pruned past, of which only some states are left
                there = roots.get(stop) if stop > branch.parent_version else self._before(branch, stop)
            for item in stops[stop]:
                if isinstance(item, int):
                    self._snapshot(branch, item, there)
                elif there is None:
                    self._inquiry.find(f"version {stop}, from which a fork starts, is pruned", branch)
                else:
                    self._packed[item.id] = self._inquiry.codec.encode(there)

    def _unfolded(self, branch: Branch) -> None:
        """Check what is there in the place of a branch's events, as far as that needs no key."""
        inquiry = self._inquiry
        inquiry.report.unfolded += 1
        self._closed.add(branch.id)
        self._packed.pop(branch.id, None)
        self._roots(branch, keyed=False)
        for (number,) in self._listed(branch):
            row = inquiry.connection.one(sql.GET_SNAPSHOT, (number,))
            if row is not None:
                inquiry.report.snapshots += 1
                try:
                    inquiry.snapshots.check(branch, row)
                except CorruptJournalError as error:
                    inquiry.find(f"{error}; it is passed over, and the events stand in for it", branch)
                else:
                    self._place(branch, row)

    def _listed(self, branch: Branch) -> list[tuple[int]]:
        """Give the keys of a branch's snapshots."""
        bounds = row_id(branch.id, 0), row_id(branch.id, LOW)
        return self._inquiry.connection.all(sql.LIST_SNAPSHOTS, bounds)

    def _start(self, branch: Branch) -> dict[Any, Any]:
        start = self._packed.pop(branch.id, None)
        if start is None and branch.parent is not None:
            raise CorruptJournalError("its parent can't be folded up to the fork")
        return {} if start is None else self._inquiry.codec.decode(start)

    def _before(self, branch: Branch, stop: int) -> dict[Any, Any] | None:
        """Give the state at the start of a branch whose own events begin with a pruned past."""
        return self._start(branch) if stop == branch.parent_version else None

    def _roots(self, branch: Branch, *, keyed: bool = True) -> dict[int, Any]:
        """Check a branch's roots, and give their states, if there are keys for them."""
        inquiry, found = self._inquiry, dict[int, Any]()
        low, high = row_id(branch.id, 0), row_id(branch.id, LOW)
        for (number,) in inquiry.connection.all(sql.LIST_ROOTS, (low, high)):
            row = inquiry.connection.one(sql.GET_ROOT, (number,))
            if row is None:
                continue
            try:
                state = None
                if keyed:
                    state = inquiry.snapshots.load(branch, row).state
                else:
                    inquiry.snapshots.check(branch, row)
            except KeyNotFoundError:
                raise
            except (CorruptJournalError, EncryptionError) as error:
                inquiry.find(str(error), branch)
                continue
            if inquiry.root_digests.get(number) != row[-2]:
                inquiry.find(f"the root of version {number & LOW} is not what a commit says", branch)
            else:
                self._place(branch, row)
                found[number & LOW] = state
        for key in inquiry.root_digests:
            if low <= key <= high and key & LOW not in found:
                inquiry.find(f"the root of version {key & LOW} is missing", branch)
        return found

    def _stops(self, branch: Branch, forks: list[Branch]) -> dict[int, list[Any]]:
        """Give the versions at which a state is needed, with the snapshots' keys and the forks there."""
        head = self._inquiry.heads.get(branch.id)
        stops: dict[int, list[Any]] = {} if head is None else {head.version: []}
        for (number,) in self._listed(branch):
            stops.setdefault(number & LOW, []).append(number)
        for fork in forks:
            stops.setdefault(fork.parent_version, []).append(fork)
        return stops

    def _snapshot(self, branch: Branch, number: int, state: dict[Any, Any] | None) -> None:
        inquiry = self._inquiry
        row = inquiry.connection.one(sql.GET_SNAPSHOT, (number,))
        if row is None:  # dropped, or replaced by a newer one, since it was listed
            return
        inquiry.report.snapshots += 1
        try:
            packed = inquiry.snapshots.packed(branch, row)
        except KeyNotFoundError:
            raise
        except (CorruptJournalError, EncryptionError) as error:
            inquiry.find(f"{error}; it is passed over, and the events stand in for it", branch)
            return
        self._place(branch, row)
        if state is None or packed != inquiry.codec.encode(state):
            inquiry.find(f"the snapshot of version {number & LOW} is not what the events fold to", branch)

    def _place(self, branch: Branch, row: Any) -> None:
        """Check that a snapshot or root is of the commit that it names."""
        key, number, weight = row[:3]
        commit = self._inquiry.own(branch, number)
        if commit is None or (commit.version, commit.weight) != (key & LOW, weight):
            what = f"the snapshot of version {key & LOW} is of another commit"
            self._inquiry.find(what, branch, commit)
