"""A dataclass, the standard library's or pydantic's, as the type of the state."""

from __future__ import annotations

import dataclasses
import functools
import threading
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any

import pydantic.dataclasses
import pytest
from pydantic import ConfigDict, Field, PositiveInt

from eventstate import InvalidStateError, UnsupportedValueError

if TYPE_CHECKING:
    from eventstate import Session, StateStore


@dataclass
class Step:
    """A part of a state."""

    name: str
    done: bool = False


@dataclass
class Search(Step):
    """A step of its own kind."""

    query: str = ""


@dataclass
class Plan:
    """The state of most tests below."""

    goal: str
    steps: list[Step] = field(default_factory=list)
    named: dict[str, Step] = field(default_factory=dict)
    budget: PositiveInt = 1
    free: Any = None
    turns: int = field(default=0, init=False)

    @functools.cached_property
    def length(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A dataclass with every option."""

    goal: str
    tags: list[str] = field(default_factory=list)
    inner: Fixed | None = None


@pydantic.dataclasses.dataclass
class Checked:
    """A dataclass of pydantic's."""

    goal: str = Field(alias="theGoal")
    budget: int = Field(default=1, ge=0)
    hidden: int = Field(default=0, exclude=True)


def typed(store: StateStore, model: Any, user_id: str = "alice") -> Session:
    return store.session(user_id, model=model)


def test_a_dataclass_is_the_type_of_the_state(store: StateStore) -> None:
    session = typed(store, Plan)
    assert session.state() is None
    plan = Plan("travel", steps=[Step("search", done=True)], named={"a": Step("b")})
    session.save(plan)
    assert session.state() == plan
    assert type(session.state().steps[0]) is Step
    assert store.session("alice").state() == {
        "goal": "travel",
        "steps": [{"name": "search", "done": True}],
        "named": {"a": {"name": "b", "done": False}},
        "budget": 1,
        "free": None,
        "turns": 0,
    }
    session.save({"goal": "rest"})
    assert session.state() == Plan("rest")
    assert [kept.goal for _, kept in session.replay()] == ["travel", "rest"]
    assert session.state(at=1) == plan


def test_a_round_and_an_update_edit_an_instance_of_the_dataclass(store: StateStore) -> None:
    session = typed(store, Plan)
    session.save(Plan("travel"))
    with session.round() as plan:
        assert type(plan) is Plan
        plan.steps.append(Step("search"))
        plan.budget = 3
    session.update(lambda plan: setattr(plan.steps[0], "done", True))
    assert session.state() == Plan("travel", steps=[Step("search", done=True)], budget=3)
    with pytest.raises(ZeroDivisionError), session.round() as plan:
        plan.budget = 1 // 0
    with session.what_if() as plan:
        plan.goal = "stay"
    assert session.state().goal == "travel"
    assert {change.path for change in session.history("budget")} == {("budget",)}
    session.undo()
    session.rollback(1)
    assert session.state() == Plan("travel")


def test_a_dataclass_is_validated_before_anything_is_written(store: StateStore) -> None:
    session = typed(store, Plan)
    wrongs: list[Any] = [Plan("x", budget=0), Plan(7), {}, {"goal": "x", "steps": [{}]}, 7, None, [1]]  # type: ignore[arg-type] # it is the test's subject
    for wrong in wrongs:
        with pytest.raises(InvalidStateError):
            session.save(wrong)
    assert not session.exists
    session.save(Plan("travel"))
    before = session.version
    with pytest.raises(InvalidStateError, match="Plan refuses the state at /budget"), session.round() as plan:
        plan.budget = -1
    with pytest.raises(InvalidStateError, match="/steps/0/name"):
        session.update(lambda plan: plan.steps.append(Step(7)))  # type: ignore[arg-type] # the same
    with pytest.raises(InvalidStateError, match="no attribute 'goal'"):
        session.update(lambda plan: delattr(plan, "goal"))
    with pytest.raises(InvalidStateError, match="Plan can't"):
        session.update(lambda plan: setattr(plan, "free", plan))
    with pytest.raises(UnsupportedValueError):
        session.update(lambda plan: setattr(plan, "free", object()))
    assert session.version == before


def test_a_state_that_its_dataclass_refuses_is_told_when_it_is_read(store: StateStore) -> None:
    store.session("alice").save({"goal": 7})
    session = typed(store, Plan)
    with pytest.raises(InvalidStateError, match="Plan refuses the state at /goal"):
        session.state()
    with pytest.raises(InvalidStateError), session.round():
        pytest.fail("the body must not run")


def _with(plan: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(plan, name, value)
    return plan


@pytest.mark.parametrize(
    ("model", "state", "place"),
    [
        (Plan, Search("x"), "state is a Plan or a dict, not Search"),
        (Step, Search("x"), "Step can't keep state: Search would come back as Step"),
        (Plan, Plan("x", steps=[Step("a"), Search("b")]), "/steps/1: Search would come back as Step"),
        (Plan, Plan("x", named={"a": Search("b")}), "/named/a: Search"),
        (Plan, Plan("x", free=Step("a")), "/free: Step would come back as dict"),
        (Plan, Plan("x", free=[(Step("a"),)]), "/free/0/0: Step"),
        (Plan, {"goal": "x", "steps": [Search("b")]}, "/steps/0: Search"),
        (Plan, _with(Plan("x"), turns=3), "/turns: it is private, or left out"),
        (Plan, _with(Plan("x"), note="y"), "/note: it is private, or left out"),
        (Plan, Plan("x", steps=[_with(Step("a"), note="y")]), "/steps/0/note: it is private"),
        (Checked, _with(Checked(theGoal="x"), hidden=5), "/hidden: it is private, or left out"),
        (Checked, _with(Checked(theGoal="x"), note="y"), "/note: it is private, or left out"),
    ],
)
def test_what_a_dataclass_would_not_bring_back_is_refused(
    store: StateStore, model: Any, state: Any, place: str
) -> None:
    session = typed(store, model)
    with pytest.raises(InvalidStateError, match=place):
        session.save(state)
    assert not session.exists


def test_what_a_new_instance_has_by_itself_is_no_loss(store: StateStore) -> None:
    plan = _with(Plan("x", steps=[Step("a")]), turns=0)
    assert plan.length == 1  # kept in the instance, and computed again
    session = typed(store, Plan)
    session.save(plan)
    assert session.state() == plan
    assert "length" not in store.session("alice").state()
    session = typed(store, Locked, "bob")
    session.save(Locked(items=[1, 2]))
    assert (session.state().total, store.session("bob").state()) == (3, {"items": [1, 2]})
    with pytest.raises(InvalidStateError, match="/total"), session.round() as locked:
        locked.items.append(4)
    with session.round() as locked:
        locked.items.append(4)
        locked.total = 7
    assert session.state().total == 7


@dataclass
class Locked:
    """A dataclass that makes a part of itself."""

    items: list[int]
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.total = sum(self.items)


def test_a_frozen_dataclass_with_slots_is_saved_whole_and_edited_inside(store: StateStore) -> None:
    session = typed(store, Fixed)
    session.save(Fixed(goal="a", inner=Fixed(goal="b", tags=["x"])))
    assert session.state() == Fixed(goal="a", inner=Fixed(goal="b", tags=["x"]))
    session.update(lambda fixed: fixed.inner.tags.append("y"))
    assert session.state().inner == Fixed(goal="b", tags=["x", "y"])
    with pytest.raises(dataclasses.FrozenInstanceError), session.round() as fixed:
        fixed.goal = "c"
    session.save(dataclasses.replace(session.state(), goal="c"))
    assert session.state().goal == "c"


def test_a_dataclass_of_pydantic_is_stored_by_its_field_names(store: StateStore) -> None:
    session = typed(store, Checked)
    session.save(Checked(theGoal="travel"))
    assert store.session("alice").state() == {"goal": "travel", "budget": 1}
    assert session.state() == Checked(theGoal="travel")
    with pytest.raises(InvalidStateError, match="/budget"):
        session.update(lambda checked: setattr(checked, "budget", -1))


@pydantic.dataclasses.dataclass(config=ConfigDict(extra="allow"))
class Open:
    """A dataclass that takes what it has no field for."""

    goal: str = ""


def test_what_a_dataclass_takes_but_does_not_dump_is_refused(store: StateStore) -> None:
    with pytest.raises(InvalidStateError, match="Open can't keep /more"):
        typed(store, Open).save(Open(more=1))  # type: ignore[call-arg] # it allows that


@dataclass
class Scaled:
    """A dataclass whose `InitVar` has no default."""

    size: int
    by: InitVar[int]

    def __post_init__(self, by: int) -> None:
        self.size *= by


@dataclass
class Limited:
    """A dataclass whose `InitVar` has a default with which nothing changes twice."""

    size: int
    limit: InitVar[int] = 10

    def __post_init__(self, limit: int) -> None:
        if self.size < 0:
            raise ValueError("there is no such size")
        self.size = min(self.size, limit)


@dataclass
class Doubled(Scaled):
    """A dataclass that is another one each time."""

    by: InitVar[int] = 2


def test_an_init_var_needs_a_default_that_brings_the_same_back(store: StateStore) -> None:
    with pytest.raises(InvalidStateError, match="Scaled refuses the state at /by"):
        typed(store, Scaled).save(Scaled(1, 2))
    with pytest.raises(InvalidStateError, match="Doubled can't keep the state: it is another one each time"):
        typed(store, Doubled).save(Doubled(1))
    session = typed(store, Limited)
    assert not session.exists
    session.save(Limited(12))
    assert session.state() == Limited(10)
    with pytest.raises(InvalidStateError, match="no such size"):
        session.update(lambda limited: setattr(limited, "size", -1))


@dataclass
class Foreign:
    """A dataclass of which pydantic does not know a part."""

    lock: threading.Event


@dataclass
class Unfinished:
    """A dataclass that names what is not there."""

    part: Missing  # type: ignore[name-defined] # noqa: F821 - it is the test's subject


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Foreign, "Foreign can't be the type of a state: .*schema"),
        (Unfinished, "Unfinished can't be the type of a state: name 'Missing' is not defined"),
        (dict, "pydantic model or a dataclass"),
        (Step("an instance"), "pydantic model or a dataclass"),
        (None.__class__, "pydantic model or a dataclass"),
    ],
)
def test_what_can_be_no_type_of_a_state_is_told_before_anything_is_done(
    store: StateStore, model: Any, why: str
) -> None:
    with pytest.raises(TypeError, match=why):
        typed(store, model)


def test_what_a_dataclass_refuses_is_not_merged_or_rolled_back_to(store: StateStore) -> None:
    store.session("alice").save({"goal": 7})
    session = typed(store, Plan)
    session.save(Plan("travel"))
    with pytest.raises(InvalidStateError, match="/goal"):
        session.rollback(1)
    fork = session.fork("other")
    fork.save(Plan("travel", budget=4))
    session.save(Plan("rest"))
    assert session.merge(fork)
    assert session.state() == Plan("rest", budget=4)
