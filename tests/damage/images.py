"""The journals that are damaged here: a bit of everything, on few pages, the same bytes each time."""

from __future__ import annotations

import random
import struct
import tempfile
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import patch

import apsw

from eventstate import Session, StateStore
from eventstate.journal import postings
from tests.stores import Clock

PAGE: Final = 4096
_SALTS: Final = struct.pack(">II", 7, 11)
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_CHECKED: Final = 24
"""How much of the log's header, and of a frame, goes into its checksum."""


class Image(NamedTuple):
    """The bytes of a journal: the file, and the write-ahead log beside it."""

    file: bytes
    wal: bytes = b""

    def write(self, folder: Path, name: str = "journal.db") -> Path:
        """Write the files into `folder`, over what is there of that name, and give the journal's path."""
        path = folder / name
        for ending in ("-wal", "-shm", "-journal"):
            path.with_name(name + ending).unlink(missing_ok=True)
        path.write_bytes(self.file)
        if self.wal:
            path.with_name(name + "-wal").write_bytes(self.wal)
        return path


class Originals(NamedTuple):
    """Whole journals to be damaged."""

    closed: Image
    """A file alone, as it is after closing."""
    live: Image
    """A file with a log of which nothing was copied into it yet."""
    older: tuple[bytes, ...]
    """The closed file as it was earlier, at several times."""


def originals() -> Originals:
    """Make the journals, which are small, but have postings."""
    with tempfile.TemporaryDirectory() as name, patch.object(postings, "STEP", 8):
        folder = Path(name)
        random_ = random.Random(20)
        older: list[bytes] = []
        path = folder / "journal.db"
        clock = Clock()
        store = StateStore(
            path, durability="normal", snapshot_every=5, clock=clock, entropy=random_.randbytes
        )
        with store:
            for stage in range(3):
                _grow(store, random_, stage)
                copy = folder / f"older-{stage}.db"
                store.backup(copy)
                older.append(copy.read_bytes())
            _remove(store)
            store.drop_snapshots()  # so that there are free pages
            store.session("alice", "trip").save({"end": True})
        closed = path.read_bytes()
        # What is written now stays in the log, as when a process dies.
        store = StateStore(
            path, durability="normal", snapshot_every=3, clock=clock, entropy=random_.randbytes
        )
        with store:
            store._journal.connection._usable().config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            session = store.session("alice", "trip")
            for number in range(6):
                with session.round() as state:
                    state["live"] = number
                    state["text"] = "t" * 900 * number
            store.session("new").save({"a": 1})
        live = Image(path.read_bytes(), _salted(path.with_name("journal.db-wal").read_bytes()))
    return Originals(Image(closed), live, tuple(older))


def _grow(store: StateStore, random_: random.Random, stage: int) -> None:
    """Write a bit of everything, and more of it at each stage."""
    session: Session = store.session("alice", "trip")
    if stage == 0:
        session.save(
            {"plan": None, "n": 0, "messages": []}, actor="agent", reason="start", metadata={"k": b"v"}
        )
    for number in range(6):
        with session.round(actor="agent", metadata={"turn": (stage, number)}) as state:
            state["n"] = number
            state["messages"].append({"role": "user", "content": f"text {stage} {number} " + "x" * 40})
    session.note("tool.called", {"name": "search", "stage": stage})
    session.tag(f"stage {stage}", at=stage + 2)
    fork = session.fork(f"fork {stage}", at=3)
    fork.update(lambda state: state.update(plan="train", stage=stage))
    fork.tag("own")
    session.save({"n": -1}, round_id=4 + stage, commit_id=f"again {stage}")
    session.merge(fork, lambda conflict: conflict.ours)
    fork.fork(f"deep {stage}", at=2).save({"z": {1: (True, 1.5), None: {2, 3}}})
    session.undo()
    big = store.session(f"bob {stage}", "big")
    big.save({"blob": random_.randbytes(9000), "ä": "ö" * 30})
    big.update(lambda state: state.update(blob=state["blob"][:100]))
    store.session("carol").save({"stage": stage})


def _remove(store: StateStore) -> None:
    """Leave holes of every kind in the past."""
    store.session("alice", "trip", "fork 1").erase("plan", reason="asked for")
    store.session("bob 2", "big").erase(("blob",))
    carol = store.session("carol")
    for number in range(6):
        carol.save({"stage": 3, "n": number})
    carol.prune(keep_rounds=2, reason="old")
    store.session("bob 0", "big").purge(reason="left")
    store.session("bob 1", "big").delete(reason="left")


def frames(wal: bytes) -> list[tuple[int, int]]:
    """Give the number of the page in each frame of a log, and where the frame begins."""
    size = _FRAME_HEADER + PAGE
    starts = range(_WAL_HEADER, len(wal) - size + 1, size)
    return [(struct.unpack_from(">I", wal, start)[0], start) for start in starts]


def _salted(wal: bytes) -> bytes:
    """Give the log with salts that are the same each time; SQLite's are random.

    The checksums are those of the "WAL-mode file format", https://www.sqlite.org/walformat.html, 2.3 and 4.4.
    """
    order = ">" if wal[3] & 1 else "<"
    head = wal[:16] + _SALTS
    link = _sum(head, (0, 0), order)
    out = bytearray(head + struct.pack(">II", *link))
    for _, start in frames(wal):
        if wal[start + 8 : start + 16] != wal[16:24]:
            break  # of an earlier use of the log
        page = wal[start + _FRAME_HEADER : start + _FRAME_HEADER + PAGE]
        link = _sum(wal[start : start + 8] + page, link, order)
        out += wal[start : start + 8] + _SALTS + struct.pack(">II", *link) + page
    return bytes(out)


def _sum(data: bytes, link: tuple[int, int], order: str) -> tuple[int, int]:
    one, two = link
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for i in range(0, len(words), 2):
        one = (one + words[i] + two) & 0xFFFFFFFF
        two = (two + words[i + 1] + one) & 0xFFFFFFFF
    return one, two
