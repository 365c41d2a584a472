"""A pydantic model as the type of the state."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)

from eventstate import InvalidStateError, RoundNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session, StateStore


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
        store.session("alice", model=dict)


def test_rounds_can_be_read_by_those_who_do_not_know_the_model(store: StateStore) -> None:
    store.session("alice", model=Plan).save(Plan(goal="travel"))
    plain = store.session("alice")
    with pytest.raises(RoundNotFoundError):
        plain.state(at=2)
    plain.update(lambda state: state["steps"].append("walk"))
    assert store.session("alice", model=Plan).state() == Plan(goal="travel", steps=["walk"])


class Shares(BaseModel):
    """A model that looks at two fields at once."""

    a: int = 0
    b: int = 0

    @model_validator(mode="after")
    def within(self) -> Self:
        if self.a + self.b > 10:
            raise ValueError("more than there is")
        return self


def _merge_of_two_halves(session: Session) -> object:
    fork = session.fork("other", at=1)
    fork.save(Shares(a=9, b=1))
    return session.merge(fork)


@pytest.mark.parametrize(
    "write",
    [
        _merge_of_two_halves,
        lambda session: session.rollback(2, paths=["a"]),
        lambda session: session.rollback("refused"),
        lambda session: session.rollback("refused", paths=["a", "b"]),
    ],
)
def test_what_goes_back_or_merges_to_a_state_that_the_model_refuses_writes_nothing(
    store: StateStore, write: Callable[[Session], object]
) -> None:
    session = store.session("alice", model=Shares)
    session.save(Shares(a=1, b=1))
    session.save(Shares(a=9, b=1))
    plain = store.session("alice")
    plain.save({"a": 9, "b": 9})
    plain.tag("refused")
    session.save(Shares(a=1, b=9))
    before = session.version
    with pytest.raises(InvalidStateError, match="more than there is"):
        write(session)
    assert session.version == before
    assert session.state() == Shares(a=1, b=9)


def test_undo_to_a_state_that_the_model_refuses_writes_nothing(store: StateStore) -> None:
    store.session("alice").save({"a": 9, "b": 9})
    session = store.session("alice", model=Shares)
    session.save({"a": 1})
    before = session.version
    with pytest.raises(InvalidStateError, match="more than there is"):
        session.undo()
    assert (session.version, session.state()) == (before, Shares(a=1))
    session.save({"a": 2})
    session.undo()
    assert session.state() == Shares(a=1)


def test_a_merge_and_a_rollback_that_the_model_takes_go_through(store: StateStore) -> None:
    session = store.session("alice", model=Shares)
    session.save(Shares(a=1, b=1))
    fork = session.fork("other")
    fork.save(Shares(a=2, b=1))
    session.save(Shares(a=1, b=3))
    assert session.merge(fork)
    assert session.state() == Shares(a=2, b=3)
    session.rollback(1, paths=["b"])
    assert session.state() == Shares(a=2, b=1)
    session.rollback(1)
    assert session.state() == Shares(a=1, b=1)


class Tool(BaseModel):
    """A part of a state."""

    name: str


class Search(Tool):
    """A tool of its own kind."""

    query: str


class Agent(BaseModel):
    """A model with much that can be lost."""

    tool: Tool = Tool(name="none")
    tools: list[Tool] = Field(default_factory=list)
    named: dict[str, Tool] = Field(default_factory=dict)
    either: Search | Tool = Tool(name="none")
    free: Any = None
    hidden: int = Field(default=0, exclude=True)
    _private: int = PrivateAttr(default=0)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)


class LateAgent(Agent):
    """Another type than the session's."""


def _private(agent: Agent) -> Agent:
    agent._private = 3
    return agent


