"""DescribeProducers over the wire."""

from __future__ import annotations

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.describe_producers import (
    DescribeProducersRequest,
    PartitionResponse,
    ProducerState,
    TopicRequest,
)
from tests.support.data_plane import NOW_MS, DataPlaneClient, batch_of
from tests.support.transaction_client import TransactionClient


async def describe(client: TransactionClient, topic: str, *partitions: int) -> list[PartitionResponse]:
    request = DescribeProducersRequest(topics=[TopicRequest(name=topic, partition_indexes=list(partitions))])
    (answered,) = (await client.ask(request, 0)).topics
    assert answered.name == topic
    return answered.partitions


async def test_producers_are_described_as_the_partition_remembers_them(transactional: TransactionClient) -> None:
    plain = DataPlaneClient(transactional.connection)
    await plain.produce("orders", batch_of(b"a", b"b", producer_id=77, producer_epoch=3, sequence=5))
    (described,) = await describe(transactional, "orders", 0)
    assert (described.error_code, described.error_message) == (0, None)
    assert described.active_producers == [
        ProducerState(
            producer_id=77,
            producer_epoch=3,
            last_sequence=6,
            last_timestamp=NOW_MS + 1,
            coordinator_epoch=-1,
            current_txn_start_offset=-1,
        )
    ]


async def test_an_open_transaction_is_told_until_its_marker_is_there(transactional: TransactionClient) -> None:
    producer = await transactional.begin("payments")
    await transactional.produce_in("payments", producer, {0: 2, 1: 1})
    open_here, open_there, untouched = await describe(transactional, "orders", 0, 1, 2)
    assert [state.current_txn_start_offset for state in open_here.active_producers] == [0]
    assert [state.last_sequence for state in open_there.active_producers] == [0]
    assert untouched.active_producers == []
    await transactional.end("payments", producer)
    (ended,) = await describe(transactional, "orders", 0)
    (state,) = ended.active_producers
    assert (state.current_txn_start_offset, state.coordinator_epoch, state.last_sequence) == (-1, 0, 1)


@pytest.mark.parametrize(
    ("topic", "partition", "expected"),
    [
        ("orders", 9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("orders", -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("others", 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("no name", 0, ErrorCode.INVALID_TOPIC_EXCEPTION),
    ],
)
async def test_each_partition_has_its_own_error(
    transactional: TransactionClient, topic: str, partition: int, expected: ErrorCode
) -> None:
    (described,) = await describe(transactional, topic, partition)
    assert (described.partition_index, described.error_code) == (partition, expected)
    assert described.error_message
    assert described.active_producers == []
