"""A session that another store purges while this one reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eventstate import RoundNotFoundError, SessionDeletedError, StateStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventstate import Session

pytestmark = pytest.mark.proves("delete")

READS: dict[str, Callable[[Session], object]] = {
    "state": lambda session: session.state(),
    "state at": lambda session: session.state(at=2),
    "history": lambda session: session.history("n"),
    "blame": lambda session: session.blame(),
}


@pytest.mark.parametrize("what", READS)
def test_a_purge_before_any_statement_of_a_read_is_never_told_as_damage(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = set[str]()
    for number in range(40):
        path = tmp_path / f"{number}.db"
        with StateStore(path) as store, StateStore(path) as other:
            session = store.session("u")
            for n in range(3):
                session.save({"n": n, "list": list(range(n))})
            store._journal.forget()  # so that all has to be read
            count, run = [number], store._journal.connection.one
            late: list[Any] = []

            def one(
                *values: Any, count: Any = count, run: Any = run, late: Any = late, other: Any = other
            ) -> Any:
                if count[0] == 0:
                    late.append(other.session("u").purge())
                count[0] -= 1
                return run(*values)

            monkeypatch.setattr(store._journal.connection, "one", one)
            try:
                READS[what](session)
                outcomes.add("read")
            except (SessionDeletedError, RoundNotFoundError):
                outcomes.add("gone")
            if not late:
                break
    else:
        raise AssertionError("a read takes more than 40 statements")
    assert outcomes == {"read", "gone"} or what == "state"
