"""WriteTxnMarkers over the wire, and what of it can only be held still without one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from minikafka.broker.context import RequestContext
from minikafka.broker.handlers.write_txn_markers import WriteTxnMarkersHandler
from minikafka.errors import (
    CoordinatorLoadInProgress,
    CoordinatorNotAvailable,
    ErrorCode,
    KafkaError,
    NotCoordinator,
    StorageError,
)
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)
from minikafka.types import ProducerIdAndEpoch
from tests.support.control_plane import versions_of
from tests.support.data_plane import DataPlaneClient
from tests.support.transaction_client import TransactionClient

VERSIONS = versions_of(ApiKey.WRITE_TXN_MARKERS)

Codes = dict[tuple[int, str, int], int]


def marker(
    producer: ProducerIdAndEpoch,
    *partitions: int,
    topic: str = "orders",
    commit: bool = True,
    coordinator_epoch: int = 0,
    transaction_version: int = 0,
) -> WritableTxnMarker:
    return WritableTxnMarker(
        producer_id=producer.producer_id,
        producer_epoch=producer.producer_epoch,
        transaction_result=commit,
        topics=[WritableTxnMarkerTopic(name=topic, partition_indexes=list(partitions))],
        coordinator_epoch=coordinator_epoch,
        transaction_version=transaction_version,
    )


def codes_of(answer: WriteTxnMarkersResponse) -> Codes:
    return {
        (of_producer.producer_id, topic.name, partition.partition_index): partition.error_code
        for of_producer in answer.markers
        for topic in of_producer.topics
        for partition in topic.partitions
    }


async def write(client: TransactionClient, version: int, *markers: WritableTxnMarker) -> Codes:
    return codes_of(await client.ask(WriteTxnMarkersRequest(markers=list(markers)), version))


async def open_transaction(client: TransactionClient) -> ProducerIdAndEpoch:
    producer = await client.begin("payments")
    await client.produce_in("payments", producer, {0: 1, 1: 1})
    return producer


async def readable_end(client: TransactionClient, partition: int) -> int:
    """The last stable offset."""
    return (await DataPlaneClient(client.connection).fetch("orders", 0, partition=partition)).last_stable_offset


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_marker_ends_a_transaction_in_the_partitions_that_are_named(
    transactional: TransactionClient, version: int, commit: bool
) -> None:
    producer = await open_transaction(transactional)
    answered = await write(transactional, version, marker(producer, 0, commit=commit))
    assert answered == {(producer.producer_id, "orders", 0): 0}
    assert [await readable_end(transactional, partition) for partition in (0, 1)] == [2, 0]
    aborted = await DataPlaneClient(transactional.connection).fetch("orders", 0, isolation_level=1)
    assert len(aborted.aborted_transactions or []) == (0 if commit else 1)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_old_epoch_is_fenced(transactional: TransactionClient, version: int) -> None:
    producer = ProducerIdAndEpoch(900, 5)
    old = ProducerIdAndEpoch(900, 4)
    assert await write(transactional, version, marker(producer, 0, coordinator_epoch=7)) == {(900, "orders", 0): 0}
    refused = await write(transactional, version, marker(old, 0, coordinator_epoch=7))
    assert refused == {(900, "orders", 0): ErrorCode.INVALID_PRODUCER_EPOCH}
    refused = await write(transactional, version, marker(producer, 0, coordinator_epoch=6))
    assert refused == {(900, "orders", 0): ErrorCode.TRANSACTION_COORDINATOR_FENCED}


async def test_from_version_2_on_a_marker_of_transaction_version_2_has_an_epoch_above_that_of_the_records(
    transactional: TransactionClient,
) -> None:
    producer = await open_transaction(transactional)
    where = (producer.producer_id, "orders", 0)
    late = await write(transactional, 2, marker(producer, 0, transaction_version=2))
    assert late == {where: ErrorCode.INVALID_PRODUCER_EPOCH}
    bumped = ProducerIdAndEpoch(producer.producer_id, producer.producer_epoch + 1)
    assert await write(transactional, 2, marker(bumped, 0, transaction_version=2)) == {where: 0}


async def test_each_partition_of_each_producer_has_its_own_result(transactional: TransactionClient) -> None:
    first, second = ProducerIdAndEpoch(900, 0), ProducerIdAndEpoch(901, 0)
    answered = await write(
        transactional, 1, marker(first, 0, 9), marker(second, 0, topic="others"), marker(first, 3, commit=False)
    )
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert answered == {
        (900, "orders", 0): 0,
        (900, "orders", 9): unknown,
        (900, "orders", 3): 0,
        (901, "others", 0): unknown,
    }


async def test_without_markers_there_is_nothing_to_answer(transactional: TransactionClient) -> None:
    assert await write(transactional, 1) == {}


def context(received_at: float) -> RequestContext:
    connection = ConnectionInfo(1, Address("127.0.0.1", 5000), Address("127.0.0.1", 9092), "PLAINTEXT")
    return RequestContext(connection, 1, "test", 1, received_at)


async def ask(write_marker: Any, *, received_ago_s: float = 0) -> Codes:
    received_at = asyncio.get_running_loop().time() - received_ago_s
    request = WriteTxnMarkersRequest(markers=[marker(ProducerIdAndEpoch(1, 0), 0)])
    return codes_of(await WriteTxnMarkersHandler(write_marker)(request, context(received_at)))


async def test_a_marker_is_answered_when_it_is_durable_or_its_log_has_failed() -> None:
    for error in (None, StorageError("the disk")):
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answering = asyncio.ensure_future(ask(lambda _where, _marker, durable=durable: durable))
        await asyncio.sleep(0)
        assert not answering.done()
        durable.set_result(None) if error is None else durable.set_exception(error)
        assert await answering == {(1, "orders", 0): 0 if error is None else error.code}


async def test_a_marker_that_is_not_durable_in_time_has_timed_out() -> None:
    durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answered = await ask(lambda _where, _marker: durable, received_ago_s=60)
    assert answered == {(1, "orders", 0): ErrorCode.REQUEST_TIMED_OUT}


@pytest.mark.parametrize(
    "error",
    [NotCoordinator("x"), CoordinatorNotAvailable("x"), CoordinatorLoadInProgress("x")],
    ids=lambda error: error.code.name,
)
async def test_groups_that_are_not_ready_are_looked_for_again(error: KafkaError) -> None:
    def write_marker(_where: object, _marker: object) -> None:
        raise error

    assert await ask(write_marker) == {(1, "orders", 0): ErrorCode.NOT_LEADER_OR_FOLLOWER}
