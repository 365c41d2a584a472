"""Versions of a module's state: migrations, upcasting of what was journaled, and metadata."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from eventstate import MISSING, InvalidStateError, StateStore
from eventstate.agents.module import StateModule
from eventstate.values.codec import Codec
from tests.agents.modules import Memory, Open, Team, Worker
from tests.stores import NOON, Clock


class First(StateModule):
    """As it was once, without a version."""

    def __init__(self) -> None:
        super().__init__()
        self.title = "old"
        self.register_state("title")


class Named(StateModule):
    """As it is today."""

    state_version: ClassVar[str | int | None] = 3

    def __init__(self) -> None:
        super().__init__()
        self.name = "new"
        self.register_state("name")
        self.size = 0
        self.register_state("size")


def to_first(state: dict[str, Any]) -> None:
    state["name"] = state.pop("title")


def to_third(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "size": len(state["name"])}


Named.register_migration(None, 1, to_first)
Named.register_migration(1, 3, to_third)
Named.register_migration(None, "a", lambda state: state)
Named.register_migration("a", "b", lambda state: state)
Named.register_migration("b", 3, lambda state: {**state, "name": "long way", "size": 0})


def test_a_state_says_its_version() -> None:
    assert Named().state_dict() == {"_state_version": 3, "name": "new", "size": 0}


def test_the_shortest_chain_of_migrations_is_taken_on_a_copy() -> None:
    module, state = Named(), {"title": "hello"}
    module.load_state_dict(state)
    assert (module.name, module.size) == ("hello", 5)
    module.load_state_dict({"_state_version": 1, "name": "abc"})
    assert module.size == 3
    assert state == {"title": "hello"}


def test_upcasting_loads_nothing() -> None:
    module = Named()
    assert module.upcast({"title": "hello"}) == {"name": "hello", "size": 5, "_state_version": 3}
    assert module.name == "new"


def test_without_a_chain_the_missing_step_and_the_known_ones_are_named() -> None:
    module = Named()
    with pytest.raises(InvalidStateError, match=r"from version 7 to 3; known are: None to 1, 1 to 3"):
        module.load_state_dict({"_state_version": 7})
    with pytest.raises(InvalidStateError, match="from version 2 to None; known are: none"):
        First().load_state_dict({"_state_version": 2, "title": "x"})
    with pytest.raises(InvalidStateError, match="/_state_version: a version is"):
        module.load_state_dict({"_state_version": [1]})
    assert module.name == "new"


def test_a_text_is_another_version_than_a_number() -> None:
    with pytest.raises(InvalidStateError, match="from version '3' to 3"):
        Named().load_state_dict({"_state_version": "3", "name": "", "size": 0})


def test_migrations_are_inherited_and_a_subclass_may_have_its_own() -> None:
    class Sub(Named):
        pass

    class Other(Named):
        pass

    Sub.register_migration(1, 3, lambda state: {**state, "size": -1})
    for cls, size in ((Sub, -1), (Other, 1), (Named, 1)):
        module = cls()
        module.load_state_dict({"title": "x"})
        assert module.size == size


def test_a_migration_that_fails_is_told_with_its_place() -> None:
    outer = Open()
    outer.inner = Named()
    with pytest.raises(
        InvalidStateError, match="/inner: the migration of Named to version 1 failed"
    ) as caught:
        outer.load_state_dict({"inner": {}})
    assert isinstance(caught.value.__cause__, KeyError)

    class Odd(StateModule):
        state_version = 1

    Odd.register_migration(None, 1, lambda _state: [])  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidStateError, match="gave no dict, but list"):
        Odd().load_state_dict({})


@pytest.mark.parametrize("versions", [(1, 1), (True, 2), (1.0, 2)])
def test_versions_that_are_none_are_refused(versions: tuple[Any, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Worker.register_migration(*versions, lambda state: state)


def test_nested_modules_migrate_their_own_parts() -> None:
    outer = Open()
    outer.inner, outer.some, outer.named = Named(), [Named()], {"a": Named()}
    state: dict[str, Any] = {
        "inner": {"title": "a"},
        "some": [{"title": "bc"}],
        "named": {"a": {"title": "def"}},
    }
    outer.load_state_dict(state)
    assert [outer.inner.size, outer.some[0].size, outer.named["a"].size] == [1, 2, 3]
    upcast = outer.upcast(
        {**state, "some": [{"title": "x"}, {"title": "gone"}], "named": {"b": {"title": "y"}}}
    )
    assert [part["name"] for part in (*upcast["some"], upcast["named"]["b"])] == ["x", "gone", "y"]


def test_binding_migrates_and_an_attribute_that_was_renamed_has_its_whole_past() -> None:
    with StateStore(":memory:") as store:
        session = store.session("u")
        old = First()
        old.bind(session)
        old.title = "older"
        old.unbind()
        module = Named()
        module.bind(session)
        assert [turn.kind for turn in session.rounds()] == ["save", "assign", "migrate"]
        assert session.state() == module.state_dict() == {"_state_version": 3, "name": "older", "size": 5}
        module.name = "newest"
        found = module.history("name")
        assert [(change.round.id, change.old, change.new) for change in found] == [
            (1, MISSING, "old"),
            (2, "old", "older"),
            (4, "older", "newest"),
        ]
        assert [(turn.id, state["size"]) for turn, state in module.replay()] == [
            (1, 3),
            (2, 5),
            (3, 5),
            (4, 5),
        ]
        module.unbind()
        again = Named()
        version = session.version
        again.bind(session)
        assert session.version == version
        with pytest.raises(InvalidStateError, match="not bound"):
            module.history("name")


def test_a_nested_module_has_a_past_too() -> None:
    with StateStore(":memory:") as store:
        team = Team()
        team.bind(store.session("u"))
        team.members[1].facts["k"]["x"] = 2
        team.label = "x"
        found = team.members[1].history(("facts", "k", "x"))
        assert [(change.round.id, change.old, change.new) for change in found] == [(1, MISSING, 1), (2, 1, 2)]


def test_metadata_of_an_unbound_module_has_no_times() -> None:
    told = Team().metadata(category="agents", tags=["a"], ttl_seconds=5)
    data = Codec().encode(Team().state_dict())
    assert (told.size_bytes, told.checksum) == (len(data), hashlib.sha256(data).hexdigest())
    assert (told.category, told.tags, told.ttl_seconds) == ("agents", ("a",), 5)
    assert (told.created_at, told.updated_at, told.last_access, told.version) == (None,) * 4
    assert told.nested_modules == ("memory", "members", "named")
    assert told.registered_attributes == ("label", "notes", "facts", "tags", "counter", "mixed")
    assert told.state_module_class == "tests.agents.modules.Team"
    assert not told.is_expired(NOON)
    with pytest.raises(ValidationError):
        told.category = "other"
    with pytest.raises(TypeError, match="no setting 'colour'"):
        Team().metadata(colour=1)


def test_metadata_of_a_bound_module_is_the_journals() -> None:
    class Kept(Named):
        category = "kept"
        ttl_seconds = 60

    with StateStore(":memory:", clock=Clock()) as store:
        session, module = store.session("u"), Kept()
        module.bind(session)
        module.name = "x"
        session.tag("good")
        told = module.metadata()
    assert told.created_at == NOON + timedelta(seconds=1)
    assert told.updated_at == told.last_access == NOON + timedelta(seconds=2)
    assert (told.version, told.category, told.tags, told.access_count) == ("3", "kept", ("good",), 2)
    assert not told.is_expired(NOON + timedelta(seconds=62))
    assert told.is_expired(NOON + timedelta(seconds=63))


def test_equal_states_have_equal_checksums_and_others_have_not() -> None:
    assert Memory([1]).metadata().checksum == Memory([1]).metadata().checksum
    assert Memory([1]).metadata().checksum != Memory([True]).metadata().checksum
