"""The bytes below are written out by hand from the structures in Kafka's sources."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.transaction.metadata import (
    MAX_EPOCH,
    TransactionMetadata,
    TransactionVersion,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from minikafka.coordinator.transaction.states import TransactionState
from minikafka.protocol.errors import DecodeError
from minikafka.types import NO_PRODUCER_EPOCH, TopicPartition

EMPTY = TransactionMetadata(7, 2, 60_000, last_update_timestamp_ms=99)
ONGOING = TransactionMetadata(
    7,
    2,
    60_000,
    TransactionState.ONGOING,
    partitions=frozenset({TopicPartition("b", 1), TopicPartition("a", 3), TopicPartition("a", 0)}),
    start_timestamp_ms=98,
    last_update_timestamp_ms=99,
)
ENDING = TransactionMetadata(
    7,
    MAX_EPOCH,
    60_000,
    TransactionState.PREPARE_COMMIT,
    previous_producer_id=7,
    next_producer_id=8,
    start_timestamp_ms=98,
    last_update_timestamp_ms=99,
    client_version=TransactionVersion.TV_2,
)

GOLDEN = {
    "empty: partitions are null": (
        EMPTY,
        struct.pack(">hqhib", 1, 7, 2, 60_000, 0) + b"\0" + struct.pack(">qq", 99, -1) + b"\0",
    ),
    "ongoing": (
        ONGOING,
        struct.pack(">hqhib", 1, 7, 2, 60_000, 1)
        + b"\3"
        + b"\2a\3"
        + struct.pack(">ii", 0, 3)
        + b"\0"
        + b"\2b\2"
        + struct.pack(">i", 1)
        + b"\0"
        + struct.pack(">qq", 99, 98)
        + b"\0",
    ),
    "ending, and the next producer id in tagged fields": (
        ENDING,
        struct.pack(">hqhib", 1, 7, MAX_EPOCH, 60_000, 2)
        + b"\1"
        + struct.pack(">qq", 99, 98)
        + b"\3"
        + b"\0\x08"
        + struct.pack(">q", 7)
        + b"\1\x08"
        + struct.pack(">q", 8)
        + b"\2\2"
        + struct.pack(">h", 2),
    ),
}


def test_the_key_is_the_transactional_id() -> None:
    assert encode_key("payments") == b"\0\0" + b"\0\x08payments"
    assert decode_key(encode_key("payments")) == "payments"


@pytest.mark.parametrize("name", GOLDEN)
def test_values_are_written_as_kafka_writes_them(name: str) -> None:
    metadata, expected = GOLDEN[name]
    assert encode_value(metadata) == expected
    assert decode_value(expected) == metadata


def test_values_of_version_0_are_read() -> None:
    value = struct.pack(">hqhib", 0, 7, 2, 60_000, 1) + struct.pack(">ih", 1, 1) + b"a" + struct.pack(">ii", 1, 5)
    read = decode_value(value + struct.pack(">qq", 99, 98))
    assert (read.producer_id, read.state, read.partitions) == (7, TransactionState.ONGOING, {TopicPartition("a", 5)})
    assert (read.last_update_timestamp_ms, read.start_timestamp_ms) == (99, 98)
    assert read.client_version is TransactionVersion.TV_0


def test_keys_of_other_types_are_passed_over() -> None:
    assert decode_key(b"\0\1" + b"\0\1a") is None


def test_a_state_that_does_not_exist_is_refused() -> None:
    value = bytearray(encode_value(EMPTY))
    value[16] = 8
    with pytest.raises(DecodeError, match="state 8"):
        decode_value(bytes(value))


@given(st.binary(max_size=80))
def test_bytes_that_are_no_record_are_refused_or_read_but_nothing_else(content: bytes) -> None:
    for decode in (decode_key, decode_value):
        try:
            decode(content)
        except DecodeError:
            continue


@given(
    st.builds(
        TransactionMetadata,
        producer_id=st.integers(0, 2**63 - 1),
        producer_epoch=st.integers(0, MAX_EPOCH),
        timeout_ms=st.integers(1, 2**31 - 1),
        state=st.sampled_from(list(TransactionState)),
        last_producer_epoch=st.just(NO_PRODUCER_EPOCH),  # which is not in the log
        previous_producer_id=st.integers(-1, 2**63 - 1),
        next_producer_id=st.integers(-1, 2**63 - 1),
        partitions=st.frozensets(
            st.builds(TopicPartition, st.text(max_size=20), st.integers(0, 2**31 - 1)), max_size=4
        ),
        start_timestamp_ms=st.integers(-1, 2**63 - 1),
        last_update_timestamp_ms=st.integers(-1, 2**63 - 1),
        client_version=st.sampled_from(list(TransactionVersion)),
    )
)
def test_what_is_written_is_read(metadata: TransactionMetadata) -> None:
    if metadata.state is TransactionState.EMPTY:
        metadata = metadata._replace(partitions=frozenset())  # it has null there
    assert decode_value(encode_value(metadata)) == metadata


def test_a_state_follows_only_what_the_table_has_before_it() -> None:
    ONGOING.check_follows(TransactionState.EMPTY)
    with pytest.raises(RuntimeError, match="Empty cannot become PrepareCommit"):
        ENDING.check_follows(TransactionState.EMPTY)
