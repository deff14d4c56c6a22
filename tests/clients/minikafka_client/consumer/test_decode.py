from __future__ import annotations

from weakref import WeakSet

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.errors import CorruptMessage, InvalidRecord
from minikafka.records.batch import RecordBatch
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.types import TopicPartition
from minikafka_client.consumer.chunk import Chunk
from minikafka_client.consumer.decode import Decoder, end_offset_of
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.positions import PartitionState, Start
from minikafka_client.errors import DeserializationError
from minikafka_client.serializers import deserialize_json, deserialize_str

ORDERS = TopicPartition("orders", 3)
DECODER = Decoder()


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
    state.chunks.extend(Chunk(memoryview(chunk)) for chunk in chunks)
    return state


def read_all(state: PartitionState, at_a_time: int = 10_000) -> list[Message]:
    messages: list[Message] = []
    while DECODER.decode_ahead(state):
        messages += state.take(at_a_time)
    return messages


@pytest.mark.parametrize("codec", list(Compression))
def test_messages_have_what_their_records_have(codec: Compression) -> None:
    first, second = read_all(state_at(0, batches(2, compression=codec)))
    assert first == Message("orders", 3, 0, 1_000, b"key", b"0", ())
    assert second == Message("orders", 3, 1, 1_000, b"key", b"1", (("h", b"v"),))


@given(st.lists(st.integers(1, 700), min_size=1, max_size=5), st.data())
def test_reading_begins_at_the_position_wherever_in_a_batch_it_is(sizes: list[int], data: st.DataObject) -> None:
    end = sum(sizes)
    position = data.draw(st.integers(0, end))
    at_a_time = data.draw(st.integers(1, 1_000))
    state = state_at(position, batches(*sizes))
    assert [message.offset for message in read_all(state, at_a_time)] == list(range(position, end))
    assert state.position == end


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
    assert DECODER.decode_ahead(state)
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
    assert DECODER.decode_ahead(state)
    assert len(state.take(10)) == 2
    for _ in range(2):
        with pytest.raises(CorruptMessage, match="orders-3 at offset 2"):
            DECODER.decode_ahead(state)
        assert state.position == 2
    state.seek(4)
    assert not DECODER.decode_ahead(state)


def test_a_batch_whose_records_lie_is_not_decoded() -> None:
    batch = RecordBatch.parse(memoryview(batches(2)))
    lying = bytearray(batch.view)
    lying[57:61] = (9).to_bytes(4, "big")
    with pytest.raises(InvalidRecord):
        Decoder(check_crcs=False).decode_ahead(state_at(0, bytes(lying)))


def test_a_large_batch_is_decoded_in_parts_and_every_position_is_that_of_the_next_message() -> None:
    state = state_at(0, batches(1_700, 3))
    seen = []
    while DECODER.decode_ahead(state):
        assert len(state.messages) <= 500
        assert state.chunks[0].rest is not None or len(state.messages) < 500
        while (message := next(state.decoded, None)) is not None:
            seen.append(message.offset)
            assert state.position == message.offset + 1
    assert seen == list(range(1_703))


def test_messages_that_were_handed_out_are_let_go_before_the_next_are_made() -> None:
    class Value:
        pass

    alive: WeakSet[Value] = WeakSet()
    counts = []

    def value_of(data: bytes | None) -> Value:
        value = Value()
        alive.add(value)
        counts.append(len(alive))
        return value

    decoder = Decoder(value_deserializer=value_of)
    state = state_at(0, batches(1_500))
    while decoder.decode_ahead(state):
        state.take(500)
    assert len(counts) == 1_500
    assert max(counts) == 500


def test_lies_late_in_a_large_batch_are_met_after_the_messages_before_them_again_and_again() -> None:
    raw = bytearray(batches(1_201))
    raw[-1] = 2  # the last record claims a header that is not there
    state = state_at(0, bytes(raw))
    decoder = Decoder(check_crcs=False)
    seen = []
    for _ in range(2):
        with pytest.raises(InvalidRecord):
            while decoder.decode_ahead(state):
                seen += [message.offset for message in state.take(10_000)]
    assert seen == sorted(set(seen))
    assert len(seen) >= 1_000
    assert state.position == len(seen)
    state.seek(1)
    assert not decoder.decode_ahead(state)


def test_nothing_read_ahead_is_nothing_to_decode() -> None:
    assert not DECODER.decode_ahead(state_at(0))


def deserialized(decoder: Decoder, state: PartitionState) -> list[Message]:
    assert decoder.decode_ahead(state)
    return state.take(10_000)


def test_deserializers_make_keys_and_values() -> None:
    decoder = Decoder(key_deserializer=deserialize_str, value_deserializer=lambda value: int(value or 0))
    messages = deserialized(decoder, state_at(0, batches(3)))
    assert [(message.key, message.value) for message in messages] == [("key", 0), ("key", 1), ("key", 2)]


@pytest.mark.parametrize("codec", [Compression.NONE, Compression.LZ4])
def test_a_failing_deserializer_skips_nothing_and_names_the_message(codec: Compression) -> None:
    def refuse_4(value: bytes | None) -> bytes | None:
        if value == b"4":
            raise LookupError("four")
        return value

    decoder = Decoder(value_deserializer=refuse_4)
    state = state_at(0, batches(2, 5, 2, compression=codec))
    assert [message.offset for message in deserialized(decoder, state)] == [0, 1, 2, 3]
    assert state.position == 4
    for _ in range(2):
        with pytest.raises(DeserializationError, match=r"orders-3@4: the value .*four") as raised:
            decoder.decode_ahead(state)
        assert (raised.value.topic_partition, raised.value.offset) == (ORDERS, 4)
        assert raised.value.message == Message("orders", 3, 4, 1_000, b"key", b"4", ())
        assert isinstance(raised.value.__cause__, LookupError)
        assert state.position == 4
    state.seek(5)
    state.chunks.append(Chunk(memoryview(batches(2, 5, 2, compression=codec))))
    assert [message.offset for message in deserialized(decoder, state)] == [5, 6, 7, 8]


def test_a_failing_key_deserializer_says_so() -> None:
    with pytest.raises(DeserializationError, match="orders-3@0: the key"):
        Decoder(key_deserializer=deserialize_json).decode_ahead(state_at(0, batches(1)))


def test_an_error_does_not_hold_the_whole_of_a_large_value() -> None:
    builder = RecordBatchBuilder()
    builder.append(1_000, None, b"\xff" * 100_000)
    with pytest.raises(DeserializationError) as raised:
        Decoder(value_deserializer=int).decode_ahead(state_at(0, builder.build()))
    assert str(raised.value).startswith("orders-3@0: the value cannot be deserialized: ValueError: invalid literal")
    assert len(str(raised.value)) < 300
