"""What is made of many measured seconds: percentiles, growth, and how it grows."""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the smallest value that at least this share of the ordered values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Give `n`, `total`, `p50`, `p90`, `p99` and `max` of seconds; there is at least one."""
    ordered = sorted(seconds)
    return {
        "n": len(ordered),
        "total": math.fsum(ordered),
        "p50": statistics.median(ordered),
        "p90": percentile(ordered, 0.9),
        "p99": percentile(ordered, 0.99),
        "max": ordered[-1],
    }


def growth(seconds: Sequence[float], parts: int = 10) -> dict[str, list[float]]:
    """Give the medians of the parts of a series, and the step in the middle of each part."""
    count = len(seconds)
    bounds = [round(count * part / parts) for part in range(parts + 1)]
    pairs = [(start, end) for start, end in itertools.pairwise(bounds) if end > start]
    return {
        "steps": [(start + 1 + end) / 2 for start, end in pairs],
        "seconds": [statistics.median(seconds[start:end]) for start, end in pairs],
    }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """Fit `value = a * size ** exponent` in the logarithms; `None` if there are under three points.

    1 says that twice the size costs twice as much, 0 that it costs the same.
    """
    points = [(math.log(x), math.log(y)) for x, y in zip(sizes, values, strict=True) if x > 0 and y > 0]
    if len({x for x, _ in points}) < 3:
        return None
    slope, _ = statistics.linear_regression(*zip(*points, strict=True))
    return slope


def folder_bytes(folder: Path) -> int:
    """Sum the sizes of all files in a folder, which another process may have open."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a journal that went meanwhile
            total += path.stat().st_size if path.is_file() else 0
    return total


def rounded(value: Any, digits: int = 6) -> Any:
    """Round all floats in plain data to so many significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item, digits) for item in value]
    return value
