"""Postings: an attribute's history by the lists of its events is that which a scan of all events gives."""

# ruff: noqa: S608 - statements that do harm

from __future__ import annotations

import contextlib
import functools
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventstate import CorruptJournalError, EventStateError, StateStore
from eventstate.journal import postings
from eventstate.journal.postings import LONGEST, NOTES, Posting, Postings, key
from eventstate.values.delta import Op
from tests.retention.lives import PATHS, Life, steps
from tests.retention.raw import rows
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate import Session

MORE: Final = ("erase", "prune", "drop", "rebuild", "reopen", "restart", "other store", "purge")


@contextlib.contextmanager
def sizes(step: int = 3, **others: int) -> Iterator[None]:
    """Make lists early, and their rows and keys small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "STEP", step)
        for name, value in others.items():
            patch.setattr(postings, name, value)
        yield


@contextlib.contextmanager
def scanning() -> Iterator[None]:
    """Let nothing be found by lists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Postings, "find", lambda _, __, bounds, *___: (bounds[0], []))
        yield


def told(session: Session, path: Any) -> list[Any]:
    """Give all that a history tells."""
    return [
        (c.seq, c.round, c.recorded_at, c.actor, c.path, c.op, packed([_shown(c.before), _shown(c.after)]))
        for c in session.history(path)
    ]


def _shown(value: Any) -> Any:
    return "(missing)" if repr(value) == "MISSING" else [value]


def noted(session: Session) -> list[Any]:
    return [(note.seq, note.name, packed(note.data), note.recorded_at) for note in session.notes()]


def everything(store: StateStore) -> dict[Any, Any]:
    """Give the histories of all branches; blame reads them up to earlier versions, too."""
    found: dict[Any, Any] = {}
    for info in store.sessions():
        for branch in store.session(info.user_id, info.session_id).branches():
            session = store.session(info.user_id, info.session_id, branch)
            for path in PATHS:
                found[branch, path] = told(session, path)
            found[branch, "notes"] = noted(session)
            found[branch, "blame"] = [
                (path, change.seq, packed([_shown(change.before), _shown(change.after)]))
                for path, change in session.blame().items()
            ]
    return found


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


actions = st.lists(st.tuples(st.sampled_from(MORE[:-1]), st.integers(0, 999), steps), min_size=1, max_size=4)


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
def test_what_is_listed_is_read_again(first: int, gaps: list[int], parts: int) -> None:
    seqs = [first]
    for gap in gaps:
        seqs.append(seqs[-1] + gap)
    posting, rest = Posting(b"\xa1x", first, first, b""), seqs[1:]
    size = len(rest) // parts + 1
    taken = 0
    while taken < len(rest):
        posting, more = posting.longer(rest[taken : taken + size])
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


# What it costs


def read(store: StateStore, action: Callable[[], object]) -> tuple[int, int]:
    """Count the statements that an action runs, and the rows that they give."""
    connection = store._journal.connection
    statements, given = 0, 0
    everything, one = connection.all, connection.one

    def counted_all(statement: str, values: Any = ()) -> list[Any]:
        nonlocal statements, given
        found = everything(statement, values)
        statements, given = statements + 1, given + len(found)
        return found

    def counted_one(statement: str, values: Any = ()) -> Any:
        nonlocal statements, given
        statements, given = statements + 1, given + 1
        return one(statement, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "all", counted_all)
        patch.setattr(connection, "one", counted_one)
        action()
    return statements, given


def listed_of(session: Session) -> list[Any]:
    return list(session.history("x"))


def steps_of(store: StateStore, action: Callable[[], object]) -> int:
    """Count the steps of SQLite's machine, in tens, which looking at a row takes some of."""
    database = store._journal.connection._db
    assert database is not None
    count = 0

    def progress() -> bool:
        nonlocal count
        count += 1
        return False

    database.set_progress_handler(progress, 10)
    try:
        action()
    finally:
        database.set_progress_handler(None)
    return count


