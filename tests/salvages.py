"""What tests of salvages share: a store with a bit of everything, and what may come out of its damage."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

from eventstate import Commit, RoundNotFoundError, StateStore
from eventstate.repair.salvage import Salvaged, salvage
from tests.stores import Clock, packed

if TYPE_CHECKING:
    from pathlib import Path

    from eventstate import Session

Place = tuple[str, str, str, int]


class Facts(NamedTuple):
    """What can be read of a whole store."""

    commits: dict[str, Commit]
    """By hash."""
    states: dict[Place, bytes | None]
    """By user, session, branch and version; `None` if that is pruned."""
    tags: dict[Place, dict[str, int]]


def build(path: Path) -> None:
    """Write sessions with forks, merges and tags, with erased, pruned, deleted and purged pasts."""
    random_ = random.Random(3)
    options: dict[str, Any] = {"durability": "normal", "clock": Clock(), "entropy": random_.randbytes}
    with StateStore(path, snapshot_every=4, **options) as store:
        for number in range(2):
            _talk(store.session("alice", f"trip {number}"), random_)
        for number in range(8):
            store.session("many", f"{number}").save({"n": number})
        carl = store.session("carl")
        for number in range(8):
            with carl.round() as state:
                state.update(n=number, card=f"secret {number}", keep=[number] * 9)
        carl.tag("early", at=2)
        fork = carl.fork("fork", at=4)
        fork.update(lambda state: state.update(more=1))
        carl.erase("card", reason="asked for")
        carl.update(lambda state: state.update(after=True))
        gone = store.session("gone")
        for number in range(4):
            gone.save({"n": number})
        gone.purge()
        pruned = store.session("pruned")
        for number in range(9):
            with pruned.round() as state:
                state.update(n=number, text="x" * number)
        pruned.fork("kept", at=3).save({"kept": 1})
        pruned.tag("second", at=2)
        pruned.prune(keep_rounds=3)
        pruned.save({"n": 100})
        store.session("deleted").save({"a": 1})
        store.session("deleted").delete()
        _talk(store.session("alice", "last"), random_)


def _talk(session: Session, random_: random.Random) -> None:
    session.save({"plan": None, "n": 0, "messages": []}, actor="agent", reason="start", metadata={"k": b"v"})
    for number in range(1, 5):
        with session.round(metadata={"turn": number}) as state:
            state["n"] = number
            state["messages"].append({"number": number, "text": random_.randbytes(30).hex()})
    session.tag("middle", at=3)
    fork = session.fork("what-if", at=3)
    fork.update(lambda state: state.update(plan="train"))
    fork.fork("deep", at=2).save({"z": 1}, commit_id="c")
    session.note("tool.called", {"n": 1})
    session.merge(fork)
    fork.update(lambda state: state.update(plan="plane"))
    session.save({"n": -1}, round_id=3, commit_id="again")
    session.update(lambda state: state.update(n=8))


def facts(path: Path) -> Facts:
    """Read all of a store."""
    found = Facts({}, {}, {})
    with StateStore(path, read_only=True) as store:
        found.commits.update((commit.hash, commit) for commit in store.commits())
        for info in store.sessions(deleted=True):
            for name in store.session(info.user_id, info.session_id).branches():
                session = store.session(info.user_id, info.session_id, name)
                tags = session.tags()
                place = (info.user_id, info.session_id, name)
                found.tags[*place, 0] = {
                    name: tag if isinstance(tag, int) else 0 for name, tag in tags.items()
                }
                for version in range(session.version + 1):
                    found.states[*place, version] = _state(session, version)
    return found


def _state(session: Session, version: int) -> bytes | None:
    try:
        return packed(session.state(version=version))
    except RoundNotFoundError:
        return None


def judge(path: Path, whole: Facts, saved: Salvaged, *, use: bool = False) -> Facts:
    """See that a new file is right about all that is in it, and that what is missing was told."""
    assert saved.report.ok, saved.report
    with StateStore(path, read_only=True) as store:
        report = store.verify()
    assert report.ok, report
    found = facts(path)
    made = [commit for digest, commit in found.commits.items() if digest not in whole.commits]
    assert {commit.kind for commit in made} <= {"repair"}
    kept = {digest: commit for digest, commit in found.commits.items() if digest in whole.commits}
    assert all(commit == whole.commits[digest] for digest, commit in kept.items())
    assert saved.commits == len(kept)
    burnt = {
        (c.user_id, c.session_id, c.branch, n)
        for c in made
        for n in range(c.version, c.version - c.events, -1)
    }
    for place, state in found.states.items():
        assert place in burnt or whole.states[place] == state, place
    if saved.ok:
        assert len(kept) == len(whole.commits)
        assert found.states == whole.states
        assert found.tags == whole.tags
    else:
        last = list(found.commits.values())[-1]
        assert (last.kind, last.branch, last.metadata["kept"]) == ("repair", "", len(kept))
        assert last.metadata["lost"] == saved.lost
    if use:
        go_on(path)
    return found


def go_on(path: Path) -> None:
    """Write to everything that is there, and see that it is whole still."""
    with StateStore(path, durability="normal", clock=Clock()) as store:
        for info in list(store.sessions()):
            main = store.session(info.user_id, info.session_id)
            for name in main.branches():
                store.session(info.user_id, info.session_id, name).update(lambda state: state.update(on=1))
            name = f"new {store.seal().position}"
            main.fork(name).save({"new": 1})
            main.tag(name)
        store.session("new").save({"a": 1})
        report = store.verify()
        assert report.ok, report


def saved_from(path: Path, target: Path) -> Salvaged:
    """Salvage with a clock and salts that are the same each time."""
    return salvage(path, target, clock=Clock(), entropy=random.Random(5).randbytes)
