"""The contract of sessions that hold modules' states, row by row."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.faces.face import LOGGER, StateModule, awaited, by_face, differs, outcome_of, sessions

if TYPE_CHECKING:
    from pathlib import Path


class Box(StateModule):
    """A module with one value of any kind."""

    def __init__(self, value: Any = None) -> None:
        super().__init__()
        self.value = value
        self.register_state("value", lambda it: it, lambda it: it)


class Foreign:
    """No module of anybody's: it only has the two methods."""

    def __init__(self, state: Any = None) -> None:
        self.state = state if state is not None else {}

    def state_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = self.state
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict.get("refuse"):
            raise LookupError("refused")
        self.state = state_dict


def names(folder: Path) -> set[str]:
    """Tell the names of what is in a folder."""
    return {path.name for path in folder.iterdir()}


# Saving and loading.


@awaited
async def test_what_was_saved_is_loaded_into_other_modules(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        assert await held.save_session_state("s", "u", agent=Box({"n": [1]}), memory=Box("text")) is None
        agent, memory = Box(), Box()
        assert await held.load_session_state("s", "u", agent=agent, memory=memory) is None
        assert (agent.value, memory.value) == ({"n": [1]}, "text")


@awaited
async def test_what_was_saved_is_there_when_opened_anew(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u", agent=Box(1))
    async with sessions(tmp_path) as held:
        agent = Box()
        await held.load_session_state("s", "u", agent=agent)
        assert agent.value == 1


@awaited
async def test_ids_go_by_name_too(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state(session_id="s", user_id="u", agent=Box(1))
        agent = Box()
        await held.load_session_state(user_id="u", session_id="s", allow_not_exist=False, agent=agent)
        assert agent.value == 1


@awaited
async def test_the_user_may_be_left_out(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", agent=Box("nobody's"))
        await held.save_session_state("s", "u", agent=Box("u's"))
        nobody, u = Box(), Box()
        await held.load_session_state("s", agent=nobody)
        await held.load_session_state("s", "u", agent=u)
        assert (nobody.value, u.value) == ("nobody's", "u's")


@differs('a user that was left out is "" with files, and "default_user" with Redis', "it is the contract's")
@awaited
async def test_a_user_that_was_left_out_has_a_name(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", agent=Box(1))
        found = {}
        for user in ("", "default_user"):
            agent = Box("untouched")
            await held.load_session_state("s", user, agent=agent)
            found[user] = agent.value
        nobody, named = {"": 1, "default_user": "untouched"}, {"": "untouched", "default_user": 1}
        assert found == by_face(ours=nobody, json=nobody, redis=named)


@awaited
async def test_sessions_and_users_are_apart(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        names = [("s", "u"), ("t", "u"), ("s", "v")]
        for number, (session, user) in enumerate(names):
            await held.save_session_state(session, user, agent=Box(number))
        for number, (session, user) in enumerate(names):
            agent = Box()
            await held.load_session_state(session, user, agent=agent)
            assert agent.value == number


@awaited
async def test_loading_touches_only_names_that_both_have(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u", agent=Box(1), other=Box(2))
        agent, unknown = Box(), Box("untouched")
        await held.load_session_state("s", "u", agent=agent, unknown=unknown)
        assert (agent.value, unknown.value) == (1, "untouched")


@awaited
async def test_a_save_replaces_the_whole_mapping(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u", agent=Box(1), memory=Box(2))
        await held.save_session_state("s", "u", agent=Box(3))
        agent, memory = Box(), Box("untouched")
        await held.load_session_state("s", "u", agent=agent, memory=memory)
        assert (agent.value, memory.value) == (3, "untouched")


@awaited
async def test_a_save_of_nothing_makes_the_session_exist(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u")
        agent = Box("untouched")
        await held.load_session_state("s", "u", allow_not_exist=False, agent=agent)
        assert agent.value == "untouched"


@awaited
async def test_whatever_has_the_two_methods_is_a_module(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u", foreign=Foreign({"n": 1}))
        foreign = Foreign()
        await held.load_session_state("s", "u", foreign=foreign)
        assert foreign.state == {"n": 1}


@awaited
async def test_text_of_all_kinds_is_kept(tmp_path: Path) -> None:
    value = {"": "ß\u2028\x00\U0001f600", "é": ["\n", '"']}
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u", agent=Box(value))
        agent = Box()
        await held.load_session_state("s", "u", agent=agent)
        assert agent.value == value


@awaited
async def test_a_module_that_is_changed_after_it_was_saved_stays_as_it_was_saved(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        agent = Box({"list": [1]})
        await held.save_session_state("s", "u", agent=agent)
        agent.value["list"].append(2)
        await held.load_session_state("s", "u", agent=agent)
        assert agent.value == {"list": [1]}
        agent.value["list"].append(3)
        other = Box()
        await held.load_session_state("s", "u", agent=other)
        assert other.value == {"list": [1]}


# What is missing.


@awaited
async def test_a_missing_session_is_told_at_info_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger(LOGGER)
    logger.addHandler(caplog.handler)
    async with sessions(tmp_path) as held:
        agent = Box("untouched")
        with caplog.at_level(logging.INFO, LOGGER):
            assert await held.load_session_state("missing-one", "u", agent=agent) is None
    logger.removeHandler(caplog.handler)
    assert agent.value == "untouched"
    told = [record for record in caplog.records if "missing-one" in record.getMessage()]
    assert {record.levelname for record in told} == {"INFO"}


@awaited
async def test_a_missing_session_is_a_value_error_that_names_it_when_it_must_exist(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u", agent=Box(1))
        with pytest.raises(ValueError, match="missing-one"):
            await held.load_session_state("missing-one", "u", allow_not_exist=False, agent=Box())
        with pytest.raises(ValueError, match="another"):
            await held.load_session_state("s", "another", allow_not_exist=False, agent=Box())


# Where ours differs.


@differs("files have no close and no async with, Redis has", "who opens can close, whatever is behind it")
@awaited
async def test_sessions_can_be_closed(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        able = all(hasattr(held, name) for name in ("close", "__aenter__", "__aexit__"))
        assert able == by_face(ours=True, redis=True, json=False)


@differs("`u` + `s1` and no user + `u_s1` are one file", "names are told apart")
@awaited
async def test_names_that_look_alike_when_joined_are_told_apart(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s1", "u", agent=Box(1))
        agent = Box("untouched")
        await held.load_session_state("u_s1", agent=agent)
        assert agent.value == by_face(ours="untouched", redis="untouched", json=1)
        await held.save_session_state("z", "x:session:y", agent=Box(2))
        other = Box("untouched")
        await held.load_session_state("y:session:z", "x", agent=other)
        assert other.value == by_face(ours="untouched", redis=2, json="untouched")


@differs("in files, an id with `../` leads out of the folder", "an id is a name, never a path")
@awaited
async def test_an_id_leads_nowhere(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    async with sessions(inner) as held:
        await held.save_session_state("../escaped", agent=Box(1))
        agent = Box()
        await held.load_session_state("../escaped", agent=agent)
        assert agent.value == 1
    assert names(tmp_path) - {"inner"} == by_face(ours=set(), redis=set(), json={"escaped.json"})


@differs("keys become text and tuples lists", "states come back exactly")
@awaited
async def test_what_json_cannot_say_comes_back_exactly(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u", agent=Box({1: (2, 3.0)}))
        agent = Box()
        await held.load_session_state("s", "u", agent=agent)
        (key, value), *_ = agent.value.items()
        assert [key, value] == by_face(ours=[1, (2, 3.0)], original=["1", [2, 3.0]])


@differs("Redis cannot encode it", "law 2: lone surrogates come back too")
@awaited
async def test_a_lone_surrogate_is_kept(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        answer = await outcome_of(held.save_session_state("s", "u", agent=Box("\ud800")))
        assert answer == by_face(ours=None, json=None, redis="UnicodeEncodeError")


@differs("in files, a save that fails has emptied the session before", "a save is whole or absent")
@awaited
async def test_a_save_that_fails_leaves_what_was_saved_before(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u", agent=Box(1))
        assert await outcome_of(held.save_session_state("s", "u", agent=Box(object()))) == "TypeError"
        agent = Box()
        answer = await outcome_of(held.load_session_state("s", "u", agent=agent))
        assert answer == by_face(ours=None, redis=None, json="ValueError")
        assert agent.value == by_face(ours=1, redis=1, json=None)


@differs("modules before the one that refuses stay loaded", "a load is whole or did nothing")
@awaited
async def test_a_load_that_fails_leaves_all_modules_as_they_were(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        await held.save_session_state("s", "u", first=Box(1), second=Foreign({"refuse": True}))
        first, second = Box("before"), Foreign({"n": "before"})
        answer = await outcome_of(held.load_session_state("s", "u", first=first, second=second))
        assert answer == "LookupError"
        assert (first.value, second.state) == by_face(
            ours=("before", {"n": "before"}), original=(1, {"n": "before"})
        )


@differs("an AttributeError from within", "an error that names the module, before anything is written")
@awaited
async def test_what_has_not_the_two_methods_is_a_type_error(tmp_path: Path) -> None:
    async with sessions(tmp_path) as held:
        expected = by_face(ours="TypeError", original="AttributeError")
        assert await outcome_of(held.save_session_state("s", "u", agent=Box(1), no="module")) == expected
        await held.save_session_state("s", "u", agent=Box(1), no=Box(2))
        agent = Box("before")
        assert await outcome_of(held.load_session_state("s", "u", agent=agent, no="module")) == expected
        assert agent.value == by_face(ours="before", original=1)


@differs("in files, saves at once write into one another", "each save is whole, and one of them is the last")
@awaited
async def test_saves_at_once_leave_one_of_the_states_whole(tmp_path: Path) -> None:
    broken = 0
    attempts = by_face(ours=3, redis=3, json=50)
    async with sessions(tmp_path) as held:
        for attempt in range(attempts):
            texts = [f"{attempt}-{n}" * 20_000 * (n + 1) for n in range(4)]
            saves = (held.save_session_state("s", "u", agent=Box(text)) for text in texts)
            await asyncio.gather(*saves)
            agent = Box()
            loaded = await outcome_of(held.load_session_state("s", "u", agent=agent))
            broken += loaded is not None or agent.value not in texts
    assert (broken > 0) == by_face(ours=False, redis=False, json=True)
