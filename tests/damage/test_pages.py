"""Damage to the bytes of a journal, anywhere: it is refused, or found, or nothing at all is different."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import CorruptJournalError, StateStore
from tests.damage.campaign import Result, campaign, in_memory
from tests.damage.faults import KINDS
from tests.damage.forge import forge
from tests.damage.images import Image, Originals, originals
from tests.damage.judge import Judge, Outcome, WrongError

if TYPE_CHECKING:
    from tests.promises import Proofs

SEED = 7
COUNTS = {"flip": 2000, "swap": 200, "zero": 200, "stale": 200, "truncation": 200, "tail": 200}
REFUSED, FOUND, SHORTER, HARMLESS = Outcome.REFUSED, Outcome.FOUND, Outcome.SHORTER, Outcome.HARMLESS
EXPECTED = {
    "flip": {REFUSED, FOUND, SHORTER, HARMLESS},
    "swap": {REFUSED, FOUND, SHORTER, HARMLESS},
    "zero": {REFUSED, FOUND, SHORTER, HARMLESS},
    "stale": {FOUND, HARMLESS},
    "truncation": {REFUSED, FOUND, SHORTER},
    "tail": {REFUSED, FOUND, SHORTER},
}
"""How faults of each kind turn out, if there are enough of them."""


@pytest.fixture(scope="module")
def whole() -> Originals:
    return originals()


@pytest.mark.parametrize("kind", COUNTS)
def test_whatever_happens_to_the_bytes_no_state_is_silently_different(
    whole: Originals, kind: str, proved: Proofs
) -> None:
    result: Result = campaign(kind, whole, SEED, range(COUNTS[kind]))
    assert not result.wrong, "\n".join(result.wrong)
    assert result.outcomes.total() == COUNTS[kind]
    assert set(result.outcomes) >= EXPECTED[kind]
    proved("flips" if kind == "flip" else "pages", COUNTS[kind])


def test_a_lost_write_that_no_hash_showed_would_be_noticed(whole: Originals) -> None:
    # The judge itself is judged: a journal that is whole, but not the one that it was, is not let through.
    with in_memory() as folder:
        early = Image(whole.older[0])
        path = early.write(folder)
        with StateStore(path, durability="normal") as store:
            store.session("alice", "trip").save({"one": "more"})
        judge = Judge(Image(path.read_bytes()), folder)
        with pytest.raises(WrongError, match="without a trace"):
            judge.outcome(early, read_only=True)
        path = early.write(folder)
        forge(path, 1, b"\x01")
        with pytest.raises(WrongError, match="commits are different"):
            judge.outcome(Image(path.read_bytes()), read_only=True)


def test_a_log_whose_file_is_empty_is_not_thrown_away(whole: Originals) -> None:
    with in_memory() as folder:
        path = whole.live._replace(file=b"").write(folder)
        with pytest.raises(CorruptJournalError, match="a log beside it"):
            StateStore(path)
        assert path.with_name("journal.db-wal").read_bytes() == whole.live.wal


def test_all_kinds_of_faults_are_tried() -> None:
    assert set(COUNTS) == set(EXPECTED) == set(KINDS)


def test_a_flipped_bit_in_a_row_is_located_at_its_commit(whole: Originals) -> None:
    with (
        in_memory() as folder,
        StateStore(whole.closed.write(folder, "original.db"), read_only=True) as store,
    ):
        rows = list(store._commit_rows(0))
        places = {store._described(row, {}).position: (row.salt, row.hash, row.chain) for row in rows}
        located = 0
        for position, marks in places.items():
            for mark in marks:
                flipped = bytes([mark[0] ^ 16, *mark[1:]])
                # A copy may stand in what a page does not use.
                damaged = Image(whole.closed.file.replace(mark, flipped))
                with StateStore(damaged.write(folder), read_only=True) as copy:
                    located += position in {finding.commit for finding in copy.verify().findings}
    assert located == 3 * len(rows)
