"""LZF, listpacks and ziplists: what was packed comes out, and what was not is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstate.errors import ImportFailedError
from eventstate.importers.packed import LZF_RATIO, MalformedError, read_listpack, read_ziplist, unpack_lzf


def compressed(data: bytes) -> bytes:
    """Compress as LZF does, with the longest match that is near."""
    out, place = b"", 0
    while place < len(data):
        best = (0, 0)
        for back in range(1, min(place, 40) + 1):
            size = 0
            while size < 264 and place + size < len(data) and data[place + size - back] == data[place + size]:
                size += 1
            best = max(best, (size, -back))
        size, back = best[0], -best[1]
        if size < 3:
            out += bytes([0, data[place]])
            place += 1
            continue
        code = min(size - 2, 7)
        more = bytes([size - 9]) if code == 7 else b""
        out += bytes([code << 5 | (back - 1) >> 8]) + more + bytes([(back - 1) & 0xFF])
        place += size
    return out


@given(st.lists(st.sampled_from([b"a", b"ab", b"lorem ", b"x" * 300, b"\0"])).map(b"".join))
def test_what_lzf_compressed_comes_out_again(data: bytes) -> None:
    assert unpack_lzf(compressed(data), len(data)) == data


def test_three_bytes_give_as_much_as_the_bound_says() -> None:
    packed = b"\0x" + b"\xe0\xff\0" * 100
    size = 1 + 264 * 100
    assert unpack_lzf(packed, size) == b"x" * size
    assert LZF_RATIO * 3 == 264


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [
        (b"\x02ab", 3, "cut off"),
        (b"\x20", 3, "cut off"),
        (b"\0x\xe0\xff", 265, "cut off"),
        (b"\0x\x20\x01", 4, "before its start"),
        (b"\0x", 2, "the 2 bytes"),
        (b"\0x\0y", 1, "the 1 bytes"),
        (b"\0x\0y\x20", 1, "the 1 bytes"),  # it ends as soon as there is too much
        (b"\0x\xe0\xff\0", 5, "the 5 bytes"),
        (b"\0x", 177, "can't give 177"),
    ],
)
def test_malformed_lzf_is_refused(data: bytes, size: int, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        unpack_lzf(data, size)


@pytest.mark.proves("hostile")
@given(st.binary(max_size=60), st.integers(0, 2000))
def test_any_bytes_as_lzf_are_refused_or_give_the_size_that_was_told(data: bytes, size: int) -> None:
    try:
        assert len(unpack_lzf(data, size)) == size
    except MalformedError as error:
        assert "LZF" in str(error)  # noqa: PT017 - some are right


@pytest.mark.proves("hostile")
@pytest.mark.parametrize("read", [read_listpack, read_ziplist])
@given(data=st.binary(max_size=60), framed=st.booleans())
def test_any_bytes_as_a_packed_list_are_refused_or_read(read: object, data: bytes, *, framed: bool) -> None:
    assert callable(read)
    if framed:
        data = (len(data) + 7).to_bytes(4, "little") + b"\xff\xff" + data + b"\xff"
    try:
        assert all(isinstance(item, bytes) for item in read(data, "dump.rdb", 77))
    except ImportFailedError as error:
        assert str(error).startswith("dump.rdb, byte 77: ")  # noqa: PT017 - some are right
