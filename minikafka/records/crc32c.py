"""CRC-32C (Castagnoli), the checksum of a record batch."""

from __future__ import annotations

from collections.abc import Callable

_REFLECTED_POLYNOMIAL = 0x82F63B78


def crc32c_by_table(data: bytes | bytearray | memoryview) -> int:
    """The checksum in plain Python, some ten thousand times slower than :func:`crc32c` usually is."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (_REFLECTED_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(map(_table_entry, range(256)))

crc32c: Callable[[bytes | bytearray | memoryview], int]
"""The checksum of the argument, 0 <= crc < 2**32."""

try:
    from fastcrc.crc32 import iscsi

    crc32c = iscsi
except ImportError:  # a platform without a wheel
    crc32c = crc32c_by_table
