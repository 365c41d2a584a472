"""The contract of `EventSession`, over each kind of store that it takes."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import copy
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import (
    InvalidStateError,
    RoundNotFoundError,
    StateStore,
    StoreClosedError,
    UnsupportedValueError,
    aio,
)
from eventstate.services import EventSession, event_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Memory:
    """A module of another library: what it gives out and takes in is its own."""

    def __init__(self, *content: Any) -> None:
        self.content = list(content)
        self.loads = 0

    def state_dict(self) -> dict[str, Any]:
        return {"content": self.content}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.loads += 1
        self.content = state_dict["content"]


class Picky(Memory):
    """A module that refuses some states, when it has taken half of them."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        if "bad" in self.content:
            raise ValueError("a bad state")


class Stubborn(Memory):
    """A module that takes nothing back."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        raise OSError(f"not {state_dict}")


@pytest.fixture(params=["path", "plain", "aio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.asynccontextmanager
async def opened(kind: str, path: Path) -> AsyncIterator[EventSession]:
    if kind == "path":
        async with EventSession(path) as session:
            yield session
    elif kind == "plain":
        with StateStore(path) as plain:
            async with EventSession(plain) as session:
                yield session
    else:
        async with aio.StateStore(path) as store, EventSession(store) as session:
            yield session


def test_modules_come_back_as_they_were_saved(kind: str, path: Path) -> None:
    async def run() -> None:
        async with opened(kind, path) as session:
            await session.save_session_state("trip", "alice", memory=Memory(1, {"a": [2]}), plan=Memory("go"))
        async with opened(kind, path) as session:
            memory, plan = Memory(), Memory()
            await session.load_session_state("trip", "alice", memory=memory, plan=plan)
            assert (memory.content, plan.content) == ([1, {"a": [2]}], ["go"])

    asyncio.run(run())


def test_each_save_is_a_round_that_holds_nothing_but_what_was_given(kind: str, path: Path) -> None:
    async def run() -> None:
        async with opened(kind, path) as session:
            await session.save_session_state(session_id="trip", a=Memory(1), b=Memory(2))
            await session.save_session_state(session_id="trip", a=Memory(1))
            await session.save_session_state(session_id="trip", a=Memory(1))
            await session.save_session_state(session_id="trip")
            assert [turn.id for turn in await session.rounds("trip")] == [1, 2, 3, 4]
            states = [state async for _, state in session.session("trip").replay()]
            assert states == [
                {"a": {"content": [1]}, "b": {"content": [2]}},
                {"a": {"content": [1]}},
                {"a": {"content": [1]}},
                {},
            ]

    asyncio.run(run())


def test_loading_touches_only_names_that_are_in_both(kind: str, path: Path) -> None:
    async def run() -> None:
        async with opened(kind, path) as session:
            await session.save_session_state("trip", a=Memory(1), b=Memory(2))
            a, other = Memory("old"), Memory("mine")
            await session.load_session_state("trip", a=a, other=other)
            assert (a.content, a.loads) == ([1], 1)
            assert (other.content, other.loads) == (["mine"], 0)

    asyncio.run(run())


def test_what_was_loaded_is_the_modules_own(kind: str, path: Path) -> None:
    async def run() -> None:
        async with opened(kind, path) as session:
            saved = Memory([1])
            await session.save_session_state("trip", memory=saved, again=saved)
            saved.content[0].append("late")
            one, other = Memory(), Memory()
            await session.load_session_state("trip", memory=one, again=other)
            one.content[0].append("more")
            assert (one.content, other.content) == ([[1, "more"]], [[1]])
            await session.load_session_state("trip", memory=one)
            assert one.content == [[1]]

    asyncio.run(run())


def test_sessions_of_several_users_are_apart(kind: str, path: Path) -> None:
    names = [("s1", "u"), ("s", "u_s1"), ("u_s1", ""), ("s1", ""), ("../s1", ""), ("", "")]

    async def run() -> None:
        async with opened(kind, path) as session:
            for number, (name, user) in enumerate(names):
                await session.save_session_state(name, user, n=Memory(number))
            for number, (name, user) in enumerate(names):
                module = Memory()
                await session.load_session_state(name, user, n=module)
                assert module.content == [number]
                assert len(await session.rounds(name, user)) == 1

    asyncio.run(run())


def test_a_missing_session_is_logged_or_refused(
    kind: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with opened(kind, path) as session:
            module = Memory("mine")
            with caplog.at_level(logging.INFO, logger="eventstate.services"):
                await session.load_session_state("trip", "alice", memory=module)
                await session.load_session_state("trip", "alice", True, memory=module)  # noqa: FBT003 - AgentScope's order
            assert [(record.levelname, record.name) for record in caplog.records] == [
                ("INFO", "eventstate.services")
            ] * 2
            assert "'trip'" in caplog.text
            assert "'alice'" in caplog.text
            with pytest.raises(InvalidStateError, match=r"'trip'.*'alice'") as caught:
                await session.load_session_state("trip", "alice", allow_not_exist=False, memory=module)
            assert isinstance(caught.value, ValueError)
            assert (module.content, module.loads) == (["mine"], 0)
            assert await session.rounds("trip", "alice") == []

    asyncio.run(run())


def test_an_older_round_is_loaded_by_its_number(kind: str, path: Path) -> None:
    async def run() -> None:
        async with opened(kind, path) as session:
            for number in (1, 2, 3):
                await session.save_session_state("trip", memory=Memory(number))
            module = Memory()
            await session.load_round("trip", 2, memory=module)
            assert module.content == [2]
            await session.load_round("trip", round_id=1, user_id="", memory=module, other=Memory())
            assert module.content == [1]
            for name, number in (("trip", 4), ("other", 1)):
                with pytest.raises(RoundNotFoundError):
                    await session.load_round(name, number, memory=module)
            assert module.content == [1]
            await session.session("trip").undo()
            await session.load_session_state("trip", memory=module)
            assert module.content == [2]

    asyncio.run(run())


def test_if_one_module_refuses_its_state_all_keep_theirs(path: Path) -> None:
    async def run() -> None:
        async with EventSession(path) as session:
            await session.save_session_state("trip", a=Memory(1), b=Memory("bad"), c=Memory(3))
            a, b, c = Memory("a", [1]), Picky("b"), Memory("c")
            kept = a.content
            with pytest.raises(ValueError, match="a bad state") as caught:
                await session.load_session_state("trip", a=a, b=b, c=c)
            assert caught.value.__notes__ == [
                "module 'b' refused its state; each gets back the one that it had"
            ]
            assert (a.content, b.content, c.content) == (["a", [1]], ["b"], ["c"])
            assert c.loads == 0
            kept.append("later")
            assert a.content == ["a", [1]]
            with pytest.raises(ValueError, match="a bad state"):
                await session.load_round("trip", 1, a=a, b=b)
            assert (a.content, b.content) == (["a", [1]], ["b"])

    asyncio.run(run())


def test_a_module_that_takes_nothing_back_does_not_keep_the_others_from_it(path: Path) -> None:
    async def run() -> None:
        async with EventSession(path) as session:
            await session.save_session_state("trip", a=Memory(1), b=Memory(2))
            a = Memory("a")
            with pytest.raises(OSError, match=r"not \{'content': \[2\]\}") as caught:
                await session.load_session_state("trip", a=a, b=Stubborn("b"))
            assert a.content == ["a"]
            assert "module 'b' would not take that back" in caught.value.__notes__[1]

    asyncio.run(run())


@pytest.mark.parametrize("wrong", [None, {"state_dict": 1}, object(), 7, Memory])
def test_what_is_no_module_is_refused_before_anything_is_done(tmp_path: Path, wrong: Any) -> None:
    class Half:
        state_dict = Memory.state_dict

    wrong = Half() if wrong is Memory else wrong

    async def run() -> None:
        async with EventSession(tmp_path / "agent.db") as session:
            module = Memory("mine")
            with pytest.raises(TypeError, match="module 'wrong' is"):
                await session.save_session_state("trip", memory=module, wrong=wrong)
            with pytest.raises(TypeError, match="module 'wrong' is"):
                await session.load_session_state("trip", memory=module, wrong=wrong)
            with pytest.raises(TypeError, match="module 'wrong' is"):
                await session.load_round("trip", 1, memory=module, wrong=wrong)
            assert module.loads == 0
        assert not (tmp_path / "agent.db").exists()

    asyncio.run(run())


class Pair(tuple[int, int]):
    """A kind of tuple that would come back as a plain one."""

    __slots__ = ()


@pytest.mark.parametrize("value", [Pair((1, 2)), collections.OrderedDict(a=1), object(), bytearray(b"x")])
def test_a_state_that_would_not_come_back_is_refused_with_its_module_and_path(path: Path, value: Any) -> None:
    async def run() -> None:
        async with EventSession(path) as session:
            await session.save_session_state("trip", memory=Memory(1))
            with pytest.raises(
                UnsupportedValueError, match=r"module 'plan' can't be saved: /plan/content/1/x"
            ) as caught:
                await session.save_session_state("trip", memory=Memory(2), plan=Memory(1, {"x": value}))
            assert caught.value.path == ("plan", "content", 1, "x")
            assert len(await session.rounds("trip")) == 1
            assert await session.session("trip").state() == {"memory": {"content": [1]}}

    asyncio.run(run())


def test_a_module_may_have_nearly_any_name(path: Path) -> None:
    names = ["self", "modules", "store", "state", "round_id", "name", "reason", "not a name", ""]

    async def run() -> None:
        async with EventSession(path) as session:
            saved: dict[str, Any] = {name: Memory(name) for name in names}
            await session.save_session_state("trip", **saved)
            loaded: dict[str, Any] = {name: Memory() for name in names}
            await session.load_session_state("trip", **loaded)
            assert {name: module.content for name, module in loaded.items()} == {n: [n] for n in names}
            loaded.pop("round_id")
            await session.load_round("trip", 1, **loaded)

    asyncio.run(run())


def test_a_module_whose_state_can_not_be_had_is_not_saved(path: Path) -> None:
    class Broken(Memory):
        def state_dict(self) -> dict[str, Any]:
            raise ZeroDivisionError

    async def run() -> None:
        async with EventSession(path) as session:
            await session.save_session_state("trip", a=Memory(1))
            a = Memory("a")
            with pytest.raises(ZeroDivisionError) as caught:
                await session.save_session_state("trip", a=a, b=Broken())
            assert "module 'b' gave no state" in caught.value.__notes__[0]
            await session.save_session_state("trip", a=Memory(1), b=Memory(2))
            with pytest.raises(ZeroDivisionError) as caught:
                await session.load_session_state("trip", a=a, b=Broken())
            assert "module 'b' gave no state" in caught.value.__notes__[0]
            assert (a.content, a.loads) == (["a"], 0)
            assert len(await session.rounds("trip")) == 2

    asyncio.run(run())


def test_a_closed_session_is_not_used_any_more(kind: str, path: Path) -> None:
    async def run() -> None:
        async with opened(kind, path) as session:
            await session.save_session_state("trip", memory=Memory(1))
            await session.close()
            await session.close()
            assert str(path) in repr(session)
            assert repr(session).endswith("(closed)>")
            for call in (
                session.save_session_state("trip", memory=Memory(1)),
                session.load_session_state("trip", memory=Memory()),
                session.rounds("trip"),
            ):
                with pytest.raises(StoreClosedError, match="is closed"):
                    await call
            with pytest.raises(StoreClosedError, match="is closed"):
                session.session("trip")

    asyncio.run(run())


def test_a_file_is_opened_at_first_use(path: Path) -> None:
    async def use(session: EventSession) -> bool:
        return await session.session("trip").exists

    session = EventSession(str(path))
    assert str(path) in repr(session)
    asyncio.run(EventSession(path).close())
    assert not path.exists()
    assert asyncio.run(use(session)) is False
    assert path.exists()
    asyncio.run(session.close())
    assert not path.with_name("agent.db-wal").exists()


def test_a_store_that_was_given_stays_open(path: Path) -> None:
    async def run() -> None:
        with StateStore(path) as plain:
            async with EventSession(plain) as session:
                await session.save_session_state("trip", memory=Memory(1))
                assert repr(plain) in repr(session)
            assert plain.session("", "trip").state() == {"memory": {"content": [1]}}
        async with aio.StateStore(path) as store:
            async with EventSession(store) as session:
                await session.save_session_state("trip", memory=Memory(2))
            assert await store.session("", "trip").state() == {"memory": {"content": [2]}}

    asyncio.run(run())


def test_a_session_serves_several_event_loops(path: Path) -> None:
    session = EventSession(path)
    for number in range(3):
        asyncio.run(session.save_session_state("trip", memory=Memory(number)))
    memory = Memory()
    asyncio.run(session.load_session_state("trip", memory=memory))
    assert memory.content == [2]
    asyncio.run(session.close())


def test_saves_at_once_are_rounds_of_their_own(path: Path) -> None:
    async def run() -> None:
        async with EventSession(path) as session:
            modules = [Memory(number, ["x"] * number) for number in range(50)]
            await asyncio.gather(*(session.save_session_state("trip", memory=module) for module in modules))
            assert [turn.id for turn in await session.rounds("trip")] == list(range(1, 51))
            states = [state async for _, state in session.session("trip").replay()]
            expected = [{"memory": copy.deepcopy(module.state_dict())} for module in modules]
            assert sorted(states, key=str) == sorted(expected, key=str)

    asyncio.run(run())


@pytest.mark.parametrize("store", [None, 7, b"agent.db", object()])
def test_what_is_no_store_is_refused(store: Any) -> None:
    with pytest.raises(TypeError, match="store is a"):
        EventSession(store)


def test_names_that_are_no_text_are_refused(path: Path) -> None:
    async def run() -> None:
        async with EventSession(path) as session:
            with pytest.raises(TypeError, match="session_id"):
                await session.save_session_state(None, memory=Memory(1))  # type: ignore[arg-type] # it is the test's subject
            with pytest.raises(TypeError, match="user_id"):
                await session.load_session_state("trip", None, memory=Memory(1))  # type: ignore[arg-type] # the same

    asyncio.run(run())


def test_closing_while_the_file_is_opened_leaves_it_closed_and_the_loop_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, stores = threading.Event(), threading.Event(), list[StateStore]()

    def slowly(path: str) -> StateStore:
        begun.set()
        assert go_on.wait(60)
        stores.append(StateStore(path))
        return stores[0]

    async def run() -> None:
        held = EventSession(str(tmp_path / "a.db"))
        monkeypatch.setattr(event_session, "StateStore", slowly)
        saving = asyncio.ensure_future(held.save_session_state("s", memory=Memory(1)))
        await asyncio.to_thread(begun.wait, 60)
        closing = asyncio.ensure_future(held.close())
        await asyncio.sleep(0)
        go_on.set()  # which nobody would do if the loop stood still
        await closing
        with pytest.raises(StoreClosedError):
            await saving

    asyncio.run(run())
    assert stores[0].closed
