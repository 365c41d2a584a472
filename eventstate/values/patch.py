"""States and their differences as JSON: for people, other languages and JSON Patch tools.

The JSON form is for reading, not for coming back: what JSON lacks becomes the nearest thing it has.

JSON Pointer: https://www.rfc-editor.org/rfc/rfc6901
JSON Patch: https://www.rfc-editor.org/rfc/rfc6902
"""
# ruff: noqa: SLF001 - live containers show their plain selves here, too

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from typing import TYPE_CHECKING, Any

from eventstate.errors import UnsupportedValueError
from eventstate.values.codec import Codec, Live
from eventstate.values.delta import Edit, Op, apply, copied
from eventstate.values.paths import Path, pointer, shown
from eventstate.values.registry import Unregistered

if TYPE_CHECKING:
    from collections.abc import Iterable


def to_json(value: Any, codec: Codec | None = None) -> Any:
    """Give the JSON form of a storable value, made of dicts, lists, strings, numbers, booleans and None.

    Tuples and sets become lists (sets in the order of their encoded elements), bytes Base64, dates
    and times ISO 8601, a registered type what is stored for it, NaN and the infinities the strings
    `"NaN"`, `"Infinity"` and `"-Infinity"`, a lone surrogate U+FFFD; everything else, and each key,
    becomes what `str` makes of it, a key that is a tuple or frozenset the JSON text of its list.
    Where two keys become one string, the later one stands.

    Args:
        value: anything storable.
        codec: knows the registered types; without it their values become strings.
    """
    return _jsonable(value, codec if codec is not None else Codec())


def json_patch(before: dict[Any, Any], edits: Iterable[Edit], codec: Codec) -> list[dict[str, Any]]:
    """Give a JSON Patch that leads from the JSON form of `before` to that of the state after `edits`.

    The order of keys, which JSON does not know, is left out. Lists are changed by index, strings whole.

    Args:
        before: the state before the edits; it is left as it is.
        edits: the edits in their order.
        codec: the codec of their store.

    Raises:
        CorruptJournalError: an edit does not fit the state.
    """
    state = codec.copy(before)
    patch: list[dict[str, Any]] = []

    def tell(verb: str, path: Path, *values: Any) -> None:
        where = pointer(tuple(_name(key, codec) for key in path))
        patch.append({"op": verb, "path": where})
        for value in values:
            patch[-1]["value"] = to_json(value, codec)

    for edit in edits:
        path, op, value = edit
        if op == Op.WITHIN:
            path, op, value = (*path, *value[0]), value[1], value[2]
        if op >= Op.NOTE:
            continue
        inside = (*path, None) if op == Op.ORDER else path  # what is ordered are the keys inside
        mixed, old = _mixed_up(state, inside, codec), _look(state, path)
        apply(state, copied(edit, codec))
        if mixed is not None:  # two keys share a name there: only the dict as a whole can be told
            tell("replace", mixed, _look(state, mixed))
        elif op == Op.ORDER:
            continue
        elif op == Op.DELETE:
            tell("remove", path)
        elif op == Op.SPLICE and isinstance(old, list):
            index, removed, inserted = value
            for i, item in enumerate(inserted):
                tell("replace" if i < removed else "add", (*path, index + i), item)
            for _ in range(removed - len(inserted)):
                tell("remove", (*path, index + len(inserted)))
        else:
            tell("add" if old is _ABSENT else "replace", path, _look(state, path))
    return patch


_ABSENT = object()


def _jsonable(value: Any, codec: Codec) -> Any:
    if isinstance(value, Live):
        value = value._plain()
    match value:
        case None | bool() | int() if type(value) in (type(None), bool, int):
            return value
        case float() if type(value) is float:
            if math.isfinite(value):
                return value
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {_name(key, codec): _jsonable(item, codec) for key, item in value.items()}
        case Unregistered():
            return _jsonable(value.payload, codec)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
    entry = codec.types.by_type.get(type(value))
    if entry is not None:
        return _jsonable(entry.dumped(value), codec)
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=lambda item: _sort_key(item, codec))
    if isinstance(value, (list, tuple)):
        return [_jsonable(item, codec) for item in value]
    return _text(value)


def _name(key: Any, codec: Codec) -> str:
    # The string of a frozenset has its elements in an order that changes from process to process.
    return json.dumps(_jsonable(key, codec)) if isinstance(key, (tuple, frozenset)) else _text(key)


def _text(value: Any) -> str:
    text = shown(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _sort_key(item: Any, codec: Codec) -> bytes:
    try:
        return codec.encode(item)
    except UnsupportedValueError:
        return repr(item).encode("utf-8", "surrogatepass")


def _look(state: Any, path: Path) -> Any:
    """Give what stands at `path`, or `_ABSENT` if its last key is not there."""
    for key in path:
        state = state.get(key, _ABSENT) if isinstance(state, dict) else state[key]
    return state


def _mixed_up(state: Any, path: Path, codec: Codec) -> Path | None:
    """Give the path of the first dict on the way whose keys are not told apart by their strings."""
    node = state
    for depth, key in enumerate(path):
        if isinstance(node, dict):
            if len({_name(item, codec) for item in node}) != len(node):
                return path[:depth]
            if key not in node:
                return None
        node = node[key]
    return None
