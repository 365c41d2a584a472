"""JSON: states as AgentScope writes them, and dumps of Redis."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.errors import ImportFailedError
from eventstate.importers.documents import DocumentError, parse_state
from eventstate.importers.dump import entries, is_dump
from tests.importers.forge import FILES
from tests.stores import packed


def test_a_state_is_read_as_pythons_json_reads_it() -> None:
    state = parse_state(
        b'{"nan": NaN, "low": -Infinity, "big": 1e400, "n": 123456789012345678901, "m": -0.0}'
    )
    assert packed(state) == packed(
        {
            "nan": float("nan"),
            "low": -float("inf"),
            "big": float("inf"),
            "n": 123456789012345678901,
            "m": -0.0,
        }
    )


def test_lone_surrogates_are_kept_escaped_or_not() -> None:
    assert parse_state(b'{"a": "\\ud800"}') == parse_state(b'{"a": "\xed\xa0\x80"}') == {"a": "\ud800"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff{}", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' twice in one object"),
        (b'{"a": 1, "\\u0061": 2}', "the key 'a' twice"),
        (b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", "nested deeper"),
        (b"[" * 1_000_000, "nested too deep"),
        (b'{"n": ' + b"1" * 5000 + b"}", "not JSON: .*4300"),
    ],
)
def test_what_is_no_state_says_why(data: bytes, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        parse_state(data)


def test_the_place_of_an_error_is_counted_in_bytes() -> None:
    with pytest.raises(DocumentError) as failed:
        parse_state('{"ä": x}'.encode())
    assert failed.value.place == 7


@pytest.mark.proves("hostile")
@given(st.binary())
def test_any_bytes_are_refused_as_a_state_or_are_one(data: bytes) -> None:
    try:
        assert type(parse_state(data)) is dict
    except DocumentError as error:
        assert 0 <= error.place <= len(data)  # noqa: PT017 - some are states


# Dumps


def read(data: bytes) -> list[tuple[int, str, str, dict[str | None, bytes | None]]]:
    return [
        (
            entry.database,
            entry.key,
            entry.type,
            {payload.field: payload.read() if payload.read else None for payload in entry.payloads},
        )
        for entry in entries(io.BytesIO(data), "dump.json")
    ]


HASH = {"key": "h", "type": "hash", "value": {"1": "{}", "2": 5}, "ttl": -1, "db": 3}
TEXT = {"key": "s", "value": "\ud800ü"}
LIST = {"key": "l", "type": "list", "value": ["a"]}
READ = [
    (3, "h", "hash", {"1": b"{}", "2": None}),
    (0, "s", "string", {None: b"\xed\xa0\x80\xc3\xbc"}),
    (0, "l", "list", {}),
]


def lines(*items: Any) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n\n" for item in items)


def test_a_line_is_a_key() -> None:
    assert read(lines(HASH, TEXT, LIST)) == READ
    assert read(lines(TEXT)) == READ[1:2]


def test_a_document_is_a_list_of_keys_or_one() -> None:
    assert read(json.dumps([HASH, TEXT, LIST], indent=1).encode()) == READ
    assert read(json.dumps(HASH, indent=1).encode()) == READ[:1]


def test_a_document_is_an_object_from_keys_to_values() -> None:
    document = {"h": {"1": "{}", "2": 5}, "s": TEXT["value"], "l": ["a"]}
    assert read(json.dumps(document).encode()) == [(0, *READ[0][1:]), *READ[1:]]


def test_a_type_that_is_told_is_not_guessed() -> None:
    assert read(lines({"key": "z", "type": "zset", "value": {"1": "{}"}})) == [(0, "z", "zset", {})]
    assert read(lines({"key": "z", "type": "hash", "value": "{}"})) == [(0, "z", "hash", {})]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "byte 1: not JSON"),
        (b"", "byte 0: not JSON"),
        (b"5", "byte 0: no dump of Redis"),
        (b"[5]", "byte 0: not an object with a key and a value"),
        (lines(TEXT) + b'{"key": "a", "valu', "byte 52: not JSON"),
        (lines(TEXT) + b"\xff", "byte 39: not UTF-8"),
        (lines(TEXT) + b'{"key": 5, "value": ""}', "byte 39: not an object"),
        (lines(TEXT | {"db": "0"}), "byte 0: 's': db is an integer, not '0'"),
        (b'{"s": "a", "s": "b"}', "byte 0: not JSON: the key 's' twice"),
    ],
)
def test_what_is_wrong_with_a_dump_is_told_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(ImportFailedError, match=rf"^dump\.json, {message}"):
        read(data)


@pytest.mark.proves("hostile")
def test_a_dump_that_was_cut_off_is_refused_or_ends_with_a_key() -> None:
    data = lines(HASH, TEXT, LIST)
    whole = {b"".join(data.splitlines(keepends=True)[:count]).strip() for count in (1, 3, 5)}
    for size in range(len(data)):
        if data[:size].strip() in whole:
            assert read(data[:size]) == READ[: len(read(data[:size]))]
        else:
            with pytest.raises(ImportFailedError, match=r"^dump\.json, byte [0-9]+: not JSON"):
                read(data[:size])


@pytest.mark.proves("hostile")
@given(st.data())
def test_any_damage_to_a_dump_is_refused_or_read(data: st.DataObject) -> None:
    text = bytearray(lines(HASH, TEXT, LIST))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        text[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        read(bytes(text))
    except ImportFailedError as error:
        assert str(error).startswith("dump.json, byte ")  # noqa: PT017 - some are right


def test_dumps_and_files_of_sessions_are_told_apart() -> None:
    for dumped in (lines(HASH), json.dumps([TEXT]).encode(), b'{"user_state:a:b": {}}'):
        assert is_dump(io.BytesIO(dumped), ("user_state:",))
    for path in sorted((FILES / "sessions").iterdir()):
        assert not is_dump(io.BytesIO(path.read_bytes()), ("user_state:",))
    modules = {"key": {"name": "a module"}, "value": {"name": "another"}}
    assert not is_dump(io.BytesIO(json.dumps(modules).encode()), ("user_state:",))
