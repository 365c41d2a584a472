"""A life that leaves secrets everywhere, and what can be read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apsw

from eventstate import MISSING, Change, Key, RoundNotFoundError, StateStore
from tests.stores import Clock, packed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventstate import KeyRing, Session

NAMES = ("alice", "trip")
SECRETS = "attribute", "value", "element", "person", "because", "remark", "detail", "extra", "other-one"


class OneKey:
    """A key ring of somebody's own, with one key for all sessions."""

    def __init__(self) -> None:
        self.key = Key("the one", bytes(range(32)))

    def current(self, user_id: str, session_id: str) -> Key | None:  # noqa: ARG002 - all have the same
        return self.key

    def find(self, key_id: str) -> Key:
        return {"the one": self.key}[key_id]


def opened(path: Path | str, keys: KeyRing | None, **options: Any) -> StateStore:
    return StateStore(path, **{"durability": "normal", "clock": Clock(), "keys": keys, **options})


def live(store: StateStore) -> Session:
    """Do a bit of everything to a session, and leave secrets everywhere."""
    session = store.session(*NAMES)
    told: Any = {"actor": "secret-person", "reason": "secret-because"}
    state: dict[str, Any] = {"secret-attribute": "secret-value", "n": 0, "list": [], "plan": {"a": 1, "b": 2}}
    session.save(state, metadata={"secret-extra": 1}, commit_id="first", **told)
    for number in range(1, 6):
        with session.round(**told) as draft:
            draft["n"] = number
            draft["list"].append(f"secret-element {number}")
    session.note("secret-remark", {"secret-detail": 1}, actor="secret-person", reason="secret-because")
    session.save(session.state())  # nothing changed, and no event says so
    session.tag("early", at=2, **told)
    other = session.fork("other", at=3, **told)
    other.update(lambda state: state["plan"].update(a="secret-other-one"))
    session.merge(other, **told)
    session.update(lambda state: state.update(plan=dict(reversed(state["plan"].items()))))
    session.rollback(2, **told)
    session.undo(**told)
    session.save({**state, "late": True}, round_id=4)
    other.fork("deep").update(lambda state: state.pop("n"))
    session.note("plain", None)
    return session


def erase(session: Session) -> None:
    session.erase(("plan", "a"), reason="secret-because")
    session.erase(range(3, 5))


def prune(session: Session) -> None:
    session.prune(keep_rounds=3, reason="secret-because")


def delete(session: Session) -> None:
    session.delete(reason="secret-because")


STEPS: list[Callable[[Session], object]] = [lambda _: None, erase, prune, delete]


def values(change: Change) -> tuple[Any, ...]:
    """Give all of a change; what was pruned is not to be had."""
    try:
        both: list[Any] = [
            None if value is MISSING else packed(value) for value in (change.before, change.after)
        ]
    except RoundNotFoundError as error:
        both = [str(error)]
    return change.seq, change.round, change.actor, change.reason, change.path, change.op, *both


def state(session: Session, version: int) -> Any:
    try:
        return packed(session.state(version=version))
    except RoundNotFoundError:
        return "pruned"


def everything(store: StateStore) -> list[Any]:
    """Give all that can be read of the session, but hashes and places in the file."""
    read: list[Any] = []
    for name in store.session(*NAMES).branches():
        session = store.session(*NAMES, name)
        read += [name, session.exists, session.version, session.tags(), packed(session.state() or {})]
        rounds = [(turn.id, turn.actor, turn.reason, turn.metadata, turn.kind) for turn in session.rounds()]
        read += [rounds, [packed(state) for _, state in session.replay()]]
        read += [state(session, version) for version in range(session.version + 1)]
        for attribute in ("secret-attribute", "n", "list", "plan", ("plan", "a"), "late"):
            read.append([values(change) for change in session.history(attribute)])
        read.append([values(change) for change in session.blame().values()])
        read += [(note.name, note.data, note.actor, note.reason) for note in session.notes()]
        ends = list(session.rounds())[-2:]
        read.append([values(change) for change in session.diff(ends[0], ends[-1])])
    keep = ("position", "version", "kind", "actor", "reason", "metadata", "commit_id", "sealed")
    read += [[getattr(commit, name) for name in keep] for commit in store.commits()]
    query = "select position, seq, path, op, value from changes where op not in ('erase', 'prune')"
    return [*read, *store.tables().query(query)]


def tamper(path: Path, statement: str, values: tuple[Any, ...] | dict[str, Any] = ()) -> None:
    """Run a statement behind the library's back."""
    database = apsw.Connection(str(path))
    database.execute(statement, values)
    assert database.total_changes() > 0, "nothing was changed"
    database.close()


def rows(path: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Give what stands in a closed file."""
    database = apsw.Connection(str(path))
    found = list(database.execute(statement, values))
    database.close()
    return found
