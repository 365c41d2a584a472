"""What is erased in several tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.retention.raw import marker

if TYPE_CHECKING:
    from eventstate import Session, StateStore

SECRET, TWIN, REST = marker(-1), marker(-2), marker(-3)


def talk(store: StateStore) -> Session:
    """Write a secret in every way there is."""
    session = store.session("alice")
    session.save({"name": REST, "card": {"number": SECRET}, "log": []})
    session.update(lambda state: state["log"].append({"said": "hello", "to": "bob"}))
    session.tag("early")
    fork = session.fork("fork")
    fork.update(lambda state: state["card"].update(code=TWIN))
    with session.round(reason="more") as state:
        state["card"]["text"] = SECRET * 3
        state["plan"] = ["ask"]
    session.rollback(1)
    session.merge(fork, lambda conflict: conflict.theirs)
    session.fork("deep", at="early").save({"card": SECRET})
    return session


def verified(store: StateStore, seal: Any = None) -> None:
    report = store.verify(seal=seal)
    assert report.ok, str(report)
