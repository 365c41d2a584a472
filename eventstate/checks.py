"""Whether what a caller passed can be stored as it is: names and numbers, checked the same way everywhere."""

from __future__ import annotations

from eventstate.journal.branches import MAX_ROUND


def check_text(value: object, name: str) -> str:
    """Give `value` back if the file can hold it as text.

    Raises:
        TypeError: it is no string.
        ValueError: it has a lone surrogate, which UTF-8 can't hold.
    """
    if type(value) is not str:
        raise TypeError(f"{name} is a string, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} {value!r}: a lone surrogate can't be stored") from error
    return value


def check_round(number: object) -> int:
    """Give `number` back if it can be a round's.

    Raises:
        TypeError: it is no integer.
        ValueError: it is negative, or too large for the file.
    """
    if type(number) is not int:
        raise TypeError(f"a round is an integer, not {number!r}")
    if not 0 <= number <= MAX_ROUND:
        raise ValueError(f"a round is between 0 and {MAX_ROUND}, not {number}")
    return number
