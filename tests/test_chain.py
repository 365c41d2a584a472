"""The store's chain stands whole in few rows, and is proven and gone on with as if it stood in all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from eventstate import CorruptJournalError, StateStore
from eventstate.journal import chain
from tests.salvages import facts, judge, saved_from
from tests.stores import Clock

if TYPE_CHECKING:
    from eventstate.verify import VerifyReport

pytestmark = pytest.mark.proves("rows")

COUNT = 140
USERS = 7


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of several users who write in turn."""
    path = tmp_path_factory.mktemp("chain") / "original.db"
    with StateStore(path, durability="normal", clock=Clock()) as store:
        for number in range(COUNT):
            store.session(f"user {number % USERS}").save({"n": number})
    return path


@pytest.fixture
def journal(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "agent.db"))


def sql(path: Path, statement: str, *values: int) -> list[Any]:
    """Run a statement behind the library's back."""
    database = apsw.Connection(str(path))
    rows = database.execute(statement, values).fetchall()
    database.close()
    return rows


def verified(path: Path, seal: str | None = None) -> VerifyReport:
    with StateStore(path, read_only=True) as store:
        return store.verify(seal=seal)


def test_it_is_whole_in_each_16th_row_and_its_beginning_in_the_others(journal: Path) -> None:
    sizes = dict(sql(journal, "SELECT position, length(chain) FROM commits"))
    assert sizes == {position: 4 if position % 16 else 32 for position in range(1, COUNT + 1)}


def test_a_seal_of_any_position_holds_and_no_other_does(journal: Path, tmp_path: Path) -> None:
    seals = []
    with StateStore(tmp_path / "other.db", durability="normal") as store:
        for number in range(COUNT):
            store.session("u").save({"n": number})
            seals.append(str(store.seal()))
        for seal in seals:
            assert store.verify(seal=seal).ok, seal
    for seal in seals:
        assert not verified(journal, seal).ok, seal
    with StateStore(tmp_path / "other.db", read_only=True) as store:
        assert str(store.seal()) == seals[-1]


