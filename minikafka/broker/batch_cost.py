"""How long a producer's batch would hold up the event loop if it were checked there, judged by its header alone.

Checking is linear in the records, and decompressing in what comes out, which the header does not say: a few kilobytes
of zstd may become gigabytes.  So a small compressed batch is tried with a small budget, and only one that does not fit
goes to another thread, which costs every batch that goes there about 150 microseconds.
"""

from __future__ import annotations

import struct
from enum import Enum

from minikafka.records.batch import HEADER_SIZE
from minikafka.storage.append import is_expensive

LARGE_BYTES = 64 * 1024
"""From this size on, as it comes, a batch is not decompressed or compressed on the loop."""

MANY_RECORDS = 20_000
"""About 10 ms, when they are all of different shapes."""

TRIAL_BUDGET_BYTES = 1024 * 1024
"""What a small compressed batch may become on the loop: about 4 ms of gzip, the slowest."""

# From the layout in minikafka.records.batch: the codec is in the low three bits of the second attribute byte.
_CODEC_AT = 22
_CODEC_MASK = 0x07
_COUNT_AT = 57
_COUNT = struct.Struct(">i")


class Cost(Enum):
    """What checking a batch takes."""

    CHEAP = "cheap"
    UNKNOWN = "unknown until tried"
    DEAR = "dear"


def is_plain(records: memoryview) -> bool:
    """Whether a batch is small and not compressed, as most are, so that it is cheap whatever else it is."""
    size = len(records)
    return size <= LARGE_BYTES and (size <= HEADER_SIZE or not records[_CODEC_AT] & _CODEC_MASK)


def cost_of(records: memoryview) -> Cost:
    """Judge what a request holds for one partition.  What is no batch at all is refused quickly, hence cheap."""
    if len(records) <= HEADER_SIZE:
        return Cost.CHEAP
    if is_expensive(records) or _COUNT.unpack_from(records, _COUNT_AT)[0] > MANY_RECORDS:
        return Cost.DEAR
    return Cost.UNKNOWN if records[_CODEC_AT] & _CODEC_MASK else Cost.CHEAP
