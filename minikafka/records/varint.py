"""Zigzag variable-length integers, as records hold them.

Zigzag folds the sign into bit 0 (0, -1, 1, -2 become 0, 1, 2, 3), so that small negative numbers stay short.  The
result is cut into groups of seven bits, least significant first; the top bit of a byte says that another follows.

Source: Kafka, clients/common/utils/ByteUtils.java (readVarint, readVarlong).
"""

from __future__ import annotations

from typing import Final

from minikafka.errors import InvalidRecord

REMEMBERED_BELOW = 16_384
"""Numbers that occur in batch after batch are below it."""


def encode_varint(value: int) -> bytes:
    """The 1 to 5 bytes of a 32-bit signed integer.

    Raises:
        ValueError: ``value`` does not fit into 32 bits.
    """
    if not -0x8000_0000 <= value <= 0x7FFF_FFFF:
        raise ValueError(f"{value} does not fit into 32 bits")
    return _encode(value)


def encode_varlong(value: int) -> bytes:
    """The 1 to 10 bytes of a 64-bit signed integer.

    Raises:
        ValueError: ``value`` does not fit into 64 bits.
    """
    if not -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
        raise ValueError(f"{value} does not fit into 64 bits")
    return _encode(value)


def decode_varint(data: bytes | memoryview, pos: int) -> tuple[int, int]:
    """The 32-bit integer at ``pos``, and the position after it.

    Raises:
        InvalidRecord: It is longer than 5 bytes or larger than 32 bits.
        IndexError: ``data`` ends within it.
    """
    zigzag, end = decode_zigzag(data, pos, 32)
    return (zigzag >> 1) ^ -(zigzag & 1), end


def decode_varlong(data: bytes | memoryview, pos: int) -> tuple[int, int]:
    """The 64-bit integer at ``pos``, and the position after it.

    Raises:
        InvalidRecord: It is longer than 10 bytes or larger than 64 bits.
        IndexError: ``data`` ends within it.
    """
    zigzag, end = decode_zigzag(data, pos, 64)
    return (zigzag >> 1) ^ -(zigzag & 1), end


def decode_zigzag(data: bytes | memoryview, pos: int, bits: int) -> tuple[int, int]:
    """The integer at ``pos`` with its sign still folded into bit 0, and the position after it.

    Args:
        data: What holds it.
        pos: Where it starts.
        bits: 32 or 64, the most it may have.

    Raises:
        InvalidRecord: It is longer than 5 or 10 bytes, or larger than ``bits``.
        IndexError: ``data`` ends within it.
    """
    byte = data[pos]
    pos += 1
    zigzag = byte & 0x7F
    shift = 0
    while byte > 0x7F:
        shift += 7
        if shift > bits:
            raise InvalidRecord(f"a variable-length integer of {bits} bits goes on after {shift // 7} bytes")
        byte = data[pos]
        pos += 1
        zigzag |= (byte & 0x7F) << shift
    if zigzag >> bits:
        raise InvalidRecord(f"a variable-length integer does not fit into {bits} bits")
    return zigzag, pos


class _Varints(dict[int, bytes]):
    def __missing__(self, value: int) -> bytes:
        encoded = encode_varlong(value)
        if 0 <= value < REMEMBERED_BELOW:
            self[value] = encoded
        return encoded


VARINTS: Final = _Varints()
"""Encoded integers of up to 64 bits, remembered when small."""


def _encode(value: int) -> bytes:
    zigzag = value << 1 if value >= 0 else ~(value << 1)
    encoded = bytearray()
    while zigzag > 0x7F:
        encoded.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    encoded.append(zigzag)
    return bytes(encoded)
