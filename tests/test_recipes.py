"""Snapshots that refer to events: they tell the state, take little, and are never believed blindly."""

from __future__ import annotations

import contextlib
import random
import zlib
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import Session, StateStore
from eventstate.errors import AttributeNotFoundError, CorruptJournalError, EventStateError
from eventstate.journal import recipes, snapshots
from eventstate.journal.branches import Point
from eventstate.journal.recipes import MARK, Part, Recipe, Rule
from eventstate.journal.records import LOW
from eventstate.values import delta
from eventstate.values.blocks import align
from eventstate.values.codec import Codec
from tests.statements import statements
from tests.strategies import exact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.proves("replay")

SIZES = (10, 70, 300, 2000)


def text(rng: random.Random) -> str:
    """Make a text; some come again."""
    return random.Random(rng.choice([rng.random(), rng.randrange(3)])).randbytes(rng.choice(SIZES) // 2).hex()


def message(rng: random.Random) -> dict[str, Any]:
    return {"role": rng.choice(["user", "assistant"]), "content": text(rng)}


def change(state: dict[str, Any], rng: random.Random) -> None:
    """Do one of the things to a state that agents do, or that make it hard to tell by its events."""
    log = state.setdefault(rng.choice(["log", "log", "notes", "inner"]), [])
    if isinstance(log, dict):
        log = log.setdefault("log", [])
    at = rng.randint(0, len(log))
    what = rng.randrange(16)
    if what < 6:
        log.extend(message(rng) for _ in range(rng.choice([1, 1, 1, 3])))
    elif what == 6:
        log.insert(at, message(rng))
    elif what == 7:
        del log[at : at + rng.randint(1, 3)]
    elif what == 8 and log and "content" in log[at - 1]:  # it may have been erased
        log[at - 1]["content"] += text(rng)
    elif what == 9 and log and "content" in log[at - 1]:
        middle = len(log[at - 1]["content"]) // 2
        log[at - 1]["content"] = log[at - 1]["content"][:middle] + "!" + log[at - 1]["content"][middle + 1 :]
    elif what == 10:
        log.reverse()
    elif what == 11 and log:
        log.append(dict(log[at - 1]))
    elif what == 12:
        state[rng.choice("abc")] = rng.choice(
            [text(rng), [text(rng)] * 2, {"text": text(rng)}, b"bytes" * 40]
        )
    elif what == 13 and len(state) > 1:
        del state[rng.choice(list(state))]
    elif what == 14:
        state["inner"] = {"log": log[:3], "n": 1}
    else:
        state[rng.choice("xyz")] = rng.random()


def live(session: Session, rng: random.Random, turns: int) -> None:
    """Take turns, some of them by saving the whole state."""
    for _ in range(turns):
        if rng.random() < 0.2:
            state = session.state() or {}
            for _ in range(rng.randint(1, 4)):
                change(state, rng)
            session.save(state)
        else:
            with session.round() as state:
                for _ in range(rng.choice([1, 1, 3])):
                    change(state, rng)


def sessions(store: StateStore) -> list[Session]:
    first = store.session("u")
    return [store.session("u", branch=name) for name in first.branches()]


def folded(store: StateStore, session: Session, version: int) -> Any:
    """Fold a version from the events alone, or from the root of a pruned past."""
    journal = store._journal
    branch = session._writer.branch()
    start = journal.reader.start(branch, version)
    state: dict[Any, Any] = {}
    if start:
        at = journal.branches.owner(Point(branch, start)).branch
        [root] = [root for root in journal.snapshots.roots(at) if root.version == start]
        state = root.state
    return journal.reader.advance(state, branch, start, version)


def check(store: StateStore) -> None:
    """See that every version is what its events fold to."""
    for session in sessions(store):
        start = store._journal.reader.start(session._writer.branch(), session.version)
        for version in range(start, session.version + 1):
            assert exact(session.state(version=version)) == exact(folded(store, session, version))
    report = store.verify()
    assert report.ok, report


def rows(store: StateStore) -> list[Any]:
    return list(store._journal.connection.all("SELECT id, size, data FROM snapshots ORDER BY id"))


def refers(store: StateStore) -> bool:
    """Say whether any snapshot refers to events."""
    found = [recipes.read(data, size, key & LOW) for key, size, data in rows(store) if data[:1] == MARK]
    return any(recipe.parts for recipe in found)


# The laws


@given(st.randoms(use_true_random=False), st.sampled_from([1, 2, 7]))
def test_every_version_is_what_its_events_fold_to(rng: random.Random, every: int) -> None:
    with StateStore(":memory:", snapshot_every=every) as store:
        session = store.session("u")
        live(session, rng, 12)
        fork = session.fork("fork", at=rng.randint(1, 12))
        live(fork, rng, 6)
        live(session, rng, 6)
        live(fork.fork("deeper"), rng, 4)
        check(store)


@given(st.randoms(use_true_random=False))
def test_nor_does_it_matter_what_was_erased_pruned_or_dropped(rng: random.Random) -> None:
    with StateStore(":memory:", snapshot_every=2) as store:
        session = store.session("u")
        live(session, rng, 8)
        fork = session.fork("fork")
        live(fork, rng, 6)
        live(session, rng, 6)
        for _ in range(3):
            what = rng.randrange(4)
            if what == 0:
                session.prune(keep_rounds=rng.randint(1, 6))
            elif what == 1:
                with contextlib.suppress(AttributeNotFoundError):
                    session.erase(rng.choice(["log", "notes", "a", ("inner", "log")]))
            elif what == 2:
                version = rng.randint(session.version // 2 + 1, session.version)
                start = store._journal.reader.start(session._writer.branch(), session.version)
                if version > start:
                    session.erase(range(version, session.version + 1))
            else:
                store.drop_snapshots()
            check(store)
            live(rng.choice([session, fork]), rng, 4)
            check(store)


@given(st.randoms(use_true_random=False))
def test_a_damaged_event_is_not_hidden_any_worse_than_by_the_fold(rng: random.Random) -> None:
    with StateStore(":memory:", snapshot_every=2) as store:
        session = store.session("u")
        live(session, rng, 14)
        before = [session.state(version=version) for version in range(session.version + 1)]
        events = store._journal.connection.all("SELECT id, value FROM events WHERE value IS NOT NULL")
        key, value = rng.choice(events)
        if rng.random() < 0.2:
            store._journal.connection.all("DELETE FROM events WHERE id = ?", (key,))
        else:
            damaged = bytearray(value)
            damaged[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
            store._journal.connection.all("UPDATE events SET value = ? WHERE id = ?", (bytes(damaged), key))
        assert not store.verify().ok
        for version in range(session.version + 1):
            may = [exact(before[version])]
            failed = False
            try:
                may.append(exact(folded(store, session, version)))
            except EventStateError:
                failed = True
            try:
                state = session.state(version=version)
            except EventStateError:
                assert failed
            else:
                assert failed or exact(state) in may


@given(st.binary(max_size=300), st.randoms(use_true_random=False), st.integers(0, 5000))
def test_blocks_stand_in_both_in_order(some: bytes, rng: random.Random, work: int) -> None:
    old = some + rng.randbytes(rng.choice(SIZES)) + some
    new = bytearray(old)
    for _ in range(rng.randint(0, 4)):
        at = rng.randint(0, len(new))
        new[at : at + rng.choice(SIZES)] = rng.choice([b"", some, rng.randbytes(5)])
    i = j = 0
    for block in align(old, bytes(new), work):
        assert block.length > 0
        assert block.old >= i
        assert block.new >= j
        i, j = block.old + block.length, block.new + block.length
        assert old[block.old : i] == new[block.new : j]


# How little is stored


def test_a_session_that_only_grows_is_stored_once(tmp_path: Path) -> None:
    shares = []
    for turns in (300, 1200):
        with StateStore(tmp_path / f"{turns}.db", durability="normal") as store:
            session, rng = store.session("u"), random.Random(1)
            for turn in range(turns):
                with session.round() as state:
                    state.setdefault("messages", []).append(
                        {"role": "user", "content": rng.randbytes(250).hex()}
                    )
                    state["turn"] = turn
            shares.append(sum(len(data) for _, _, data in rows(store)) / store.stats().payload)
            last = recipes.read(rows(store)[-1][2], rows(store)[-1][1], rows(store)[-1][0] & LOW)
            assert len(last.parts) <= 6  # one for each length that an index of the list takes, and edges
            assert len(last.literal) < 100
    assert max(shares) < 0.02


@pytest.mark.parametrize(
    "grow",
    [
        lambda state, new, _: state.setdefault("texts", []).append(new),
        lambda state, new, n: state.setdefault("by name", {}).update({f"name {n}": {"text": new}}),
        lambda state, new, _: state.update(text=state.get("text", "") + new),
        lambda state, new, n: state.setdefault("inner", {}).setdefault("log", [[]])[0].append([n, new]),
    ],
    ids=["a list", "a dict", "a text", "a list in a list"],
)
def test_so_is_whatever_grows(tmp_path: Path, grow: Callable[[dict[str, Any], str, int], None]) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session, rng = store.session("u"), random.Random(1)
        for turn in range(600):
            with session.round() as state:
                grow(state, rng.randbytes(150).hex(), turn)
        stored = sum(len(data) for _, _, data in rows(store))
        assert rows(store)[-1][1] > 400 * 300
        assert stored < store.stats().payload / 10


def test_a_large_state_that_was_saved_whole_is_referred_to_and_so_is_what_is_left_of_it(
    tmp_path: Path,
) -> None:
    rng = random.Random(1)
    state = {"log": [message(random.Random(n)) for n in range(400)], "text": rng.randbytes(30_000).hex()}
    with StateStore(tmp_path / "a.db", durability="normal", snapshot_every=1) as store:
        session = store.session("u")
        session.save(state)
        session.save(state | {"log": [*state["log"], message(rng)]})
        with session.round() as changed:
            changed["log"][200]["content"] = "edited"
            del changed["log"][100]
        with session.round() as changed:
            changed["text"] = changed["text"][:30_000] + "edited" + changed["text"][30_010:]
        session.save({"n": 1} | session.state())
        session.note("so that the last is written")
        assert {size > 200_000 for _, size, _ in rows(store)} == {True}
        assert max(len(data) for _, _, data in rows(store)) < 2500
        check(store)


def test_a_state_that_is_written_anew_each_time_costs_a_row(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session, rng = store.session("u"), random.Random(1)
        for _ in range(400):
            session.save({"text": rng.randbytes(2500).hex()})
        assert 2 < len(rows(store)) < 50
        assert max(len(data) for _, _, data in rows(store)) < 200


def test_small_values_that_change_cost_little(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session, rng = store.session("u"), random.Random(1)
        session.save({f"value {n}": 0.0 for n in range(20)})
        for _ in range(1000):
            with session.round() as state:
                state[f"value {rng.randrange(20)}"] = rng.random()
        stats = store.stats()
        assert sum(len(data) for _, _, data in rows(store)) < stats.payload / 5
        assert len(rows(store)) >= 1000 // snapshots.MIN_EVENTS


# How it is read


def test_a_cold_state_takes_a_few_statements_whatever_its_length(tmp_path: Path) -> None:
    counts = []
    for turns in (400, 1600):
        path = tmp_path / f"{turns}.db"
        with StateStore(path, durability="normal") as store:
            session, rng = store.session("u"), random.Random(1)
            for _ in range(turns):
                with session.round() as state:
                    state.setdefault("messages", []).append(rng.randbytes(100).hex())
        with StateStore(path) as store:
            session = store.session("u")
            counts.append(len(statements(store, session.state)))
            assert len(session.state()["messages"]) == turns
    assert max(counts) <= 14


def test_old_rounds_fold_few_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folded: list[Any] = []
    with StateStore(tmp_path / "a.db", durability="normal") as store:
        session, rng = store.session("u"), random.Random(1)
        for _ in range(2000):
            with session.round() as state:
                state.setdefault("messages", []).append(rng.randbytes(200).hex())

        def counting(state: dict[str, Any], edit: Any) -> None:
            folded.append(edit)
            delta.apply(state, edit)

        monkeypatch.setattr("eventstate.journal.read.apply", counting)
        for turn in range(100, 2000, 95):
            folded.clear()
            assert len(session.state(at=turn)["messages"]) == turn
            assert len(folded) < 2 * snapshots.MIN_EVENTS


# What is not believed


@pytest.fixture
def told(tmp_path: Path) -> StateStore:
    store = StateStore(tmp_path / "a.db", snapshot_every=5)
    session, rng = store.session("u"), random.Random(1)
    for _ in range(21):
        with session.round() as state:
            state.setdefault("log", []).append(message(rng))
            state["text"] = rng.randbytes(50).hex()
    assert refers(store)
    return store


def forged(store: StateStore, recipe: Recipe) -> None:
    """Put another recipe, with a digest that fits, in the place of the last one."""
    key = rows(store)[-1][0]
    data = MARK + zlib.compress(recipe.pack())
    connection = store._journal.connection
    values = (data, snapshots._digest(None, data), recipe.size, key)
    connection.all("UPDATE snapshots SET data = ?, digest = ?, size = ? WHERE id = ?", values)


def test_a_recipe_that_tells_another_state_is_reported(told: StateStore) -> None:
    with told:
        forged(told, recipes.tell(Codec().encode({"other": 1}), []))
        report = told.verify()
        assert [finding.what for finding in report.findings] != []


LOG = Rule(3, Codec().encode("log"))
PART = Part(0, 5, 1, 1, 0, None)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(b"", (PART._replace(first=0, last=0),), 5, 0),
        Recipe(b"", (PART._replace(first=1 << 40, last=1 << 40),), 5, 0),
        Recipe(b"", (PART._replace(last=9),), 5, 0),
        Recipe(b"", (PART._replace(start=-1),), 5, 0),
        Recipe(b"", (PART._replace(start=1 << 40),), 5, 0),
        Recipe(b"", (PART._replace(length=-5),), -5, 0),
        Recipe(b"", (PART._replace(length=0),), 0, 0),
        Recipe(b"", (PART._replace(length=1 << 40),), 1 << 40, 0),
        Recipe(b"", (PART,), 6, 0),
        Recipe(b"\x80", (), 1 << 40, 0),
        Recipe(b"\xc0", (), 1, 0),
        Recipe(b"\xdd\xff\xff\xff\xff", (), 5, 0),
        Recipe(b"", (Part(0, 5, 1, 20, 0, LOG),), 5, 0),
        Recipe(b"", (Part(0, 5, 1, 20, 0, Rule(3, b"")),), 5, 0),
        Recipe(b"", (Part(0, 5, 1, 20, 0, Rule("3", b"")),), 5, 0),  # type: ignore[arg-type]
        Recipe(b"", tuple(Part(5 * n, 5, 1, 20, 0, LOG._replace(op=n)) for n in range(100)), 500, 0),
        Recipe("text", (), 4, 0),  # type: ignore[arg-type]
    ],
)
def test_a_recipe_of_what_can_not_be_is_passed_over(told: StateStore, recipe: Recipe) -> None:
    with told:
        session = told.session("u")
        expected = [session.state(at=turn) for turn in range(1, 22)]
        forged(told, recipe)
        assert [session.state(at=turn) for turn in range(1, 22)] == expected
        assert not told.verify().ok
        told.rebuild()
        assert told.verify().ok


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc0",
        msgpack.packb([b"", [], [[]] * 6]),
        msgpack.packb([b"", [], [[1]] * 5, 0]),
        msgpack.packb([b"", [], [[1.5]] * 6, 0]),
        msgpack.packb([b"", [], [[0], [7], [1], [0], [0], [5]], 0]),
        msgpack.packb([b"", [[3]], [[0], [1], [1], [0], [0], [5]], 0]),
        msgpack.packb([b"", [[3, b"", 1]], [[0], [1], [1], [0], [0], [5]], 0]),
        b"\xdd\xff\xff\xff\xff",
        b"\x93\xc6\xff\xff\xff\xff",
    ],
)
def test_what_is_no_recipe_is_refused(packed: bytes) -> None:
    with pytest.raises(CorruptJournalError, match="no recipe"):
        recipes.read(MARK + zlib.compress(packed), 5, 20)


def test_neither_a_long_recipe_nor_one_cut_off_is_read() -> None:
    bomb = msgpack.packb([bytes(1 << 24), [], [[]] * 6, 0])
    for data in (
        zlib.compress(bomb, 9),
        zlib.compress(bomb, 9)[:-9],
        b"",
        zlib.compress(msgpack.packb(1))[:-1],
    ):
        with pytest.raises(CorruptJournalError, match="no recipe"):
            recipes.read(MARK + data, 1 << 24, 20)


def test_few_bytes_of_events_do_not_make_a_large_state(tmp_path: Path) -> None:
    with StateStore(tmp_path / "a.db", snapshot_every=1) as store:
        session = store.session("u")
        session.save({"text": "x" * 1000})
        session.note("so that it is written")
        parts = tuple(Part(900 * n, 900, 1, 1, 0, None) for n in range(2000))
        forged(store, Recipe(b"", parts, 900 * 2000, 0))
        [finding] = store.verify().findings
        assert "few bytes" in str(finding)
        assert session.state(version=1) == {"text": "x" * 1000}


def test_snapshots_of_older_stores_are_read(told: StateStore) -> None:
    with told:
        session = told.session("u")
        expected = session.state()
        connection = told._journal.connection
        for key, _, _ in rows(told):
            packed = Codec().encode(session.state(version=key & LOW))
            values = zlib.compress(packed, 1), snapshots._digest(None, packed), key
            connection.all("UPDATE snapshots SET data = ?, digest = ? WHERE id = ?", values)
        assert told.verify().ok
        assert session.state(version=session.version) == expected
        live(session, random.Random(2), 11)
        assert refers(told)
        check(told)
