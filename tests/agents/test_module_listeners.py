"""Who hears of changes of a module, and what is heard."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from eventstate import MISSING, InvalidStateError, Session, StateStore
from eventstate.agents import listeners
from eventstate.agents.module import StateModule
from tests.agents.modules import Counter, Memory, Team, Worker

if TYPE_CHECKING:
    from pathlib import Path


class Ears:
    """Keeps what is heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any, Any]] = []

    def __call__(self, name: str, old: Any, new: Any) -> None:
        self.heard.append((name, old, new))

    def names(self) -> list[str]:
        names = [name for name, _, _ in self.heard]
        self.heard.clear()
        return names


@pytest.fixture(params=["bound", "unbound"])
def team(request: pytest.FixtureRequest) -> Any:
    module = Team()
    if request.param == "unbound":
        yield module
        return
    with StateStore(":memory:") as store:
        module.bind(store.session("u"))
        yield module


def test_a_listener_hears_of_its_attribute_and_of_no_other(team: Team) -> None:
    ears = Ears()
    team.add_state_listener("label", ears)
    team.label = "a"
    team.facts = {}
    team.label = "a"
    team.label = "b"
    assert ears.heard == [("label", "new", "a"), ("label", "a", "b")]
    team.remove_state_listener("label", ears)
    team.label = "c"
    assert len(ears.heard) == 2
    with pytest.raises(ValueError, match="does not listen to 'label'"):
        team.remove_state_listener("label", ears)


def test_nested_changes_are_heard_by_their_dotted_names(team: Team) -> None:
    ears, every, below = Ears(), Ears(), Ears()
    for name in ("memory.content", "members.0.count", "mixed.2.inner.0.count", "named.one.count", "memory"):
        team.add_state_listener(name, ears)
    team.add_state_listener("*", every)
    team.add_state_listener("memory.*", below)
    team.memory.content = [1]
    team.members[0].count = 2
    team.members[1].label = "x"
    team.mixed[2]["inner"][0].count = 3
    team.named["one"].count = 4
    team.memory = Memory([5])
    heard = ears.heard[:]
    assert ears.names() == [
        "memory.content",
        "members.0.count",
        "mixed.2.inner.0.count",
        "named.one.count",
        "memory",
    ]
    assert heard[0] == ("memory.content", [{"role": "user"}], [1])
    assert heard[4] == ("memory", {"content": [1]}, {"content": [5]})
    assert every.names() == [
        "memory.content",
        "members.0.count",
        "members.1.label",
        "mixed.2.inner.0.count",
        "named.one.count",
        "memory",
    ]
    assert below.names() == ["memory.content"]


def test_a_nested_module_has_listeners_of_its_own(team: Team) -> None:
    ears = Ears()
    team.members[0].add_state_listener("count", ears)
    team.members[0].count = 8
    assert ears.heard == [("count", 1, 8)]


def test_what_is_deleted_or_new_has_no_value(team: Team) -> None:
    ears = Ears()
    team.add_state_listener("*", ears)
    del team.facts
    team.spare = Worker(2)
    del team.spare
    assert ears.heard == [
        ("facts", {"k": {"x": 1}}, MISSING),
        ("spare", MISSING, {"count": 2}),
        ("spare", {"count": 2}, MISSING),
    ]


def test_values_are_told_as_they_are_in_the_state_and_are_the_listeners_own(team: Team) -> None:
    team.add_state_listener("facts", lambda _name, old, new: (old.clear(), new.clear()))
    ears = Ears()
    team.add_state_listener("facts", ears)
    team.add_state_listener("counter", ears)
    team.facts = {"a": 1}
    team.counter = Counter(4)
    assert ears.heard == [("facts", {"k": {"x": 1}}, {"a": 1}), ("counter", {"n": 0}, {"n": 4})]
    assert team.facts == {"a": 1}


