"""The page of promises says what the tests say."""

from __future__ import annotations

import re

from tests.conftest import REPOSITORY
from tests.promises import PAGE, PROMISES, page, table

ROW = re.compile(r"^\| \*\*(.+?)\*\*: (.+) \| (.+) \| ([0-9,]+) \|$", re.MULTILINE)


def test_every_promise_stands_on_the_page_with_tests_that_exist_and_cases_that_ran() -> None:
    rows = ROW.findall(PAGE.read_text())
    assert {name: sentence for name, sentence, _, _ in rows} == PROMISES
    for name, _, files, cases in rows:
        assert int(cases.replace(",", "")) > 0, name
        for file in re.findall(r"`(.+?)`", files):
            text = (REPOSITORY / file).read_text()
            assert f'"{name}"' in text or f"'{name}'" in text, f"{file} does not speak of {name!r}"


def test_the_table_adds_up_the_cases_of_each_file() -> None:
    counts = {"kill": {"tests/a.py::one": 1000, "tests/a.py::two": 1, "tests/b.py::three": 2}}
    assert "| `tests/a.py`, `tests/b.py` | 1,003 |" in table(counts)


def test_a_page_is_written_anew_but_for_its_words() -> None:
    text = PAGE.read_text()
    counts = {name: {"tests/x.py::test": 7} for name in PROMISES}
    new = page(text, counts)
    assert new.count("| `tests/x.py` | 7 |") == len(PROMISES)
    assert re.sub(ROW, "", new).split() == re.sub(ROW, "", text).split()
    assert page(new, counts) == new


def test_every_longer_run_on_the_page_can_be_run() -> None:
    modules = re.findall(r"`python -m (tests\.[a-z.]+)", PAGE.read_text())
    assert modules
    for module in modules:
        path = REPOSITORY / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