@pytest.mark.parametrize(
    ("agent", "place"),
    [
        (Agent(tool=Search(name="a", query="b")), "/tool: Search would come back as Tool"),
        (Agent(tool=Search(name="a", query="")), "/tool: Search"),
        (Agent(tools=[Tool(name="a"), Search(name="b", query="")]), "/tools/1: Search"),
        (Agent(named={"x": Search(name="b", query="")}), "/named/x: Search"),
        (Agent(free=Tool(name="a")), "/free: Tool would come back as dict"),
        (Agent(free=[{"x": (Tool(name="a"),)}]), "/free/0/x/0: Tool"),
        (Agent(hidden=5), "/hidden: it is private, or left out"),
        (_private(Agent()), "/_private: it is private, or left out"),
        (LateAgent(), "state: LateAgent would come back as Agent"),
        ({"tool": Search(name="a", query="")}, "/tool: Search"),
    ],
)
def test_what_a_state_would_not_bring_back_is_refused(store: StateStore, agent: Any, place: str) -> None:
    session = store.session("alice", model=Agent)
    with pytest.raises(InvalidStateError, match=f"Agent can't keep {place}"):
        session.save(agent)
    assert not session.exists


def test_what_comes_back_as_it_was_is_kept(store: StateStore) -> None:
    session = store.session("alice", model=Agent)
    for agent in (
        Agent(),
        Agent(tool=Tool(name="a"), tools=[Tool(name="b")], named={"c": Tool(name="d")}),
        Agent(either=Search(name="e", query="f")),
        Agent(free=[1, (2, {"x": {3}}), float("inf")]),
    ):
        session.save(agent)
        kept = session.state()
        assert kept.model_dump() == agent.model_dump()
        assert type(kept.either) is type(agent.either)
    session.update(lambda agent: agent.tools.append(Tool(name="z")))
    assert session.state().tools == [Tool(name="z")]
    with pytest.raises(InvalidStateError, match="/tools/1: Search"), session.round() as agent:
        agent.tools.append(Search(name="q", query=""))
    session.save(Agent(free=float("nan")))
    assert session.state().free != session.state().free


class Shaped(BaseModel):
    """A model whose validators and settings change shapes."""

    model_config = ConfigDict(extra="allow", serialize_by_alias=True)

    name: str = Field(alias="theName")
    recent: list[Tool] = Field(default_factory=list)

    @field_validator("name")
    @classmethod
    def lower(cls, name: str) -> str:
        return name.lower()

    @field_validator("recent")
    @classmethod
    def last_two(cls, recent: list[Tool]) -> list[Tool]:
        return recent[-2:]

    @model_validator(mode="before")
    @classmethod
    def migrate(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data.pop("legacy", None)
        return data

    @computed_field  # type: ignore[prop-decorator] # mypy does not know it
    @property
    def size(self) -> int:
        return len(self.recent)


def test_what_validators_make_of_a_value_is_saved_and_no_loss(store: StateStore) -> None:
    session = store.session("alice", model=Shaped)
    session.save(Shaped(theName="A", note="x"))  # type: ignore[call-arg] # it allows extra fields
    assert store.session("alice").state() == {"name": "a", "recent": [], "note": "x"}
    with session.round() as shaped:
        shaped.name = "UPPER"
        shaped.recent.extend(Tool(name=name) for name in "abc")
    assert (session.state().name, session.state().size) == ("upper", 2)
    assert session.state().recent == [Tool(name="b"), Tool(name="c")]
    with pytest.raises(InvalidStateError, match="/recent/2: Search"), session.round() as shaped:
        shaped.recent.append(Search(name="d", query=""))


class Growing(BaseModel):
    """A model that never comes back as it was."""

    n: float = 0.0

    @field_serializer("n")
    def next(self, n: float) -> float:
        return n + 1


class Broken(BaseModel):
    """A model that can't be dumped."""

    n: int = 0

    @field_serializer("n")
    def fail(self, n: int) -> int:
        raise ValueError(f"no number: {n}")


def test_a_model_that_does_not_come_back_from_its_own_dump_is_refused(store: StateStore) -> None:
    with pytest.raises(InvalidStateError, match="another one each time"):
        store.session("alice", model=Growing).save(Growing())
    with pytest.raises(InvalidStateError, match=r"can't be dumped.*no number"):
        store.session("alice", model=Broken).save(Broken())


def test_what_if_of_a_new_session_has_an_instance_of_its_model(store: StateStore) -> None:
    with store.session("alice", model=Shares).what_if() as shares:
        assert shares == Shares()
    with (
        pytest.raises(InvalidStateError, match="save a state first: Plan refuses the state at /goal"),
        store.session("alice", model=Plan).what_if(),
    ):
        pytest.fail("the body must not run")
    with store.session("alice").what_if() as state:
        assert state == {}
