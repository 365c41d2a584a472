"""Edits that are committed as following on a version that was read before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eventstate import CommitOptions, ConflictError, InvalidStateError, MemoryKeyRing, Session, StateStore
from eventstate.values.delta import Edit, Op

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

APPEND = [Edit(("log",), Op.SPLICE, [2, 0, ["three"]])]

MOVES: dict[str, Callable[[Session], object]] = {
    "a change": lambda session: session.update(lambda state: state.update(n=2)),
    "an erasure": lambda session: session.erase("log"),
    "an erasure of something else": lambda session: session.erase("card"),
    "a late round": lambda session: session.save({"log": []}, round_id=0),
}

STAYS: dict[str, Callable[[Session], object]] = {
    "nothing": lambda _: None,
    "a note": lambda session: session.note("noted"),
    "a tag": lambda session: session.tag("here"),
}


@pytest.fixture(params=["plain", "encrypted"])
def session(request: pytest.FixtureRequest) -> Session:
    keys = MemoryKeyRing()
    if request.param == "encrypted":
        keys.create("u")
    session = StateStore(":memory:", keys=keys).session("u")
    session.save({"log": ["one", "two"], "card": "4111", "n": 1})
    return session


@pytest.mark.parametrize("what", MOVES)
def test_edits_of_a_version_after_which_the_state_moved_are_refused(session: Session, what: str) -> None:
    base = session.version
    MOVES[what](session)
    before, version = session.state(), session.version
    with pytest.raises(ConflictError) as caught:
        session._writer.write("round", CommitOptions(), base, APPEND)
    assert (caught.value.expected, caught.value.actual) == (base, version)
    assert (session.state(), session.version) == (before, version)


@pytest.mark.parametrize("what", STAYS)
def test_edits_follow_on_what_leaves_the_state_as_it_is(session: Session, what: str) -> None:
    base = session.version
    STAYS[what](session)
    assert session._writer.write("round", CommitOptions(), base, APPEND).kind == "round"
    assert session.state()["log"] == ["one", "two", "three"]


def test_edits_of_the_latest_state_are_brought_to_what_was_written_last(session: Session) -> None:
    session.save({"late": True}, round_id=0)
    session._writer.write("round", CommitOptions(), session.version, APPEND)
    assert session.state() == {"log": ["one", "two", "three"], "card": "4111", "n": 1}
    assert session.state(at=0) == {"late": True}


UNFIT = {
    "a run past the end": [Edit(("log",), Op.SPLICE, [3, 0, ["four"]])],
    "a second that the first makes unfit": [
        Edit(("log",), Op.SPLICE, [0, 2, []]),
        Edit(("log",), Op.SPLICE, [2, 0, ["three"]]),
    ],
    "an attribute that is not there": [Edit(("n", "deeper"), Op.SET, 1)],
    "keys that are others": [Edit((), Op.ORDER, ["log", "n"])],
}


@pytest.mark.parametrize("what", UNFIT)
@pytest.mark.parametrize("known", ["a known session", "a new session"])
def test_edits_that_do_not_fit_are_refused_and_nothing_is_written(
    session: Session, what: str, known: str
) -> None:
    if known == "a new session":
        session = StateStore(":memory:").session("new")
    before, version = session.state(), session.version
    with pytest.raises(InvalidStateError, match="do not fit"):
        session._writer.write("round", CommitOptions(), version, UNFIT[what])
    assert (session.state(), session.version) == (before, version)
    session.update(lambda state: state.update(n=2))
    assert session.state() == {**(before or {}), "n": 2}


def test_edits_that_fit_are_folded_once(session: Session) -> None:
    hits = session._journal.heads.hits
    for size in (3, 4, 5):
        edits = [Edit(("log",), Op.SPLICE, [size - 1, 0, ["more"]])]
        session._writer.write("round", CommitOptions(), session.version, edits)
        assert session.state()["log"] == ["one", "two", *["more"] * (size - 2)]
    assert session._journal.heads.hits > hits, "the state in memory went on being used"
    assert session._journal.heads.misses <= 1


def test_edits_that_do_not_fit_are_refused_after_a_late_round_too(session: Session) -> None:
    session.save({"log": []}, round_id=0)
    before, options = session.state(), CommitOptions()
    with pytest.raises(InvalidStateError, match="/no/way"):
        session._writer.write("round", options, session.version, [Edit(("no", "way"), Op.SET, 1)])
    assert session.state() == before


def test_a_rollback_of_the_version_that_is_expected_is_planned_anew_after_a_removal_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        for name in ("u", "v"):
            for n in range(3):
                store.session(name).save({"n": n})
        appender, tries = store._journal.appender, list[int]()
        append_all = appender.append_all

        def pruned_first(requests: Any) -> Any:
            tries.append(len(requests))
            if len(tries) == 1:
                with StateStore(tmp_path / "a.db", durability="normal") as other:
                    other.session("v").prune(keep_rounds=1)
            return append_all(requests)

        monkeypatch.setattr(appender, "append_all", pruned_first)
        session = store.session("u")
        assert session.rollback(1, expected_version=session.version).id == 4
        assert tries == [1, 1]
        assert session.state() == {"n": 0}