def filled(path: Path, turns: int, changes: int = 20) -> StateStore:
    """Write turns of four events, few of which change `x`."""
    store = StateStore(path, durability="normal")
    session = store.session("alice")
    session.save({"x": None, "m": [], "n": 0, "d": {}})
    for turn in range(turns):
        with session.round() as state:
            state["m"].append(turn)
            state["n"] = turn
            state["d"]["y"] = turn
            state["d"]["z"] = turn
            if turn % (turns // changes) == 1:
                state["x"] = turn
    return store


def test_a_history_costs_what_it_is_long_and_not_what_others_are(tmp_path: Path) -> None:
    costs, found = [], []
    for turns in (1000, 3000):  # of both, as many events come after what is listed
        with sizes(64), filled(tmp_path / f"{turns}.db", turns) as store:
            action = functools.partial(listed_of, store.session("alice"))
            found.append(len(action()))
            costs.append((*read(store, action), steps_of(store, action)))
    assert found == [21, 21]
    (statements, rows_given, taken), later = costs
    assert later[:2] == (statements, rows_given)
    assert later[2] <= 1.1 * taken
    assert statements < 3 * 21


@pytest.mark.parametrize("nested", [True, False])
def test_names_that_come_once_take_little_and_cost_others_nothing(tmp_path: Path, *, nested: bool) -> None:
    with sizes(256), StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("alice")
        session.save({"facts": {}, "x": 0, "d": {"a" * 40: 0}})
        costs = []
        for turn in range(40):
            with session.round() as state:
                for number in range(100):
                    facts = state["facts"] if nested else state["d"].setdefault(f"{number % 7}", {})
                    facts[f"a name of its own {turn} {number}"] = turn
                if turn % 10 == 0:
                    state["x"] = state["d"]["a" * 40] = turn
            if turn in {9, 39}:
                costs.append(read(store, functools.partial(listed_of, session)))
        names = ("facts", "a name of its own 20 50") if nested else ("d", "1", "a name of its own 20 50")
        for path in ("x", ("d", "a" * 40), names, ("facts",), ("d", "1")):
            found = told(session, path)
            with scanning():
                assert found == told(session, path)
        few, many = costs
        assert many[1] - few[1] <= 3 * 6
        assert store.verify().ok
    listed = rows(tmp_path / "a.db", "postings")
    assert sum(len(row["path"]) + len(row["data"]) + 12 for row in listed) < 0.7 * 4000


def test_an_attribute_that_changes_all_the_time_is_scanned(tmp_path: Path) -> None:
    with sizes(64), filled(tmp_path / "a.db", 100) as store:
        session = store.session("alice")
        walk, branch, last = store._journal.reader.attribute, session._writer.branch(), session.version
        statements, _ = read(store, lambda: list(walk(branch, 0, last, ("d",))))
        assert statements == 2  # what the lists are, and all events
        statements, _ = read(store, lambda: list(walk(branch, 0, last, ("d", "y"))))
        assert statements > 2


def test_notes_are_found_by_their_list(tmp_path: Path) -> None:
    with sizes(64), filled(tmp_path / "a.db", 200) as store:
        session = store.session("alice")
        session.note("one", 1)
        for turn in range(300):
            session.update(lambda state, n=turn: state.update(n=n))  # type: ignore[misc]
        session.note("two", 2)
        with scanning():
            expected, scanned = noted(session), steps_of(store, lambda: noted(session))
        assert noted(session) == expected
        assert [name for _, name, *_ in expected] == ["one", "two"]
        assert steps_of(store, lambda: noted(session)) < scanned / 3


def test_lists_take_about_nothing_of_a_file_whose_turns_change_the_same_attributes(tmp_path: Path) -> None:
    filled(tmp_path / "a.db", 1500).close()
    listed = rows(tmp_path / "a.db", "postings")
    events = max(row["last"] for row in listed)
    assert events > 5000
    assert sum(len(row["path"]) + len(row["data"]) + 12 for row in listed) < 0.1 * events


def test_a_turn_that_brings_lists_up_to_date_runs_no_transaction_of_its_own(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("alice")
        session.save({"n": 0})
        seen: list[str] = []
        database = store._journal.connection._db
        assert database is not None

        def trace(_: Any, statement: str, __: Any) -> bool:
            seen.append(statement)
            return True

        database.exec_trace = trace
        with sizes(16):
            for turn in range(64):
                session.update(lambda state, n=turn: state.update(n=n))  # type: ignore[misc]
        database.exec_trace = None
        assert sum(statement.startswith("BEGIN") for statement in seen) == 64
        assert sum("OR REPLACE INTO postings" in statement for statement in seen) == 2 * 4


def test_what_lags_behind_is_taken_in_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path, 500).close()
    with StateStore(path, durability="normal") as store, sizes(64):
        session = store.session("alice")
        store.drop_snapshots()
        branch = store._journal.branches.get(1)
        lists = store._journal.postings
        last = 0
        while (listed := lists.listed(branch)) is None or listed.upto < session.version - 64:
            session.update(lambda state: state.update(n=state["n"] + 1))
            upto = 0 if listed is None else listed.upto
            assert upto - last <= 2 * 64
            last = upto
        assert session.version < 2200
        assert store.verify().ok


def test_a_large_commit_is_listed_with_it(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("alice")
        session.save({"x": 1})
        with session.round() as state:
            for number in range(9000):
                state[f"key {number}"] = number
        with session.round() as state:
            for number in range(9000):
                state["n"] = number
        session.update(lambda state: state.update(x=2))
        listed = store._journal.postings.listed(store._journal.branches.get(1))
        assert listed is not None
        assert listed.upto >= 9000
        costs = read(store, lambda: list(session.history("x")))
        assert costs < (20, 20)
        assert [c.seq for c in session.history(("key 77",))] == [79]
        assert store.verify().ok


def test_sessions_that_are_encrypted_have_none(tmp_path: Path) -> None:
    from eventstate import FileKeyRing

    keys = FileKeyRing(tmp_path / "keys")
    keys.create("alice", "default")
    with sizes(2), StateStore(tmp_path / "a.db", keys=keys) as store:
        session = store.session("alice")
        for turn in range(9):
            session.save({"n": turn})
        store.rebuild()
        assert len(list(session.history("n"))) == 9
    assert rows(tmp_path / "a.db", "postings") == []


# Damage


def damaged(path: Path, *statements: str) -> None:
    database = apsw.Connection(str(path))
    for statement in statements:
        before = database.total_changes()
        database.execute(statement)
        assert database.total_changes() > before, statement
    database.close()


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("listed") / "a.db"
    with sizes(32):
        filled(path, 40, 10).close()
    return path.read_bytes()


LONG: Final = "replace(hex(zeroblob(9999)), '0', 'a')"
LIST: Final = "WHERE path = x'a178'"
COPY: Final = "INSERT INTO postings SELECT branch, path, first + 1, last + 1, data FROM postings"
SHARE: Final = "INSERT INTO postings SELECT branch, x'a164c1c1', first, first, x'' FROM postings"
DAMAGE: Final = {
    "a list that is gone": (f"DELETE FROM postings {LIST}", False),
    "a shorter list": (f"UPDATE postings SET last = first, data = x'' {LIST}", False),
    "a list under another key": (f"UPDATE postings SET path = x'a179' {LIST}", False),
    "a step that is another": (
        f"UPDATE postings SET data = CAST(x'02' || substr(data, 2) AS BLOB) {LIST}",
        True,
    ),
    "a list that begins elsewhere": (f"UPDATE postings SET first = first + 1 {LIST}", True),
    "a list that ends elsewhere": (f"UPDATE postings SET last = last + 1 {LIST}", True),
    "no steps": (f"UPDATE postings SET data = x'' {LIST}", True),
    "garbage": (f"UPDATE postings SET data = zeroblob(99) {LIST}", True),
    "a list that is far too long": (f"UPDATE postings SET data = CAST({LONG} AS BLOB) {LIST}", True),
    "a list that is shared, and should not be": (f"UPDATE postings SET path = x'a178c1c1' {LIST}", False),
    "an event that is listed twice": (f"{SHARE} WHERE path = x'a164a179'", False),
    "events of others": ("UPDATE postings SET path = x'a178' WHERE path = x'a16e'", True),
    "a copy": (f"{COPY} {LIST}", True),
    "events that are not there": ("INSERT INTO postings VALUES (1, x'a178', 100000, 100000, x'')", True),
    "nothing that says what is listed": ("DELETE FROM postings WHERE path = x''", True),
    "two rows that say what is listed": ("INSERT INTO postings VALUES (1, x'', 7, 9, x'')", True),
    "more than there is": ("UPDATE postings SET last = 1 << 40 WHERE path = x''", True),
    "more than is listed": ("UPDATE postings SET last = last + 9 WHERE path = x''", False),
    "less than is listed": ("UPDATE postings SET last = last - 9 WHERE path = x''", True),
    "a start before the first": ("UPDATE postings SET first = -1 WHERE path = x''", True),
    "a branch that is not there": ("UPDATE postings SET branch = 9", True),
}


@pytest.mark.proves("rows")
@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_lists_are_found_and_do_no_harm(listed: bytes, tmp_path: Path, what: str) -> None:
    path, (statement, harmless) = tmp_path / "a.db", DAMAGE[what]
    path.write_bytes(listed)
    damaged(path, statement)
    with StateStore(path, durability="normal") as store:
        session = store.session("alice")
        with scanning():
            expected = told(session, "x"), told(session, ("d", "y"))
        report = store.verify()
        assert not report.ok
        assert "list" in str(report)
        if harmless:  # what is left out only verify can tell
            assert (told(session, "x"), told(session, ("d", "y"))) == expected
        with sizes(32):
            for turn in range(100):
                session.update(lambda state, n=turn: state.update(x=n, n=n))  # type: ignore[misc]
        assert session.state()["x"] == 99
        assert store.rebuild().changed is False
        with scanning():
            expected = told(session, "x"), told(session, ("d", "y"))
        assert (told(session, "x"), told(session, ("d", "y"))) == expected
        report = store.verify()
        assert report.ok, str(report)


def test_lists_that_begin_late_tell_nothing_of_what_was_before(listed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(listed)
    damaged(path, "DELETE FROM postings", "INSERT INTO postings VALUES (1, x'', 100, 100, x'')")
    with sizes(32), StateStore(path, durability="normal") as store:
        session = store.session("alice")
        for turn in range(40):
            session.update(lambda state, n=turn: state.update(x=n))  # type: ignore[misc]
        assert store.verify().ok
        with scanning():
            expected = told(session, "x")
        assert told(session, "x") == expected
    assert any(row["path"] == b"\xa1x" for row in rows(path, "postings"))


def test_a_damaged_page_of_lists_fails_one_commit_and_the_next_do_without(
    listed: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(listed)
    database = apsw.Connection(str(path))
    [(page,)] = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'postings'")
    database.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xee" * 4096
    path.write_bytes(data)
    with sizes(8), StateStore(path, durability="normal") as store:
        session = store.session("alice")
        failed = []
        for turn in range(50):
            try:
                session.update(lambda state, n=turn: state.update(x=n))  # type: ignore[misc]
            except CorruptJournalError:  # SQLite commits nothing when it has met such a page
                failed.append(turn)
        assert len(failed) == 1
        assert session.state()["x"] == 49
        assert [change.after for change in session.history("x")][-1] == 49
        assert not store.verify().ok


def test_an_erased_name_is_in_no_list(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sizes(4), StateStore(path, durability="normal") as store:
        session = store.session("alice")
        for turn in range(20):
            session.save({"n": turn, "secret name": {"inner": turn}})
        other = session.fork("other")
        other.save({"n": 1, "secret name": {"inner": -1}})
        session.erase("secret name")
        listed = store._journal.postings.listed(store._journal.branches.get(1))
        assert listed is not None
        assert listed.upto > 20
        assert len(list(session.history("n"))) == 20
        assert store.verify().ok
    assert any(row["path"] for row in rows(path, "postings"))
    assert b"secret name" not in path.read_bytes()


def test_a_purged_session_leaves_no_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sizes(4), StateStore(path, durability="normal") as store:
        for user in ("alice", "bob"):
            for turn in range(20):
                store.session(user).save({"n": turn})
        store.session("alice").purge()
        assert len(list(store.session("bob").history("n"))) == 20
        assert store.verify().ok
    assert {row["branch"] for row in rows(path, "postings")} == {2}
