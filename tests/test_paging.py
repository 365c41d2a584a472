"""Rows read in pages: all of them, once, in order; and an end even where an index leads round in a circle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import CorruptJournalError, StateStore
from eventstate.journal.pages import pages
from tests.damage.campaign import campaign
from tests.damage.images import originals

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proves("hostile")


@given(st.lists(st.integers(), unique=True).map(sorted), st.integers(1, 5), st.booleans())
def test_every_row_comes_once_and_in_order(keys: list[int], size: int, told: bool) -> None:  # noqa: FBT001 - drawn
    asked = []

    def fetch(after: int) -> list[int]:
        asked.append(after)
        return [key for key in keys if key > after][:size]

    assert list(pages(fetch, -(1 << 200), lambda key: key, size if told else None)) == keys
    assert len(asked) <= len(keys) // size + 1 if told else len(asked) <= len(keys) // size + 2


@pytest.mark.parametrize("rows", [[3, 5, 3], [5, 3], [0], [1]])
def test_keys_that_do_not_rise_are_damage_and_no_loop(rows: list[int]) -> None:
    with pytest.raises(CorruptJournalError, match="is damaged"):
        list(pages(lambda _: [rows.pop(0)], 1, lambda row: row))


def test_flips_that_once_led_round_in_a_circle_are_found() -> None:
    result = campaign("flip", originals(), 11, (6180, 20083, 34978))
    assert not result.wrong, "\n".join(result.wrong)


def test_a_flip_that_once_gave_an_index_a_round_without_a_number_is_found() -> None:
    result = campaign("flip", originals(), 12, (2518,))
    assert not result.wrong, "\n".join(result.wrong)


def test_a_damaged_record_of_removals_is_no_reason_to_try_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        assert len(naps) < 100, "it tries for ever"

    with StateStore(tmp_path / "a.db") as store:
        session = store.session("u")
        session.save({"n": 1, "card": 2})
        session.save({"n": 2})
        session.erase("card")
        store._journal.connection.all("UPDATE removals SET position = 9223372036854775807")
        monkeypatch.setattr("eventstate.group.time.sleep", nap)
        session.undo()
        assert session.state() == {"n": 1}
