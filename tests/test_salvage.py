"""Salvage: whatever has become of a file, what comes out is proven, and says what is lost."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventstate
from eventstate import CorruptJournalError, NewerFormatError, StateStore, StorageError
from eventstate.journal import chain
from eventstate.journal.records import Commit, Event
from eventstate.repair.salvage import Salvaged, salvage
from eventstate.testing.scripts import play
from eventstate.testing.strategies import agent_sessions
from tests.damage.campaign import in_memory
from tests.salvages import Facts, build, facts, go_on, judge, saved_from
from tests.stores import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate.testing.scripts import Action
    from tests.promises import Proofs

pytestmark = pytest.mark.proves("repair")

PAGE = 4096
IMAGES = 300
FEW = max(settings().max_examples // 4, 1)
"""One is slow, as each opens several files."""

U32 = 1 << 32
TABLES = ("sessions", "branches", "commits", "events", "tags", "snapshots", "redactions", "husks", "roots")
DERIVED = {"tags", "snapshots", "removals"}
VALUES: dict[str, list[Any]] = {
    "INTEGER": [0, -1, 1, 2, 3, 5, U32, 1 << 62, -(1 << 63), (1 << 63) - 1, None],
    "TEXT": ["", "x", "main", "what-if", "a\0b", None],
    "BLOB": [b"", b"x", b"\xc1", b"\x92\x01", bytes(32), None],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("salvage") / "original.db"
    build(path)
    return path


@pytest.fixture(scope="module")
def whole(original: Path) -> Facts:
    return facts(original)


@contextlib.contextmanager
def damaged(original: Path) -> Iterator[tuple[Path, Path, apsw.Connection]]:
    """Give a copy of a closed journal, a name for a new one, and a connection to damage the copy."""
    with in_memory() as folder:
        path = Path(shutil.copy(original, folder / "journal.db"))
        database = apsw.Connection(str(path))
        database.pragma("foreign_keys", value=False)
        yield path, folder / "saved.db", database


def salvaged(original: Path, whole: Facts, *statements: str, use: bool = True) -> tuple[Salvaged, Facts]:
    """Damage a copy by statements, and give what can be saved of it."""
    with damaged(original) as (path, target, database):
        for statement in statements:
            before = database.total_changes()
            database.execute(statement)
            assert database.total_changes() > before, "nothing was changed"
        database.close()
        saved = saved_from(path, target)
        return saved, judge(target, whole, saved, use=use)


def lost(whole: Facts, found: Facts) -> Counter[tuple[str, str, str]]:
    """Count the commits that are not there any more, by branch."""
    return Counter(
        (commit.user_id, commit.session_id, commit.branch)
        for digest, commit in whole.commits.items()
        if digest not in found.commits
    )


def key_of(original: Path, user: str, session: str, branch: str = "main") -> int:
    """Give the number of a branch."""
    database = apsw.Connection(str(original), flags=apsw.SQLITE_OPEN_READONLY)
    [(number,)] = database.execute(
        """SELECT branches.id FROM branches JOIN sessions ON sessions.id = session
        WHERE (user_id, session_id, name) = (?, ?, ?)""",
        (user, session, branch),
    )
    database.close()
    return int(number)


# A whole file


def test_of_a_whole_file_everything_is_kept_and_nothing_is_added(
    original: Path, whole: Facts, tmp_path: Path
) -> None:
    before = original.read_bytes()
    saved = eventstate.salvage(original, tmp_path / "new.db")
    assert (saved.ok, saved.lost, saved.mended, saved.cuts) == (True, 0, 0, ())
    assert judge(tmp_path / "new.db", whole, saved).commits == whole.commits
    with StateStore(original, read_only=True) as one, StateStore(tmp_path / "new.db") as other:
        assert one.seal() == other.seal()
        assert list(one.sessions(deleted=True)) == list(other.sessions(deleted=True))
    assert original.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.db"]


def test_a_file_in_the_first_format_is_saved_too(tmp_path: Path) -> None:
    old = Path(__file__).parent / "files" / "format-1.db"
    path = Path(shutil.copy(old, tmp_path / "old.db"))
    saved = saved_from(path, tmp_path / "new.db")
    with StateStore(path) as one, StateStore(tmp_path / "new.db") as other:  # the first is migrated here
        assert saved.ok
        assert [commit.hash for commit in one.commits()] == [commit.hash for commit in other.commits()]


def test_nothing_is_written_over_a_file_and_nothing_half_written_stays(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "taken.db"
    taken.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"taken\.db"):
        salvage(original, taken)
    with pytest.raises(StorageError, match="does not exist"):
        salvage(original, tmp_path / "missing" / "new.db")
    with pytest.raises(StorageError, match="no such file"):
        salvage(tmp_path / "nothing.db", tmp_path / "new.db")

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eventstate.repair.walk._TELL", 1)
    with pytest.raises(KeyboardInterrupt):
        salvage(original, tmp_path / "new.db", progress=stop)
    assert [file.name for file in tmp_path.iterdir()] == ["taken.db"]
    assert taken.read_bytes() == b"mine"


def test_what_is_no_journal_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_bytes(b"x" * 9000)
    (tmp_path / "empty.db").touch()
    apsw.Connection(str(tmp_path / "other.db")).execute("CREATE TABLE t (x)")
    for name, what in (("text.db", "tables"), ("empty.db", "nothing is in it"), ("other.db", "tables")):
        with pytest.raises(CorruptJournalError, match=what):
            salvage(tmp_path / name, tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


def test_a_newer_file_is_refused_but_not_one_that_only_says_so(
    original: Path, whole: Facts, tmp_path: Path
) -> None:
    with damaged(original) as (path, target, database):
        database.pragma("user_version", 99)
        assert judge(target, whole, saved_from(path, target)).commits == whole.commits
        database.execute("CREATE TABLE newer (x)")
        database.close()
        with pytest.raises(NewerFormatError, match="99"):
            salvage(path, tmp_path / "new.db")


# One row


def test_a_damaged_event_costs_its_branch_what_comes_after_and_no_other_session_anything(
    original: Path, whole: Facts
) -> None:
    main = key_of(original, "alice", "trip 1")
    event = main * U32 + 8
    saved, found = salvaged(original, whole, f"UPDATE events SET value = x'01' WHERE id = {event}")  # noqa: S608 - our own names
    gone = lost(whole, found)
    assert {(user, session) for user, session, _ in gone} == {("alice", "trip 1")}
    [cut] = [cut for cut in saved.cuts if cut.branch == "main"]
    assert (cut.user_id, cut.session_id, cut.version, cut.round) == ("alice", "trip 1", 7, 3)
    assert {(c.user_id, c.session_id, c.branch): c.commits for c in saved.cuts} == gone
    assert saved.lost == sum(gone.values())
    assert saved.position == len(whole.commits) + saved.report.pruned - saved.lost


def test_a_seal_of_the_damaged_file_is_one_of_the_new_file_too(original: Path) -> None:
    main = key_of(original, "alice", "last")
    with damaged(original) as (path, target, database):
        with StateStore(path, read_only=True) as store:
            seal = store.seal()
        database.execute("DELETE FROM events WHERE id = ?", (main * U32 + 2,))
        database.close()
        assert not saved_from(path, target).ok
        with StateStore(target) as store:
            assert store.verify(seal=seal).ok


@pytest.mark.parametrize("column", ["hash", "chain", "position"])
@pytest.mark.parametrize("last", [False, True])
def test_of_hash_chain_and_position_each_is_made_anew(
    original: Path, whole: Facts, column: str, *, last: bool
) -> None:
    place = "(SELECT max(position) FROM commits)" if last else "30"
    value = "999" if column == "position" else f"zeroblob({chain.HASH_SIZE})"
    saved, found = salvaged(
        original,
        whole,
        f"UPDATE commits SET {column} = {value} WHERE position = {place}",  # noqa: S608 - our own names
        use=False,
    )
    assert (saved.lost, saved.mended, saved.torn) == (0, 1, False)
    assert set(whole.commits) <= set(found.commits)


def test_all_of_the_stores_chain_can_be_made_anew(original: Path, whole: Facts) -> None:
    saved, found = salvaged(original, whole, "UPDATE commits SET chain = x''")
    # Of husks nothing but the store's chain speaks.
    first = next(n for n, commit in enumerate(whole.commits.values(), 1) if commit.position != n)
    assert saved.position == len(found.commits) - 1 == first - 1 > 20
    assert saved.lost == len(whole.commits) - saved.position


def test_a_commit_that_was_rewritten_with_its_own_hash_is_found_by_the_next(
    original: Path, whole: Facts
) -> None:
    with damaged(original) as (path, target, database):
        commit = next(c for c in whole.commits.values() if (c.user_id, c.session_id) == ("many", "5"))
        key = key_of(original, "many", "5") * U32 + 1
        database.execute("UPDATE commits SET reason = 'forged' WHERE id = ?", (key,))
        row = Commit._make(next(database.execute("SELECT * FROM commits WHERE id = ?", (key,)))[:18])
        event = Event._make(next(database.execute("SELECT op, path, value FROM events WHERE id = ?", (key,))))
        forged = chain.commit_hash(chain.genesis("many", "5"), row, chain.event_digests(row, [event]))
        database.execute("UPDATE commits SET hash = ? WHERE id = ?", (forged, key))
        database.close()
        saved = saved_from(path, target)
        judge(target, whole, saved)
        assert saved.position == commit.position - 1


def test_a_gap_in_the_stores_chain_ends_everything(original: Path, whole: Facts) -> None:
    saved, found = salvaged(original, whole, "DELETE FROM commits WHERE position = 25")
    assert saved.position == 24
    assert [commit.position for commit in found.commits.values()] == [*range(1, 26)]  # the last tells of it
    assert saved.lost == len(whole.commits) - 25  # the row that is gone can't be counted
    assert {cut.why for cut in saved.cuts} == {"the store's chain can't be proven after commit 24"}


def test_a_tail_of_commits_without_proof_is_left_out(original: Path, whole: Facts) -> None:
    forged = """
        INSERT INTO commits (id, position, version, events, weight, recorded_at, kind, salt, hash, chain)
        SELECT (SELECT max(id) + {0} FROM commits), max(position) + {0}, version, 0, weight, recorded_at,
            'save', salt, randomblob(32), randomblob(32) FROM commits"""
    saved, found = salvaged(original, whole, forged.format(1), forged.format(1))
    assert saved.lost == 2
    assert set(whole.commits) <= set(found.commits)


def test_what_is_left_of_erased_events_is_kept_only_with_the_commit_that_erased_them(
    original: Path, whole: Facts
) -> None:
    carl = key_of(original, "carl", "default")
    saved, found = salvaged(
        original,
        whole,
        f"UPDATE commits SET metadata = x'80' WHERE id >> 32 = {carl} AND kind = 'erase'",  # noqa: S608 - our own names
    )
    assert ("carl", "default", "main", 0) not in found.tags
    assert {cut.why for cut in saved.cuts if cut.branch == "main"} == {
        "the commit or its events are not what was written"
    }
    assert sum(lost(whole, found).values()) == saved.lost == 14


@pytest.mark.parametrize("column", ["data", "salt"])
def test_a_pruned_branch_goes_with_its_root(original: Path, whole: Facts, column: str) -> None:
    saved, found = salvaged(original, whole, f"UPDATE roots SET {column} = x'01'")  # noqa: S608 - our own names
    assert {(user, session) for user, session, _ in lost(whole, found)} == {("pruned", "default")}
    assert any("folded" in cut.why for cut in saved.cuts)


@pytest.mark.parametrize("column", ["number", "weight", "size", "digest"])
def test_what_else_a_root_holds_is_made_anew(original: Path, whole: Facts, column: str) -> None:
    value = "x'01'" if column == "digest" else "1"
    saved, _ = salvaged(original, whole, f"UPDATE roots SET {column} = {value}")  # noqa: S608 - our own names
    assert saved.ok


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM tags",
        "UPDATE tags SET version = 1",
        "UPDATE sessions SET deleted = id",
        "UPDATE sessions SET deleted = NULL",
        "DELETE FROM snapshots",
        "UPDATE snapshots SET data = x'00'",
        "DELETE FROM removals",
        "UPDATE sessions SET encrypted = 1 - encrypted",
        "DELETE FROM branches WHERE name = 'main'",
        "UPDATE branches SET name = 'x' || id, parent_version = 3 WHERE name = 'main'",
        "UPDATE branches SET parent = NULL, parent_version = 3",
    ],
)
def test_what_follows_from_the_rest_is_made_anew(original: Path, whole: Facts, damage: str) -> None:
    saved, _ = salvaged(original, whole, damage)
    assert saved.ok


def test_a_branch_that_goes_on_after_a_cut_is_not_taken_for_merged(original: Path) -> None:
    with damaged(original) as (path, target, database):
        fork = key_of(original, "alice", "trip 1", "what-if")
        [(last,)] = database.execute("SELECT max(id) FROM events WHERE id >> 32 = ?", (fork,))
        database.execute("UPDATE events SET value = x'01' WHERE id = ?", (last - 1,))
        database.close()
        saved = saved_from(path, target)
        assert [cut.branch for cut in saved.cuts] == ["what-if", "deep"]
        with StateStore(target, clock=Clock()) as store:
            main, other = store.session("alice", "trip 1"), store.session("alice", "trip 1", "what-if")
            other.update(lambda state: state.update(later=True))
            assert main.merge(other)
            assert main.state()["later"] is True
            assert main.state()["plan"] == "train"
            assert store.verify().ok


def test_a_saved_file_can_be_damaged_and_saved_again(original: Path, tmp_path: Path) -> None:
    with damaged(original) as (path, target, database):
        database.execute(
            "UPDATE events SET value = x'01' WHERE id = ?", (key_of(original, "carl", "default") * U32 + 9,)
        )
        database.close()
        first = saved_from(path, target)
        go_on(target)
        again = facts(target)
        saved = apsw.Connection(str(target))
        saved.execute(
            "UPDATE events SET value = x'01' WHERE id = ?", (key_of(target, "alice", "last") * U32 + 3,)
        )
        saved.close()
        second = saved_from(target, tmp_path / "second.db")
        judge(tmp_path / "second.db", again, second, use=True)
        assert not first.ok
        assert not second.ok


def test_a_merged_branch_that_is_lost_stops_no_later_merge(tmp_path: Path) -> None:
    path, target = tmp_path / "a.db", tmp_path / "saved.db"
    with StateStore(path) as store:
        session = store.session("u")
        session.save({"a": 1})
        session.fork("lost").save({"a": 1, "b": 2})
        session.fork("other").save({"a": 1, "c": 3})
        assert session.merge(store.session("u", branch="lost"))
    database = apsw.Connection(str(path))
    database.execute("UPDATE commits SET reason = 'forged' WHERE kind = 'fork' AND branch = 2")
    database.close()
    assert [cut.branch for cut in salvage(path, target).cuts] == ["lost"]
    with StateStore(target) as store:
        session = store.session("u")
        assert session.branches() == ["main", "other"]
        assert session.merge(store.session("u", branch="other"))
        assert session.state() == {"a": 1, "b": 2, "c": 3}


# Any row, any page


def columns(original: Path) -> dict[str, list[tuple[str, str]]]:
    database = apsw.Connection(str(original), flags=apsw.SQLITE_OPEN_READONLY)
    return {
        table: [(row[1], row[2]) for row in database.execute(f"PRAGMA table_info({table})")]
        for table in TABLES
    }


@settings(max_examples=FEW)
@given(random_=st.randoms(use_true_random=False), count=st.integers(1, 4))
def test_whatever_is_done_to_rows(original: Path, whole: Facts, random_: random.Random, count: int) -> None:
    with damaged(original) as (path, target, database):
        known = columns(original)
        done = [_harm(database, known, random_) for _ in range(count)]
        database.close()
        saved = saved_from(path, target)
        judge(target, whole, saved)
        if done == [done[0]] and done[0] in DERIVED:
            assert saved.ok


def _harm(database: apsw.Connection, known: dict[str, list[tuple[str, str]]], random_: random.Random) -> str:
    """Set one cell to anything, or delete a row: but for the last commit's, which would leave no trace."""
    table = random_.choice(TABLES)
    name = "name" if table == "tags" else "id"
    last = "WHERE position < (SELECT max(position) FROM commits)" if table == "commits" else ""
    keys = [key for (key,) in database.execute(f"SELECT {name} FROM {table} {last} ORDER BY 1")]  # noqa: S608 - our own names
    if not keys:
        return table
    key = random_.choice(keys)
    if random_.random() < 0.2:
        database.execute(f"DELETE FROM {table} WHERE {name} = ?", (key,))  # noqa: S608 - the same
        return table
    column, kind = random_.choice(known[table])
    with contextlib.suppress(apsw.ConstraintError, apsw.MismatchError):
        database.execute(
            f"UPDATE {table} SET {column} = ? WHERE {name} = ?",  # noqa: S608 - the same
            (random_.choice(VALUES[kind]), key),
        )
    return table


