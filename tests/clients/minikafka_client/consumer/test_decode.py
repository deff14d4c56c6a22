from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikafka.errors import CorruptMessage, InvalidRecord
from minikafka.records.batch import RecordBatch
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.types import TopicPartition
from minikafka_client.consumer.decode import decode_ahead, end_offset_of
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.positions import PartitionState, Start

ORDERS = TopicPartition("orders", 3)


def batches(*sizes: int, compression: Compression = Compression.NONE, first_offset: int = 0) -> bytes:
    """Batches of so many records; the value of each is its offset."""
    made = b""
    offset = first_offset
    for size in sizes:
        builder = RecordBatchBuilder(compression)
        for number in range(size):
            builder.append(1_000, b"key", b"%d" % (offset + number), [("h", b"v")] if number % 2 else [])
        made += builder.build(base_offset=offset)
        offset += size
    return made


def state_at(position: int, *chunks: bytes) -> PartitionState:
    state = PartitionState(ORDERS, Start.EARLIEST)
    state.seek(position)
    state.chunks.extend(map(memoryview, chunks))
    return state


def read_all(state: PartitionState, at_a_time: int = 10_000) -> list[Message]:
    messages: list[Message] = []
    while decode_ahead(state, check_crcs=True):
        messages += state.take(at_a_time)
    return messages


@pytest.mark.parametrize("codec", list(Compression))
def test_messages_have_what_their_records_have(codec: Compression) -> None:
    first, second = read_all(state_at(0, batches(2, compression=codec)))
    assert first == Message("orders", 3, 0, 1_000, b"key", b"0", ())
    assert second == Message("orders", 3, 1, 1_000, b"key", b"1", (("h", b"v"),))


@settings(deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=5), st.data())
def test_reading_begins_at_the_position_wherever_in_a_batch_it_is(sizes: list[int], data: st.DataObject) -> None:
    end = sum(sizes)
    position = data.draw(st.integers(0, end))
    at_a_time = data.draw(st.integers(1, 1_000))
    state = state_at(position, batches(*sizes))
    assert [message.offset for message in read_all(state, at_a_time)] == list(range(position, end))
    assert state.position == end


@settings(deadline=None)
@given(st.integers(0, 400))
def test_a_batch_that_is_cut_off_is_left_to_the_next_fetch(missing: int) -> None:
    whole = batches(3, 3)
    cut = whole[: len(whole) - missing]
    state = state_at(0, cut)
    expected = 6 if not missing else 3 if len(cut) >= len(batches(3)) else 0
    assert [message.offset for message in read_all(state)] == list(range(expected))
    assert state.position == expected
    assert end_offset_of(memoryview(cut)) == (expected or None)


def test_many_small_batches_are_decoded_together() -> None:
    state = state_at(0, batches(*[1] * 600))
    assert decode_ahead(state, check_crcs=True)
    assert len(state.messages) == 500
    assert len(read_all(state)) == 600


def test_several_chunks_are_read_in_their_order() -> None:
    state = state_at(0, batches(2), batches(2, first_offset=2))
    assert [message.offset for message in read_all(state)] == [0, 1, 2, 3]


def test_a_gap_is_passed_over() -> None:
    state = state_at(1, batches(2, first_offset=10))
    assert [message.offset for message in read_all(state)] == [10, 11]
    assert state.position == 12


def test_a_damaged_batch_is_met_after_the_messages_before_it() -> None:
    data = bytearray(batches(2, 2))
    data[-1] ^= 1
    state = state_at(0, bytes(data))
    assert decode_ahead(state, check_crcs=True)
    assert len(state.take(10)) == 2
    for _ in range(2):
        with pytest.raises(CorruptMessage, match="orders-3 at offset 2"):
            decode_ahead(state, check_crcs=True)
        assert state.position == 2
    state.seek(4)
    assert not decode_ahead(state, check_crcs=True)


def test_a_batch_whose_records_lie_is_not_decoded() -> None:
    batch = RecordBatch.parse(memoryview(batches(2)))
    lying = bytearray(batch.view)
    lying[57:61] = (9).to_bytes(4, "big")
    with pytest.raises(InvalidRecord):
        decode_ahead(state_at(0, bytes(lying)), check_crcs=False)


def test_nothing_read_ahead_is_nothing_to_decode() -> None:
    assert not decode_ahead(state_at(0), check_crcs=True)
