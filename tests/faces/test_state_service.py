"""The state service's contract, row by row."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.faces.face import awaited, by_face, differs, lifetime, outcome_of, state_service

if TYPE_CHECKING:
    from pathlib import Path


# Life.


@awaited
async def test_a_service_that_was_not_started_refuses_with_a_runtime_error(tmp_path: Path) -> None:
    service = state_service(tmp_path)
    with pytest.raises(RuntimeError):
        await service.save_state("u", {"n": 1})
    with pytest.raises(RuntimeError):
        await service.export_state("u")


@awaited
async def test_a_service_that_was_stopped_refuses_with_a_runtime_error(tmp_path: Path) -> None:
    service = state_service(tmp_path)
    await service.start()
    await service.stop()
    with pytest.raises(RuntimeError):
        await service.save_state("u", {"n": 1})
    with pytest.raises(RuntimeError):
        await service.export_state("u")


@awaited
async def test_health_is_true_between_start_and_stop_alone(tmp_path: Path) -> None:
    service = state_service(tmp_path)
    before = await service.health()
    await service.start()
    between = await service.health()
    await service.stop()
    assert [before, between, await service.health()] == [False, True, False]


@awaited
async def test_starting_twice_does_no_harm(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        await service.save_state("u", {"n": 1})
        await service.start()
        assert await service.export_state("u") == {"n": 1}


@awaited
async def test_stopping_twice_or_before_the_start_does_no_harm(tmp_path: Path) -> None:
    service = state_service(tmp_path)
    await service.stop()
    await service.start()
    await service.stop()
    await service.stop()
    assert not await service.health()


@awaited
async def test_an_async_with_starts_and_stops_and_lets_errors_through(tmp_path: Path) -> None:
    service = state_service(tmp_path)
    with pytest.raises(LookupError, match="mine"):
        async with service as entered:
            assert entered is service
            assert await service.health()
            raise LookupError("mine")
    assert not await service.health()


@differs("in memory, stop forgets every state", "stop never deletes")
@awaited
async def test_a_service_started_again_still_has_its_states(tmp_path: Path) -> None:
    service = state_service(tmp_path)
    await service.start()
    await service.save_state("u", {"n": 1})
    await service.stop()
    await service.start()
    found = await service.export_state("u")
    await service.stop()
    assert found == by_face(ours={"n": 1}, redis={"n": 1}, memory=None)


@differs("in Redis, a session that was idle for an hour is gone", "it stays until it is asked to go")
@awaited
async def test_how_long_an_idle_session_lives(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        await service.save_state("u", {"n": 1})
        assert await lifetime(service, "u") == by_face(ours=None, memory=None, redis=3600)


# Rounds.


@awaited
async def test_rounds_are_counted_from_one(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert [await service.save_state("u", {"n": n}) for n in range(3)] == [1, 2, 3]
        states = [await service.export_state("u", round_id=number) for number in (1, 2, 3)]
        assert states == [{"n": 0}, {"n": 1}, {"n": 2}]


@awaited
async def test_without_a_round_the_highest_is_exported(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        for number in range(12):
            await service.save_state("u", {"n": number})
        assert await service.export_state("u") == {"n": 11}


@awaited
async def test_a_given_round_may_leave_a_gap_and_counting_goes_on_after_it(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await service.save_state("u", {"n": "first"}) == 1
        assert await service.save_state("u", {"n": "late"}, round_id=21) == 21
        assert await service.save_state("u", {"n": "next"}) == 22
        assert await service.export_state("u", round_id=7) is None


@awaited
async def test_a_round_written_late_is_not_the_latest(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        await service.save_state("u", {"n": 21}, round_id=21)
        assert await service.save_state("u", {"n": 5}, round_id=5) == 5
        assert await service.export_state("u") == {"n": 21}
        assert await service.export_state("u", round_id=5) == {"n": 5}
        assert await service.save_state("u", {"n": 22}) == 22


@awaited
async def test_an_existing_round_is_replaced_whole(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        await service.save_state("u", {"a": 1, "b": {"c": [1, 2]}})
        await service.save_state("u", {"a": 2})
        assert await service.save_state("u", {"b": {"d": 3}}, round_id=1) == 1
        assert await service.export_state("u", round_id=1) == {"b": {"d": 3}}
        assert await service.export_state("u") == {"a": 2}


@awaited
async def test_a_round_may_have_a_large_number(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await service.save_state("u", {"n": 1}, round_id=10**12) == 10**12
        assert await service.save_state("u", {"n": 2}) == 10**12 + 1
        assert await service.export_state("u", round_id=10**12) == {"n": 1}


@awaited
async def test_round_zero_is_a_round(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await service.save_state("u", {"n": 0}, round_id=0) == 0
        assert await service.export_state("u", round_id=0) == {"n": 0}
        assert await service.export_state("u") == {"n": 0}
        assert await service.save_state("u", {"n": 1}) == 1


@differs(
    "a negative round is kept; in Redis no export without a round finds it", "no turn has a negative number"
)
@awaited
async def test_a_negative_round_is_refused(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await outcome_of(service.save_state("u", {"n": 1}, round_id=-1)) == by_face(
            ours="ValueError", original=-1
        )
        assert await service.export_state("u") == by_face(ours=None, memory={"n": 1}, redis=None)


@differs("True is taken for round 1, in Redis it is an error of the client", "a flag is no number of a turn")
@awaited
async def test_a_bool_is_no_round(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await outcome_of(service.save_state("u", {"n": 1}, round_id=True)) == by_face(
            ours="TypeError", memory=True, redis="Exception"
        )


@differs("in Redis, all that save at once may get the same round", "a round that was told is nobody else's")
@awaited
async def test_saves_at_once_get_rounds_of_their_own(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        rounds = await asyncio.gather(*(service.save_state("u", {"n": n}) for n in range(20)))
        distinct = sorted(set(rounds))
        if by_face(ours=True, memory=True, redis=False):
            assert distinct == list(range(1, 21))
            states = [await service.export_state("u", round_id=number) for number in rounds]
            assert states == [{"n": n} for n in range(20)]
        else:
            assert len(distinct) < 20


# Sessions and users.


@pytest.mark.parametrize("name", [None, "", "default"])
@awaited
async def test_no_session_and_an_empty_one_are_the_default_one(tmp_path: Path, name: str | None) -> None:
    async with state_service(tmp_path) as service:
        await service.save_state("u", {"n": 1}, name)
        for other in (None, "", "default"):
            assert await service.export_state("u", other) == {"n": 1}


@awaited
async def test_sessions_and_users_are_apart_and_count_for_themselves(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await service.save_state("u", {"of": "u"}) == 1
        assert await service.save_state("u", {"of": "u/s"}, "s") == 1
        assert await service.save_state("v", {"of": "v/s"}, "s") == 1
        assert await service.export_state("u") == {"of": "u"}
        assert await service.export_state("u", "s") == {"of": "u/s"}
        assert await service.export_state("v", "s") == {"of": "v/s"}
        assert await service.export_state("v") is None


@differs("in Redis, user `a:b` with session `c` is user `a` with session `b:c`", "names are told apart")
@awaited
async def test_names_with_colons_are_told_apart(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        await service.save_state("a:b", {"n": 1}, "c")
        assert await service.export_state("a", "b:c") == by_face(ours=None, memory=None, redis={"n": 1})


@pytest.mark.parametrize("name", ["", " ", "a/b", "../a", "*", "a\nb", "名", "x" * 500])
@awaited
async def test_any_text_names_a_user_and_a_session(tmp_path: Path, name: str) -> None:
    async with state_service(tmp_path) as service:
        await service.save_state(name, {"n": 1}, name or None)
        assert await service.export_state(name, name) == {"n": 1}
        assert await service.export_state(name + "x", name) is None


@awaited
async def test_arguments_go_by_place_and_by_name(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await service.save_state("u", {"n": 1}, "s", 4) == 4
        assert await service.export_state("u", "s", 4) == {"n": 1}
        assert await service.save_state(round_id=5, session_id="s", state={"n": 2}, user_id="u") == 5
        assert await service.export_state(round_id=5, session_id="s", user_id="u") == {"n": 2}


# States.


@awaited
async def test_what_is_missing_is_none(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await service.export_state("nobody") is None
        await service.save_state("u", {"n": 1})
        assert await service.export_state("u", "no such session") is None
        assert await service.export_state("u", round_id=2) is None
        assert await service.export_state("u", round_id=0) is None


@awaited
async def test_an_empty_state_is_not_missing(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await service.save_state("u", {}) == 1
        assert await service.export_state("u") == {}
        assert await service.export_state("u", round_id=1) == {}


@awaited
async def test_a_state_that_is_changed_after_it_was_saved_stays_as_it_was_saved(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        state: dict[str, Any] = {"list": [1], "deep": {"list": [1]}}
        await service.save_state("u", state)
        state["list"].append(2)
        state["deep"]["list"].append(2)
        assert await service.export_state("u") == {"list": [1], "deep": {"list": [1]}}


@differs("Redis is told of the state as it is when an answer has come", "what is saved is what was given")
@awaited
async def test_a_state_that_is_changed_while_it_is_saved_is_saved_as_it_was_given(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        state = {"list": [1]}
        saving = asyncio.create_task(service.save_state("u", state))
        await asyncio.sleep(0)
        state["list"].append(2)
        await saving
        kept = {"list": [1]}
        assert await service.export_state("u") == by_face(ours=kept, memory=kept, redis={"list": [1, 2]})


@differs("in memory, what is exported is the kept state itself", "copies both ways")
@awaited
async def test_an_exported_state_is_the_callers_own(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        await service.save_state("u", {"list": [1]})
        exported = await service.export_state("u")
        exported["list"].append(2)
        assert await service.export_state("u") == by_face(
            ours={"list": [1]}, redis={"list": [1]}, memory={"list": [1, 2]}
        )


@differs("in Redis, a key that is a number comes back as text, a tuple as a list", "states come back exactly")
@awaited
async def test_what_json_cannot_say_comes_back_exactly(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        await service.save_state("u", {1: "one", "pair": (1, 2.0)})
        exact = [(1, "one"), ("pair", (1, 2.0))]
        found = list((await service.export_state("u")).items())
        assert found == by_face(ours=exact, memory=exact, redis=[("1", "one"), ("pair", [1, 2.0])])


@differs("in memory, anything is kept for as long as the process lives", "a state must outlive its process")
@awaited
async def test_a_value_that_could_not_come_back_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        answer = await outcome_of(service.save_state("u", {"n": 1, "bad": object}))
        assert answer == by_face(ours="TypeError", redis="TypeError", memory=1)
        found = await service.export_state("u")
        assert found == by_face(ours=None, redis=None, memory={"n": 1, "bad": object})


@differs("a list is saved and exported like a state", "a state has attributes: it is a dict")
@awaited
async def test_a_state_that_is_no_dict_is_refused(tmp_path: Path) -> None:
    async with state_service(tmp_path) as service:
        assert await outcome_of(service.save_state("u", [1])) == by_face(ours="ValueError", original=1)
        assert await service.export_state("u") == by_face(ours=None, original=[1])
