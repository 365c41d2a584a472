"""JSON as other programs wrote it: bytes that become a state, or part of a dump.

It is read as Python's `json` does, with which AgentScope writes it: `NaN` and infinities are floats, `1` and
`1.0` are two things, integers have up to 4,300 digits, and lone surrogates are kept. But a key that an object
has twice is refused, as one of its values would be lost.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from eventstate.errors import UnsupportedValueError
from eventstate.values.codec import Codec

_CODEC: Final = Codec()


class DocumentError(ValueError):
    """Bytes that are no JSON, or not what is to be stored.

    Attributes:
        place: where, in bytes; 0 if only the whole can be told.
    """

    def __init__(self, message: str, place: int = 0) -> None:
        super().__init__(message)
        self.place = place


def parse(data: bytes) -> Any:
    """Read a JSON document.

    Args:
        data: JSON in UTF-8, which may have surrogates.

    Raises:
        DocumentError: it is none.
    """
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8: {error.reason}", error.start) from error
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = len(text[: error.pos].encode("utf-8", "surrogatepass"))
        raise DocumentError(f"not JSON: {error.msg}", place) from error
    except RecursionError as error:
        raise DocumentError("not JSON: nested too deep") from error
    except ValueError as error:
        raise DocumentError(f"not JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} twice in one object")
    return found


def parse_state(data: bytes) -> dict[str, Any]:
    """Read a state: a JSON object that can be stored.

    Raises:
        DocumentError: it is none.
    """
    state = parse(data)
    if type(state) is not dict:
        raise DocumentError("not a JSON object")
    try:
        _CODEC.encode_stored(state)
    except UnsupportedValueError as error:
        raise DocumentError(str(error)) from error
    return state