def _flip(data: bytearray, random_: random.Random) -> None:
    for _ in range(random_.choice([1, 1, 3, 10])):
        data[random_.randrange(len(data))] = random_.randrange(256)


def _zero(data: bytearray, random_: random.Random) -> None:
    for _ in range(random_.choice([1, 1, 2])):
        start = random_.randrange(len(data) // PAGE) * PAGE
        data[start : start + PAGE] = bytes(PAGE)


def _sector(data: bytearray, random_: random.Random) -> None:
    start = random_.randrange(len(data) // 512) * 512
    data[start : start + 512] = bytes(512)


def _cut(data: bytearray, random_: random.Random) -> None:
    del data[random_.randrange(len(data)) :]


def _swap(data: bytearray, random_: random.Random) -> None:
    one, other = (slice(n * PAGE, n * PAGE + PAGE) for n in random_.sample(range(len(data) // PAGE), 2))
    data[one], data[other] = data[other], data[one]


@pytest.mark.parametrize("harm", [_flip, _zero, _sector, _cut, _swap])
def test_whatever_becomes_of_pages(
    original: Path, whole: Facts, harm: Callable[[bytearray, random.Random], None], proved: Proofs
) -> None:
    with in_memory() as folder:
        data, outcomes = original.read_bytes(), Counter[str]()
        path, target = folder / "journal.db", folder / "saved.db"
        for number in range(IMAGES // 5):
            image = bytearray(data)
            harm(image, random.Random(f"{harm.__name__} {number}"))
            path.write_bytes(image)
            target.unlink(missing_ok=True)
            try:
                saved = saved_from(path, target)
            except CorruptJournalError:
                outcomes["nothing"] += 1
                assert not target.exists()
            else:
                judge(target, whole, saved)
                outcomes["all" if saved.ok else "some"] += 1
            assert path.read_bytes() == image
    # What names the tables stands at the beginning, and most of so small a file after it.
    assert outcomes["some"] > 0
    assert harm is _cut or outcomes["all"] > 5 * outcomes["nothing"]
    proved("repair", outcomes.total())


@pytest.mark.parametrize("rebuilt", [False, True])
def test_the_page_that_names_the_tables_can_be_gone(tmp_path: Path, *, rebuilt: bool) -> None:
    path = tmp_path / "journal.db"
    with StateStore(path, clock=Clock()) as store:
        store.session("alice").save({"n": 1})
        for number in range(40):
            store.session("bob").save({"n": number})
        if rebuilt:
            store.session("alice").erase("n")
    before, data = facts(path), path.read_bytes()
    path.write_bytes(bytes(PAGE) + data[PAGE:])
    target = tmp_path / "saved.db"
    saved = saved_from(path, target)
    assert saved.ok
    judge(target, before, saved)


@pytest.mark.parametrize(("old", "least"), [("format-1.db", 1), ("format-2.db", 3)])
def test_the_pages_that_name_the_tables_of_an_older_file_that_was_rebuilt_can_be_gone(
    tmp_path: Path, old: str, least: int
) -> None:
    path = Path(shutil.copy(Path(__file__).parent / "files" / old, tmp_path / "journal.db"))
    with StateStore(path, clock=Clock()) as store:
        store.session("alice", "trip").erase("list")
    before, data = facts(path), path.read_bytes()
    database = apsw.Connection(str(path))
    rows = list(database.execute("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'"))
    database.close()
    assert len(rows) >= least  # texts with comments take more
    for (page,) in rows:
        path.write_bytes(data[: (page - 1) * PAGE] + bytes(PAGE) + data[page * PAGE :])
        target = tmp_path / f"{page}.db"
        saved = saved_from(path, target)
        assert saved.ok, page
        judge(target, before, saved)


def test_a_small_file_that_was_cut_off_before_what_names_its_tables_is_whole(
    tmp_path: Path,
) -> None:
    path, target = tmp_path / "journal.db", tmp_path / "saved.db"
    with StateStore(path, clock=Clock()) as store:
        store.session("alice").save({"n": 1})
    before, data = facts(path), path.read_bytes()
    database = apsw.Connection(str(path))
    [(last,)] = database.execute("SELECT max(rootpage) FROM sqlite_schema")
    database.close()
    path.write_bytes(data[: last * PAGE])
    saved = saved_from(path, target)
    assert saved.ok
    judge(target, before, saved)


def zeroed(path: Path, table: str, *, leaf: bool = False) -> int:
    """Zero the first page of a table or index, or a page in the middle of its leaves, and count its rows."""
    database = apsw.Connection(str(path))
    [(root,)] = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
    database.close()
    data = bytearray(path.read_bytes())
    start = (root - 1) * PAGE
    if leaf:
        middle = int.from_bytes(data[start + 3 : start + 5], "big") // 2
        pointer = start + 12 + 2 * middle
        cell = start + int.from_bytes(data[pointer : pointer + 2], "big")
        start = (int.from_bytes(data[cell : cell + 4], "big") - 1) * PAGE
    rows = int.from_bytes(data[start + 3 : start + 5], "big")
    data[start : start + PAGE] = bytes(PAGE)
    path.write_bytes(data)
    return rows


@pytest.fixture
def long(tmp_path: Path) -> Path:
    path = tmp_path / "long.db"
    with StateStore(path, durability="normal", clock=Clock()) as store:
        for number in range(300):
            store.session(f"user {number % 60}").update(lambda state, n=number: state.update(n=n))  # type: ignore[misc]
    return path


def test_a_damaged_index_hides_nothing(long: Path, tmp_path: Path) -> None:
    before = facts(long)
    zeroed(long, "sqlite_autoindex_commits_1")
    saved = saved_from(long, tmp_path / "saved.db")
    assert saved.ok
    judge(tmp_path / "saved.db", before, saved)


@pytest.mark.parametrize("indexed", [True, False])
def test_what_is_after_a_page_of_commits_that_is_gone_is_counted(
    long: Path, tmp_path: Path, *, indexed: bool
) -> None:
    before = facts(long)
    gone = zeroed(long, "commits", leaf=True)
    if not indexed:
        zeroed(long, "sqlite_autoindex_commits_1")
    saved = saved_from(long, tmp_path / "saved.db")
    judge(tmp_path / "saved.db", before, saved)
    assert gone > 5
    assert saved.torn
    assert saved.position + saved.lost == 300 - (0 if indexed else gone)


def test_branches_of_which_an_index_alone_is_left_are_named(
    original: Path, whole: Facts, tmp_path: Path
) -> None:
    path = Path(shutil.copy(original, tmp_path / "journal.db"))
    zeroed(path, "branches")
    saved = saved_from(path, tmp_path / "saved.db")
    found = judge(tmp_path / "saved.db", whole, saved)
    assert {branch for _, _, branch in lost(whole, found)} == {"what-if", "deep", "fork", "kept"}
    assert {cut.branch for cut in saved.cuts} == {"what-if", "deep", "fork", "kept"}
    assert {cut.user_id for cut in saved.cuts} == {"alice", "carl", "pruned"}


def test_sessions_of_which_an_index_alone_is_left_are_whole(
    original: Path, whole: Facts, tmp_path: Path
) -> None:
    path = Path(shutil.copy(original, tmp_path / "journal.db"))
    zeroed(path, "sessions")
    saved = saved_from(path, tmp_path / "saved.db")
    assert saved.ok
    judge(tmp_path / "saved.db", whole, saved)


def test_events_of_commits_that_are_gone_tell_of_them(original: Path, whole: Facts) -> None:
    last = "(SELECT max(position) FROM commits)"
    saved, found = salvaged(original, whole, f"DELETE FROM commits WHERE position = {last}")  # noqa: S608 - our own names
    assert (saved.lost, saved.torn, saved.ok) == (0, True, False)
    assert len(lost(whole, found)) == 1


def test_of_a_file_that_was_cut_off_the_beginning_is_kept(tmp_path: Path) -> None:
    path, target = tmp_path / "journal.db", tmp_path / "saved.db"
    with StateStore(path, durability="normal", clock=Clock()) as store:
        for number in range(400):
            store.session(f"user {number // 8}").update(lambda state: state.update(text="x" * 300))
    before, data = facts(path), path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    saved = saved_from(path, target)
    judge(target, before, saved, use=True)
    assert saved.torn
    assert saved.position > 100


@settings(max_examples=FEW)
@given(script=agent_sessions(), random_=st.randoms(use_true_random=False))
def test_of_any_sessions_what_is_saved_is_right(script: list[Action], random_: random.Random) -> None:
    with in_memory() as folder:
        path, target = folder / "a.db", folder / "b.db"
        with StateStore(path, durability="normal", clock=Clock(), entropy=random_.randbytes) as store:
            store.session("first").save({"a": 1})
            play(store.session("agent"), script)
            store.session("last").save({"z": 1})
        before = facts(path)
        database = apsw.Connection(str(path))
        database.pragma("foreign_keys", value=False)
        known = columns(path)
        for _ in range(random_.randrange(4)):
            _harm(database, known, random_)
        database.close()
        saved = saved_from(path, target)
        assert saved.report.ok
        judge(target, before, saved, use=True)
