"""Attributes: paths of dict keys, and how they are written down."""

from __future__ import annotations

from typing import Any, TypeAlias

Path: TypeAlias = tuple[Any, ...]
"""Dict keys (and, inside lists, indexes) that lead from the state to a value."""


def as_path(attribute: Any) -> Path:
    """Give the path of an attribute: a tuple or list of keys, or one key that stands for itself.

    Raises:
        ValueError: the path is empty; the state itself is no attribute.
    """
    path = tuple(attribute) if isinstance(attribute, (tuple, list)) else (attribute,)
    if not path:
        raise ValueError("an attribute needs at least one key")
    return path


def pointer(path: Path) -> str:
    """Write `path` as a JSON Pointer (RFC 6901); keys that are no strings are shown as `str` shows them."""
    return "".join("/" + shown(key).replace("~", "~0").replace("/", "~1") for key in path)


def shown(key: Any) -> str:
    """Write a key as `str` does, and what that refuses, integers of thousands of digits, in hexadecimal."""
    try:
        return str(key)
    except ValueError:
        return hex(key) if isinstance(key, int) else f"({type(key).__name__})"


def parse_pointer(text: str) -> Path:
    """Read what a person types: a JSON Pointer if it begins with a slash, else one top-level key."""
    if not text.startswith("/"):
        return (text,)
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def show(path: Path) -> str:
    """Write `path` for a message; the state itself is shown as `state`."""
    return pointer(path) or "state"
