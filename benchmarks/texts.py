"""How figures are written for people."""

from __future__ import annotations

from typing import Any


def _three(number: float) -> str:
    """Write three significant digits, without an exponent."""
    digits = 2 if abs(number) < 10 else 1 if abs(number) < 100 else 0
    return f"{number:,.{digits}f}"


def time_text(seconds: float) -> str:
    """Write a duration."""
    if seconds < 1e-3:
        return f"{_three(seconds * 1e6)} µs"
    if seconds < 1:
        return f"{_three(seconds * 1e3)} ms"
    return f"{_three(seconds)} s"


def size_text(size: float) -> str:
    """Write a number of bytes."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{_three(size / scale)} {unit}"
    return f"{size:.0f} B"


def ratio_text(ratio: float | None) -> str:
    """Write how much slower than ours something is."""
    return "" if ratio is None else _three(ratio) if ratio >= 0.1 else f"{ratio:.3f}"


def count_text(count: float) -> str:
    """Write how many of something there are for each of another."""
    return f"{count:.0f}" if abs(count - round(count)) < 0.005 else f"{count:.2f}"


def value_text(value: Any, unit: str) -> str:
    """Write a value or a limit of a target, which may be a text or nothing."""
    if value is None:
        return ""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    number = (
        f"{value:,}" if isinstance(value, int) else _three(value) if abs(value) >= 0.1 else f"{value:.2g}"
    )
    return f"{number} {unit}".strip()