def test_a_store_opened_anew_goes_on_from_any_position(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    for number in range(COUNT):
        with StateStore(path, durability="normal") as store:
            store.session("u").save({"n": number})
            seal = store.seal()
        assert (seal.position, seal) == (number + 1, sealed(path))
    assert verified(path).ok


def sealed(path: Path) -> object:
    with StateStore(path, read_only=True) as store:
        return store.seal()


@pytest.mark.parametrize("user", range(USERS))
@pytest.mark.parametrize("how", ["purge", "prune"])
def test_it_goes_on_when_rows_that_had_it_whole_are_gone(journal: Path, user: int, how: str) -> None:
    seal = sealed(journal)
    with StateStore(journal) as store:
        session = store.session(f"user {user}")
        session.purge() if how == "purge" else session.prune(keep_rounds=1)
    for number in range(3):
        with StateStore(journal) as store:
            store.session("more").save({"n": number})
            assert store.verify(seal=str(seal)).ok
    assert verified(journal).ok


def test_it_goes_on_when_all_that_was_is_gone(journal: Path) -> None:
    seal = sealed(journal)
    with StateStore(journal) as store:
        for user in range(USERS):
            store.session(f"user {user}").purge()
    for number in range(70):
        with StateStore(journal, durability="normal") as store:
            store.session("more").save({"n": number})
    assert verified(journal, str(seal)).ok


@pytest.mark.parametrize("position", [1, 2, 15, 16, 17, 100, 128, 139, 140])
def test_damage_to_any_row_of_it_is_found_there_and_mended(
    journal: Path, tmp_path: Path, position: int
) -> None:
    whole = facts(journal)
    sql(journal, "UPDATE commits SET chain = zeroblob(length(chain)) WHERE position = ?", position)
    found = verified(journal).findings
    assert found[0].what == "the store's chain is broken"
    assert found[0].commit == position
    assert len(found) == (1 if position % 16 else 2)  # a whole one is what the next goes on from
    saved = saved_from(journal, tmp_path / "saved.db")
    assert (saved.ok, saved.mended) == (True, 1)
    judge(tmp_path / "saved.db", whole, saved)


def test_a_row_that_should_have_it_whole_and_has_not_is_found(journal: Path) -> None:
    sql(journal, "UPDATE commits SET chain = substr(chain, 1, 4) WHERE position = 64")
    [finding] = verified(journal).findings
    assert (finding.what, finding.commit) == ("the store's chain is broken", 64)


@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_row_that_has_too_little_of_it_is_found(journal: Path, size: int) -> None:
    sql(journal, "UPDATE commits SET chain = substr(chain, 1, ?) WHERE position = 70", size)
    [finding] = verified(journal).findings
    assert (finding.what, finding.commit) == ("the store's chain is broken", 70)


def test_what_is_left_of_a_commit_that_is_gone_is_proven_by_the_next(journal: Path) -> None:
    with StateStore(journal) as store:
        store.session("user 3").purge()
        store.session("user 0").save({"n": 0})
    [(position, _)] = sql(journal, "SELECT position, id FROM husks ORDER BY position LIMIT 1 OFFSET 5")
    sql(journal, "UPDATE husks SET hash = zeroblob(32) WHERE position = ?", position)
    [finding] = verified(journal).findings
    assert (finding.what, finding.commit) == ("the store's chain is broken", position + 1)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE commits SET hash = zeroblob(32) WHERE position = 139",
        "UPDATE commits SET chain = zeroblob(4) WHERE position = 140",
        "UPDATE commits SET chain = x'' WHERE position = 140",
        "UPDATE commits SET chain = zeroblob(32) WHERE position = 128",
        "UPDATE commits SET chain = x''",
        "DELETE FROM commits WHERE position = 135",
    ],
)
def test_nothing_is_written_after_a_chain_that_is_broken(journal: Path, damage: str) -> None:
    sql(journal, damage)
    with StateStore(journal) as store:
        with pytest.raises(CorruptJournalError, match="the chain of its newest commits is broken"):
            store.session("more").save({"n": 1})
        with pytest.raises(CorruptJournalError):
            store.seal()
        assert store.session("user 0").state() == {"n": 133}


@pytest.mark.parametrize("position", [5, 64, 70, 130])
def test_a_commit_whose_hash_is_damaged_is_made_anew(journal: Path, tmp_path: Path, position: int) -> None:
    whole = facts(journal)
    sql(journal, "UPDATE commits SET hash = zeroblob(32) WHERE position = ?", position)
    saved = saved_from(journal, tmp_path / "saved.db")
    assert (saved.ok, saved.mended) == (True, 1)
    judge(tmp_path / "saved.db", whole, saved, use=True)


@pytest.mark.parametrize("position", [3, 64, 70, 137])
def test_what_comes_after_a_loss_goes_on_from_it(journal: Path, tmp_path: Path, position: int) -> None:
    whole = facts(journal)
    event = "(SELECT branch << 32 | version FROM commits WHERE position = ?)"
    sql(journal, f"DELETE FROM events WHERE id = {event}", position)  # noqa: S608 - our own names
    saved = saved_from(journal, tmp_path / "saved.db")
    assert not saved.ok
    assert saved.position == COUNT
    judge(tmp_path / "saved.db", whole, saved, use=True)


@pytest.mark.parametrize("count", [2, 62, 63, 64, 65, 127, 128, 200])
def test_each_event_of_a_large_commit_has_a_salt_of_its_own(tmp_path: Path, count: int) -> None:
    with StateStore(tmp_path / "a.db") as store:
        session = store.session("u")
        session.save({f"key {number}": number for number in range(count)})
        [row] = store._commit_rows(0)
        salts = [chain.event_salt(row, seq) for seq in range(count + 1)]
        assert len({*salts}) == count + 1
        assert store.verify().ok
        session.erase(f"key {count - 1}")
        session.erase("key 0")
        report = store.verify()
        assert report.ok, str(report)
        assert report.erased > 0
