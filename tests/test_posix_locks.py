"""POSIX locks: closing any descriptor of a file drops the process's locks on it, so nothing here may open the journal.

SQLite keeps its own descriptors open for as long as it has to; it can't know of others. These tests
show what comes of one, and that no public call makes one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import apsw
import pytest
from click.testing import CliRunner

from eventstate import Session, StateStore, StoreBusyError
from eventstate.cli import main
from tests.conftest import REPOSITORY
from tests.stores import Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

pytestmark = pytest.mark.skipif(os.name != "posix", reason="these locks are POSIX's")

WRITE_LOCK: Final = 120
"""The byte of the `-shm` file that is locked by who writes."""
SHARED_LOCK: Final = (0x40000002, 510)
"""Where in the main file a lock says that somebody has it open."""


def command(function: Callable[..., object], *arguments: str | Path) -> list[str]:
    """Give what runs a function of this module in a process of its own."""
    name = function.__name__
    script = f"import sys; from tests.test_posix_locks import {name}; {name}(*sys.argv[1:])"
    return [sys.executable, "-c", script, *map(str, arguments)]


def run(function: Callable[..., object], *arguments: str | Path) -> str:
    """Run a function of this module in a process of its own, and give what it prints."""
    done = subprocess.run(
        command(function, *arguments), cwd=REPOSITORY, check=False, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


# The hazard.


def _read_with_the_standard_library(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("SELECT count(*) FROM commits").fetchall()
    other.close()


TOUCHES: Final[dict[str, Callable[[Path], object]]] = {
    "nothing": lambda _: None,
    "open(file)": lambda path: path.open("rb").close(),
    "open(file-shm)": lambda path: path.with_name(path.name + "-shm").open("rb").close(),
    "sqlite3": _read_with_the_standard_library,
}


def save_theirs(path: str) -> None:
    """Be the other process: save, and say whether that was acknowledged."""
    try:
        with StateStore(path, timeout=0.1) as store:
            store.session("theirs").save({"saved": True})
    except StoreBusyError:
        sys.stdout.write("busy")
    else:
        sys.stdout.write("saved")


def save_ours(path: str, touch: str, moment: str) -> None:
    """Be the process with the store; another saves once this one touched the file. It ends without closing."""
    their = "nothing"

    def intrude() -> None:
        nonlocal their
        TOUCHES[touch](Path(path))
        their = run(save_theirs, path)

    clock = Clock()

    def interrupted() -> datetime:
        if moment == "inside a commit" and their == "nothing" and store.session("ours").exists:
            intrude()
        return clock()

    store = StateStore(path, clock=interrupted)
    store.session("ours").save({"n": 1})
    if moment == "between commits":
        intrude()
    store.session("ours").save({"n": 2})
    sys.stdout.write(json.dumps({"theirs": their, "ours": 2}))
    sys.stdout.flush()
    os._exit(0)  # as when it is killed


def acknowledged_and_kept(path: Path, touch: str, moment: str) -> tuple[set[str], set[str]]:
    """Let two processes save, and give what they were told to be saved, and what is in the file then."""
    told = json.loads(run(save_ours, path, touch, moment))
    acknowledged = {"ours 1", f"ours {told['ours']}"} | ({"theirs"} if told["theirs"] == "saved" else set())
    with StateStore(path) as store:
        kept = {f"ours {state['n']}" for _, state in store.session("ours").replay()}
        if store.session("theirs").exists:
            kept.add("theirs")
        if not store.verify().ok:
            kept.add("damage")
    return acknowledged, kept


@pytest.mark.parametrize("moment", ["inside a commit", "between commits"])
def test_two_processes_lose_nothing_if_neither_opens_the_file_by_other_means(
    tmp_path: Path, moment: str
) -> None:
    acknowledged, kept = acknowledged_and_kept(tmp_path / "a.db", "nothing", moment)
    assert kept == acknowledged
    assert ("theirs" in acknowledged) == (moment == "between commits")


@pytest.mark.parametrize(
    ("touch", "moment"),
    [
        ("open(file)", "between commits"),
        ("open(file-shm)", "inside a commit"),
        ("sqlite3", "inside a commit"),
        ("sqlite3", "between commits"),
    ],
)
def test_closing_another_descriptor_of_the_file_loses_acknowledged_commits(
    tmp_path: Path, touch: str, moment: str
) -> None:
    acknowledged, kept = acknowledged_and_kept(tmp_path / "a.db", touch, moment)
    assert acknowledged == {"ours 1", "ours 2", "theirs"}
    assert acknowledged - kept or "damage" in kept, (acknowledged, kept)
