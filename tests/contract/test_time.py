"""Time and chance: the clock and the entropy of a store."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from eventstate import StateStore
from tests.stores import NOON, Clock, grown

if TYPE_CHECKING:
    from pathlib import Path


def test_recorded_at_never_runs_backwards_even_if_the_clock_does(path: Path) -> None:
    clock = Clock()
    with StateStore(path, clock=clock) as store:
        first = store.session("alice").save({"n": 1})
        clock.now = NOON - timedelta(days=400)
        second = store.session("bob").save({"n": 1})
        third = store.session("alice").save({"n": 2})
        clock.now = NOON + timedelta(days=1)
        fourth = store.session("alice").save({"n": 3})
        assert store.verify().ok
    assert first.recorded_at == second.recorded_at == third.recorded_at
    assert fourth.recorded_at == NOON + timedelta(days=1, seconds=1)
    with StateStore(path, clock=lambda: NOON) as store:
        assert store.session("alice").save({"n": 4}).recorded_at == fourth.recorded_at
        assert store.session("alice").state(at=fourth.recorded_at) == {"n": 4}


def test_a_clock_without_a_zone_is_refused_and_nothing_is_written(path: Path) -> None:
    with StateStore(path, clock=lambda: NOON.replace(tzinfo=None)) as store:
        with pytest.raises(ValueError, match="needs a zone"):
            store.session("alice").save({})
        assert not store.session("alice").exists


def test_the_same_clock_chance_and_deeds_give_the_same_hashes(tmp_path: Path) -> None:
    def hashes(name: str, *, seed: int = 0) -> list[str]:
        numbers = itertools.count(seed)
        entropy = lambda size: next(numbers).to_bytes(size, "big")  # noqa: E731 - one line is clearer
        with StateStore(tmp_path / name, clock=Clock(), entropy=entropy, snapshot_every=1) as store:
            grown(store)
            return [commit.hash for commit in store.commits()]

    assert hashes("one.db") == hashes("two.db")
    assert hashes("again.db") != hashes("three.db", seed=100)


def test_time_is_told_in_utc_to_the_microsecond(path: Path) -> None:
    now = datetime(2030, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)
    with StateStore(path, clock=lambda: now) as store:
        turn = store.session("alice").save({})
    assert turn.recorded_at == now
    assert turn.recorded_at.tzinfo is UTC
