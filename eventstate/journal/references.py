"""What recipes refer to: how it is read, and how it is found again in a packed state."""

from __future__ import annotations

import bisect
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import msgpack

from eventstate.errors import CorruptJournalError
from eventstate.journal import statements as sql
from eventstate.journal.pages import pages
from eventstate.journal.read import segments
from eventstate.journal.recipes import FREE, MAX_RATIO, MAX_SCANS, Part, Recipe, Rule, scans, tell
from eventstate.journal.records import LOW, Branch, row_id
from eventstate.values.blocks import Block, align
from eventstate.values.delta import Op

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventstate.journal.connection import Connection

MIN_SLICE: Final = 64
"""Bytes below which a slice is told literally."""

_MIN_PIECE: Final = 16  # of a run, which tells many at once
_MIN_DENSITY: Final = 4  # bytes that a run must give for each event that it goes by
_PAGE: Final = 4096
_JOINED: Final = 1 << 17  # bytes of a run to read at once, about
_FEW: Final = 64  # events that are read at once whatever their size
_ALONE: Final = 4  # events that are read one by one
_NEAR: Final = 64  # bytes between one piece and the next
_MANY: Final = 8  # gaps that each piece is tried in
_LEFT: Final = 1024  # pieces that are looked for everywhere
_WORK: Final = 8  # times the size of the state
_HEADS: Final = {0xD9: 2, 0xC4: 2, 0xDA: 3, 0xC5: 3, 0xDC: 3, 0xDE: 3, 0xDB: 5, 0xC6: 5, 0xDD: 5, 0xDF: 5}
_FIXED: Final = range(0x80, 0xC0)  # heads of short maps, arrays and strings, of one byte
_HEADER: Final = 4096  # bytes among which what comes before a payload is looked for


class Known(NamedTuple):
    """An older snapshot that was told, as it is read."""

    version: int
    recipe: Recipe
    packed: bytes


class _Found(NamedTuple):
    """A stretch of the state that was found in events."""

    part: Part
    before: int = -1
    """The last event before it with the same rule, as far as that was looked for; else -1."""
    whole: bool = False
    """Whether it goes on to the end of each value, as in a run."""

    def merged(self, other: _Found) -> _Found:
        """Put a stretch that comes right after this one to it."""
        part = self.part._replace(length=self.part.length + other.part.length, last=other.part.last)
        return self._replace(part=part)


