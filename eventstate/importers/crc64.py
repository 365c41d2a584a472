"""The checksum of RDB files: CRC-64/REDIS, Jones' polynomial, reflected, from 0 and without a final xor.

The parameters are those of crc64.c in the Redis sources; of the digits 1 to 9 it is 0xE9C6D914C4B8D9CA.
"""

from __future__ import annotations

import functools
from array import array
from typing import Final

_POLYNOMIAL: Final = 0x95AC9329AC4BC9B5  # 0xAD93D23594C935A9 with its bits reversed


@functools.cache
def _table() -> array[int]:
    """Give what each pair of bytes makes of a checksum: half the steps of a table of single bytes."""
    single = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        single.append(crc)
    double = array("Q", bytes(8 << 16))
    for pair in range(1 << 16):
        crc = single[pair & 0xFF]
        double[pair] = crc >> 8 ^ single[(crc ^ pair >> 8) & 0xFF]
    return double


def crc64(data: bytes, crc: int = 0) -> int:
    """Go on with a checksum over more data.

    Args:
        data: any bytes.
        crc: the checksum of what came before.
    """
    table = _table()
    paired = len(data) & ~1
    for low, high in zip(data[:paired:2], data[1:paired:2], strict=True):
        crc = crc >> 16 ^ table[(crc ^ (low | high << 8)) & 0xFFFF]
    if len(data) != paired:
        crc = crc >> 8 ^ _single(crc & 0xFF ^ data[-1])
    return crc


def _single(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc
