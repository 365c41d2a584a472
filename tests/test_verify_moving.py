"""A verification under whose eyes payloads are removed finds nothing that isn't there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventstate import StateStore
from eventstate.verify.commits import Commits

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_removal_by_another_store_meanwhile_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StateStore(tmp_path / "a.db") as store, StateStore(tmp_path / "a.db") as other:
        session = store.session("u")
        for number in range(8):
            session.save({"n": number, "card": "secret"})
        check, runs = Commits.check, list[int]()

        def overtaken(commits: Any) -> None:
            check(commits)
            runs.append(1)
            if len(runs) == 1:
                other.session("u").prune(keep_rounds=1)
                other.session("u").erase("card")

        monkeypatch.setattr(Commits, "check", overtaken)
        report = store.verify()
        assert report.ok, str(report)
        assert len(runs) == 2


def test_a_removal_meanwhile_hides_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StateStore(tmp_path / "a.db") as store:
        session = store.session("u")
        for number in range(8):
            session.save({"n": number, "card": "secret"})
        store.session("bob").save({"n": 1})
        store._journal.connection.all("UPDATE commits SET reason = 'forged' WHERE position = 9")
        check, runs = Commits.check, list[int]()

        def overtaken(commits: Any) -> None:
            check(commits)
            runs.append(1)
            if len(runs) == 1:
                session.erase("card")

        monkeypatch.setattr(Commits, "check", overtaken)
        assert [finding.commit for finding in store.verify().findings] == [9]
        assert len(runs) == 2
