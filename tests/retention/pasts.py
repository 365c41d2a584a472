"""What is pruned in several tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventstate import Session, StateStore


def counted(store: StateStore, rounds: int = 10) -> Session:
    session = store.session("alice")
    for n in range(1, rounds + 1):
        session.save({"n": n, "text": f"{n}" * 20})
    return session


def numbers(session: Session) -> dict[int, int]:
    return {turn.id: state["n"] for turn, state in session.replay()}


def verified(store: StateStore, seal: Any = None) -> None:
    report = store.verify(seal=seal)
    assert report.ok, str(report)
