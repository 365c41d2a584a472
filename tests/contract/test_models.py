"""A pydantic model as the type of the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, Field

from eventstate import InvalidStateError, RoundNotFoundError

if TYPE_CHECKING:
    from eventstate import StateStore


class Plan(BaseModel):
    """The state of the tests below."""

    goal: str
    steps: list[str] = Field(default_factory=list)
    budget: float = Field(default=1.0, ge=0)


class Renamed(BaseModel):
    """A model whose field has an alias."""

    goal: str = Field(alias="theGoal")


def test_a_model_is_the_type_of_the_state(store: StateStore) -> None:
    session = store.session("alice", model=Plan)
    assert session.state() is None
    session.save(Plan(goal="travel"))
    assert session.state() == Plan(goal="travel")
    assert store.session("alice").state() == {"goal": "travel", "steps": [], "budget": 1.0}
    session.save({"goal": "rest", "steps": ["sleep"]})
    state = session.state()
    assert type(state) is Plan
    assert state == Plan(goal="rest", steps=["sleep"])
    assert [plan.goal for _, plan in session.replay()] == ["travel", "rest"]
    assert session.state(at=1) == Plan(goal="travel")


def test_a_round_and_an_update_edit_an_instance_of_the_model(store: StateStore) -> None:
    session = store.session("alice", model=Plan)
    session.save(Plan(goal="travel"))
    with session.round() as plan:
        assert type(plan) is Plan
        plan.steps.append("search")
        plan.budget = 3.5
    assert session.state() == Plan(goal="travel", steps=["search"], budget=3.5)
    session.update(lambda plan: plan.steps.append("book"))
    assert session.state().steps == ["search", "book"]
    with pytest.raises(ZeroDivisionError), session.round() as plan:
        plan.budget = 1 / 0
    with session.what_if() as plan:
        plan.goal = "stay"
    assert session.state().goal == "travel"
    assert session.fork("other").state() == session.state()
    assert {change.path for change in session.history("steps")} == {("steps",)}


def test_a_model_is_validated_before_anything_is_written(store: StateStore) -> None:
    session = store.session("alice", model=Plan)
    for wrong in (Plan.model_construct(goal=7), {"goal": "x", "budget": -1}, {}, 7, None, [1]):
        with pytest.raises(InvalidStateError):
            session.save(wrong)
    assert not session.exists
    session.save(Plan(goal="travel"))
    with pytest.raises(InvalidStateError, match="/budget"), session.round() as plan:
        plan.budget = -1.0
    with pytest.raises(InvalidStateError):
        session.update(lambda plan: setattr(plan, "goal", None))
    assert session.version == 3


def test_a_state_that_its_model_refuses_is_told_when_it_is_read(store: StateStore) -> None:
    store.session("alice").save({"goal": 7})
    session = store.session("alice", model=Plan)
    with pytest.raises(InvalidStateError, match="Plan refuses the state at /goal"):
        session.state()
    with pytest.raises(InvalidStateError), session.round():
        pytest.fail("the body must not run")


def test_a_model_with_aliases_is_stored_by_its_field_names(store: StateStore) -> None:
    session = store.session("alice", model=Renamed)
    session.save(Renamed(theGoal="travel"))
    assert store.session("alice").state() == {"goal": "travel"}
    assert session.state() == Renamed(theGoal="travel")


def test_a_model_is_a_pydantic_model(store: StateStore) -> None:
    with pytest.raises(TypeError, match="pydantic model"):
        store.session("alice", model=dict)  # type: ignore[arg-type]


def test_rounds_can_be_read_by_those_who_do_not_know_the_model(store: StateStore) -> None:
    store.session("alice", model=Plan).save(Plan(goal="travel"))
    plain = store.session("alice")
    with pytest.raises(RoundNotFoundError):
        plain.state(at=2)
    plain.update(lambda state: state["steps"].append("walk"))
    assert store.session("alice", model=Plan).state() == Plan(goal="travel", steps=["walk"])
