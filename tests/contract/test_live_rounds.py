"""Live rounds: what is committed, discarded, kept or in conflict; notes inside them."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import ConflictError, InvalidStateError
from tests.stores import ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session, StateStore


def test_a_round_commits_what_was_done_in_its_body(session: Session) -> None:
    session.save({"messages": [], "plan": None})
    with session.round(actor="planner", reason="user asked") as state:
        state["messages"].append({"role": "user", "content": "hi"})
        state["plan"] = ["search", "answer"]
    assert session.state() == {
        "messages": [{"role": "user", "content": "hi"}],
        "plan": ["search", "answer"],
    }
    turn = session.latest
    assert turn is not None
    assert (turn.id, turn.kind, turn.actor, turn.reason) == (2, "round", "planner", "user asked")


@pytest.mark.parametrize("given", [{"role": "user"}, ["hi"], {"parts": ["hi"]}, {1, 2}])
def test_what_was_assigned_or_appended_can_be_changed_by_nobody_else(session: Session, given: Any) -> None:
    """Neither before the round's end, nor after, when it is part of the newest state."""
    session.save({"messages": [{"role": "system"}], "plan": None})
    was, mine = copy.deepcopy(given), copy.deepcopy(given)

    def spoil(value: Any) -> None:
        value.clear() if isinstance(value, (dict, set)) else value.append("spoilt")

    with session.round() as state:
        state["messages"].append(mine)
        state["plan"] = mine
        spoil(mine)
        held = state["plan"]
    assert session.state() == {"messages": [{"role": "system"}, was], "plan": was}
    if isinstance(held, set):
        held.add("spoilt")
    else:
        with pytest.raises(InvalidStateError):
            spoil(held)
    assert session.state() == {"messages": [{"role": "system"}, was], "plan": was}
    with session.round() as state:
        assert state["plan"] == was


def test_a_round_may_be_the_first_thing_of_a_session(session: Session) -> None:
    with session.round() as state:
        assert state == {}
        state["n"] = 1
    assert session.state() == {"n": 1}


def test_a_live_state_is_made_of_builtins(session: Session) -> None:
    session.save({"messages": [{"content": "hi"}]})
    with session.round() as state:
        assert isinstance(state, dict)
        assert isinstance(state["messages"], list)
        assert json.loads(json.dumps(state)) == {"messages": [{"content": "hi"}]}
        assert copy.deepcopy(state) == state


def test_nobody_sees_a_round_before_its_end(session: Session) -> None:
    session.save({"n": 1})
    with session.round() as state:
        state["n"] = 2
        assert session.state() == {"n": 1}
        assert session.version == 1
    assert session.state() == {"n": 2}


