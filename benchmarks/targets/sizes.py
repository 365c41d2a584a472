"""Bytes: of the closed file, beside those of what changed."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from benchmarks.targets.pair import grow
from benchmarks.targets.target import Run, Target, noise, texts
from benchmarks.workloads import words
from eventstate import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from eventstate import Session

KINDS = {"words": texts, "noise": noise}

Point = tuple[int, int, int]
"""Turns, bytes of the files, and packed bytes of what changed."""


def size(run: Run) -> list[Target]:
    """Count bytes of all files of a closed store after live turns, and of the values that changed, packed.

    Texts are random words of a vocabulary of 2,000, and random letters and digits, which hardly compress.
    For the growth a store is opened, and closed again, for each eighth of its turns.
    """
    count, most = run.size(1_000, 1_000, 50), run.size(10_000, 4_000, 200)
    ratios, exponents = {}, {}
    grown: dict[str, list[Point]] = {}
    for kind, make in KINDS.items():
        contents = make(random.Random(1), most)
        [(_, stored, packed)] = _grown(run.path(f"size-{kind}"), contents, [count])
        ratios[kind] = stored / packed
        grown[kind] = _grown(run.path(f"growth-{kind}"), contents, range(most // 8, most + 1, most // 8))
        exponents[kind] = slope([(turns, stored) for turns, stored, _ in grown[kind]])
    return [
        Target(
            "size.turns",
            f"bytes of the closed file after {count} turns beside the packed changes; the worse kind of text",
            max(ratios.values()),
            1.6,
            detail={kind: round(value, 3) for kind, value in ratios.items()},
        ),
        Target(
            "size.growth",
            f"exponent of the closed file's bytes over its turns, up to {most}; the worse kind of text",
            max(exponents.values()),
            1.03,
            unit="",
            detail={
                **{kind: round(value, 4) for kind, value in exponents.items()},
                **{f"{kind}_points": points for kind, points in grown.items()},
            },
            note="Points are turns, bytes of the file, and packed bytes of the changes.",
        ),
        _streamed(run),
    ]


def slope(points: list[tuple[int, int]]) -> float:
    """Give the exponent of a power law through points, by least squares of their logarithms."""
    xs, ys = ([math.log(point[axis]) for point in points] for axis in (0, 1))
    middle, level = sum(xs) / len(xs), sum(ys) / len(ys)
    rise = sum((x - middle) * (y - level) for x, y in zip(xs, ys, strict=True))
    return rise / sum((x - middle) ** 2 for x in xs)


def _grown(path: Path, contents: list[str], counts: Iterable[int]) -> list[Point]:
    points, packed, before = list[Point](), 0, 0
    for turns in counts:
        with StateStore(path, durability="normal") as store:
            packed += grow(store.session("u"), turns, contents, after=before)
        before = turns
        points.append((turns, closed(path), packed))
    return points


def closed(path: Path) -> int:
    """Count the bytes of all files of a closed store, which has a folder to itself."""
    return sum(file.stat().st_size for file in path.parent.iterdir())


def _streamed(run: Run) -> Target:
    """Count a file's bytes after `content += token` of many tokens in one round, beyond one's without."""
    count = run.size(5_000, 5_000, 200)
    tokens = [f"{word} " for word in words(random.Random(1), count * 12).split()[:count]]
    assert len(tokens) == count
    text = "".join(tokens)

    def stream(session: Session) -> None:
        with session.round() as state:
            for token in tokens:
                state["messages"][-1]["content"] += token
        assert session.state()["messages"][-1]["content"] == text

    empty = _said(run, "nothing", lambda _: None)
    stored = _said(run, "tokens", stream) - empty
    return Target(
        "size.streaming",
        f"bytes beyond an empty session's after {count} tokens streamed in one round, beside the final text",
        stored / len(text.encode()),
        2,
        detail={"tokens": count, "text": len(text.encode()), "stored": stored, "empty": empty},
    )


def _said(run: Run, name: str, change: Callable[[Session], None]) -> int:
    path = run.path(f"size-streamed-{name}")
    with StateStore(path, durability="normal") as store:
        session = store.session("u")
        session.save({"messages": [{"role": "assistant", "content": ""}]})
        change(session)
    return closed(path)
