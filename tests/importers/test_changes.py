"""Sessions and sources that others write to: nothing of theirs is lost, and nothing is written twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import StateStore
from eventstate.importers.sources import Source
from eventstate.services import StateService
from eventstate.writer import Writer
from tests.importers.bringing import STATES, bring, dumped
from tests.importers.forge import FILES

if TYPE_CHECKING:
    from pathlib import Path


CHANGES: dict[str, Any] = {
    "a new round": lambda session: session.save({"n": "other"}),
    "a round with the same state": lambda session: session.save(session.state()),
    "a rollback": lambda session: session.rollback(1),
    "an old round": lambda session: session.save({"n": "other"}, round_id=1),
    "a round with the same metadata": lambda session: session.save({}, metadata=session.latest.metadata),
    "an erasure": lambda session: session.erase("list"),
    "a pruning": lambda session: session.prune(keep_rounds=1),
}


@pytest.mark.parametrize("title", CHANGES)
def test_a_session_that_others_changed_is_refused_unless_forced(
    store: StateStore, tmp_path: Path, title: str
) -> None:
    session = store.session("alice", "trip")
    bring(store, dumped(tmp_path, STATES))
    CHANGES[title](session)
    before = store.seal()
    path = dumped(tmp_path, STATES | {"3": {"n": "new"}})
    result = bring(store, path)
    assert (result.refused, result.added, result.rounds, result.ok) == (1, 0, 0, False)
    assert "'alice', 'trip' was changed since" in str(result.problems[0])
    assert store.seal() == before
    forced = bring(store, path, force=True)
    assert forced.ok
    assert forced.added >= 1
    assert session.state(at=3) == {"n": "new"}
    assert bring(store, path).added == 0
    assert store.verify().ok


def test_a_session_that_others_went_on_with_is_passed_over_if_the_source_stayed(
    store: StateStore, path: Path
) -> None:
    bring(store, path)
    store.session("alice", "trip").save({"n": "other"})
    result = bring(store, path)
    assert (result.ok, result.added) == (True, 0)


def test_notes_and_tags_are_no_changes(store: StateStore, tmp_path: Path) -> None:
    session = store.session("alice", "trip")
    session.note("before anything")
    bring(store, dumped(tmp_path, STATES))
    session.note("seen")
    session.tag("kept")
    assert bring(store, dumped(tmp_path, STATES | {"4": {"n": 4}})).added == 1
    session.note("seen again")
    assert bring(store, dumped(tmp_path, STATES | {"4": {"n": 5}})).added == 1
    assert session.state() == {"n": 5}


def test_a_session_that_was_there_before_is_refused_unless_forced(store: StateStore, path: Path) -> None:
    session = store.session("alice", "trip")
    session.save({"mine": 1}, round_id=7)
    assert bring(store, path).refused == 1
    assert bring(store, path, force=True).added == 3
    assert session.state() == {"mine": 1}
    assert session.state(at=2) == STATES["2"]


def test_a_session_of_another_source_is_refused(store: StateStore, tmp_path: Path) -> None:
    (tmp_path / "alice_trip.json").write_text('{"agent": {}}')
    bring(store, tmp_path, users=["alice"])
    result = bring(store, dumped(tmp_path, STATES))
    assert (result.refused, result.added) == (1, 0)


def test_a_deleted_session_is_refused_and_told(store: StateStore, tmp_path: Path) -> None:
    session = store.session("alice", "trip")
    bring(store, dumped(tmp_path, STATES))
    session.delete()
    result = bring(store, dumped(tmp_path, STATES | {"4": {}}), force=True)
    assert (result.refused, result.added) == (1, 0)
    assert "deleted" in result.problems[0].message
    assert not session.exists


def test_a_session_that_the_service_deleted_is_refused_and_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with StateService(tmp_path / "a.db") as service:
            with StateStore(tmp_path / "a.db") as store:
                bring(store, dumped(tmp_path, STATES))
                assert await service.delete_state("alice", "trip")
                result = bring(store, dumped(tmp_path, STATES | {"4": {}}), force=True)
                assert (result.refused, result.added) == (1, 0)
                assert "'alice', 'trip' was deleted since" in result.problems[0].message
                assert bring(store, dumped(tmp_path, STATES)).ok
            assert await service.list_sessions() == []

    asyncio.run(run())


def test_another_writer_in_between_is_refused(
    store: StateStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = store.session("alice", "trip")
    commit = Writer.commit

    def raced(writer: Writer, kind: str, *rest: Any) -> Any:
        if kind == "import" and not other.exists:
            other.save({"n": "other"})
        return commit(writer, kind, *rest)

    monkeypatch.setattr(Writer, "commit", raced)
    result = bring(store, path)
    assert (result.refused, result.added) == (1, 0)
    assert other.state() == {"n": "other"}


def test_a_file_that_comes_while_others_are_read_waits_for_the_next_time(
    store: StateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text("{}")
    sessions = Source.sessions

    def walked(source: Source, *, check: bool) -> Any:
        if not check:
            (tmp_path / "c.json").write_text("{}")
        return sessions(source, check=check)

    monkeypatch.setattr(Source, "sessions", walked)
    result = bring(store, tmp_path)
    assert (result.sessions, result.added) == (1, 1)
    assert bring(store, tmp_path).added == 1


def test_two_imports_at_once_write_each_round_once(
    store: StateStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Writer.commit
    started = list[bool]()

    def raced(*arguments: Any) -> Any:
        if not started:
            started.append(True)
            assert bring(store, path).added == 3
        return commit(*arguments)

    monkeypatch.setattr(Writer, "commit", raced)
    assert bring(store, path).ok
    assert store.stats().commits == 3


def test_progress_is_told_by_sessions(store: StateStore) -> None:
    told = []
    bring(store, FILES / "sessions", progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
