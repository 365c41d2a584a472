"""The caller's own types in a state."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from eventstate import StateStore, TypeRegistry, Unregistered, UnsupportedValueError

if TYPE_CHECKING:
    from pathlib import Path


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Task:
    name: str
    done: bool = False
    parts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Spot:
    x: int
    y: int


def test_a_type_that_is_not_registered_is_refused_with_its_path(store: StateStore) -> None:
    with pytest.raises(UnsupportedValueError, match="register the type") as caught:
        store.session("alice").save({"tasks": [Task("a")]})
    assert caught.value.path == ("tasks", 0)


def test_registered_types_come_back_as_they_were(path: Path) -> None:
    types = TypeRegistry(Colour, Task, Spot)
    with StateStore(path, types=types, snapshot_every=1) as store:
        session = store.session("alice")
        session.save({"colour": Colour.RED, "task": Task("a"), "spots": {Spot(1, 2)}, Spot(3, 4): "key"})
        with session.round() as state:
            state["task"].done = True
            state["task"].parts.append("x")
            state["colour"] = Colour.BLUE
    with StateStore(path, types=types) as store:
        assert store.session("alice").state() == {
            "colour": Colour.BLUE,
            "task": Task("a", done=True, parts=["x"]),
            "spots": {Spot(1, 2)},
            Spot(3, 4): "key",
        }
        assert store.session("alice").state(at=1)["task"] == Task("a")
        assert store.verify().ok


def test_a_stored_type_that_is_not_registered_is_an_error_when_it_is_read(path: Path) -> None:
    with StateStore(path, types=TypeRegistry(Task, Spot)) as store:
        store.session("alice").save({"task": Task("a"), "spots": {Spot(1, 2)}})
    with StateStore(path) as store:
        session = store.session("alice")
        with pytest.raises(UnsupportedValueError, match=r"Task.* is not registered"):
            session.state()
        assert [turn.id for turn in session.rounds()] == [1]
        assert store.verify().ok
        store.session("bob").save({"n": 1})


def test_a_stored_type_that_is_not_registered_can_be_kept_as_it_is(path: Path) -> None:
    types = TypeRegistry()
    types.register(Task, name="task")
    with StateStore(path, types=types) as store:
        store.session("alice").save({"task": Task("a"), "n": 1})
    with StateStore(path, types=TypeRegistry(unknown="keep")) as store:
        session = store.session("alice")
        assert session.state()["task"] == Unregistered("task", {"name": "a", "done": False, "parts": []})
        session.update(lambda state: state.update(n=2, again=state["task"]))
    with StateStore(path, types=types) as store:
        assert store.session("alice").state() == {"task": Task("a"), "n": 2, "again": Task("a")}