def test_an_exception_in_the_body_discards_its_changes_and_comes_out(session: Session) -> None:
    session.save({"n": [1]})
    with pytest.raises(ZeroDivisionError), session.round() as state:
        state["n"].append(1 // 0 if not state["n"].append(2) else 0)
    assert session.state() == {"n": [1]}
    assert ids(session) == [1]
    with session.round() as state:
        assert state == {"n": [1]}
        state["n"].append(3)
    assert session.state() == {"n": [1, 3]}


def test_on_error_keep_commits_what_was_done_as_interrupted(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ZeroDivisionError), session.round(on_error="keep", actor="planner") as state:
        state["n"] = 2
        state["m"] = 1 // 0
    assert session.state() == {"n": 2}
    assert session.latest is not None
    assert (session.latest.kind, session.latest.actor) == ("interrupted", "planner")


@pytest.mark.parametrize(("on_error", "state"), [("keep", {"n": 2}), ("discard", {"n": 1})])
def test_a_cancelled_task_keeps_or_discards_its_round_and_stays_cancelled(
    session: Session, on_error: Any, state: dict[str, int]
) -> None:
    session.save({"n": 1})

    async def turn(started: asyncio.Event) -> None:
        with session.round(on_error=on_error) as live:
            live["n"] = 2
            started.set()
            await asyncio.sleep(3600)

    async def main() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(turn(started))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert session.state() == state


def test_an_error_goes_on_as_itself_when_what_was_done_cannot_be_kept(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(asyncio.CancelledError) as caught, session.round(on_error="keep") as state:
        state["n"] = 2
        session.save({"n": 3})
        raise asyncio.CancelledError
    assert session.state() == {"n": 3}
    assert "expected version 1" in "".join(caught.value.__notes__)


def test_on_error_is_checked(session: Session) -> None:
    with pytest.raises(ValueError, match="'discard' or 'keep'"), session.round(on_error="x"):  # type: ignore[arg-type]
        pytest.fail("the body must not run")


def test_a_round_whose_branch_moved_is_a_conflict_and_writes_nothing(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ConflictError) as caught, session.round() as state:
        state["n"] += 10
        session.update(lambda other: other.update(n=2))
    assert (caught.value.expected, caught.value.actual) == (1, 2)
    assert session.state() == {"n": 2}


def test_update_reads_again_and_retries(session: Session) -> None:
    session.save({"n": 1})
    seen = []

    def change(state: Any) -> None:
        seen.append(state["n"])
        if len(seen) < 6:
            session.save({"n": state["n"] + 10})
        state["n"] += 1

    assert session.update(change).kind == "update"
    assert seen == [1, 11, 21, 31, 41, 51]
    assert session.state() == {"n": 52}


def test_update_that_raises_writes_nothing(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ZeroDivisionError):
        session.update(lambda state: state.update(n=1 // (state.update(n=0) or 0)))
    assert session.state() == {"n": 1}


def test_a_note_is_a_version_without_a_change(store: StateStore, session: Session) -> None:
    session.save({"n": 1})
    assert session.note("tool.called", {"name": "search"}, actor="planner", reason="plan") == 2
    assert session.version == 2
    assert session.state() == {"n": 1}
    assert ids(session) == [1]
    commit = list(store.commits())[-1]
    assert (commit.kind, commit.round, commit.actor, commit.reason) == ("note", None, "planner", "plan")


def test_a_note_may_be_the_first_thing_of_a_session(session: Session) -> None:
    session.note("reply.started")
    assert session.exists
    assert session.state() is None
    assert session.state(version=1) == {}
    assert session.save({"n": 1}).id == 1
    assert session.state() == {"n": 1}


def test_notes_inside_a_round_are_no_conflict(session: Session) -> None:
    session.save({"n": 1})
    with session.round() as state:
        state["n"] = 2
        assert session.note("tool.called") == 2
        assert session.note("tool.returned", [1, 2]) == 3
        state["m"] = 3
    assert session.state() == {"n": 2, "m": 3}
    assert session.version == 5


def test_a_note_inside_the_first_round_is_no_conflict(session: Session) -> None:
    with session.round() as state:
        session.note("reply.started")
        state["n"] = 1
    assert session.state() == {"n": 1}
    assert session.version == 2


def test_a_note_does_not_hide_the_conflict_before_it(session: Session) -> None:
    session.save({"n": 1})
    with pytest.raises(ConflictError), session.round() as state:
        state["n"] = 2
        session.save({"n": 3})
        session.note("tool.called")


def test_a_live_object_refuses_to_be_changed_after_its_round(session: Session) -> None:
    with session.round() as state:
        state["list"] = [1]
        state["dict"] = {}
        inner = state["list"], state["dict"]
    changes: list[Callable[[], object]] = [
        lambda: state.update(n=1),
        lambda: inner[0].append(2),
        inner[1].clear,
        lambda: state.pop("list"),
    ]
    for change in changes:
        with pytest.raises(InvalidStateError, match="the round is over"):
            change()
    assert state == {"list": [1], "dict": {}}


def test_a_live_object_of_an_update_is_closed_before_the_next_try(session: Session) -> None:
    session.save({"n": 1})
    lives: list[Any] = []

    def change(state: Any) -> None:
        if lives:
            with pytest.raises(InvalidStateError):
                lives[0]["n"] = 0
        else:
            session.note("x")
            session.save({"n": 5})
        lives.append(state)
        state["n"] += 1

    session.update(change)
    assert session.state() == {"n": 6}
