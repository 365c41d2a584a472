"""Whatever the plain store can do, the async one can, under the same names and keywords."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

import eventstate
from eventstate import aio
from eventstate.commits import CommitOptions
from eventstate.values.delta import Edit, Op
from tests.aio.loops import in_loop
from tests.stores import everything, grown

if TYPE_CHECKING:
    from pathlib import Path

MORE: dict[type[Any], set[str]] = {
    aio.Session: {"plain", "write", "attempt"},
    aio.StateStore: {"plain", "open", "over", "run"},
}
"""What only the async ones have."""

ATTRIBUTES: dict[type[Any], set[str]] = {
    eventstate.Session: {"user_id", "session_id", "branch"},
    eventstate.StateStore: set(),
}
"""What the plain ones have from the moment they are made."""

NOT_AWAITED = {"closed", "plain", "session", "user_id", "session_id", "branch", "over"}

OWN_KEYWORDS = {"erase", "prune", "delete", "restore", "purge"}
"""These take `actor`, `reason` and `metadata` as one; a type says so."""


def public(kind: type[Any]) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("plain", "other"), [(eventstate.Session, aio.Session), (eventstate.StateStore, aio.StateStore)]
)
def test_every_public_name_is_there_and_no_other(plain: type[Any], other: type[Any]) -> None:
    assert public(other) - MORE[other] == public(plain) | ATTRIBUTES[plain]


def keywords(method: Any) -> dict[str, Any]:
    """Give what a method takes, with its defaults; `...` where there is none."""
    return {
        name: ... if parameter.default is parameter.empty else parameter.default
        for name, parameter in inspect.signature(method).parameters.items()
    }


@pytest.mark.parametrize(
    ("plain", "other"), [(eventstate.Session, aio.Session), (eventstate.StateStore, aio.StateStore)]
)
def test_methods_take_the_same_arguments_with_the_same_defaults(plain: type[Any], other: type[Any]) -> None:
    for name in public(plain):
        ours, theirs = inspect.getattr_static(plain, name), inspect.getattr_static(other, name)
        assert isinstance(ours, property) == isinstance(theirs, property), name
        if isinstance(ours, property):
            continue
        mine, given = keywords(ours), keywords(theirs)
        if name in OWN_KEYWORDS:
            told = set(given.pop("told") and aio.session.Telling.__annotations__)
            assert {key: mine[key] for key in told} == dict.fromkeys(told), name
            mine = {key: value for key, value in mine.items() if key not in told}
        assert mine == given, name


def test_methods_are_to_be_awaited_or_walked() -> None:
    for kind in (aio.Session, aio.StateStore):
        for name in public(kind) - NOT_AWAITED:
            member = inspect.getattr_static(kind, name)
            function: Any = member.fget if isinstance(member, property) else inspect.unwrap(member)
            returns = str(inspect.signature(function).return_annotation)
            waits = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
            assert waits or returns.startswith(("Coroutine", "AsyncIterator")), (kind, name)


def test_the_store_takes_the_same_options(tmp_path: Path) -> None:
    taken = set(inspect.signature(eventstate.StateStore).parameters) - {"path"}
    options: dict[str, Any] = dict.fromkeys(taken)
    store = aio.StateStore(tmp_path / "a.db", **options)
    assert set(store._options) == taken


@in_loop
async def test_what_is_read_and_done_is_what_the_plain_store_reads_and_does(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        plain = await store.run(grown)
        session = store.session("alice", "trip")
        assert repr(session) == "<aio.Session 'alice', 'trip', branch 'main'>"
        assert (session.user_id, session.session_id, session.branch) == ("alice", "trip", "main")
        assert await session.exists
        assert await session.version == plain.version
        assert await session.latest == plain.latest
        for at in (None, 1, "early"):
            assert await session.state(at) == plain.state(at)
        assert await session.state(version=2) == plain.state(version=2)
        assert [change.seq for change in await session.history("n")] == [c.seq for c in plain.history("n")]
        assert str(await session.blame()) == str(plain.blame())
        assert str(await session.diff(1, 2)) == str(plain.diff(1, 2))
        assert await session.tags() == plain.tags()
        assert await session.branches() == plain.branches()

        async def odd(state: Any) -> bool:
            return bool(state["n"] == 1)

        assert await session.bisect(odd) == plain.bisect(lambda state: bool(state["n"] == 1))
        assert await session.bisect(lambda _: True) is None
        async with session.what_if(at=1) as state:
            state["n"] = "nowhere"
        with pytest.raises(ValueError, match="out of it"):
            async with session.what_if() as state:
                raise ValueError("out of it")
        await session.rollback(1, paths=["n"], metadata={"k": 1})
        await session.undo(reason="wrong")
        other = await session.fork("third", at=1)
        assert (await other.merge(session, lambda conflict: conflict.theirs)).round is not None
        await other.tag("here", reason="so")
        assert (await session.erase("list", dry_run=True)).dry_run
        await session.erase("list", reason="asked for", metadata={"who": "me"})
        assert (await other.prune(keep_rounds=1)).dry_run is False
        await store.session("bob").delete(reason="gone")
        await store.session("bob").restore()
        assert (await store.session("bob").purge(dry_run=True)).dry_run
        await store.session("bob").purge(reason="asked for")
        assert (await store.stats()).sessions == 1
        tables = await store.tables()
        assert tables["commits"].count == len([commit async for commit in store.commits()])
        tables.conn.close()
        seal = await store.seal()
        assert (await store.verify(seal=seal)).ok
        await store.backup(tmp_path / "copy.db")
        await store.drop_snapshots()
        await store.rebuild()
        assert await store.scrub() in {True, False}
        read = await store.run(everything)
    with eventstate.StateStore(tmp_path / "copy.db") as copied:
        assert everything(copied) == read


@in_loop
async def test_options_that_the_caller_changes_afterwards_are_journaled_as_they_were(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session = store.session("u")
        metadata: dict[str, Any] = {"list": [1]}
        state: dict[str, Any] = {"list": [1]}
        works = [
            session.save(state, metadata=metadata),
            session.update(lambda state: state.update(n=1), metadata=metadata),
            session.note("noted", state),
        ]
        tasks = [asyncio.create_task(work) for work in works]
        await asyncio.sleep(0)
        metadata["list"].append(2)
        state["list"].append(object())
        await asyncio.gather(*tasks)
        assert [turn.metadata async for turn in session.rounds()] == [{"list": [1]}] * 2
        assert await session.state() == {"list": [1], "n": 1}
        assert [note.data async for note in session.notes()] == [{"list": [1]}]
        with pytest.raises(TypeError, match="metadata is a dict"):
            await session.save({}, metadata=[1])  # type: ignore[arg-type]
        with pytest.raises(eventstate.UnsupportedValueError) as caught:
            await session.save({}, metadata={"x": object()})
        assert caught.value.path == ("metadata", "x")


@in_loop
async def test_edits_that_the_caller_changes_afterwards_are_journaled_as_they_were(tmp_path: Path) -> None:
    async with aio.StateStore(tmp_path / "a.db", durability="normal") as store:
        session, value, metadata = store.session("u"), [1], {"n": 1}
        edits = [Edit(("list",), Op.SET, value)]
        work = session.write("written", CommitOptions(metadata=metadata), 0, edits)
        task = asyncio.create_task(work)
        await asyncio.sleep(0)
        value.append(2)
        metadata["n"] = 2
        assert (await task).metadata == {"n": 1}
        assert await session.state() == {"list": [1]}
