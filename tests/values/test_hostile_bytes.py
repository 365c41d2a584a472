"""Whatever the bytes are, decoding gives a value or says that they are damaged, at a bound cost."""

from __future__ import annotations

import contextlib
import itertools
import struct
import sys
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.errors import CorruptJournalError, UnsupportedValueError
from eventstate.values.bounds import MAX_ALIKE
from eventstate.values.codec import MAX_DEPTH, Codec
from eventstate.values.paths import pointer
from tests.strategies import states
from tests.values.typed import CODEC, REGISTRY, TYPED

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.proves("hostile")

MEGABYTE = 1 << 20


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """Assert that the body takes no more memory than so many bytes at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def decodes_or_is_refused(data: bytes, codec: Codec = TYPED) -> None:
    try:
        value = codec.decode(data)
    except (CorruptJournalError, UnsupportedValueError):
        return
    with contextlib.suppress(UnsupportedValueError):
        again = codec.encode_stored(value)
        assert codec.encode(codec.decode(again)) == again


_messagepack = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.one_of(
        st.lists(inner, max_size=9),
        st.dictionaries(st.integers() | st.text(max_size=2), inner, max_size=2),
        st.builds(lambda code, parts: msgpack.ExtType(code, packed(parts)), st.integers(0, 15), inner),
    ),
)


def packed(value: Any) -> bytes:
    try:
        return msgpack.packb(value)  # type: ignore[no-any-return]
    except OverflowError:
        return b"\xc0"


@given(st.binary(max_size=200))
def test_random_bytes_are_a_value_or_damage(data: bytes) -> None:
    decodes_or_is_refused(data)


@given(_messagepack, st.sampled_from(sorted(REGISTRY.by_name)))
def test_well_formed_nonsense_is_a_value_or_damage(value: Any, name: str) -> None:
    decodes_or_is_refused(packed(value))
    decodes_or_is_refused(packed(msgpack.ExtType(13, packed([name, value]))))


@given(states, st.data())
def test_bytes_cut_short_changed_or_with_a_tail_are_a_value_or_damage(
    state: dict[Any, Any], data: Any
) -> None:
    good = CODEC.encode(state)
    cut = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(CorruptJournalError):
        CODEC.decode(good[:cut])
    with pytest.raises(CorruptJournalError):
        CODEC.decode(good + b"\xc0")
    flipped = bytearray(good)
    flipped[cut] ^= 1 << data.draw(st.integers(0, 7))
    decodes_or_is_refused(bytes(flipped))


def ext(code: int, payload: bytes) -> bytes:
    return b"\xc9" + struct.pack(">Ib", len(payload), code) + payload


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x92\x01",
        b"\xa1\xff",
        b"\x81\x90\x01",
        b"\x81\x80\x01",
        ext(3, b"\x90\x90"),
        ext(3, b""),
        ext(3, b"\xc0"),
        ext(4, b"\x91\x90"),
        ext(6, b"\x91\xc0"),
        ext(7, b"\xa1x"),
        ext(8, b"\x90"),
        ext(9, b"\x93\x01\x0d\x01"),
        ext(11, b"\x93\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"),
        ext(12, b"short"),
        ext(13, b"\x90"),
        ext(13, b"\x92\x90\xc0"),
        ext(14, b"\xc0"),
        ext(-1, b"bad"),
        ext(10, msgpack.packb([1, 1, 1, 1, 0, [10**15]])),
        ext(10, msgpack.packb([1, 1, 1, 1, 0, "../../etc/passwd"])),
        ext(10, msgpack.packb([1, 1, 1, 1, 0, "localtime"])),
    ],
)
def test_bytes_that_are_no_value_are_damage(data: bytes) -> None:
    with pytest.raises(CorruptJournalError, match="undecodable value"):
        CODEC.decode(data)


def test_what_others_write_as_time_stamps_becomes_something_that_can_be_stored() -> None:
    stamp = msgpack.packb(msgpack.Timestamp(1))
    for data in (stamp, ext(3, b"\x91" + stamp)):
        value = CODEC.decode(data)
        assert CODEC.same(CODEC.decode(CODEC.encode_stored(value)), value)


def test_bytes_that_nest_do_not_exhaust_the_stack() -> None:
    data = msgpack.packb([])
    for _ in range(5000):
        data = b"\x91" + ext(3, b"\x91" + data)
    deep_lists = b"\x91" * 1000 + b"\x90"
    mixed = deep_lists
    for _ in range(MAX_DEPTH - 5):
        mixed = b"\x91" * 900 + ext(3, b"\x91" + mixed)
    outcomes: list[bool] = []

    def decode() -> None:
        for hostile in (data, mixed):
            try:
                CODEC.decode(hostile)
            except CorruptJournalError:
                outcomes.append(True)

    size = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert outcomes == [True, True]


def test_bytes_that_promise_too_much_are_refused_before_anything_is_built() -> None:
    size = 100_000
    data = (b"\xdd" + struct.pack(">I", size - 6000)) * 1000 + b"\xc0" * (size - 5000)
    with at_most(10 * size), pytest.raises(CorruptJournalError):
        CODEC.decode(data)


@pytest.mark.parametrize("code", [3, 4, 5, 13])
@pytest.mark.parametrize("size", [4000, 100_000])
def test_what_stands_in_an_extension_is_not_built_before_it_is_all_there(code: int, size: int) -> None:
    depth = size // 200
    inside = (b"\xdd" + struct.pack(">I", size - 5 * depth)) * depth + b"\xc0" * (size - 5 * depth)
    with at_most(MEGABYTE), pytest.raises(CorruptJournalError):
        CODEC.decode(ext(code, inside))
    with at_most(MEGABYTE), pytest.raises(CorruptJournalError):
        CODEC.decode(b"\x91" + ext(3, b"\x91" + ext(code, inside)))


CLAIMS = {
    "str 8": b"\xd9\xff",
    "str 16": b"\xda\xff\xff",
    "str 32": b"\xdb\xff\xff\xff\xff",
    "bin 8": b"\xc4\xff",
    "bin 16": b"\xc5\xff\xff",
    "bin 32": b"\xc6\xff\xff\xff\xff",
    "array 16": b"\xdc\xff\xff",
    "array 32": b"\xdd\xff\xff\xff\xff",
    "map 16": b"\xde\xff\xff",
    "map 32": b"\xdf\xff\xff\xff\xff",
    **{
        f"{name} of type {code}": head + bytes([code])
        for code in range(1, 16)
        for name, head in {
            "ext 8": b"\xc7\xff",
            "ext 16": b"\xc8\xff\xff",
            "ext 32": b"\xc9\xff\xff\xff\xff",
        }.items()
    },
}
"""Heads that promise up to 4 GB; of the shortest ones there must be less than 255 bytes."""


def claims(head: bytes) -> Iterator[bytes]:
    """Give values of about 1 KB in which a head promises more than there is, in different places."""
    for tail in (b"", b"\xc0" * (200 if head[1:2] == b"\xff" and len(head) <= 3 else 1000)):
        claim = head + tail
        yield claim
        yield b"\x91" + claim
        yield b"\x81" + claim
        yield b"\x81\xa1k" + claim
        yield b"\x91" * 100 + claim
        for code in (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13):
            if code != 1:
                yield ext(code, claim)
                yield ext(code, b"\x91" + claim)
                yield b"\x81" + ext(code, claim) + b"\xc0"
        yield ext(13, b"\x92\xa5money" + claim)
        yield ext(10, b"\x96\x01\x01\x01\x01\x00" + claim)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_promise_of_more_than_there_is_is_refused_and_takes_no_memory(name: str) -> None:
    tried = 0
    for data in claims(CLAIMS[name]):
        with at_most(MEGABYTE), pytest.raises(CorruptJournalError):
            TYPED.decode(data)
        tried += 1
    assert tried == 2 * 37


def test_the_depth_that_is_refused_is_the_same_for_every_kind_of_nesting() -> None:
    for code, before, inside in (
        (3, b"", b"\x91"),
        (5, b"", b"\x91"),
        (13, b"", b"\x92\xa5money"),
        (3, b"\x91", b"\x91"),
        (13, b"\x81\xa1k", b"\x92\xa5money"),
    ):
        data = b"\xc0"
        for _ in range(MAX_DEPTH + 5):
            data = before + ext(code, inside + data)
        with pytest.raises(CorruptJournalError):
            TYPED.decode(data)


_PRIME = (1 << 61) - 1


def _alike(count: int) -> list[int]:
    """Give integers that all have the same hash."""
    assert sys.hash_info.modulus == _PRIME
    start = (1 << 70) // _PRIME * _PRIME
    return [start + number * _PRIME for number in range(count)]


def _counted(head: Any, keys: list[bytes], after: bytes = b"") -> bytes:
    return b"".join([head(len(keys)), *(key + after for key in keys)])


def _hashes() -> Iterator[tuple[str, bytes]]:
    count = 20 * MAX_ALIKE
    packer = msgpack.Packer()
    numbers = [CODEC.encode(number) for number in _alike(count)]
    ids = [ext(12, number.to_bytes(16, "big")) for number in _alike(count)]
    texts = [ext(7, CODEC.encode(str(number))) for number in _alike(count)]
    vectors = [CODEC.encode(vector) for vector in itertools.product((-1, -2), repeat=14)]
    for name, keys in (("integers", numbers), ("ids", ids), ("decimals", texts), ("tuples", vectors)):
        yield f"set of {name}", ext(4, _counted(packer.pack_array_header, keys))
        yield f"dict of {name}", _counted(packer.pack_map_header, keys, b"\xc0")
        yield f"dict of {name} inside", ext(3, b"\x91" + _counted(packer.pack_map_header, keys, b"\xc0"))


HASHES = dict(_hashes())


@pytest.mark.parametrize("name", HASHES)
def test_keys_chosen_to_have_one_hash_are_refused(name: str) -> None:
    with pytest.raises(CorruptJournalError, match="same hash"):
        CODEC.decode(HASHES[name])


def test_keys_of_one_hash_that_could_not_be_read_are_not_written() -> None:
    for value in (set(_alike(2 * MAX_ALIKE + 1)), dict.fromkeys(_alike(2 * MAX_ALIKE + 1))):
        with pytest.raises(UnsupportedValueError, match="same hash"):
            CODEC.encode_stored({"a": value})


def test_many_keys_of_many_hashes_come_back() -> None:
    value = {"set": {(x, y) for x in range(-60, 60) for y in range(-60, 60)}}
    value["dict"] = dict.fromkeys(value["set"])  # type: ignore[assignment]
    assert CODEC.decode(CODEC.encode_stored(value)) == value


def test_a_decimal_that_is_a_number_is_refused() -> None:
    # Turning a long integer into a decimal takes time that grows with the square of its length.
    for number in (1, 1.5, 1 << 70, [0, [1, 2], 0]):
        with pytest.raises(CorruptJournalError, match="no string"):
            CODEC.decode(ext(7, CODEC.encode(number)))


@given(states, st.data())
def test_an_encoding_changed_in_several_places_is_a_value_or_damage(state: dict[Any, Any], data: Any) -> None:
    changed = bytearray(TYPED.encode({"state": state, "typed": [(1, {2}), 1 << 80]}))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(changed) - 1))
        stop = start + data.draw(st.integers(0, 4))
        put = data.draw(st.binary(max_size=6) | st.sampled_from(sorted(CLAIMS.values())))
        changed[start:stop] = put
        if not changed:
            return
    decodes_or_is_refused(bytes(changed))


def test_a_key_of_too_many_digits_has_a_path_that_can_be_shown() -> None:
    key = CODEC.decode(ext(1, b"\x7f" * 3000))
    assert pointer(("a", key)).startswith("/a/")


def test_decoding_imports_nothing_and_calls_nothing() -> None:
    told: list[str] = []
    watching = False

    def watch(event: str, _: Any) -> None:
        if watching and event in {"import", "exec", "compile", "pickle.find_class", "os.system", "open"}:
            told.append(event)

    sys.addaudithook(watch)
    names = ["os", "os.system", "builtins.eval", "tests.values.typed.Color", "money", "posix.system", ""]
    CODEC.decode(ext(10, msgpack.packb([1, 1, 1, 1, 0, "Europe/Berlin"])))  # the zones are read once
    payloads = [b"\x91\xa2id", b"\xa3RED", b"\x80", b"\x81\xa1x\xc0", b"\xa9__class__"]
    watching = True
    for name, payload in itertools.product(names, payloads):
        decodes_or_is_refused(ext(13, b"\x92" + msgpack.packb(name) + payload))
        for code in range(16):
            decodes_or_is_refused(ext(code, payload))
    for zone in ("os", "../os", "tzdata", "Europe.Berlin", "Europe/Berlin\0", "/etc/passwd", "x" * 500):
        decodes_or_is_refused(ext(10, msgpack.packb([1, 1, 1, 1, 0, zone])))
    watching = False
    assert told == []
