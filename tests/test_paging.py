"""Rows read in pages: all of them, once, in order; and an end even where an index leads round in a circle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate import CorruptJournalError
from eventstate.journal.pages import pages
from tests.damage.campaign import campaign
from tests.damage.images import originals

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
