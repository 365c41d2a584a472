"""Whether what a caller passed can be stored as it is: names and numbers, checked the same way everywhere."""

from __future__ import annotations

from typing import Any

from eventstate.errors import InvalidStateError
from eventstate.journal.branches import MAX_ROUND
from eventstate.values.codec import Live


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


def check_on_error(value: object) -> None:
    """Refuse what does not say what becomes of changes when a round's body raises.

    Raises:
        ValueError: it is neither `"discard"` nor `"keep"`.
    """
    if value not in ("discard", "keep"):
        raise ValueError(f"on_error is 'discard' or 'keep', not {value!r}")


def check_state(value: object) -> dict[Any, Any]:
    """Give `value` back if it is a dict, plain or live: another kind would come back as a plain one.

    Raises:
        InvalidStateError: it is none.
    """
    if type(value) is dict or (isinstance(value, dict) and isinstance(value, Live)):
        return value
    raise InvalidStateError(f"a state is a dict, not {type(value).__name__}")
