"""The catalogue of what is swept: every kind of commit, and what else writes to the file."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate import StateStore, StorageError, aio
from eventstate.commits import CommitOptions
from eventstate.group import Attempt, Job, Noting, commit_all
from eventstate.values.delta import Edit, Op

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session
    from eventstate.writer import Opened

COPY: Final = "copy.db"
FORMAT_1: Final = Path(__file__).parents[1] / "files" / "format-1.db"


class Workload(NamedTuple):
    """Something to do with a store, in steps; each is one transaction or none, and is acknowledged."""

    name: str
    steps: tuple[Callable[[StateStore], object], ...]
    start: Callable[[StateStore], object] | Path | None = None
    """Makes what is in the file before, or is that file; by default there is none."""
    options: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    """Of the store."""
    pages: int = 1000
    """Of the write-ahead log, after which SQLite copies them into the file."""
    reopen: bool = False
    """Whether the store is opened anew for each step."""
    copy: int = 0
    """Which step, counted from 1, makes a copy of the store, `COPY`, beside it."""
    together: bool = False
    """Whether steps are several commits in one transaction, any of which may fail alone; their ids tell which
    were made when such a step is taken again."""
    secret: bytes = b""
    """What the last step removes, and what no byte of a closed store may show afterwards."""


def begun(store: StateStore) -> None:
    """Bring a session into the state in which every kind of commit can be made; it is small on purpose."""
    session = store.session("u")
    session.save({"n": 1, "messages": ["one"]})
    session.save({"n": 2, "messages": ["one", "two"]})
    session.fork("other", at=1).save({"n": 1, "messages": ["one"], "theirs": True})


def _u(store: StateStore) -> Session:
    return store.session("u")


def _talk(store: StateStore) -> None:
    with _u(store).round(actor="planner") as state:
        state["messages"].append({"role": "user", "content": "x" * 300})
        state["n"] += 1


def _long(store: StateStore) -> None:
    _u(store).save({"text": "xyz" * 5000, "n": 3, "messages": []})


def _backup(store: StateStore) -> None:
    copy = Path(store._journal.connection.path).with_name(COPY)
    copy.unlink(missing_ok=True)
    store.backup(copy)
    with StateStore(copy) as copied:
        assert copied.verify().ok
        assert len(list(copied.commits())) == len(list(store.commits()))


def _somebody(n: int, store: StateStore) -> None:
    store.session(f"user {n}", str(n % 2)).save({"n": n})


def _save(store: StateStore) -> None:
    _u(store).save({"n": 3, "messages": ["one", "two", "three"]})


def _merge(store: StateStore) -> None:
    assert _u(store).merge(store.session("u", branch="other")).round is not None


def _update(store: StateStore) -> None:
    _u(store).update(lambda state: state.update(n=state["n"] + 1), reason="counted")


def _made_together(name: str, store: StateStore) -> None:
    """Make commits to two branches together: some that follow on each other, and a note."""
    sessions = [_u(store), store.session("u", branch="other")]
    jobs: list[tuple[Session, str, Job]] = []
    for session in sessions:
        writer = session._writer
        for number in range(3):
            options = CommitOptions(commit_id=f"{name} {number}")
            jobs.append((session, f"{name} {number}", Attempt(writer, "update", options, _counted)))
        noted = CommitOptions(commit_id=f"{name} noted")
        jobs.append((session, f"{name} noted", Noting(writer, writer.note_draft("noted", {"n": 1}, noted))))
    commit_all(store._journal, [job for _, _, job in jobs])
    failed = []
    for session, commit_id, job in jobs:
        try:
            job.outcome()
        except StorageError as error:
            failed.append(error)
        else:
            branch = session._writer.branch()
            assert store._journal.branches.find_commit(branch, commit_id), "acknowledged, and not there"
    if failed:
        raise failed[0]


def _counted(opened: Opened) -> list[Edit]:
    return [Edit(("n",), Op.SET, opened.latest.get("n", 0) + 1)]


def _count(state: Any) -> None:
    state["n"] = state.get("n", 0) + 1


def _refuse(_: Any) -> None:
    raise ValueError("refused")


def _in_tasks(name: str, store: StateStore) -> None:
    """Have tasks commit at one time: one fails, several count, and sessions come into being."""

    async def work() -> list[Any]:
        async with aio.StateStore.over(store) as tasks:
            u, new = tasks.session("u"), [tasks.session(name, f"{number}") for number in range(2)]
            works = [u.update(_refuse), *(u.update(_count, commit_id=f"{name} {n}") for n in range(3))]
            works += [session.save({"text": "x" * 2000}, commit_id=name) for session in new]
            results = await asyncio.gather(*works, return_exceptions=True)
            for session, commit_id, result in zip(
                [u, u, u, *new], [*(f"{name} {n}" for n in range(3)), name, name], results[1:], strict=True
            ):
                if not isinstance(result, BaseException):
                    assert await session.committed(commit_id) == result, "acknowledged, and not there"
            return results

    for result in asyncio.run(work()):
        if isinstance(result, BaseException) and str(result) != "refused":
            raise result


_SECRET: Final = "a secret that is to go "  # noqa: S105 - it opens nothing


def _secrets(store: StateStore) -> None:
    """Begin, and let a session and a fork of it hold a secret, also in snapshots."""
    begun(store)
    _u(store).update(lambda state: state.update(card=_SECRET * 20))
    store.session("u", branch="other").update(lambda state: state.update(more={"card": _SECRET}))
    _u(store).save({"n": 3, "messages": ["one", _SECRET], "card": _SECRET})


REMOVALS: Final[tuple[Workload, ...]] = (
    Workload(
        "erase",
        (
            lambda store: store.session("u", branch="other").erase("more"),
            _talk,
            lambda store: _u(store).save({"n": 4, "messages": []}),
            lambda store: _u(store).erase("messages"),
            lambda store: _u(store).erase("card"),
        ),
        _secrets,
        {"snapshot_every": 1},
        secret=_SECRET.encode(),
    ),
    Workload("prune", (_talk, _talk, lambda store: _u(store).prune(keep_rounds=2), _talk), begun, pages=2),
    Workload(
        "delete",
        (_talk, lambda store: _u(store).delete(), lambda store: _u(store).restore(), _talk),
        begun,
    ),
    Workload(
        "purge",
        (
            lambda store: store.session("bob").save({"n": 1}),
            lambda store: _u(store).purge(reason="asked for"),
        ),
        _secrets,
        {"snapshot_every": 1},
        secret=_SECRET.encode(),
    ),
)
"""What takes payloads away, or puts a session away."""

WORKLOADS: Final[tuple[Workload, ...]] = (
    Workload("a new store", (lambda store: _u(store).save({"n": 1}), lambda store: _u(store).save({"n": 2}))),
    Workload("saves", (_save, _long, _save), begun),
    Workload("live rounds", (_talk, _talk, _talk), begun),
    Workload("updates", (_update, _update), begun),
    Workload(
        "notes",
        (lambda store: _u(store).note("noted"), lambda store: _u(store).note("again", {"n": 1}), _talk),
        begun,
    ),
    Workload("rollback", (_save, lambda store: _u(store).rollback(1, reason="wrong")), begun),
    Workload("undo", (_save, lambda store: _u(store).undo(), lambda store: _u(store).undo()), begun),
    Workload(
        "fork",
        (
            lambda store: _u(store).fork("what-if", at=1),
            lambda store: store.session("u", branch="what-if").save({"n": 9}),
            lambda store: store.session("u", branch="what-if").fork("deeper"),
        ),
        begun,
    ),
    Workload("merge", (_merge, _talk), begun),
    Workload("tag", (lambda store: _u(store).tag("here"), lambda store: _u(store).tag("there", at=1)), begun),
    Workload("snapshots", (_talk, _long, _save), begun, {"snapshot_every": 1}),
    Workload(
        "dropped snapshots",
        (_talk, _talk, lambda store: store.drop_snapshots(), _talk),
        begun,
        {"snapshot_every": 1},
    ),
    Workload("backup", (_save, _backup, _save), begun, copy=2),
    Workload("migration", (lambda store: store.session("later").save({"n": 1}),), FORMAT_1),
    Workload(
        "many sessions",
        tuple(functools.partial(_somebody, n) for n in range(4)),
        begun,
    ),
    Workload("reopened", (_talk, _save, _merge), begun, {"snapshot_every": 1}, reopen=True),
    Workload(
        "made together",
        (functools.partial(_made_together, "a"), _talk, functools.partial(_made_together, "b")),
        begun,
        {"snapshot_every": 1},
        pages=2,
        together=True,
    ),
    Workload(
        "in tasks",
        (functools.partial(_in_tasks, "a"), _talk),
        begun,
        together=True,
    ),
    Workload("checkpoints", (_talk, _long, _talk, _save, _talk), begun, {"snapshot_every": 2}, pages=2),
    *REMOVALS,
)
