"""Parameters that may come as text, as a factory takes them from the environment."""

from __future__ import annotations

import os
from typing import Any, Final

_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_MAX_SECONDS: Final = 2_147_483
"""In milliseconds they have to go into a C integer."""


def as_path(value: Any, name: str) -> str:
    """Give a file's name, or `":memory:"`.

    Raises:
        TypeError: it is neither text nor a path of text.
        ValueError: no file can have that name.
    """
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(path, str):
        raise TypeError(f"{name} is a string or a path of strings, not {value!r}")
    if not path or "\0" in path:
        raise ValueError(f"{name}: {path!r} can't be a file's name")
    return path


def as_choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """Give one of `choices`.

    Raises:
        ValueError: it is none of them.
    """
    if value not in choices:
        raise ValueError(f"{name} is {' or '.join(map(repr, choices))}, not {value!r}")
    return str(value)


def as_flag(value: Any, name: str) -> bool:
    """Give a truth value.

    Raises:
        TypeError: it is neither one nor text.
        ValueError: the text says something else.
    """
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{name} is true or false, not {value!r}")
    flag = _FLAGS.get(value.strip().lower())
    if flag is None:
        raise ValueError(f"{name} is 'true' or 'false', '1' or '0', not {value!r}")
    return flag


def as_seconds(value: Any, name: str) -> float:
    """Give a number of seconds.

    Raises:
        TypeError: it is neither a number nor text.
        ValueError: it is none, negative, or longer than SQLite can wait.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError(f"{name} is a number of seconds, not {value!r}")
    try:
        seconds = float(value)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"{name} is a number of seconds, not {value!r}") from error
    if not 0 <= seconds <= _MAX_SECONDS:
        raise ValueError(f"{name} is between 0 and {_MAX_SECONDS} seconds, not {value!r}")
    return seconds


def as_count(value: Any, name: str, least: int) -> int:
    """Give a whole number of at least `least`.

    Raises:
        TypeError: it is neither a whole number nor text.
        ValueError: it is none, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError(f"{name} is a whole number, not {value!r}")
    try:
        count = int(value)
    except ValueError as error:
        raise ValueError(f"{name} is a whole number, not {value!r}") from error
    if count < least:
        raise ValueError(f"{name} is at least {least}, not {value!r}")
    return count
