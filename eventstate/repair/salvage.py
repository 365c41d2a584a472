"""What can be proven of a damaged file, saved into a new one."""

from __future__ import annotations

import itertools
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eventstate.errors import CorruptJournalError, ReadOnlyError, StorageError
from eventstate.journal import chain
from eventstate.journal.append import MAIN
from eventstate.journal.records import BRANCH_SHIFT, LOW, STORE, row_id
from eventstate.repair.lines import Kept, Line, Start
from eventstate.repair.source import Source
from eventstate.repair.target import Target, root
from eventstate.repair.walk import Walk
from eventstate.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate.verify.report import VerifyReport

_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class Cut:
    """A branch of which something is lost."""

    user_id: str | None
    """`None` if it can't be told whose it was, or if it is the store's own line."""
    session_id: str | None
    branch: str | None
    version: int | None
    """Up to which it is kept; `None` if nothing is left of it."""
    round: int | None
    """The highest that is kept."""
    commits: int
    """That are lost, of those that can be told to have been there."""
    why: str

    def __str__(self) -> str:
        where = "a branch that nobody can name"
        if self.branch is not None:
            where = f"user {self.user_id!r}, session {self.session_id!r}, branch {self.branch!r}"
        kept = "nothing is left" if self.version is None else f"kept up to version {self.version}"
        at = "" if self.round is None else f", round {self.round}"
        return f"{where}: {kept}{at}, {self.commits} commits lost: {self.why}"


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What a salvage saved."""

    commits: int
    """That are kept, with all that they wrote."""
    lost: int
    """Commits of which nothing but the hash is left, or not even that, as far as they can be told."""
    mended: int
    """Commits of which a damaged hash, chain or position was made anew."""
    position: int
    """Up to which the store's chain is proven."""
    torn: bool
    """Whether there are traces of more commits, which can't be counted."""
    cuts: tuple[Cut, ...]
    report: VerifyReport
    """Of the new file."""

    @property
    def ok(self) -> bool:
        """Whether nothing is lost."""
        return not (self.lost or self.torn or self.cuts)

    def __str__(self) -> str:
        lines = [f"{self.commits} commits kept, {self.lost} lost"]
        if self.mended:
            lines.append(f"{self.mended} commits whose hash, chain or position was made anew")
        if self.torn:
            lines.append("there are traces of more commits")
        return "\n".join([*lines, *map(str, self.cuts)])


def _now() -> datetime:
    return datetime.now(UTC)


def salvage(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    progress: Callable[[int], None] | None = None,
    clock: Callable[[], datetime] = _now,
    entropy: Callable[[int], bytes] = os.urandom,
) -> Salvaged:
    """Copy all that can be proven of a damaged file into a new one, which verifies.

    A commit is kept if the chains of hashes say that it is what was written, and if all that it needs is
    kept. What comes after damage on its branch is given up; other branches and sessions stay whole, as of
    lost commits the hashes are left. Where the store's chain ends, everything ends. Nothing is written to
    the damaged file. If something is lost, the new file ends with a commit of kind `repair` of the store's
    own line that says so, with counts in its metadata.

    Args:
        source: the damaged file.
        target: the new file.
        progress: called now and then with the number of commits looked at.
        clock: gives the time, with a time zone.
        entropy: gives so many random bytes, for salts.

    Raises:
        FileExistsError: there is a file of the new name.
        CorruptJournalError: not even the tables can be found.
        NewerFormatError: a newer eventstate wrote the file.
        StorageError: there is no such file, or the new one can't be written.
    """
    old, new = os.fspath(source), Path(target)
    if os.path.lexists(new):
        raise FileExistsError(f"{new}: exists; what is saved goes into a new file")
    if not new.absolute().parent.is_dir():
        raise StorageError(f"{new}: the folder {new.absolute().parent} does not exist")
    if not Path(old).is_file():
        raise StorageError(f"{old}: no such file")
    if not Path(old).stat().st_size:  # SQLite would take a log beside it away
        raise CorruptJournalError(f"{old}: nothing is in it")
    reader = Source(old)
    try:
        with _beside(new) as folder:
            limits: dict[int, int] = {}
            for attempt in range(_TRIES):
                path = Path(folder, str(attempt))
                made = Target(str(path), clock, entropy)
                try:
                    attempted = _Salvage(reader, made, limits, progress)
                    found = attempted.run()
                    limits = attempted.stricter(found.report)
                finally:
                    made.journal.close()
                if found.report.ok:
                    _publish(path, new)
                    return found
                path.unlink()
        raise CorruptJournalError(f"{old}: what was saved can't be verified: {found.report.findings[0]}")
    finally:
        reader.close()


