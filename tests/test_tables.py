"""What happened, as plain tables in memory."""

from __future__ import annotations

import dataclasses
import json

from eventstate import StateStore, TypeRegistry


@dataclasses.dataclass
class Spot:
    """A registered type."""

    x: int


def test_tables_hold_every_commit_and_every_change() -> None:
    with StateStore(":memory:") as store:
        session = store.session("u", "s")
        session.save({"plan": None, "seen": {1, 2}}, actor="planner", metadata={"cost": 3})
        session.fork("other").save({"plan": "x"})
        session.note("tool.called", {"name": "search"})
        tables = store.tables()
        commits = list(tables["commits"].rows)
        assert [(row["position"], row["kind"], row["branch"]) for row in commits] == [
            (commit.position, commit.kind, commit.branch) for commit in store.commits()
        ]
        assert (commits[0]["actor"], json.loads(commits[0]["metadata"])) == ("planner", {"cost": 3})
        changes = [
            (row["position"], row["seq"], row["path"], row["op"], json.loads(row["value"]))
            for row in tables["changes"].rows
        ]
        assert changes == [
            (1, 1, "/plan", "set", None),
            (1, 2, "/seen", "set", [1, 2]),
            (3, 3, "/seen", "delete", None),
            (3, 4, "/plan", "set", "x"),
            (4, 3, "", "note", ["tool.called", {"name": "search"}]),
        ]


def test_what_is_done_to_the_tables_does_not_reach_the_store() -> None:
    with StateStore(":memory:") as store:
        store.session("u").save({"a": 1})
        store.tables().table("commits").delete_where()
        assert store.verify().ok
        assert store.session("u").state() == {"a": 1}


def test_tables_show_registered_types_as_a_json_patch_does() -> None:
    with StateStore(":memory:", types=TypeRegistry(Spot)) as store:
        session = store.session("u")
        session.save({}, metadata={"at": Spot(1)})
        session.save({"p": Spot(2)})
        session.note("seen", Spot(3))
        tables = store.tables()
        metadata = next(iter(tables["commits"].rows))["metadata"]
        assert json.loads(metadata) == {"at": {"x": 1}}
        values = [json.loads(row["value"]) for row in tables["changes"].rows]
        assert values == [{"x": 2}, ["seen", {"x": 3}]]
        assert session.diff(1, 2).to_json_patch() == [{"op": "add", "path": "/p", "value": {"x": 2}}]


def test_tables_show_a_key_with_a_lone_surrogate() -> None:
    with StateStore(":memory:") as store:
        store.session("u").save({"\ud800": {"\udfff": "\ud800"}})
        [row] = store.tables()["changes"].rows
        assert (row["path"], json.loads(row["value"])) == ("/\ufffd", {"\ufffd": "\ufffd"})