class References:
    """Reads and finds what stands in the events of a lineage."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def told(self, branch: Branch, parts: tuple[Part, ...]) -> Iterator[list[bytes] | list[memoryview]]:
        """Read what parts of a recipe refer to, each in pieces.

        Raises:
            CorruptJournalError: it is not there any more, or not what it was.
        """
        values = self._values(branch, sorted({part.first for part in parts if part.rule is None}))
        sliced = sum(part.length for part in parts if part.rule is None)
        if sliced > max(FREE, MAX_RATIO * sum(map(len, values.values()))):
            raise CorruptJournalError(f"{self._connection.path}: few bytes of events for {sliced} of a state")
        for part in parts:
            pieces: list[bytes] | list[memoryview]
            if part.rule is None:
                pieces = [memoryview(values.get(part.first, b""))[part.start : part.start + part.length]]
            else:
                pieces = self._run(branch, part, part.rule)
            if sum(map(len, pieces)) != part.length:
                raise CorruptJournalError(
                    f"{self._connection.path}: event {part.first} is not what a snapshot refers to"
                )
            yield pieces

    def _values(self, branch: Branch, seqs: list[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for owner, low, high in segments(branch, seqs[0] - 1, seqs[-1]) if seqs else ():
            own = seqs[bisect.bisect_right(seqs, low) : bisect.bisect_right(seqs, high)]
            if len(own) <= _ALONE:
                for seq in own:
                    row = self._connection.one(sql.GET_EVENT, (row_id(owner.id, seq),))
                    if row is not None and row[-1] is not None:
                        found[seq] = row[-1]
                continue
            for at in range(0, len(own), sql.BATCH):
                keys = [row_id(owner.id, seq) for seq in own[at : at + sql.BATCH]]
                keys += keys[-1:] * (sql.BATCH - len(keys))
                rows = self._connection.all(sql.EVENT_VALUES, keys)
                found.update((key & LOW, value) for key, value in rows if value is not None)
        return found

    def _run(self, branch: Branch, part: Part, rule: Rule) -> list[bytes]:
        """Read a run, some at a time: the memory of what was joined is at hand for what is made of it."""
        found: list[bytes] = []
        step = max((part.last - part.first + 1) * _JOINED // part.length, _FEW)
        for owner, low, high in segments(branch, part.first - 1, part.last):
            for after in range(low, high, step):
                bounds = row_id(owner.id, after), row_id(owner.id, min(after + step, high))
                [(joined,)] = self._connection.all(sql.JOINED_VALUES, (part.start + 1, *bounds, *rule))
                found.append(joined or b"")
        return found

    def find(self, branch: Branch, version: int, packed: bytes, known: Known | None) -> Recipe:
        """Find what a packed state has in common with the events up to its version.

        The time that this takes is bounded by the sizes of the state and of the events since `known`.

        Args:
            branch: of the state.
            version: of the state.
            packed: the state.
            known: an older snapshot, with what it refers to.
        """
        search, after = _Search(packed), 0
        if known is not None:
            after = known.version
            blocks = align(known.packed, packed, _WORK * (len(known.packed) + len(packed)))
            search.take(self._kept(branch, known.recipe.parts, blocks))
        seen: dict[Rule, int] = {}
        for seq, op, path, value in self._tail(branch, after, version):
            if value is None or len(value) < _MIN_PIECE or not Op.SET <= op <= Op.WITHIN:
                continue
            rule = Rule(op, path)
            search.place(seq, rule, seen.get(rule, 0), value)
            seen[rule] = seq
        search.finish()
        return tell(packed, self._limited(branch, version, self._joined(branch, after, search.found())))

    def _tail(self, branch: Branch, after: int, upto: int) -> Iterator[tuple[int, int, bytes, bytes | None]]:
        for owner, low, high in segments(branch, after, upto):
            last = row_id(owner.id, high)
            rows = pages(
                lambda key, last=last: self._connection.all(sql.LIST_EVENTS, (key, last, _PAGE)),  # type: ignore[misc]
                row_id(owner.id, low),
                lambda row: int(row[0]),
                _PAGE,
            )
            for key, op, path, value in rows:
                yield key & LOW, op, path, value

    def _kept(self, branch: Branch, parts: Iterable[Part], blocks: Iterable[Block]) -> Iterator[_Found]:
        """Give what is left in a state of the parts of an older one, given what they have in common."""
        left = iter(blocks)
        block = next(left, None)
        for part in parts:
            pieces: list[_Found] | None = None
            while block is not None and block.old < part.end:
                low, high = max(block.old, part.at), min(block.old + block.length, part.end)
                if low < high:
                    moved = block.new - block.old
                    if pieces is None:
                        whole = _Found(part, whole=part.rule is not None)
                        split = part.rule is not None and high - low < part.length
                        pieces = self._pieces(branch, part) if split else [whole]
                    yield from (cut for piece in pieces for cut in _cut(piece, low, high, moved))
                if block.old + block.length > part.end:
                    break
                block = next(left, None)

    def _pieces(self, branch: Branch, part: Part) -> list[_Found]:
        """Take a run apart."""
        found: list[_Found] = []
        at, before = part.at, -1
        for owner, low, high in segments(branch, part.first - 1, part.last):
            bounds = row_id(owner.id, low), row_id(owner.id, high)
            for key, length in self._connection.all(sql.VALUE_LENGTHS, (*bounds, *(part.rule or ()))):
                seq, length = key & LOW, max((length or 0) - part.start, 0)  # noqa: PLW2901 - its own share
                if length:
                    found.append(
                        _Found(Part(at, length, seq, seq, part.start, part.rule), before, whole=True)
                    )
                at, before = at + length, seq
        return found if at == part.end else []

    def _joined(self, branch: Branch, known: int, found: list[_Found]) -> list[_Found]:
        """Make runs of stretches that follow one another in the state as in the events."""
        joined: list[_Found] = []
        for stretch in found:
            if joined and self._follows(branch, known, joined[-1], stretch):
                joined[-1] = joined[-1].merged(stretch)
            else:
                joined.append(stretch)
        return joined

    def _follows(self, branch: Branch, known: int, one: _Found, other: _Found) -> bool:
        here, there = one.part, other.part
        if (here.end, here.rule, here.start) != (there.at, there.rule, there.start) or here.rule is None:
            return False
        if not (one.whole and other.whole):
            return False
        if other.before or here.last > known:
            return other.before == here.last
        # It is the first since the older snapshot, which knew of one; there may be more between.
        return not any(
            self._connection.one(sql.ANY_VALUE, (row_id(owner.id, low), row_id(owner.id, high), *here.rule))
            for owner, low, high in segments(branch, here.last, known)
        )

    def _limited(self, branch: Branch, version: int, found: list[_Found]) -> list[Part]:
        """Choose how each stretch is told, so that it is short and read in bounded time."""
        runs = [one.part for one in found if one.part.first < one.part.last and _is_dense(one.part)]
        runs.sort(key=lambda part: part.last - part.first - part.length)
        while scans(runs) > MAX_SCANS * version:
            runs.pop()
        kept, parts = set(runs), list[Part]()
        for stretch in found:
            if stretch.part in kept:
                parts.append(stretch.part)
                continue
            alone = stretch.part.first == stretch.part.last
            pieces = [stretch] if alone else self._pieces(branch, stretch.part)
            parts += [one.part._replace(rule=None) for one in pieces if one.part.length >= MIN_SLICE]
        return parts


def _is_dense(run: Part) -> bool:
    return run.length >= max(MIN_SLICE, _MIN_DENSITY * (run.last - run.first))


def _cut(found: _Found, low: int, high: int, moved: int) -> Iterator[_Found]:
    """Give what is left of a stretch between two places of the state in which it stood."""
    part = found.part
    start, end = max(low, part.at), min(high, part.end)
    if start >= end:
        return
    if end - start == part.length:
        yield found._replace(part=part._replace(at=start + moved))
        return
    offset = part.start + start - part.at
    yield _Found(Part(start + moved, end - start, part.first, part.last, offset, None))


class _Gap:
    """A stretch of the state for which nothing was found yet."""

    __slots__ = ("high", "low")

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high


class _Search:
    """Looks in a packed state for what events hold."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._found: list[_Found] = []
        self._gaps = [_Gap(0, len(packed))]
        self._left: deque[tuple[int, Rule, int, bytes]] = deque(maxlen=_LEFT)
        self._left_bytes = 0
        self._work = _WORK * len(packed) + FREE

    def found(self) -> list[_Found]:
        """Give what was found, in the order of the state."""
        return sorted(self._found)

    def take(self, found: Iterable[_Found]) -> None:
        """Take what is known to be there, in the order of the state."""
        self._found += found
        ends = [0, *(one.part.end for one in self._found)]
        starts = [*(one.part.at for one in self._found), len(self._packed)]
        self._gaps = [
            _Gap(low, high) for low, high in zip(ends, starts, strict=True) if high - low >= _MIN_PIECE
        ]
        self._gaps.sort(key=lambda gap: gap.low - gap.high)

    def place(self, seq: int, rule: Rule, before: int, value: bytes) -> None:
        """Look for what an event put into the state where the last one was found, else leave it for later."""
        for start in _starts(rule.op, value):
            length, view = len(value) - start, memoryview(value)[start:]
            if length < _MIN_PIECE:
                return
            for gap in self._gaps[:_MANY]:
                at = self._packed.find(view, gap.low, min(gap.high, gap.low + length + _NEAR))
                if at >= 0:
                    self._found.append(_Found(Part(at, length, seq, seq, start, rule), before, whole=True))
                    gap.low = at + length
                    return
        if len(value) >= MIN_SLICE:
            if len(self._left) == _LEFT:
                self._left_bytes -= len(self._left[0][3])
            self._left.append((seq, rule, before, value))
            self._left_bytes += len(value)
            while self._left_bytes > 2 * len(self._packed) + FREE:
                self._left_bytes -= len(self._left.popleft()[3])

    def finish(self) -> None:
        """Look everywhere for what was left, the newest first, which is the likeliest to be there still."""
        rest = [one for one in reversed(self._left) if self._work > 0 and not self._anywhere(*one)]
        for seq, rule, _, value in rest:
            if self._work > 0:
                self._in_parts(seq, rule, value)

    def _anywhere(self, seq: int, rule: Rule, before: int, value: bytes) -> bool:
        packed = self._packed
        for start in _starts(rule.op, value):
            length, view = len(value) - start, memoryview(value)[start:]
            for gap in self._gaps:
                if gap.high - gap.low < length or length < MIN_SLICE:
                    continue
                if packed.endswith(view, gap.low, gap.high):  # what came before something newer
                    at = gap.high - length
                else:
                    at = packed.find(view, gap.low, gap.high)
                    self._work -= gap.high - gap.low
                if at >= 0:
                    self._found.append(_Found(Part(at, length, seq, seq, start, rule), before, whole=True))
                    self._gaps.append(_Gap(at + length, gap.high))
                    gap.high = at
                    return True
        return False

    def _in_parts(self, seq: int, rule: Rule, value: bytes) -> None:
        """Look for what is left of a value that was changed since."""
        start = max(_starts(rule.op, value), default=len(value))
        inner = value[start:]
        for gap in [gap for gap in self._gaps if gap.high - gap.low >= MIN_SLICE]:
            if self._work <= 0 or len(inner) < MIN_SLICE:
                return
            size = gap.high - gap.low
            work = min(self._work, 2 * (size + len(inner)))
            blocks = align(inner, self._packed[gap.low : gap.high], work)
            cuts, low = [block for block in blocks if block.length >= MIN_SLICE], gap.low
            self._work -= size + len(inner)
            for old, new, length in cuts:
                part = Part(low + new, length, seq, seq, start + old, rule)
                self._found.append(_Found(part, whole=old + length == len(inner)))
            ends = [low, *(low + block.new + block.length for block in cuts)]
            edges = [*(low + block.new for block in cuts), gap.high]
            if cuts:
                gap.high = gap.low
                self._gaps += [_Gap(*pair) for pair in zip(ends, edges, strict=True)]
                return


def _starts(op: int, value: bytes) -> tuple[int, ...]:
    """Tell where in an event's value begins what it put into the state: all of it, and what is in it.

    What holds it tells its length at its head, which changes when something is put to it.
    """
    start = 0
    if op != Op.SET:
        unpacker = msgpack.Unpacker(max_buffer_size=_HEADER)
        unpacker.feed(value[:_HEADER])
        try:
            while op == Op.WITHIN:
                unpacker.read_array_header()
                unpacker.skip()
                op = value[unpacker.tell()]
                unpacker.skip()
            if op == Op.SPLICE:
                unpacker.read_array_header()
                unpacker.skip()
                unpacker.skip()
            start = unpacker.tell()
        except (msgpack.UnpackException, ValueError):
            return ()
        if start >= len(value):
            return ()
    head = value[start]
    inner = start + (1 if head in _FIXED else _HEADS.get(head, 0))
    return (inner,) if op == Op.SPLICE or inner == start else (start, inner)
