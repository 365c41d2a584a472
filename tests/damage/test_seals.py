"""A seal kept elsewhere shows what the file alone can't: a past rewritten with every hash, or cut off."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eventstate import StateStore
from eventstate.values.codec import Codec
from tests.damage.forge import cut, forge
from tests.stores import Clock

if TYPE_CHECKING:
    from eventstate.verify import VerifyReport
    from eventstate.verify.seal import Seal

pytestmark = pytest.mark.proves("seal")

EVENTFUL = [1, 2, 4, 6, 8, 9]
LAST = 9
FORGED = Codec().encode("forged")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seal") / "original.db"
    with StateStore(path, durability="normal", snapshot_every=2, clock=Clock()) as store:
        session = store.session("alice", "trip")
        session.save({"plan": "none", "n": 0})  # position 1
        session.save({"plan": "some", "n": 1})  # 2
        session.tag("early", at=1)  # 3
        store.session("bob").save({"a": "1"})  # 4
        fork = session.fork("what-if", at=1)  # 5
        fork.save({"plan": "train", "n": 0})  # 6
        session.tag("late")  # 7
        session.merge(fork, lambda conflict: conflict.theirs)  # 8
        session.save({"plan": "all", "n": 2})  # 9
    return path


@pytest.fixture
def journal(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "journal.db"))


def sealed(path: Path) -> Seal:
    with StateStore(path, read_only=True) as store:
        return store.seal()


def verified(path: Path, seal: Seal | str | None = None) -> VerifyReport:
    with StateStore(path, read_only=True) as store:
        return store.verify(seal=seal)


def test_a_seal_names_the_last_commit_and_the_untouched_journal_has_it(journal: Path) -> None:
    seal = sealed(journal)
    assert seal.position == LAST
    assert verified(journal, seal).ok
    assert verified(journal, str(seal)).ok


def test_a_seal_holds_as_the_journal_grows(journal: Path) -> None:
    seal = sealed(journal)
    with StateStore(journal) as store:
        store.session("alice", "trip").save({"n": 3})
        assert store.verify(seal=seal).ok


@pytest.mark.parametrize("position", EVENTFUL)
def test_a_past_rewritten_with_all_its_hashes_is_known_by_the_seal_alone(
    journal: Path, position: int
) -> None:
    seal = sealed(journal)
    forge(journal, position, FORGED)
    assert verified(journal).ok
    [finding] = verified(journal, seal).findings
    assert str(LAST) in str(finding)


def test_a_seal_says_nothing_of_what_came_after_it(journal: Path) -> None:
    seal = sealed(journal)
    with StateStore(journal) as store:
        store.session("alice", "trip").save({"n": 3})
    forged = Path(shutil.copy(journal, journal.with_name("forged.db")))
    later = sealed(journal)
    forge(forged, LAST + 1, FORGED)
    assert verified(forged, seal).ok
    assert not verified(forged, later).ok
    assert verified(journal, later).ok


@pytest.mark.parametrize("position", range(LAST))
def test_newest_commits_that_were_cut_off_are_known_by_the_seal_alone(journal: Path, position: int) -> None:
    seal = sealed(journal)
    cut(journal, position)
    assert verified(journal).ok
    [finding] = verified(journal, seal).findings
    assert f"commit {LAST}" in str(finding)


def test_another_journal_of_the_same_length_is_not_the_sealed_one(journal: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with StateStore(other, durability="normal", clock=Clock()) as store:
        for number in range(LAST):
            store.session("alice", "trip").save({"n": number})
    assert not verified(other, sealed(journal)).ok
