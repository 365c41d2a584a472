"""Bound modules of whose session something is erased, pruned, purged, or written by others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import ConflictError, InvalidStateError, SessionDeletedError, StateStore, aio
from eventstate.agents.shape import inside
from tests.agents.bindings import agree
from tests.agents.modules import Memory, Open, Worker
from tests.agents.sessions import kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session


class Guest(Open):
    """Knows a secret."""

    def __init__(self, card: str | None = None) -> None:
        super().__init__()
        self.card = card
        self.log: list[Any] = []
        for name in ("card", "log"):
            self.register_state(name)


@pytest.fixture
def guest(session: Session) -> Guest:
    module = Guest()
    module.bind(session)
    module.card = "4111"
    module.log.append(1)
    return module


@pytest.mark.parametrize(
    "act",
    [
        lambda guest: guest.log.append(2),
        lambda guest: setattr(guest, "log", [2]),
        lambda guest: guest.reload(),
    ],
    ids=["append", "assign", "reload"],
)
@pytest.mark.parametrize("path", ["card", "log"])
def test_what_was_erased_is_not_written_again_by_a_module_that_still_has_it(
    session: Session, guest: Guest, path: str, act: Callable[[Any], None]
) -> None:
    session.erase(path, reason="asked for")
    version, held = session.version, guest.state_dict()
    with pytest.raises((ConflictError, InvalidStateError)):
        act(guest)
    assert (session.version, guest.state_dict()) == (version, held)
    assert path not in session.state()


def test_after_an_erasure_a_module_with_another_value_is_bound_again(session: Session, guest: Guest) -> None:
    session.erase("card", reason="asked for")
    guest.unbind()
    guest.card = None
    guest.bind(session)
    guest.log.append(2)
    assert session.state() == {"card": None, "log": [1, 2]} == guest.state_dict()


def test_a_part_of_a_value_that_was_erased_is_gone_from_the_module_after_a_reload(session: Session) -> None:
    memory = Memory([])
    memory.bind(session)
    memory.content.append({"text": "secret"})
    memory.content.append("kept")
    before = session.version
    session.erase(range(before - 1, before), reason="asked for")
    with pytest.raises(ConflictError):
        memory.content.append("more")
    if "content" in session.state():
        memory.reload()
        assert agree(memory)
    assert "secret" not in repr(session.state())


def test_an_erasure_on_a_forks_past_is_seen_on_the_fork_too(session: Session, guest: Guest) -> None:
    guest.unbind()
    fork = session.fork("other")
    guest.bind(fork)
    guest.log.append(2)
    session.erase("log", reason="asked for")
    with pytest.raises(ConflictError):
        guest.log.append(3)
    assert "log" not in fork.state()


def test_an_asyncio_commit_after_an_erasure_conflicts() -> None:
    async def main() -> None:
        async with aio.StateStore(":memory:") as store:
            session = store.session("u")
            guest = Guest("4111")
            guest.bind(session)
            binding = inside(guest).binding
            assert binding is not None
            binding.begin()
            guest.log.append(1)
            await session.erase("card", reason="asked for")
            with pytest.raises(ConflictError):
                await binding.acommit("reply")
            assert "card" not in await session.state()
            assert guest.log == []

    asyncio.run(main())


def test_pruning_and_notes_do_not_come_between_a_module_and_its_session(
    session: Session, guest: Guest
) -> None:
    session.prune(keep_rounds=1)
    session.note("seen", 1)
    guest.log.append(2)
    session.prune(keep_rounds=1)
    guest.log.append(3)
    assert agree(guest)
    assert guest.log == [1, 2, 3]


@pytest.mark.parametrize("purged", [False, True])
def test_a_deleted_session_refuses_changes_and_the_module_keeps_its_own(
    session: Session, guest: Guest, *, purged: bool
) -> None:
    session.delete(reason="over")
    if purged:
        session.purge(reason="over")
    with pytest.raises(SessionDeletedError):
        guest.log.append(2)
    with pytest.raises(SessionDeletedError):
        guest.reload()
    assert guest.log == [1]
    guest.unbind()
    guest.log.append(2)


@pytest.mark.parametrize(
    "act",
    [
        lambda session: session.rollback(1),
        lambda session: session.undo(),
        lambda session: session.merge(_changed(session.fork("other"))),
        lambda session: session.save({"card": None, "log": []}, round_id=0),
        lambda session: Guest().bind(session, load=False),
    ],
    ids=["rollback", "undo", "merge", "late", "module"],
)
def test_what_others_commit_conflicts_until_the_module_is_taken_anew(
    session: Session, guest: Guest, act: Callable[[Any], object]
) -> None:
    act(session)
    version, held = session.version, guest.state_dict()
    with pytest.raises(ConflictError):
        guest.log.append("lost")
    assert (session.version, guest.state_dict()) == (version, held)
    guest.reload()
    guest.log.append("here")
    assert agree(guest)
    assert guest.log[-1] == "here"


def _changed(branch: Session) -> Session:
    branch.update(lambda state: state.update(card="merged"))
    return branch


def test_a_validator_that_assigns_its_own_attribute_is_refused() -> None:
    with StateStore(":memory:") as store:
        session = store.session("u")
        worker = Worker()
        worker.bind(session)

        def assign(value: int) -> bool:
            if value:
                worker.count = value + 1
            return True

        worker.add_validator("count", assign)
        with pytest.raises(InvalidStateError, match="by its own validator"):
            worker.count = 9
        assert worker.count == 0
        assert kinds(session) == ["save"]
