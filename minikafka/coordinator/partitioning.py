"""Which partition of an internal topic holds the state of a group or of a transaction, and so who coordinates it.

Other implementations, and the tools that read these topics, compute the same: it is Java's ``String.hashCode``.

Source: Kafka, GroupCoordinatorService.partitionFor, TransactionStateManager.partitionFor.
"""

from __future__ import annotations

import struct
from functools import lru_cache

_REMEMBERED = 512
"""Of those who are asked for again and again; a name may have 32 KiB."""

_LOW_32_BITS = 0xFFFF_FFFF
_SIGN_BIT = 0x8000_0000


@lru_cache(_REMEMBERED)
def partition_for(key: str, partition_count: int) -> int:
    """The partition of a group id or transactional id."""
    return _absolute(_java_hash(key)) % partition_count


def _java_hash(text: str) -> int:
    """Java's hash of a string, from its UTF-16 code units, as 32 bits without sign."""
    units = text.encode("utf-16-be", "surrogatepass")
    result = 0
    for (unit,) in struct.iter_unpack(">H", units):
        result = (31 * result + unit) & _LOW_32_BITS
    return result


def _absolute(bits: int) -> int:
    """The absolute value of a signed number of 32 bits; 0 of the lowest, whose own does not fit."""
    if bits == _SIGN_BIT:
        return 0
    return (1 << 32) - bits if bits & _SIGN_BIT else bits
