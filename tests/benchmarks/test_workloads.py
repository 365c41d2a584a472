"""What the contestants are given: the same for the same seed, and of the shape that is promised to them."""

import random
from pathlib import Path

import pytest

from benchmarks import workloads
from benchmarks.contestant import SMALL_ATTRIBUTES, TURN_ATTRIBUTES


def generated(seed: int = 1) -> workloads.Recorded:
    return workloads.recorded(seed, 5, Path("nowhere"))


def test_the_same_seed_gives_the_same_work() -> None:
    assert generated() == generated()
    assert generated() != generated(2)
    assert workloads.plain_turns(1, 9) == workloads.plain_turns(1, 9)
    assert workloads.small_changes(1, 90) == workloads.small_changes(1, 90)


def test_generated_conversations_have_the_shape_of_recorded_ones(corpus: Path) -> None:
    recorded = workloads.recorded(1, 5, corpus)
    assert "5 recorded" in recorded.source
    assert "generated" in generated().source
    for chats in (recorded, generated()):
        assert len(chats.sessions) == 5
        for turns in chats.sessions.values():
            called: set[str] = set()
            assert [turn["set"]["turn"] for turn in turns] == list(range(1, len(turns) + 1))
            for turn in turns:
                message = turn["message"]
                assert message["role"] in {"system", "user", "assistant", "tool"}
                assert tuple(turn["set"]) == TURN_ATTRIBUTES
                called |= {call["id"] for call in message.get("tool_calls") or ()}
                assert message["role"] != "tool" or message["tool_call_id"] in called


def test_a_plain_turn_is_500_characters_and_three_attributes() -> None:
    for turn in workloads.plain_turns(1, 70):
        assert len(turn["message"]["content"]) == 500
        assert tuple(turn["set"]) == TURN_ATTRIBUTES


def test_each_change_is_of_one_attribute_and_changes_it() -> None:
    first, *others = workloads.small_changes(1, 300)
    assert tuple(first) == SMALL_ATTRIBUTES
    state = dict(first)
    for change in others:
        ((name, value),) = change.items()
        assert state[name] != value
        state[name] = value
    assert workloads.after_changes([first, *others])["attributes"] == state


@pytest.mark.parametrize("size", [1, 30, 6155])
def test_a_text_has_its_size(size: int) -> None:
    assert len(workloads.words(random.Random(1), size)) == size
