"""What users draw in their own tests: storable, plain, and the same each time."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import doctest
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from eventstate import StateStore, TypeRegistry
from eventstate.testing import scripts, strategies
from eventstate.testing.replay import difference
from eventstate.testing.scripts import (
    Done,
    Fact,
    Fork,
    Message,
    Noted,
    Plan,
    Played,
    Rollback,
    Tag,
    ToolCall,
    Trim,
    Turn,
    Undo,
    play,
)
from eventstate.testing.strategies import StateEdit, agent_sessions, edits, keys, states, values
from tests.stores import Clock
from tests.values.rounds import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate import Session
    from eventstate.testing.scripts import Action

QUICK = settings(database=None, max_examples=2000, deadline=None)


@pytest.fixture
def session() -> Iterator[Session]:
    with StateStore(":memory:") as store:
        yield store.session("alice")
        assert store.verify().ok


def parts(value: Any) -> Iterator[Any]:
    yield value
    inner = value if isinstance(value, (list, tuple)) else ()
    for part in [*value, *value.values()] if isinstance(value, dict) else inner:
        yield from parts(part)


def leaves(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else None
    return 1 if inner is None else sum(map(leaves, inner))


@pytest.mark.parametrize("module", [scripts, strategies])
def test_the_examples_in_the_docstrings_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


# States


@given(states())
def test_a_state_can_be_saved_and_comes_back(state: dict[Any, Any]) -> None:
    with StateStore(":memory:") as store:
        store.session("alice").save(state)
        assert difference(store.session("alice").state(version=store.session("alice").version), state) is None


def drawn(strategy: st.SearchStrategy[Any], look: Callable[[Any], Iterator[Any]]) -> set[type]:
    """Give the types of what `look` finds in many examples, which are the same each time."""
    seen: set[type] = set()

    @settings(max_examples=500, database=None, derandomize=True, phases=[Phase.generate], deadline=None)
    @given(strategy)
    def collect(example: Any) -> None:
        seen.update(type(part) for part in look(example))

    collect()
    return seen


def test_every_kind_of_value_is_drawn() -> None:
    plain = {type(None), bool, int, float, complex, str, bytes, list, dict, tuple, set, frozenset}
    times = {dt.datetime, dt.date, dt.time, dt.timedelta}
    assert drawn(values(), parts) == plain | times | {decimal.Decimal, uuid.UUID}
    assert drawn(values(json_only=True), parts) == {type(None), bool, int, float, str, list, dict}


@given(states(json_only=True))
def test_a_json_state_comes_through_json_as_it_was(state: dict[Any, Any]) -> None:
    assert difference(json.loads(json.dumps(state)), state) is None


@given(keys(json_only=True))
def test_a_json_key_is_a_string(key: Any) -> None:
    assert type(key) is str


def test_values_of_registered_types_are_drawn_where_they_are_asked_for() -> None:
    tasks = st.builds(Task, st.text(max_size=3))

    def has_task(state: dict[Any, Any]) -> bool:
        return any(type(part) is Task for part in parts(state))

    state = find(states(also=tasks), has_task, settings=QUICK)
    with StateStore(":memory:", types=TypeRegistry(Task)) as store:
        store.session("alice").save(state)
        assert difference(store.session("alice").state(), state) is None


def test_the_sizes_of_states_have_the_limits_that_are_asked_for() -> None:
    @settings(QUICK, max_examples=50)
    @given(states(max_size=1, max_leaves=1))
    def check(state: dict[Any, Any]) -> None:
        assert len(state) <= 1
        assert sum(leaves(value) for value in state.values()) <= 1

    check()


# Edits


@given(states() | st.just({}), edits())
def test_an_edit_does_the_same_to_a_live_state_and_to_a_plain_one(
    before: dict[Any, Any], todo: list[StateEdit]
) -> None:
    plain = copy.deepcopy(before)
    with StateStore(":memory:") as store:
        session = store.session("alice")
        session.save(before)
        with session.round() as state:
            for edit in todo:
                edit(state)
                edit(plain)
                assert difference(state, plain) is None
        assert difference(session.state(), plain) is None


@given(states(json_only=True), edits(json_only=True))
def test_a_json_state_stays_one_when_it_is_edited(state: dict[Any, Any], todo: list[StateEdit]) -> None:
    for edit in todo:
        edit(state)
    assert difference(json.loads(json.dumps(state)), state) is None


CONTAINERS: dict[str, Any] = {
    "dict": {"k": 1, "b": "text", "c": [0]},
    "list": [1, "text", [0]],
    "set": {"k", 1},
}


@pytest.mark.parametrize("kind", sorted(CONTAINERS))
@pytest.mark.parametrize("what", sorted(strategies._DOINGS[dict]))
def test_each_edit_of_each_container_changes_it(what: str, kind: str) -> None:
    changed = set()
    for at in range(3):
        for key in ("k", "new"):
            state = {"it": copy.deepcopy(CONTAINERS[kind])}
            StateEdit(what, (0,), at, key, ["v"])(state)
            changed.add(difference(state["it"], CONTAINERS[kind]) is not None)
    assert True in changed


@pytest.mark.parametrize("empty", [{}, [], set()])
@pytest.mark.parametrize("what", sorted(strategies._DOINGS[dict]))
def test_an_edit_of_an_empty_container_does_not_fail(what: str, empty: Any) -> None:
    state = {"it": copy.copy(empty)}
    StateEdit(what, (0,), 1, "k", ["v"])(state)
    assert type(state["it"]) is type(empty)


@pytest.mark.parametrize(
    ("way", "after"),
    [
        ((), {"n": 1, "a": [[1], ({2: 3}, [4])], "b": {}, "k": 0}),
        ((0,), {"n": 1, "a": [[1], ({2: 3}, [4]), 0], "b": {}}),
        ((0, 0), {"n": 1, "a": [[1, 0], ({2: 3}, [4])], "b": {}}),
        ((0, 1), {"n": 1, "a": [[1], ({2: 3, "k": 0}, [4])], "b": {}}),
        ((0, 2), {"n": 1, "a": [[1], ({2: 3}, [4, 0])], "b": {}}),
        ((0, 3, 9), {"n": 1, "a": [[1, 0], ({2: 3}, [4])], "b": {}}),
        ((1,), {"n": 1, "a": [[1], ({2: 3}, [4])], "b": {"k": 0}}),
    ],
)
def test_the_way_leads_through_what_is_inside_round_and_round(way: tuple[int, ...], after: Any) -> None:
    state = {"n": 1, "a": [[1], ({2: 3}, [4])], "b": {}}
    StateEdit("append", way, 0, "k", 0)(state)
    assert state == after


def test_an_edit_puts_in_a_copy_of_its_value_each_time(session: Session) -> None:
    edit = StateEdit("set", (), 0, "k", [[]])
    one: dict[str, Any] = {}
    edit(one)
    one["k"][0].append(1)
    session.update(edit)
    assert session.state() == {"k": [[]]}
    assert edit.value == [[]]


# What agents do


@given(agent_sessions())
def test_a_played_session_is_what_plain_dicts_say(script: list[Action]) -> None:
    with StateStore(":memory:") as store:
        played = play(store.session("alice"), script)
        for session, rounds in played:
            assert {turn.id: state for turn, state in session.replay()} == rounds
            assert session.state() == rounds.get(max(rounds, default=0))
        assert store.verify().ok


def test_the_same_script_writes_the_same_history() -> None:
    @settings(QUICK, max_examples=20)
    @given(agent_sessions())
    def check(script: list[Action]) -> None:
        hashes = []
        for _ in range(2):
            with StateStore(":memory:", clock=Clock(), entropy=bytes) as store:
                play(store.session("alice"), script)
                hashes.append([commit.hash for commit in store.commits()])
        assert hashes[0] == hashes[1]

    check()


def test_every_kind_of_action_and_of_step_is_drawn() -> None:
    steps = {Message, ToolCall, Plan, Done, Fact, Trim}
    actions = {Turn, Noted, Rollback, Undo, Fork, Tag}
    assert drawn(agent_sessions(), lambda script: iter([*script, *script[0].steps])) == steps | actions


@given(agent_sessions(forks=False))
def test_without_forks_there_are_none(script: list[Action]) -> None:
    assert not any(isinstance(action, Fork) for action in script)


@given(agent_sessions(), agent_sessions())
def test_a_session_that_has_a_past_can_be_played_on(one: list[Action], other: list[Action]) -> None:
    with StateStore(":memory:") as store:
        first = play(store.session("alice"), one)
        again = play(store.session("alice"), other)
        assert list(again[0].rounds.items())[: len(first[0].rounds)] == list(first[0].rounds.items())
        for session, rounds in [*first[1:], *again]:
            assert {turn.id: state for turn, state in session.replay()} == rounds


def played(session: Session, *script: Action) -> list[Played]:
    return play(session, script)


@pytest.mark.parametrize("how", ["round", "update", "save"])
def test_a_turn_is_one_round_and_a_failing_one_is_none(session: Session, how: str) -> None:
    turn = Turn([Message("user", "hi"), Plan(["look", "answer"]), Done(), Fact("city", "Bonn")], how)
    [line] = played(session, turn, Turn([Trim(0)], how, fails=True))
    after = {
        "messages": [{"role": "user", "content": "hi"}],
        "plan": ["answer"],
        "memory": {"city": "Bonn"},
    }
    assert line.rounds == {1: after}
    assert session.state() == after
    assert [(turn.id, turn.actor) for turn in session.rounds()] == [(1, "agent")]


def test_a_tool_call_and_its_result_are_messages_and_the_oldest_can_be_forgotten(session: Session) -> None:
    call = ToolCall("search", {"query": "x"}, [1])
    [line] = played(session, Turn([Message("user", "hi"), call, call, Trim(3)], "round"))
    asked = {"role": "assistant", "tool_calls": [{"name": "search", "arguments": {"query": "x"}}]}
    result = {"role": "tool", "name": "search", "content": [1]}
    assert line.rounds[1] == {"messages": [result, asked, result], "calls": {"search": 2}}


def test_going_back_refers_to_rounds_round_and_round(session: Session) -> None:
    one, two = Turn([Plan(["a"])], "save"), Turn([Plan(["b"])], "save")
    main, fork = played(
        session,
        one,
        two,
        Rollback(2),
        Undo(),
        Fork(4),
        Turn([Plan(None)], "save", branch=1),
        Tag(1),
        Tag(1, branch=1),
    )
    a, b, none = {"plan": ["a"]}, {"plan": ["b"]}, {"plan": None}
    assert main.rounds == {1: a, 2: b, 3: a, 4: b}
    assert fork.rounds == {1: a, 2: none}
    assert session.branches() == ["main", "fork-1"]
    assert list(session.tags()) == ["tag-1"]
    assert list(fork.session.tags()) == ["tag-1"]


def test_what_can_not_be_done_is_left_out(session: Session) -> None:
    [line] = played(session, Undo(), Rollback(1), Fork(1), Tag(1), Noted("n", None, branch=4))
    assert line.rounds == {}
    assert [note.name for note in session.notes()] == ["n"]
