"""Modules bound to a session of asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import pytest

from eventstate import (
    ConflictError,
    InvalidStateError,
    StateStore,
    aio,
)
from eventstate.agents.module import StateModule
from eventstate.agents.shape import inside
from tests.agents.bindings import agree
from tests.agents.modules import Memory, Team, Worker
from tests.aio.loops import in_loop
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from eventstate.agents.binding import Binding

M = TypeVar("M", bound=StateModule)


@contextlib.asynccontextmanager
async def bound(module: M) -> AsyncIterator[tuple[aio.Session, M, Binding]]:
    """Bind a module to a new session."""
    async with aio.StateStore(":memory:") as store:
        session = store.session("u")
        module.bind(session)
        binding = inside(module).binding
        assert binding is not None
        yield session, module, binding


@in_loop
async def test_a_module_bound_to_an_asyncio_session_commits_through_it() -> None:
    async with bound(Team()) as (session, team, binding):
        team.label = "at once"
        binding.begin()
        team.notes.append(1)
        lost = team.members.pop()
        writing = asyncio.ensure_future(binding.acommit("reply", commit_id="one"))
        await asyncio.sleep(0)
        team.notes.append(2)
        team.members.append(Worker(9))
        with pytest.raises(InvalidStateError, match="on its way"):
            binding.commit("other")
        turn = await writing
        assert (turn.kind, binding.collecting, lost.bound) == ("reply", False, None)
        assert [turn.kind async for turn in session.rounds()] == ["save", "assign", "reply", "assign"]
        assert packed(await session.state()) == packed(team.state_dict())


@in_loop
async def test_a_commit_that_fails_while_more_is_changed_takes_all_of_it_back() -> None:
    async with bound(Team()) as (session, team, binding):
        before, members = packed(team.state_dict()), list(team.members)
        session.plain.update(lambda state: state.update(label="there"))
        binding.begin()
        team.notes.append(1)
        team.facts["k"]["x"] = 5
        team.tags.add("y")
        team.members.pop(0)
        writing = asyncio.ensure_future(binding.acommit("reply"))
        await asyncio.sleep(0)
        team.notes.append(2)
        team.members.append(Worker())
        with pytest.raises(ConflictError):
            await writing
        assert packed(team.state_dict()) == before
        assert list(team.members) == members
        assert not binding.collecting
        team.reload()
        team.notes.append(3)
        assert packed(await session.state()) == packed(team.state_dict())


@in_loop
async def test_what_is_changed_right_after_a_commit_began_is_not_in_it() -> None:
    async with bound(Memory()) as (session, memory, binding):
        binding.begin()
        memory.content.append({"n": 1})

        async def change() -> None:
            memory.content[0]["n"] = 2

        await asyncio.gather(binding.acommit("reply"), change())
        states = [state["content"] async for _, state in session.replay()]
        assert states == [[], [{"n": 1}], [{"n": 2}]]


@in_loop
async def test_a_cancelled_commit_is_brought_to_its_end_first() -> None:
    async with bound(Team()) as (session, team, binding):
        binding.begin()
        team.label = "kept"
        writing = asyncio.ensure_future(binding.acommit("reply"))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert (await session.state())["label"] == team.label == "kept"
        team.label = "next"
        assert packed(await session.state()) == packed(team.state_dict())


@in_loop
async def test_an_asyncio_commit_with_a_commit_id_that_was_used_changes_nothing() -> None:
    async with bound(Team()) as (_, team, binding):
        for label in ("a", "b"):
            binding.begin()
            team.label = label
            await binding.acommit("reply", commit_id="once")
        assert team.label == "a"
        assert agree(team)


def test_a_commit_whose_loop_was_closed_is_taken_back_once_and_the_module_goes_on() -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    with StateStore(":memory:") as store:
        over = aio.StateStore.over(store)
        session = over.session("u")
        team = Team()
        team.bind(session)
        binding = inside(team).binding
        assert binding is not None
        loop = asyncio.new_event_loop()
        with mock.patch.object(session, "write", never):
            binding.begin()
            team.notes.append("lost")
            commit = binding.acommit("reply")
            task = loop.create_task(commit)
            loop.run_until_complete(asyncio.sleep(0))
            for each in asyncio.all_tasks(loop):
                each._log_destroy_pending = False  # type: ignore[attr-defined]
            loop.close()
        binding.discard()
        team.notes.append("kept")
        assert packed(store.session("u").state()) == packed(team.state_dict())
        del task, each
        commit.close()
        gc.collect()
        team.label = "on"
        assert packed(store.session("u").state()) == packed(team.state_dict())
        assert team.notes[-1] == "kept"
        asyncio.run(over.close())


@pytest.mark.parametrize("cancelled", [False, True])
@in_loop
async def test_a_commit_stands_whatever_was_changed_while_it_was_on_its_way(
    cancelled: bool,  # noqa: FBT001 - a parameter of the test
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bound(Team()) as (session, team, binding):
        binding.begin()
        team.label = "kept"
        writing = asyncio.ensure_future(binding.acommit("reply"))
        await asyncio.sleep(0)
        team.notes.append("bad")
        if cancelled:
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
        else:
            assert (await writing).kind == "reply"
        assert [turn.kind async for turn in session.rounds()] == ["save", "reply"]
        assert (team.label, "bad" in team.notes, binding.collecting) == ("kept", False, False)
        assert agree(team)
        assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [InvalidStateError]


@in_loop
async def test_a_cancellation_goes_on_when_the_commit_id_was_used_before() -> None:
    async with bound(Team()) as (_, team, binding):
        binding.begin()
        team.label = "a"
        await binding.acommit("reply", commit_id="once")
        binding.begin()
        team.label = "b"
        writing = asyncio.ensure_future(binding.acommit("reply", commit_id="once"))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert (team.label, binding.collecting) == ("a", False)
        assert agree(team)


@in_loop
async def test_what_is_changed_while_an_empty_commit_is_on_its_way_stays() -> None:
    async with bound(Team()) as (session, team, binding):
        binding.begin()
        writing = asyncio.ensure_future(binding.acommit("reply"))
        await asyncio.sleep(0)
        team.label = "meanwhile"
        await writing
        assert team.label == "meanwhile"
        assert packed(await session.state()) == packed(team.state_dict())
