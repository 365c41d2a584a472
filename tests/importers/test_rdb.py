"""RDB files: what two servers wrote is read to the byte, and what is damaged is refused with its place.

The files `redis-7-*.rdb` are of redis-server 7.0.15, `redis-6-*.rdb` of 6.2.14, filled by agentscope-
runtime's RedisStateService, AgentScope's RedisSession, and one value of each type. `*-table` had the option
hash-max-listpack-entries (or its older name) at 0, `redis-7-table` a policy of LFU, `redis-6-ziplist` one
of LRU, and `redis-6-others` no checksum.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.errors import ImportFailedError
from eventstate.importers.crc64 import crc64
from eventstate.importers.cursor import Cursor
from eventstate.importers.kinds import Type
from eventstate.importers.rdb import Reader
from tests.importers.forge import DUMPS, FILES, everything, file, hashes, length, listpack, string

if TYPE_CHECKING:
    from pathlib import Path

TRIP = {
    "1": {"turn": 1, "messages": []},
    "2": {"turn": 2, "messages": [{"role": "user", "content": "Grüße aus Köln"}], "score": 0.5},
    "10": {
        "turn": 10,
        "messages": [{"role": "user", "content": "Grüße aus Köln"}] * 3,
        "big": 1 << 80,
        "nan": None,
    },
}
BOB = {"1": b'{"n": NaN, "emoji": "\\ud83e\\udd8a", "lone": "\\ud800"}', "2": b"{}"}
EDGES = [
    n for e in (0, 1, 4, 7, 12, 15, 23, 31, 62) for n in ((1 << e) - 1, 1 << e, -(1 << e), -(1 << e) - 1)
]
SIZES = (0, 62, 63, 64, 200, 4095, 4096, 16377, 16378, 18000)


@pytest.mark.parametrize("name", [name for name in DUMPS if "others" not in name])
def test_the_rounds_of_a_state_service_are_read_as_they_were_written(name: str) -> None:
    found = everything(FILES / name)
    assert found["user_state:alice:trip"] == {n: json.dumps(state).encode() for n, state in TRIP.items()}
    assert found["user_state:bob:default"] == BOB
    assert found["user_state:carol:x:a:b"] == {"0": b'{"c": 1}'}
    dave = {
        str(n): json.dumps(
            {"text": "lorem ipsum dolor sit amet " * 400, "n": n, "m": list(range(100))}
        ).encode()
        for n in (1, 2, 3)
    }
    assert found.get("user_state:dave:default", dave) == dave
    assert ("user_state:dave:default" in found) == (name in {"redis-6-ziplist.rdb", "redis-7-table.rdb"})


@pytest.mark.parametrize("name", [name for name in DUMPS if "others" in name])
def test_keys_of_every_type_are_read_or_passed_over(name: str) -> None:
    found = everything(FILES / name)
    numbers = {f"n{n}": b"%d" % n for n in EDGES} | {"max": b"%d" % (2**63 - 1), "min": b"%d" % -(2**63)}
    assert found.pop("hash") == numbers | {f"s{n}": (b"ab" * n)[:n] for n in SIZES}
    assert found == {
        "number:8": b"7",
        "number:16": b"3000",
        "number:32": b"-100000",
        "text": b"x" * 100,
        "short": b"user_state",
        "expiring": b"x",
        "other": b"database",
        "bits": b"\0" * 12 + b"\x08",
        "user_id:erin:session:chat:state": '{"agent": {"v": [1, "ö"]}, "memory": {"v": {"k": ""}}}'.encode(),
        "prod:user_id:erin2:session:chat:state": (
            '{"agent": {"v": [1, "ö"]}, "memory": {"v": {"k": "prod:"}}}'.encode()
        ),
        **dict.fromkeys(("list", "biglist"), "list"),
        **dict.fromkeys(("ints", "set", "bigset"), "set"),
        **dict.fromkeys(("zset", "bigz", "inf"), "zset"),
        "stream": "stream",
    }


@pytest.mark.parametrize("name", DUMPS)
def test_values_that_nobody_wants_are_passed_over_and_their_keys_told(name: str) -> None:
    skipped = everything(FILES / name, lambda *_: False)
    assert skipped.keys() == everything(FILES / name).keys()
    kinds = ("list", "set", "zset", "stream", "string")
    assert {repr(value) for value in skipped.values()} <= {*map(repr, kinds), "{}"}


def test_the_files_have_every_encoding_that_these_servers_write(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set[Type]()
    inner = Reader._entry

    def spied(reader: Reader, number: int, *rest: object) -> object:
        seen.add(Type(number))
        return inner(reader, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Reader, "_entry", spied)
    for name in DUMPS:
        everything(FILES / name)
    assert seen >= {Type.STRING, Type.HASH, Type.HASH_ZIPLIST, Type.HASH_LISTPACK}
    assert seen >= {
        Type.STREAM_LISTPACKS,
        Type.STREAM_LISTPACKS_2,
        Type.LIST_QUICKLIST,
        Type.LIST_QUICKLIST_2,
    }


TTL = length(1 << 33)
HASHES = {
    "a hash whose fields expire": (24, b"\1" * 8 + length(1) + TTL + string("1") + string("{}")),
    "a packed one": (25, b"\1" * 8 + string(listpack(["1", "{}", "77"]))),
    "the same before it was decided": (22, length(1) + length(0) + string("1") + string("{}")),
    "a packed one before that": (23, string(listpack(["1", "{}", "0"]))),
}
OTHERS = {
    "a list": (1, length(2) + string("a") + string("b")),
    "a list in one piece": (10, string("?")),
    "a set in one piece": (20, string(listpack(["a"]))),
    "scores as digits": (3, length(4) + b"\1a\x031.5" + b"\1b\xfd" + b"\1c\xfe" + b"\1d\xff"),
    "a module": (7, TTL + b"\1\5\2\5\3" + b"1234" + b"\4" + b"12345678" + b"\5\1x\0"),
    "a stream": (
        21,
        length(1)
        + string(b"i" * 16)
        + string("entries")
        + length(3) * 8
        + length(1)
        + string("group")
        + length(0) * 3
        + length(1)
        + b"i" * 24
        + length(1)
        + length(1)
        + string("consumer")
        + b"t" * 16
        + length(1)
        + b"i" * 16,
    ),
    **HASHES,
}


@pytest.mark.parametrize("title", OTHERS)
def test_types_of_other_versions_are_passed_over_to_their_ends(tmp_path: Path, title: str) -> None:
    kind, body = OTHERS[title]
    path = file(tmp_path / "x.rdb", bytes([kind]), string("other"), body, b"\0\1k\1v", version=12)
    found = everything(path, lambda _, key: key == "k")
    assert (found["k"], len(found)) == (b"v", 2)


@pytest.mark.parametrize("title", HASHES)
def test_hashes_with_fields_that_expire_are_read(tmp_path: Path, title: str) -> None:
    kind, body = HASHES[title]
    path = file(tmp_path / "x.rdb", bytes([kind]), string("h"), body, version=12)
    assert everything(path) == {"h": {"1": b"{}"}}


def test_what_is_no_key_is_passed_over(tmp_path: Path) -> None:
    parts = (
        b"\xfa" + string("redis-ver") + string("8.0.0"),
        b"\xf5" + string("#!lua name=l"),
        b"\xf7" + TTL + b"\2\1" + b"\5\1x\0",
        b"\xfe" + length(3) + b"\xfb" + length(9) + length(1) + b"\xf4" + length(1) * 3,
        b"\xfd1234\xf8" + length(1 << 20) + b"\0\1a\1x",
        b"\xfc12345678\xf9\5" + b"\0\1b\1y",
    )
    path = file(tmp_path / "x.rdb", *parts, version=12)
    databases = set[int]()
    found = everything(path, lambda database, _: not databases.add(database))  # type: ignore[func-returns-value]
    assert found == {"a": b"x", "b": b"y"}
    assert databases == {3}


@pytest.mark.parametrize("version", range(6, 13))
def test_the_versions_6_to_12_are_read(tmp_path: Path, version: int) -> None:
    assert everything(file(tmp_path / "x.rdb", b"\0\1a\1x", version=version)) == {"a": b"x"}


# Damage

LONG = length(1 << 40)
REFUSED = {
    "an older version": (5, b"", r"byte 5: an RDB file of version 5; 6 to 12 can be read"),
    "a newer version": (13, b"", r"byte 5: an RDB file of version 13"),
    "an unknown type": (11, b"\x09\1a\1x", "byte 9: a value of an unknown type, 9"),
    "a type of modules that cannot be passed over": (11, b"\x06\1a", "type, 6"),
    "an unknown code": (11, b"\xf6\1a", "type, 246"),
    "an unknown length": (11, b"\0\x82", "byte 10: a length of an unknown kind, 0x82"),
    "a string as a length": (11, b"\xfe\xc0\1", "byte 10: a string where a length should be"),
    "an unknown string": (11, b"\0\1a\xc4", "byte 12: a string of an unknown kind, 4"),
    "a string longer than the file": (11, b"\0\1a" + LONG, "byte 21: cut off: 1099511627776 bytes"),
    "a hash longer than the file": (
        11,
        b"\4\1a" + LONG + b"\1f\1v",
        "byte 21: cut off: 1099511627776 th",
    ),
    "a list longer than the file": (
        11,
        b"\1\1a" + length(1 << 63) + b"\1f\1v",
        "cut off: 9223372036854",
    ),
    "a key longer than the file": (11, b"\0" + LONG, "cut off"),
    "LZF of more than it can hold": (11, b"\0\1a\xc3\5" + LONG + b"abcde", "1099511627776 bytes in 5 bytes"),
    "LZF that holds less": (11, b"\0\1a\xc3\2\x3f\0x", "byte 12: LZF does not give the 63 bytes"),
    "LZF longer than the file": (11, b"\0\1a\xc3\x3f\x3f\0x", "cut off"),
    "LZF beyond Redis's limit": (
        11,
        b"\0\1a\xc3" + length(1 << 25) + length((1 << 29) + 1),
        "536870913 bytes",
    ),
    "a field twice": (11, b"\4\1h\2\1f\1v\1f\1w", "byte 12: the hash 'h' has a field twice"),
    "a field without a value": (11, b"\x10\1h" + string(listpack(["1", "{}", "2"])), "byte 12: a hash of 3"),
    "a listpack of another size": (11, b"\x10\1h" + string(b"\x09\0\0\0\0\0\xff"), "another size"),
    "a listpack of another count": (11, b"\x10\1h" + string(b"\x07\0\0\0\1\0\xff"), "0 elements .* has 1"),
    "a listpack without an end": (11, b"\x10\1h" + string(b"\x08\0\0\0\1\0\5\1"), "cut off"),
    "a listpack with two ends": (11, b"\x10\1h" + string(b"\x08\0\0\0\0\0\xff\xff"), "ends before its end"),
    "a listpack of an unknown kind": (11, b"\x10\1h" + string(b"\x08\0\0\0\0\0\xf5\xff"), "kind, 0xf5"),
    "a listpack's long string": (
        11,
        b"\x10\1h" + string(b"\x0c\0\0\0\1\0\xf0\xff\xff\xff\xff\xff"),
        "byte 12: cut off: 4294967295 bytes",
    ),
    "a ziplist of another size": (
        11,
        b"\x0d\1h" + string(b"\x09\0\0\0" + b"\0" * 6 + b"\xff"),
        "another size",
    ),
    "a ziplist of an unknown kind": (
        11,
        b"\x0d\1h" + string(b"\x0d\0\0\0" + b"\0" * 6 + b"\0\xff\xff"),
        "kind, 0xff",
    ),
    "a module of an unknown kind": (11, b"\x07\1m\1\6", "unknown kind, 6"),
}


@pytest.mark.proves("hostile")
@pytest.mark.parametrize("title", REFUSED)
def test_what_is_malformed_is_refused_with_its_place(tmp_path: Path, title: str) -> None:
    version, parts, message = REFUSED[title]
    path = file(tmp_path / "x.rdb", parts, version=version)
    with pytest.raises(ImportFailedError, match=message) as failed:
        everything(path)
    assert str(failed.value).startswith(f"{path}, byte ")


def test_no_more_is_read_at_once_than_a_file_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr("eventstate.importers.packed.unpack_lzf", lambda *_: taken.append(1))
    path = file(tmp_path / "x.rdb", b"\0\1a\xc3\x08" + length(1 << 29) + b"12345678")
    with pytest.raises(ImportFailedError, match="536870912 bytes in 8 bytes of LZF"):
        everything(path)
    assert taken == []


def test_a_file_that_shrinks_while_it_is_read_is_refused() -> None:
    cursor = Cursor(io.BytesIO(b"12"), 3, "x.rdb")
    with pytest.raises(ImportFailedError, match=r"x\.rdb, byte 0: cut off while it was read"):
        cursor.take(3)


def test_a_wrong_checksum_is_told_and_a_checksum_of_zero_is_none(tmp_path: Path) -> None:
    path = file(tmp_path / "x.rdb", b"\0\1a\1x", checksum=1)
    with pytest.raises(
        ImportFailedError, match=r"byte 15: the checksum is .* and 0000000000000001 was written"
    ):
        everything(path)
    assert everything(file(tmp_path / "x.rdb", b"\0\1a\1x", checksum=0)) == {"a": b"x"}


def test_more_after_the_end_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path / "x.rdb", b"\0\1a\1x")
    path.write_bytes(path.read_bytes() + b"*1\r\n")
    with pytest.raises(ImportFailedError, match="4 bytes after the end"):
        everything(path)


@pytest.mark.proves("hostile")
@pytest.mark.parametrize("name", DUMPS)
def test_a_dump_that_was_cut_off_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    data = (FILES / name).read_bytes()
    path = tmp_path / "x.rdb"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(ImportFailedError, match=r"x\.rdb, byte [0-9]+: "):
            everything(path)


@pytest.mark.proves("hostile")
@pytest.mark.parametrize("name", ["redis-7-listpack.rdb", "redis-6-table.rdb"])
def test_any_flipped_byte_is_found(tmp_path: Path, name: str) -> None:
    data = (FILES / name).read_bytes()
    path = tmp_path / "x.rdb"
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        with pytest.raises(ImportFailedError, match=r"x\.rdb, byte [0-9]+: "):
            everything(path)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A dump with bytes replaced, put in or taken out, and no checksum that would tell."""
    data = bytearray((FILES / draw(st.sampled_from(DUMPS))).read_bytes()[:-8])
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(9, len(data)))
        data[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(data) + bytes(8)


@pytest.mark.proves("hostile")
@given(damaged())
def test_whatever_is_wrong_with_a_dump_it_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.rdb"
    path.write_bytes(data)
    try:
        everything(path)
    except ImportFailedError as error:
        assert str(error).startswith(f"{path}, byte ")  # noqa: PT017 - it may be read, too


@pytest.mark.proves("hostile")
@given(st.binary(max_size=200))
def test_a_file_of_any_bytes_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.rdb"
    path.write_bytes(b"REDIS0011" + data)
    try:
        everything(path)
    except ImportFailedError as error:
        assert str(error).startswith(f"{path}, byte ")  # noqa: PT017 - it may be read, too


# The checksum


def test_the_checksum_is_that_of_redis() -> None:
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64(b"") == 0


@given(st.binary(), st.integers(0, 30))
def test_a_checksum_goes_on_wherever_it_was_stopped(data: bytes, place: int) -> None:
    assert crc64(data[place:], crc64(data[:place])) == crc64(data)


def test_hashes_by_hand_are_those_of_the_state_service(tmp_path: Path) -> None:
    path = file(tmp_path / "x.rdb", hashes({"user_state:alice:trip": TRIP}))
    assert (
        everything(path)["user_state:alice:trip"]
        == everything(FILES / "redis-7-listpack.rdb")["user_state:alice:trip"]
    )