def _beside(new: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix=f".{new.name}.", dir=new.absolute().parent)
    except PermissionError as error:
        raise ReadOnlyError(f"{new}: no permission to make files in {new.absolute().parent}") from error
    except OSError as error:
        raise StorageError(f"{new}: {error}") from error


def _publish(path: Path, new: Path) -> None:
    """Give a file its name, unless somebody else has made one of that name meanwhile."""
    try:
        os.link(path, new)
    except FileExistsError:
        raise
    except OSError:  # a file system without second names
        path.rename(new)


class _Salvage:
    """One attempt to make a new file.

    Args:
        source: the damaged journal.
        target: the new file.
        limits: up to which numbers branches are to be kept at most.
        progress: called now and then with the position.
    """

    def __init__(
        self, source: Source, target: Target, limits: dict[int, int], progress: Callable[[int], None] | None
    ) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._walk = Walk(source, target, limits, progress)
        self._lines = self._walk.lines
        self._traces = False

    def run(self) -> Salvaged:
        """Fill the new file, and verify it."""
        walk = self._walk
        with self._target.journal.connection.write():
            walk.run()
            self._settle()
            self._count_beyond()
            lines = [line for _, line in sorted(self._lines.items()) if line.lost]
            cuts = tuple(map(self._cut, lines))
            torn = self._source.torn or self._traces
            lost, kept = sum(cut.commits for cut in cuts), self._target.commits()
            told = {"kept": kept, "lost": lost, "cut": len(cuts), "mended": walk.mended, "torn": torn}
            whole = not (lost or torn or walk.mended)
            self._target.finish(walk.position, walk.link, told, whole=whole)
        report = Verifier(self._target.journal).run()
        return Salvaged(kept, lost, walk.mended, walk.position, torn, cuts, report)

    def _settle(self) -> None:
        """Cut branches until what is kept needs nothing that is not."""
        for line in self._lines.values():
            if line.start is None and line.husks:
                line.start = self._late_start(line)

        def root_is_whole(line: Line, version: int, digest: bytes) -> bool:
            return root(self._source, row_id(line.id, version), digest) is not None

        Kept(self._lines, self._target.head, self._target.commit, root_is_whole).settle()
        for number in sorted(self._lines):  # parents come before their forks
            line = self._lines[number]
            self._target.cut(line)
            self._target.name(line)
            self._target.roots(line, self._source)

    def _late_start(self, line: Line) -> Start | None:
        """Give whose a branch is of which the first commit is pruned."""
        genesis, told = line.told().genesis, list(self._source.branches(line.id))
        for session, name, *fork in told:
            start = Start(*next(self._source.sessions(session), ("", "", 0)), session, name, *fork)
            if genesis is None and start.origin in self._lines:
                return start
        for session in itertools.chain((row[0] for row in told), self._source.all_sessions()):
            for names in self._source.sessions(session):
                if genesis == chain.genesis(names[0], names[1], encrypted=bool(names[2])):
                    return Start(*names, session, MAIN)
        return None

    def _count_beyond(self) -> None:
        """Count the commits after the last that is proven, and look for events of others."""
        self._traces = any(
            self._source.trailing(line.id, line.version)
            for line in self._lines.values()
            if line.version is not None and not line.cut
        )
        for is_husk, key in self._source.beyond(self._walk.position):
            line = self._lines.setdefault(key >> BRANCH_SHIFT, Line(key >> BRANCH_SHIFT))
            if key & LOW <= line.number:  # it took another place than it says
                continue
            line.lost += not is_husk
            line.stop(f"the store's chain can't be proven after commit {self._walk.position}")

    def _cut(self, line: Line) -> Cut:
        version, highest = self._target.place(line)
        names: tuple[str | None, ...] = (None, None, None)
        if line.id == STORE.id:
            names = (None, None, "")
        elif line.start is not None:
            names = (line.start.user_id, line.start.session_id, line.start.name)
        else:  # what is there, proven or not, says best what is lost
            for session, name, *_ in self._source.branches(line.id):
                whose = next(self._source.sessions(session), (None, None, 0))
                names = (whose[0], whose[1], name)
                break
        user_id, session_id, branch = names
        return Cut(user_id, session_id, branch, version, highest, line.lost, line.why)

    def stricter(self, report: VerifyReport) -> dict[int, int]:
        """Give the limits for another attempt, after what is still found in the new file."""
        limits = dict(self._limits)
        for finding in report.findings:
            for line in self._lines.values():
                start = line.start
                if start is None or (start.user_id, start.session_id, start.name) != (
                    finding.user_id,
                    finding.session_id,
                    finding.branch,
                ):
                    continue
                commit = None if finding.commit is None else self._target.at(finding.commit)
                last = 0 if commit is None or commit.branch != line.id else commit.number - 1
                limits[line.id] = min(limits.get(line.id, LOW), last)
        return limits