def test_a_load_is_told_attribute_by_attribute(team: Team) -> None:
    ears = Ears()
    team.add_state_listener("*", ears)
    state = team.state_dict()
    state["label"] = "loaded"
    state["members"][0]["count"] = 5
    state["mixed"][1] = [2]
    team.load_state_dict(state)
    assert sorted(ears.heard) == [
        ("label", "new", "loaded"),
        ("members.0.count", 1, 5),
        (
            "mixed",
            [{"count": 7}, [1], {"inner": [{"count": 8}, 2]}],
            [{"count": 7}, [2], {"inner": [{"count": 8}, 2]}],
        ),
    ]


def test_an_error_in_a_listener_is_logged_and_the_others_still_hear(
    team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise OverflowError("broken")

    ears = Ears()
    team.add_state_listener("label", broken)
    team.add_state_listener("label", ears)
    with caplog.at_level(logging.ERROR, "eventstate.agents"):
        team.label = "x"
    assert team.label == "x"
    assert ears.names() == ["label"]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [OverflowError]


def test_what_a_listener_changes_is_told_after_what_is_being_told(team: Team) -> None:
    order: list[Any] = []

    def first(name: str, _old: Any, new: Any) -> None:
        order.append(("first", name, new))
        if name == "label" and new == "a":
            team.label = "b"
            order.append("changed")

    team.add_state_listener("label", first)
    team.add_state_listener("label", lambda name, _old, new: order.append(("second", name, new)))
    team.label = "a"
    assert order == [
        ("first", "label", "a"),
        "changed",
        ("second", "label", "a"),
        ("first", "label", "b"),
        ("second", "label", "b"),
    ]


def test_listeners_that_answer_each_other_come_to_an_end(
    team: Team, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "MOST", 40)
    one = team.members[0]
    told: list[int] = []

    def answer(_name: str, _old: Any, new: Any) -> None:
        told.append(new)
        one.count = new + 1

    team.add_state_listener("members.0.count", answer)
    with caplog.at_level(logging.ERROR, "eventstate.agents"):
        one.count = 2
    assert told == list(range(2, 42))
    assert one.count == 42
    assert "1 changes were not told" in caplog.text
    one.count = 100
    assert told[40] == 100


def test_a_listener_is_a_plain_function() -> None:
    async def later(*_: Any) -> None:
        raise NotImplementedError

    class Later:
        async def __call__(self, *_: Any) -> None:
            raise NotImplementedError

    module = Worker()
    for wrong in (later, Later(), "count"):
        with pytest.raises(TypeError):
            module.add_state_listener("count", wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        module.add_state_listener("", print)


@pytest.fixture
def session() -> Any:
    with StateStore(":memory:") as store:
        yield store.session("u")


def test_mutations_inside_containers_are_heard_once_bound(session: Session) -> None:
    team, ears = Team(), Ears()
    team.add_state_listener("*", ears)
    team.notes.append(2)
    assert ears.names() == []
    team.bind(session)
    assert ears.names() == []
    team.notes[1]["a"].append(3)
    team.members[1].facts["k"]["x"] = 2
    team.tags.add("u")
    team.mixed[2]["inner"][1] = 5
    team.members.append(Worker())
    assert ears.names() == ["notes", "members.1.facts", "mixed", "tags", "members"]


def test_a_round_is_told_when_it_is_committed_and_only_what_came_of_it(session: Session) -> None:
    team, ears = Team(), Ears()
    team.bind(session)
    team.add_state_listener("*", ears)
    with team.round():
        team.label = "a"
        team.label = "b"
        team.facts["z"] = 1
        del team.facts["z"]
        team.members[0].count = 6
        team.members.reverse()
        assert ears.heard == []
    assert sorted(ears.names()) == ["label", "members", "members.1.count"]
    with pytest.raises(KeyError), team.round():
        team.label = "c"
        raise KeyError
    assert ears.heard == []


def test_a_module_does_not_hear_of_its_neighbours(session: Session) -> None:
    team, ears = Team(), Ears()
    team.bind(session)
    team.members[0].add_state_listener("count", ears)
    team.named["one"].count = 70
    assert ears.heard == []


def test_a_module_that_was_moved_is_compared_with_what_it_was(session: Session) -> None:
    team, ears = Team(), Ears()
    team.members[0].extra = 1
    team.members[0].register_state("extra")
    team.bind(session)
    worker = team.members[0]
    worker.add_state_listener("*", ears)
    with team.round():
        team.members.remove(worker)
        team.named["here"] = worker
        worker.count = 2
        del worker.extra
    assert sorted(ears.heard) == [("count", 1, 2), ("extra", 1, MISSING)]


def test_a_change_that_was_refused_is_not_told(session: Session) -> None:
    team, ears = Team(), Ears()
    team.bind(session)
    team.add_state_listener("*", ears)
    with pytest.raises(InvalidStateError):
        team.notes.append("bad")
    session.update(lambda state: state.update(label="other"))
    assert ears.heard == []
    team.reload()
    assert ears.heard == [("label", "new", "other")]


def test_modules_that_only_pass_by_are_not_listened_to_for_ever() -> None:
    before = len(listeners._telling.far)
    module = Worker()
    module.add_state_listener("*", print)
    assert len(listeners._telling.far) == before + 1
    del module
    assert len(listeners._telling.far) == before


def test_an_unbound_value_that_cannot_be_stored_is_logged_for_its_listener(
    caplog: pytest.LogCaptureFixture,
) -> None:
    module, ears = StateModule(), Ears()
    module.thing = 1
    module.register_state("thing")
    module.add_state_listener("thing", ears)
    module.thing = object()
    assert "can't be told" in caplog.text
    assert ears.names() == ["thing"]


def test_while_a_listener_or_validator_takes_its_time_others_can_write(tmp_path: Path) -> None:
    seen: list[tuple[str, Any]] = []
    with StateStore(tmp_path / "a.db") as store, StateStore(tmp_path / "a.db", timeout=0) as other:

        def take_time(what: str) -> bool:
            other.session("somebody else").save({"n": len(seen)})  # StoreBusyError, if a lock were held
            seen.append((what, other.session("u").state()))
            return True

        memory = Memory()
        memory.bind(store.session("u"))
        memory.add_validator("content", lambda _: take_time("validator"))
        memory.add_state_listener("content", lambda *_: take_time("listener"))
        seen.clear()
        memory.content.append(1)
        assert seen == [("validator", {"content": []}), ("listener", {"content": [1]})]


def test_an_assignment_is_not_the_worse_for_modules_that_it_has_nothing_to_do_with(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(StateModule):
        @property
        def value(self) -> int:
            if asked:
                asked.append(1)
                raise ValueError("broken")
            return 1

    asked: list[int] = []
    broken, other, ears = Broken(), Worker(), Ears()
    broken.register_state("value")
    broken.add_state_listener("*", ears)
    broken.add_state_listener("value", ears)
    asked.append(0)
    with caplog.at_level(logging.ERROR, "eventstate.agents"):
        other.count = 5
    assert (other.count, len(asked)) == (5, 2)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]
    broken.remove_state_listener("*", ears)
    other.count = 6
    assert (other.count, len(asked)) == (6, 2)


def test_an_assignment_looks_into_no_module_of_another_thread() -> None:
    looked: list[str] = []

    class Seen(StateModule):
        @property
        def value(self) -> int:
            looked.append(threading.current_thread().name)
            return 1

    def assign() -> None:
        team, ears = Team(), Ears()
        team.add_state_listener("*", ears)
        team.memory.content = [1]
        heard.extend(ears.names())

    heard: list[str] = []
    seen = Seen()
    seen.register_state("value")
    seen.add_state_listener("*", Ears())
    thread = threading.Thread(target=assign, name="another")
    thread.start()
    thread.join()
    assert heard == ["memory.content"]
    assert "another" not in looked
