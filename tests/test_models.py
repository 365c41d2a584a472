"""What may be a session's state without a model, and what of it a rollback brings back."""

from __future__ import annotations

import collections
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import InvalidStateError, RoundNotFoundError, StateStore, TypeRegistry, Unregistered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eventstate import Session


@dataclasses.dataclass
class Seen:
    """A type that only some who open the store have registered."""

    x: int


@pytest.fixture
def session() -> Iterator[Session]:
    with StateStore(":memory:") as store:
        yield store.session("alice")
        assert store.verify().ok


@pytest.mark.parametrize(
    "state", [collections.OrderedDict(a=1), collections.Counter("ab"), collections.defaultdict(int, a=1)]
)
def test_a_kind_of_dict_that_would_come_back_as_another_is_no_state(session: Session, state: Any) -> None:
    with pytest.raises(InvalidStateError, match=f"a state is a dict, not {type(state).__name__}"):
        session.save(state)
    assert not session.exists


def test_a_live_state_can_be_saved_as_one(session: Session) -> None:
    session.save({"a": {"b": [1]}})
    with session.round() as live:
        live["a"]["b"].append(2)
        other = session.fork("other")
        other.save(live)
    assert other.state() == {"a": {"b": [1, 2]}}
    assert type(other.state()) is dict


def test_a_rollback_without_a_past_or_a_point_is_a_round_not_found_error(session: Session) -> None:
    for paths in (None, ["a"]):
        with pytest.raises(RoundNotFoundError, match="no round to go back to"):
            session.rollback(None, paths=paths)  # type: ignore[arg-type]
    assert not session.exists


def test_rollback_of_paths_puts_a_key_back_before_those_that_followed_it(session: Session) -> None:
    session.save({"a": 1, "b": {"x": 1, "y": 2, "z": 3}, "c": 3})
    session.save({"b": {"z": 3, "w": 0}, "c": 3, "new": 4})
    session.rollback(1, paths=["a", ("b", "y"), ("b", "x")])
    state = session.state()
    assert list(state) == ["a", "b", "c", "new"]
    assert list(state["b"]) == ["x", "y", "z", "w"]
    session.save({"c": 0, "new": 4})
    session.rollback(1, paths=[("b", "x")])
    assert list(session.state().items()) == [("b", {"x": 1}), ("c", 0), ("new", 4)]
    session.save({"new": 4})
    session.rollback(1, paths=["c", "a"])
    assert list(session.state()) == ["new", "a", "c"]


def test_a_note_of_an_unregistered_type_does_not_stand_in_the_way_of_a_state(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    with StateStore(path, types=TypeRegistry(Seen), durability="normal") as store:
        session = store.session("alice")
        session.save({"n": 1})
        session.note("seen", Seen(1))
        session.save({"n": 2})
        store.drop_snapshots()
    with StateStore(path, durability="normal") as store:
        session = store.session("alice")
        assert [session.state(), session.state(at=1), session.state(at=2)] == [{"n": 2}, {"n": 1}, {"n": 2}]
        assert [state for _, state in session.replay()] == [{"n": 1}, {"n": 2}]
        session.update(lambda state: state.update(n=3))
        assert session.state() == {"n": 3}


def test_metadata_of_an_unregistered_type_shows_as_stored(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    types = TypeRegistry(Seen)
    with StateStore(path, types=types, durability="normal") as store:
        store.session("alice").save({"n": 1}, metadata={"p": Seen(2)})
        store.session("alice").save({"n": 2})
    name = next(iter(types.by_name))
    with StateStore(path, durability="normal") as store:
        session = store.session("alice")
        first, second = session.rounds()
        assert first.metadata == {"p": Unregistered(name, {"x": 2})}
        assert second.metadata == {}
        assert [commit.metadata for commit in store.commits()] == [first.metadata, {}]
        assert len(list(store.tables()["commits"].rows)) == 2
        store.types.register(Seen)
        assert next(session.rounds()).metadata == {"p": Seen(2)}
