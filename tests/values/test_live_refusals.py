"""Live states refuse what can't be stored, cycles, and every change after their round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eventstate.errors import InvalidStateError, UnsupportedValueError
from eventstate.values.delta import Op
from eventstate.values.live import LiveState
from tests.strategies import exact

if TYPE_CHECKING:
    from collections.abc import Callable


from tests.values.rounds import CODEC, Task, edits_of, source, spoil


@pytest.mark.parametrize(
    "put",
    [
        lambda s, bad: s["plan"].__setitem__("x", bad),
        lambda s, bad: s["plan"].update(x=bad),
        lambda s, bad: s["plan"].update({"fine": 1, "x": bad}),
        lambda s, bad: s["plan"].setdefault("x", bad),
        lambda s, bad: s["plan"].__ior__({"x": bad}),
    ],
)
def test_a_dict_refuses_what_cannot_be_stored_and_is_left_as_it_was(put: Callable[[Any, Any], None]) -> None:
    state = LiveState(source(), CODEC)
    with pytest.raises(UnsupportedValueError) as caught:
        put(state.root, {"deep": [object()]})
    assert caught.value.path == ("plan", "x", "deep", 0)
    assert state.root == source()
    assert state.edits() == []


@pytest.mark.parametrize(
    ("put", "index"),
    [
        (lambda s, bad: s["messages"].append(bad), 4),
        (lambda s, bad: s["messages"].insert(1, bad), 1),
        (lambda s, bad: s["messages"].extend([1, bad]), 5),
        (lambda s, bad: s["messages"].__setitem__(-1, bad), 3),
        (lambda s, bad: s["messages"].__setitem__(slice(1, 2), [bad]), 1),
        (lambda s, bad: s["messages"].__setitem__(slice(0, 4, 2), [1, bad]), 2),
        (lambda s, bad: s["messages"].__iadd__([bad]), 4),
    ],
)
def test_a_list_refuses_what_cannot_be_stored_and_is_left_as_it_was(
    put: Callable[[Any, Any], None], index: int
) -> None:
    state = LiveState(source(), CODEC)
    with pytest.raises(UnsupportedValueError) as caught:
        put(state.root, (object(),))
    assert caught.value.path == ("messages", index, 0)
    assert state.root == source()
    assert state.edits() == []


def test_a_refused_value_is_named_at_the_present_place_of_its_container() -> None:
    state = LiveState(source(), CODEC)
    parts = state.root["messages"][1]["parts"]
    del state.root["messages"][0]
    with pytest.raises(UnsupportedValueError) as caught:
        parts.append(object())
    assert caught.value.path == ("messages", 0, "parts", 2)


@pytest.mark.parametrize("key", [float("nan"), (1, float("nan")), object(), frozenset({Task}), Op.SET])
def test_a_key_that_cannot_be_stored_or_found_is_refused(key: Any) -> None:
    state = LiveState(source(), CODEC)
    with pytest.raises(UnsupportedValueError, match="as a key") as caught:
        state.root["plan"][key] = 1
    assert caught.value.path[:2] == ("plan", key)
    assert state.edits() == []


@pytest.mark.parametrize("value", [bytearray(b"x"), [memoryview(b"x")], {"a": {float("nan"): 1}}])
def test_what_only_a_reader_would_stumble_over_is_refused_at_once(value: Any) -> None:
    with pytest.raises(UnsupportedValueError):
        LiveState({}, CODEC).root["x"] = value


def test_cycles_are_refused() -> None:
    state = LiveState(source(), CODEC)
    root = state.root
    loose = root.pop("plan")
    mine: list[Any] = []
    mine.append(mine)
    puts: list[tuple[Callable[[], object], tuple[Any, ...]]] = [
        (lambda: root.update(me=root), ("me",)),
        (lambda: root["messages"][0]["parts"].append(root["messages"]), ("messages", 0, "parts", 2)),
        (lambda: root["messages"].append(root["messages"]), ("messages", 4)),
        (lambda: loose["steps"].append(loose), ("steps", 2)),
        (lambda: root.update(mine=mine), ("mine", 0)),
    ]
    for put, path in puts:
        with pytest.raises(UnsupportedValueError, match="a cycle") as caught:
            put()
        assert caught.value.path == path


def test_a_list_extended_by_itself_is_doubled() -> None:
    assert edits_of(lambda s: s["messages"].extend(s["messages"]))


def test_the_root_inside_something_new_is_copied() -> None:
    def change(state: Any) -> None:
        state["backup"] = [state]
        state["n"] = 5
        assert state["backup"][0]["n"] == 1
        loose = state.pop("plan")
        loose["of"] = state
        state["plan"] = loose
        assert state["plan"]["of"]["n"] == 5

    assert edits_of(change)


MUTATIONS: dict[str, Callable[[Any], object]] = {
    "dict []=": lambda s: s["plan"].__setitem__("at", 1),
    "dict del": lambda s: s["plan"].__delitem__("at"),
    "dict pop": lambda s: s["plan"].pop("at"),
    "dict popitem": lambda s: s["plan"].popitem(),
    "dict clear": lambda s: s["plan"].clear(),
    "dict update": lambda s: s["plan"].update(at=1),
    "dict |=": lambda s: s["plan"].__ior__({"at": 1}),
    "dict setdefault": lambda s: s["plan"].setdefault("new", 1),
    "list []=": lambda s: s["messages"].__setitem__(0, 1),
    "list [:]=": lambda s: s["messages"].__setitem__(slice(0, 1), [1]),
    "list [::2]=": lambda s: s["messages"].__setitem__(slice(0, 4, 2), [1, 2]),
    "list del": lambda s: s["messages"].__delitem__(0),
    "list del [:]": lambda s: s["messages"].__delitem__(slice(0, 1)),
    "list del [::2]": lambda s: s["messages"].__delitem__(slice(0, 4, 2)),
    "append": lambda s: s["messages"].append(1),
    "insert": lambda s: s["messages"].insert(0, 1),
    "extend": lambda s: s["messages"].extend([1]),
    "list +=": lambda s: s["messages"].__iadd__([1]),
    "list *=": lambda s: s["messages"].__imul__(2),
    "list pop": lambda s: s["messages"].pop(),
    "remove": lambda s: s["messages"].remove(s["messages"][0]),
    "list clear": lambda s: s["messages"].clear(),
    "sort": lambda s: s["messages"].sort(key=str),
    "reverse": lambda s: s["messages"].reverse(),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_after_the_round_nothing_can_be_changed_and_everything_read(name: str) -> None:
    before = source()
    state = LiveState(before, CODEC)
    state.root["messages"].append("seen")
    edits = state.edits()
    state.close()
    with pytest.raises(InvalidStateError, match="the round is over"):
        MUTATIONS[name](state.root)
    assert state.root == {**source(), "messages": [*source()["messages"], "seen"]}
    assert state.edits() == edits
    spoil(state.root)
    assert exact(CODEC.encode(before)) == exact(CODEC.encode(source()))
