from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.broker.batch_cost import LARGE_BYTES, MANY_RECORDS, Cost, cost_of, is_plain
from minikafka.records.batch import HEADER_SIZE
from minikafka.records.compression import Compression
from tests.support.data_plane import batch_of

CODECS = [codec for codec in Compression if codec]


def with_count(batch: bytes, count: int) -> memoryview:
    changed = bytearray(batch)
    struct.pack_into(">i", changed, 57, count)
    return memoryview(changed)


@pytest.mark.parametrize("size", [1, 100, 1_000_000])
def test_a_batch_that_is_not_compressed_is_cheap_at_any_size(size: int) -> None:
    assert cost_of(memoryview(batch_of(bytes(size)))) is Cost.CHEAP


@pytest.mark.parametrize("codec", CODECS)
def test_a_small_compressed_batch_must_be_tried(codec: Compression) -> None:
    assert cost_of(memoryview(batch_of(b"value", compression=codec))) is Cost.UNKNOWN


@pytest.mark.parametrize("codec", CODECS)
def test_a_large_compressed_batch_is_dear(codec: Compression) -> None:
    batch = batch_of(b"value", compression=codec)
    assert cost_of(memoryview(batch + bytes(LARGE_BYTES))) is Cost.DEAR


@pytest.mark.parametrize("codec", list(Compression))
def test_very_many_records_are_dear_however_they_come(codec: Compression) -> None:
    batch = batch_of(b"value", compression=codec)
    assert cost_of(with_count(batch, MANY_RECORDS + 1)) is Cost.DEAR
    assert cost_of(with_count(batch, MANY_RECORDS)) is not Cost.DEAR


@given(st.binary(max_size=2 * HEADER_SIZE))
def test_anything_can_be_judged(records: bytes) -> None:
    cost = cost_of(memoryview(records))
    if len(records) <= HEADER_SIZE:
        assert cost is Cost.CHEAP
        assert is_plain(memoryview(records))


def test_plain_is_what_is_small_and_not_compressed() -> None:
    assert is_plain(memoryview(batch_of(b"value")))
    assert not is_plain(memoryview(batch_of(bytes(LARGE_BYTES))))
    assert not any(is_plain(memoryview(batch_of(b"value", compression=codec))) for codec in CODECS)
