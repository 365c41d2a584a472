"""An attribute's history by the lists of its events is that which a scan of all events gives."""

from __future__ import annotations

import contextlib
import tempfile
import zlib
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventstate import EventStateError, StateStore
from eventstate.journal import postings
from eventstate.journal.postings import LONGEST, NOTES, Posting, key
from eventstate.values.delta import Op
from tests.postings.lists import everything, scanning, sizes
from tests.retention.lives import PATHS, Life, steps

MORE: Final = ("erase", "prune", "drop", "rebuild", "reopen", "other store")


def act(life: Life, what: str, pick: int) -> Life:
    """Do something to the whole store or session."""
    store, session = life.store, life.session(life.branches[pick % len(life.branches)])
    if what == "drop":
        store.drop_snapshots()
    elif what == "rebuild":
        store.rebuild()
    elif what == "reopen":
        path = store._journal.connection.path
        store.close()
        return Life(Life.at(path).store, life.made)
    elif what == "other store":
        with StateStore(store._journal.connection.path, durability="normal") as other:
            for number in range(pick % 6):
                other.session("alice", "trip", session.branch).update(lambda s, n=number: s.update(b=n))  # type: ignore[misc]
    elif what == "erase":
        with contextlib.suppress(EventStateError):
            session.erase(PATHS[pick % len(PATHS)])
    elif what == "prune":
        session.prune(keep_rounds=1 + pick % 4)
    return life


actions = st.lists(st.tuples(st.sampled_from(MORE), st.integers(0, 999), steps), min_size=1, max_size=4)


@given(
    start=steps, actions=actions, step=st.integers(1, 9), small=st.booleans(), share=st.sampled_from([1, 8])
)
@example(
    start=[("note", 1), ("put", 2), ("deep", 3), ("fork", 1), ("pop", 2)],
    actions=[("erase", 6, [("deep", 1), ("put", 2)] * 4), ("drop", 0, [("deep", 1)] * 9)],
    step=1,
    small=True,
    share=8,
)
def test_a_history_by_lists_is_that_of_a_scan(
    start: list[Any], actions: list[Any], step: int, *, small: bool, share: int
) -> None:
    sized = {"KEY_SIZE": 4, "FULL": 3, "LONGEST": 5, "_SHORT": 2, "_PAGE": 2} if small else {}
    with tempfile.TemporaryDirectory() as folder, sizes(step, _DENSE=0, _MANY=share, **sized):
        life = Life.at(Path(folder) / "a.db")
        life.live(start)
        for what, pick, more in actions:
            life = act(life, what, pick)
            life.live(more)
        with scanning():
            expected = everything(life.store)
        assert everything(life.store) == expected
        report = life.store.verify()
        assert report.ok, str(report)
        life.store.close()


@given(st.integers(1, 10), st.lists(st.integers(1, 1 << 20), max_size=400), st.integers(1, 9))
@example(1, [at * 7919 % (1 << 20) + 1 for at in range(400)], 9)
def test_what_is_listed_is_read_again(first: int, gaps: list[int], parts: int) -> None:
    seqs = [first]
    for gap in gaps:
        seqs.append(seqs[-1] + gap)
    posting, rest = Posting(b"\xa1x", first, first, b""), seqs[1:]
    size = len(rest) // parts + 1
    taken = 0
    while taken < len(rest):
        full = len(posting.data) >= postings.FULL
        posting, more = posting.longer(rest[taken : taken + size])
        assert not (full and more)
        if not more:
            break
        taken += more
    assert posting.seqs() == seqs[: taken + 1]
    assert taken == len(rest) or len(posting.data) > postings.FULL / 2


@pytest.mark.parametrize(
    "posting",
    [
        Posting(b"", 1, 1, b""),
        Posting(b"x", 0, 1, b"\1"),
        Posting(b"x", -1, 1, b"\2"),
        Posting(b"x", 1, 3, b"\1"),
        Posting(b"x", 1, 1, b"\0"),
        Posting(b"x", 1, 1, b"\1\0"),
        Posting(b"x", 1, 2, b"\1\x80"),
        Posting(b"x", 1, 1, b"\xff" * 400),
        Posting(b"x", 1, (1 << 32) + 1, b"\x80\x80\x80\x80\x10"),
        Posting(b"x", 1, 2, b"\0" + zlib.compress(b"\1", wbits=-15) + b"\1"),
        Posting(b"x", 1, LONGEST + 2, b"\1" * (LONGEST + 1)),
    ],
)
def test_a_list_that_nobody_wrote_is_refused(posting: Posting) -> None:
    with pytest.raises(EventStateError):
        posting.seqs()


def test_a_list_that_inflates_beyond_what_a_row_may_hold_is_refused_before() -> None:
    packer = zlib.compressobj(wbits=-15)
    data = b"\0" + packer.compress(b"\1" * (1 << 26)) + packer.flush()
    with pytest.raises(EventStateError, match="does not end"):
        Posting(b"x", 1, 1 + (1 << 26), data).seqs()


def test_keys_tell_apart_what_touches_an_attribute() -> None:
    assert key(Op.SET, b"\xa1x") == key(Op.WITHIN, b"\xa1x") == b"\xa1x"
    assert key(Op.ORDER, b"\xa1x") == b"\xa1x\xc1"
    assert key(Op.ORDER, b"") is None
    assert key(Op.NOTE, b"") == NOTES
    assert key(Op.GONE, b"") is key(Op.ERASE, b"") is None
    assert key(Op.SET, b"\xa1x" * 99) == (b"\xa1x" * 99)[: postings.KEY_SIZE]
