"""What a live turn costs as its session grows, beside bare SQLite writing the same rows.

    python -m benchmarks.turns [--turns 1000] [--repeat 200] [--json FILE]

A turn appends a message of 500 characters and changes three small attributes. Turns of a new
session (about its 10th), of a session that has grown to `--turns`, and the floors are taken one
after the other, over and over, so that the machine's moods fall on all of them alike.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import string
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack

from benchmarks.floors import RawJournal, Tap, fdatasync_seconds
from eventstate import Session, StateStore

if TYPE_CHECKING:
    from collections.abc import Iterator

EARLY = 10


def words(rng: random.Random, size: int) -> str:
    """Make a text of `size` characters out of words of a small vocabulary."""
    vocabulary = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(2000)]
    return " ".join(rng.choices(vocabulary, k=size // 3))[:size]


def take_turn(session: Session, number: int, text: str) -> int:
    """Do one live turn; give the packed bytes of what changed."""
    message = {"role": "user" if number % 2 else "assistant", "content": text}
    with session.round() as state:
        state.setdefault("messages", []).append(message)
        state["turn"] = number
        state["last_role"] = message["role"]
        state["score"] = number / 7
    return sum(len(msgpack.packb(value)) for value in (message, number, message["role"], number / 7))


def timed_turns(
    durability: Any, turns: int, repeat: int, folder: Path, rng: random.Random
) -> dict[str, float]:
    """Take turns of a short and of a long session, and of the floors, in turn; give medians in seconds."""
    path = folder / f"{durability}.db"
    times: dict[str, list[float]] = {"early": [], "late": [], "floor": [], "fdatasync": []}
    texts = [words(rng, 500) for _ in range(64)]
    with StateStore(folder / "seed.db", durability="normal") as seed:
        for number in range(1, turns + 1):
            take_turn(seed.session("seed"), number, rng.choice(texts))
        grown = seed.session("seed").state()
    with StateStore(path, durability=durability) as store:
        tap, raw = (
            Tap(path),
            RawJournal(folder / f"{durability}-raw.db", "FULL" if durability == "full" else "NORMAL"),
        )
        late, between = store.session("late"), store.session("between")
        late.save(grown)
        raw.insert(tap.last())
        for i in range(repeat):
            early = store.session("early", str(i))
            for number in range(1, EARLY):
                take_turn(early, number, rng.choice(texts))
                raw.insert(tap.last())
            for name, session, number in (("early", early, EARLY), ("late", late, turns + 1 + i)):
                # Each measured turn follows one of a third session, so that neither finds warmer caches.
                take_turn(between, i, rng.choice(texts))
                raw.insert(tap.last())
                text = rng.choice(texts)
                start = time.perf_counter()
                take_turn(session, number, text)
                times[name].append(time.perf_counter() - start)
                times["floor"].append(raw.insert(tap.last()))
            times["fdatasync"].append(fdatasync_seconds(folder))
        tap.close()
        raw.close()
    (folder / "seed.db").unlink()
    return {name: statistics.median(values) for name, values in times.items()}


def sizes(turns: int, folder: Path, rng: random.Random) -> Iterator[tuple[int, int, int]]:
    """Give `(turns, bytes of the closed file, packed bytes of the changes)` for growing sessions."""
    for count in (turns // 4, turns // 2, turns, turns * 2):
        path = folder / f"size-{count}.db"
        with StateStore(path, durability="normal") as store:
            session = store.session("u")
            packed = sum(take_turn(session, number, words(rng, 500)) for number in range(1, count + 1))
        yield count, path.stat().st_size, packed


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = random.Random(1)
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for durability in ("normal", "full"):
            result = timed_turns(durability, options.turns, options.repeat, folder, rng)
            report[durability] = result
            print(
                f"{durability:>6}: turn {EARLY} {result['early'] * 1e6:6.0f} us, turn {options.turns}"
                f" {result['late'] * 1e6:6.0f} us, same rows by bare apsw {result['floor'] * 1e6:6.0f} us,"
                f" fdatasync {result['fdatasync'] * 1e6:6.0f} us; late/early"
                f" {result['late'] / result['early']:.2f}, late/floor {result['late'] / result['floor']:.2f}"
            )
        report["sizes"] = list(sizes(options.turns, folder, rng))
        for count, size, packed in report["sizes"]:
            print(f"{count:6} turns: {size:9} bytes, {size / packed:.2f} x the packed changes")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
