"""The walk over all commits in the order of their positions: what each has to be is proven by the chains."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

from eventstate.errors import EventStateError
from eventstate.journal import chain
from eventstate.journal.append import MAIN
from eventstate.journal.events import EventCodec, weight
from eventstate.journal.records import BRANCH_SHIFT, GONE, LOW, STORE, Commit, Event, Husk, row_id
from eventstate.repair.lines import Line, Need, Record, Start
from eventstate.values.codec import Codec
from eventstate.values.delta import Op
from eventstate.values.registry import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate.repair.source import Redaction, Source
    from eventstate.repair.target import Target

_TELL: Final = 256
_AHEAD: Final = 4
"""So many commits after one whose own chain doesn't fit are asked about it."""

_DAMAGE: Final = (EventStateError, ValueError, TypeError, OverflowError, IndexError)


class Checked(NamedTuple):
    """What a commit's row and what belongs to it amount to."""

    hash: bytes | None = None
    """Of its content; `None` if that is not all there."""
    start: Start | None = None
    """For a branch's first commit."""
    events: dict[int, Event] = {}  # noqa: RUF012 - never changed
    redactions: dict[int, Redaction] = {}  # noqa: RUF012 - the same
    why: str = ""
    """What is missing or wrong."""


class Walk:
    """Goes from one position to the next as long as the next can be proven.

    Args:
        source: the damaged journal.
        target: gets what is whole, and husks of the rest.
        limits: up to which number branches are to be kept at most.
        progress: called now and then with the position.

    Attributes:
        lines: the branches that were seen, by number.
        position: the last that was proven.
        mended: rows whose hash, chain or position was made anew.
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        limits: dict[int, int],
        progress: Callable[[int], None] | None,
    ) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._progress = progress
        self._events = EventCodec(Codec(TypeRegistry(unknown="keep")))
        self._link = chain.EMPTY_CHAIN
        self._recorded_at = 0
        self._sure = 0
        self.lines: dict[int, Line] = {}
        self.position = 0
        self.mended = 0

    @property
    def link(self) -> bytes:
        """The store's chain at the last position."""
        return self._link

    def run(self) -> None:
        """Go on to the first position that can't be proven."""
        while self._step(self.position + 1):
            self.position += 1
            if self._progress is not None and self.position % _TELL == 0:
                self._progress(self.position)

    def _step(self, position: int) -> bool:
        for item in self._source.items(position):
            if isinstance(item, Husk):
                if self._take_husk(item, position):
                    return True
            elif self._take_commit(item, position):
                return True
        for item in self._misplaced(position):
            if isinstance(item, Husk):
                if self._take_husk(item, position):
                    self.mended += 1
                    return True
            elif self._take_commit(item, position, moved=True):
                return True
        return False

    def _misplaced(self, position: int) -> Iterator[Commit | Husk]:
        """Give what comes next on its branch, and says of itself that it is elsewhere."""
        rows = {row for rows in self._source.places().values() for row in rows}
        for is_husk, key in sorted(rows):
            line = self.lines.get(key >> BRANCH_SHIFT)
            if key & LOW == (0 if line is None else line.number) + 1:
                item = self._source.husk(key) if is_husk else self._source.commit(key)
                if item is not None and item.position != position:
                    yield item._replace(position=position)

    def _take_husk(self, husk: Husk, position: int) -> bool:
        if len(husk.hash) != chain.HASH_SIZE:
            return False
        link = chain.link(self._link, husk.hash)
        if position > self._sure and not self._confirmed(link, None, position):
            return False
        line = self.lines.setdefault(husk.branch, Line(husk.branch))
        follows = husk.branch > STORE.id and husk.number == line.number + 1
        if follows and not line.cut:
            line.husks.append(husk.number)
            line.last = husk.number
            self._target.husk(husk.id, position, husk.hash)
        else:
            line.lost += not follows
            self._target.husk(None, position, husk.hash)
        if follows:
            line.number, line.hash, line.version, line.weight = husk.number, husk.hash, None, None
        self._link = link
        return True

    def _take_commit(self, commit: Commit, position: int, *, moved: bool = False) -> bool:
        line = self.lines.get(commit.branch) or Line(commit.branch)
        checked: Checked | None = None
        if moved or len(commit.hash) != chain.HASH_SIZE or not line.cut:
            checked = self._check(line, commit)
        if moved and (checked is None or checked.hash != commit.hash):
            return False
        hashed = self._proven(commit, position, checked)
        if hashed is None and checked is None:
            checked = self._check(line, commit)
            hashed = self._proven(commit, position, checked)
        if hashed is None:
            return False
        self._link = chain.link(self._link, hashed)
        line = self.lines.setdefault(line.id, line)
        whole = checked is not None and self._is_whole(line, commit, hashed, checked)
        if whole and checked is not None:
            fits = chain.fits(self._link, commit)
            link = commit.chain if fits else chain.kept(self._link, position, commit.kind)
            self.mended += moved or not fits or commit.hash != hashed
            self._keep(line, commit._replace(hash=hashed, chain=link), checked)
        else:
            line.lost += 1
            self._target.husk(None, position, hashed)
        if commit.number == line.number + 1:
            line.number, line.hash, line.version, line.weight = (
                commit.number,
                hashed,
                commit.version,
                commit.weight,
            )
        return True

    def _proven(self, commit: Commit, position: int, checked: Checked | None) -> bytes | None:
        """Give the hash that a commit had when it was written, as its row has it or as its content gives it.

        The store's chain says so in its own row; if that is damaged, in one of the next.
        """
        own = [commit.hash] if len(commit.hash) == chain.HASH_SIZE else []
        if checked is not None and checked.hash is not None and checked.hash not in own:
            own.append(checked.hash)
        for hashed in own:
            if chain.fits(chain.link(self._link, hashed), commit):
                return hashed
        told = [self._confirmed(chain.link(self._link, hashed), commit.chain, position) for hashed in own]
        if True in told:
            return own[told.index(True)]
        # Row and content are two witnesses; not if what comes next says that there was another commit.
        agree = checked is not None and checked.hash == commit.hash
        return commit.hash if agree and told == [None] else None

    def _confirmed(self, link: bytes, other: bytes | None, position: int) -> bool | None:
        """Ask the next commits whether the store's chain is this one at a position, or the other one.

        Returns:
            `None` if they know nothing of both.
        """
        if other is not None and len(other) < chain.HASH_SIZE:
            other = None
        seen = against = 0
        while seen < _AHEAD:
            position += 1
            item = self._source.first(position)
            if item is None or len(item.hash) != chain.HASH_SIZE:
                return None
            link = chain.link(link, item.hash)
            other = None if other is None else chain.link(other, item.hash)
            if isinstance(item, Commit):
                if chain.fits(link, item):
                    self._sure = max(self._sure, position)
                    return True
                if other is not None and chain.fits(other, item):
                    return False
                seen += 1
                against += len(item.chain) == chain.TAG_SIZE
                if len(item.chain) == chain.HASH_SIZE:
                    other = item.chain
        return False if against == _AHEAD else None

    # What a commit is

    def _check(self, line: Line, commit: Commit) -> Checked:
        """Hash what a commit's row says, and all that belongs to it."""
        if commit.number != line.number + 1:
            return Checked(why="commits before it are missing")
        try:
            return self._checked(line, commit)
        except _DAMAGE as error:
            return Checked(why=f"unreadable: {error}")

    def _checked(self, line: Line, commit: Commit) -> Checked:
        first = commit.version - commit.events + 1
        if not 0 <= commit.events <= commit.version <= LOW:
            return Checked(why="its row is damaged")
        if line.hash is not None and line.version not in {None, first - 1}:
            return Checked(why="its version does not follow on the commit before")
        events, redactions = self._source.written(commit)
        digests: list[bytes] = []
        for seq in range(first, commit.version + 1):
            if seq in redactions:
                digests.append(redactions[seq].digest)
            elif seq in events:
                digests.append(chain.written_digest(commit, seq, events[seq]))
            else:
                return Checked(events=events, redactions=redactions, why=f"event {seq} is missing")
        found = Checked(None, None, events, redactions, "its branch or session is missing")
        for start in self._starts(commit) if line.hash is None else [None]:
            if start is not None and (start.parent_version or 0) != first - 1:
                continue
            previous = line.hash if start is None else self._previous(line.id, start)
            if previous is None:
                found = found._replace(why="its branch starts from what is not there")
                continue
            hashed = chain.commit_hash(previous, commit, digests)
            why = "" if hashed == commit.hash else "the commit or its events are not what was written"
            if found.hash is None or not why:
                found = Checked(hashed, start, events, redactions, why)
            if not why:
                break
        return found

    def _starts(self, commit: Commit) -> Iterator[Start]:
        """Give what a branch's row says of it, and what else it may have said before it was damaged."""
        if commit.branch == STORE.id:
            yield Start("", "", 0, STORE.session, "")
            return
        if commit.kind != "fork":
            # If its row says nothing of use, one of all sessions is the one.
            told = [session for session, *_ in self._source.branches(commit.branch)]
            for session in itertools.chain(told, self._source.all_sessions()):
                for names in self._source.sessions(session):
                    yield Start(*names, session, MAIN)
        else:
            for session, name, *rest in self._source.branches(commit.branch):
                _, _, origin, *fork = rest
                line = self.lines.get(origin) if origin is not None else None
                # No fork is of another session; and the commit has proven its source.
                if line is not None and line.start is not None:
                    whose: tuple[str, str, int, int] | None = line.start[:4]
                else:  # its past is pruned, and what says whose it is comes later
                    found = next(self._source.sessions(session), None)
                    whose = None if found is None else (*found, session)
                if whose is not None:
                    yield Start(*whose, name, commit.source, commit.source_version, origin, *fork)

    def _previous(self, number: int, start: Start) -> bytes | None:
        """Give what a branch's first commit follows on; `None` if that was given up."""
        if number == STORE.id:
            return chain.store_line()
        if start.origin is None:
            return chain.genesis(start.user_id, start.session_id, encrypted=bool(start.encrypted))
        if not (start.parent or 0) < number > start.origin or not 0 < (start.origin_commit or 0) <= LOW:
            return None
        origin = self._target.commit(row_id(start.origin, start.origin_commit or 0))
        if origin is None:
            return None
        return chain.fork_start(origin.hash, start.name, start.origin_round, start.origin_named)

    def _is_whole(self, line: Line, commit: Commit, hashed: bytes, checked: Checked) -> bool:
        """Say whether a commit can be kept, with all that belongs to it; if not, its branch ends here."""
        if line.cut or commit.number != line.number + 1:
            line.why = line.why or checked.why
            return False
        why = ""
        if checked.hash != hashed:
            why = checked.why or "the commit or its events are not what was written"
        if not why and commit.recorded_at < self._recorded_at:
            why = "recorded before the one that it follows"
        heavy = sum(map(weight, checked.events.values()))
        if not why and not checked.redactions and line.weight not in {None, commit.weight - heavy}:
            why = "its weight does not follow on the commit before"
        if not why and self._limits.get(line.id, LOW) < commit.number:
            why = "what it wrote can't be used"
        if not why and commit.commit_id is not None and self._target.seen(line.id, commit.commit_id):
            why = "another commit has its id"
        if why:
            line.stop(why)
        return not why

    def _keep(self, line: Line, commit: Commit, checked: Checked) -> None:
        try:
            records = [
                self._record(commit.number, event)
                for event in checked.events.values()
                if event.op in {Op.ERASE, Op.PRUNE}
            ]
        except _DAMAGE as error:
            line.stop(f"unreadable: {error}")
            line.lost += 1
            self._target.husk(None, commit.position, commit.hash)
            return
        self._recorded_at = max(self._recorded_at, commit.recorded_at)
        self._target.keep(commit, checked.events, checked.redactions)
        line.start = checked.start if commit.number == 1 else line.start
        line.last = commit.number
        line.records += records
        for seq, (_, salt) in checked.redactions.items():
            event = checked.events.get(seq)
            digest = None if event in {None, GONE} else _stand_in(salt, event)
            line.needs.append(Need(commit.number, seq, event is not None, digest))
        if commit.kind == "tag" and commit.source is not None:
            line.tags.append((commit.number, commit.source, commit.source_version or 0))

    def _record(self, number: int, event: Event) -> Record:
        value = self._events.decode(event).value
        if event.op == Op.ERASE:
            told, roots = value
            return Record(number, dict(told), dict(roots))
        pruned, roots, *rest = value
        return Record(number, {}, dict(roots), pruned, rest[0] if rest else None)


def _stand_in(salt: bytes | None, event: Event | None) -> bytes | None:
    """Give the digest of what stands in the place of an erased event."""
    if salt is None or event is None:
        return b""  # which no record names
    try:
        return chain.event_digest(salt, event)
    except _DAMAGE:
        return b""
