"""`save()` of a whole state in which a turn's worth changed, or nothing."""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING, Any

import msgpack

from benchmarks.targets.pair import grow
from benchmarks.targets.target import Run, Target, interleaved, micros, texts, timed
from benchmarks.targets.turn import take_turn
from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable


def save(run: Run) -> list[Target]:
    """Time `save(state)` with NORMAL, `packb` of the same state, and a live turn of a session as long.

    The state has a few hundred messages of 500 bytes, and between two saves its owner appends one and sets
    three small attributes. `fresh` is the same by an owner who has unpacked the state just before, so that
    nothing in it is the object that was saved the last time.
    """
    messages, rng = run.size(300, 300, 10), random.Random(1)
    contents = texts(rng, 64)
    states: dict[str, dict[str, Any]] = {}
    with StateStore(run.path("save"), durability="normal") as store:
        sessions = {name: store.session(name) for name in ("kept", "fresh", "live")}
        for session in sessions.values():
            grow(session, messages, contents)
        for name in ("kept", "fresh"):
            states[name] = sessions[name].state()

        def saving(
            name: str, turned: Callable[[dict[str, Any], int], dict[str, Any]]
        ) -> Callable[[int], float]:
            def save_next(number: int) -> float:
                state = states[name] = turned(states[name], messages + 1 + number)
                return timed(lambda: sessions[name].save(state))

            return save_next

        def turned(state: dict[str, Any], number: int) -> dict[str, Any]:
            role = "user" if number % 2 else "assistant"
            state["messages"].append({"role": role, "content": contents[number % len(contents)]})
            state.update(turn=number, last_role=role, score=number / 7)
            return state

        def renewed(state: dict[str, Any], number: int) -> dict[str, Any]:
            changed: dict[str, Any] = msgpack.unpackb(msgpack.packb(turned(state, number)))
            return changed

        def live_turn(number: int) -> float:
            return timed(lambda: take_turn(sessions["live"], messages + 1 + number, contents[number % 64]))

        seconds = interleaved(
            run.size(200, 60, 3),
            {
                "save": saving("kept", turned),
                "packb": lambda _: timed(lambda: msgpack.packb(states["kept"])),
                "live_turn": live_turn,
                "fresh": saving("fresh", renewed),
            },
        )
        assert sessions["kept"].state() == states["kept"]
        before = sessions["kept"].version
        sessions["kept"].save(states["kept"], if_changed=True)
        unchanged = sessions["kept"].latest
        sessions["kept"].save(states["kept"])
        named = sessions["kept"].latest
        events = sessions["kept"].version - before
    assert unchanged is not None
    assert named is not None
    allowed = statistics.median(seconds["packb"]) + 2 * statistics.median(seconds["live_turn"])
    return [
        Target(
            "save.time",
            f"save() of a state of {messages} messages, beside one packb of it and two live turns",
            statistics.median(seconds["save"]) / allowed,
            1,
            detail={
                **{name: micros(values) for name, values in seconds.items()},
                "allowed": round(allowed * 1e6, 1),
                "fresh_ratio": round(statistics.median(seconds["fresh"]) / allowed, 2),
                "packed_bytes": len(msgpack.packb(states["kept"])),
            },
        ),
        Target(
            "save.unchanged",
            "events that two saves of an unchanged state write, with and without `if_changed`",
            events,
            0,
            unit="events",
            detail={"rounds": named.id - unchanged.id},
            note="Without `if_changed` a save is a round, if not an event.",
        ),
    ]
