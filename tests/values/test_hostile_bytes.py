"""Whatever the bytes are, decoding gives a value or says that they are damaged, at a bound cost."""

from __future__ import annotations

import contextlib
import struct
import threading
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.errors import CorruptJournalError, UnsupportedValueError
from eventstate.values.codec import MAX_DEPTH, Codec
from tests.strategies import states
from tests.values.typed import CODEC, REGISTRY, TYPED


def decodes_or_is_refused(data: bytes, codec: Codec = TYPED) -> None:
    try:
        value = codec.decode(data)
    except (CorruptJournalError, UnsupportedValueError):
        return
    with contextlib.suppress(UnsupportedValueError):
        codec.encode_stored(value)


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
        CODEC.encode_stored(CODEC.decode(data))


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
    tracemalloc.start()
    try:
        with pytest.raises(CorruptJournalError):
            CODEC.decode(data)
        assert tracemalloc.get_traced_memory()[1] < 10 * size
    finally:
        tracemalloc.stop()
