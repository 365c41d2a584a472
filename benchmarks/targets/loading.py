"""What a program pays before it does anything: time to import, modules loaded, and memory."""

from __future__ import annotations

import functools
import gc
import os
import random
import resource
import statistics
import subprocess
import sys
import tracemalloc
from pathlib import Path

import eventstate
from benchmarks.targets.target import Run, Target, interleaved, micros, texts, timed
from eventstate import StateStore

HEAVY = ("asyncio", "click", "cryptography", "hypothesis", "pydantic", "rich", "sqlite_utils")

USE = """
import sys
from eventstate import StateStore

with StateStore(sys.argv[1]) as store:
    session = store.session("u")
    session.save({"messages": []})
    with session.round() as state:
        state["messages"].append({"role": "user", "content": "hi"})
    assert session.state() == {"messages": [{"role": "user", "content": "hi"}]}
print(*(name for name in sys.argv[2:] if name in sys.modules))
"""

FACTOR = 3
"""How much more room a state may take in memory than packed: a string or a dict has heads of its own."""


def loading(run: Run) -> list[Target]:
    """Time new processes that import eventstate, and that do nothing; list heavy modules after some use.

    Bytecode is there, as an installed package has it.
    """
    repeat = run.size(25, 9, 2)
    imports = {
        "bare": "pass",
        "import": "import eventstate",
        "from_import": "from eventstate import StateStore",
    }
    python = Python(run.folder / "bytecode")
    python.run("from eventstate import StateStore")
    seconds = interleaved(
        repeat, {name: functools.partial(python.seconds, code) for name, code in imports.items()}
    )
    over = {name: _over(seconds, name) for name in ("import", "from_import")}
    spent = interleaved(
        repeat, {name: functools.partial(python.spent, code) for name, code in imports.items()}
    )
    loaded = python.run(USE, str(run.path("loading")), *HEAVY).split()
    return [
        Target(
            "import.time",
            "`from eventstate import StateStore` over bare Python",
            max(over.values()),
            60,
            unit="ms",
            detail={
                **{name: micros(values) for name, values in seconds.items()},
                "import_ms": round(over["import"], 1),
                "from_import_processor_ms": round(_over(spent, "from_import"), 1),
            },
            note="The processor's time is of runs of their own; other work of the machine disturbs it less.",
        ),
        Target(
            "import.heavy",
            f"those of {', '.join(HEAVY)} that are loaded after a save, a round and a read",
            len(loaded),
            0,
            unit="modules",
            detail={"loaded": loaded},
        ),
    ]


class Python:
    """Runs code in new processes of this Python.

    Args:
        cache: a folder for bytecode, whatever the environment says of it.
    """

    def __init__(self, cache: Path) -> None:
        package = Path(eventstate.__file__).parent.parent
        self._environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONPYCACHEPREFIX": str(cache)}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(self, code: str, *arguments: str) -> str:
        """Run code, and give what it prints."""
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, env=self._environment, check=True, capture_output=True, text=True)
        return done.stdout

    def seconds(self, code: str, _: int) -> float:
        """Time a process from its start to its end."""
        return timed(lambda: self.run(code))

    def spent(self, code: str, _: int) -> float:
        """Give the processor's seconds of a process."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.run(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _over(seconds: dict[str, list[float]], name: str) -> float:
    """Give the milliseconds of a run beyond those of bare Python."""
    return (statistics.median(seconds[name]) - statistics.median(seconds["bare"])) * 1e3


def memory(run: Run) -> list[Target]:
    """Count what Python has allocated for a store with 1,000 open sessions of some 200 KB, all of them saved.

    Beyond `cache_bytes` nothing may be held that grows with the sessions, but for a session object each.
    """
    count, messages = run.size(1_000, 100, 10), run.size(400, 200, 20)
    cache = run.size(16_000_000, 2_000_000, 20_000)
    contents = texts(random.Random(1), messages)
    tracemalloc.start()
    try:
        with StateStore(run.path("memory"), durability="normal", cache_bytes=cache) as store:
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            opened = [store.session("u", str(number)) for number in range(count)]
            for number, session in enumerate(opened):
                session.save(
                    {"number": number, "messages": [{"role": "user", "content": text} for text in contents]}
                )
            gc.collect()
            held, peak = (size - before for size in tracemalloc.get_traced_memory())
            cached = store.stats().cached
    finally:
        tracemalloc.stop()
    return [
        Target(
            "memory.held",
            f"bytes held by a store with {count} open sessions, beside `cache_bytes`",
            held / cache,
            FACTOR,
            detail={
                "held_bytes": held,
                "peak_bytes": peak,
                "cache_bytes": cache,
                "cached_states": cached,
                "all_states_bytes": count * messages * 520,
            },
            note=f"A state takes up to {FACTOR} times its packed size as Python's objects.",
        )
    ]
