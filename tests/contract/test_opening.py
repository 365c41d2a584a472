"""Opening and closing: what lasts, what is refused, two stores on a file, forked processes."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest

from eventstate import ConflictError, ReadOnlyError, StateStore, StoreClosedError
from tests.stores import Clock, everything, grown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(path: Path) -> Iterator[StateStore]:
    with StateStore(path, durability="normal", clock=Clock()) as store:
        yield store


def test_what_was_written_is_there_after_reopening(path: Path, store: StateStore) -> None:
    grown(store)
    before = everything(store)
    store.close()
    with StateStore(path) as again:
        assert everything(again) == before
        assert again.verify().ok
    with StateStore(str(path), read_only=True) as reader:
        assert everything(reader) == before
        assert reader.verify().ok


def test_a_store_in_memory_is_gone_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with StateStore(":memory:") as store:
        grown(store)
    with StateStore(":memory:") as store:
        assert not store.session("alice", "trip").exists
    assert list(tmp_path.iterdir()) == []


def test_a_closed_store_raises_and_closes_again_in_peace(store: StateStore, tmp_path: Path) -> None:
    session = grown(store)
    with session.round() as live:
        live["n"] = 5
    store.close()
    store.close()
    assert store.closed
    assert "closed" in repr(store)
    for use in (
        session.state,
        lambda: session.state(at=1),
        lambda: session.save({}),
        lambda: session.note("x"),
        lambda: session.version,
        lambda: store.session("bob").exists,
        lambda: list(session.rounds()),
        lambda: session.fork("x"),
        lambda: session.tag("x"),
        lambda: session.update(lambda _: None),
        lambda: list(store.sessions()),
        lambda: list(store.commits()),
        store.stats,
        store.drop_snapshots,
        lambda: store.backup(tmp_path / "copy.db"),
        lambda: store.session("new").save({}),
    ):
        with pytest.raises(StoreClosedError, match="closed"):
            use()
    assert not (tmp_path / "copy.db").exists()


def test_a_store_closed_while_a_round_is_open_raises_at_its_end(path: Path, store: StateStore) -> None:
    session = grown(store)
    version = session.version
    with pytest.raises(StoreClosedError), session.round() as state:
        state["n"] = 9
        store.close()
    with StateStore(path) as again:
        assert again.session("alice", "trip").version == version


def test_a_store_opened_read_only_reads_and_refuses_to_write(path: Path, store: StateStore) -> None:
    session = grown(store)
    before = everything(store)
    with StateStore(path, read_only=True) as reader:
        seen = reader.session("alice", "trip")
        for write in (
            lambda: seen.save({}),
            lambda: seen.note("x"),
            lambda: seen.fork("x"),
            lambda: seen.tag("x"),
            seen.undo,
            lambda: seen.rollback(1),
            lambda: reader.session("new").save({}),
            reader.drop_snapshots,
        ):
            with pytest.raises(ReadOnlyError, match="read-only"):
                write()
        assert everything(reader) == before
        session.save({"n": "new"})
        assert seen.state() == session.state()


def test_a_settings_value_that_makes_no_sense_is_refused(path: Path) -> None:
    for settings in ({"durability": "maybe"}, {"snapshot_every": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            StateStore(path, **settings)
    with pytest.raises(TypeError):
        StateStore(7)  # type: ignore[arg-type]
    assert not path.exists()


def test_two_stores_on_one_file_see_each_others_commits(path: Path, store: StateStore) -> None:
    session = store.session("alice")
    session.save({"n": 0})
    with StateStore(path) as second:
        other = second.session("alice")
        for number in range(1, 6):
            assert other.state() == {"n": number - 1}
            with other.round() as state:
                state["n"] += 1
            assert session.state() == {"n": number}
            session.tag(f"t{number}")
        assert other.tags() == session.tags()
        with pytest.raises(ConflictError), session.round() as state:
            state["n"] = 0
            other.update(lambda live: live.update(m=1))
        assert session.state() == {"n": 5, "m": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no os.fork here")
def test_a_store_used_in_a_forked_child_raises_and_the_parent_goes_on(path: Path, store: StateStore) -> None:
    session = grown(store)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = []
            for use in (
                session.state,
                lambda: session.save({}),
                lambda: store.session("new").save({}),
                lambda: list(store.commits()),
                store.stats,
                lambda: store.backup(path.with_name("copy.db")),
            ):
                try:
                    use()
                    told.append("nothing raised")
                except BaseException as error:  # noqa: BLE001 - the parent gets to know it
                    told.append(type(error).__name__)
            store.close()
            del session, store
            gc.collect()
            os.write(writing, " ".join(told).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read().split() == ["StoreClosedError"] * 6
    os.waitpid(child, 0)
    session.save({"n": "after"})
    assert session.state() == {"n": "after"}
    with StateStore(path) as second:
        assert second.session("alice", "trip").state() == {"n": "after"}
        assert second.verify().ok
