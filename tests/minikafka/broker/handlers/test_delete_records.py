from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from minikafka.replication.state import OffsetSpec
from tests.support.broker import RunningBroker, running_broker
from tests.support.data_plane import DataPlaneClient, batch_of, connected, fresh_client, values_of

VERSIONS = DeleteRecordsRequest.VALID


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBroker]:
    """One for the module: starting it takes longer than most tests."""
    async with running_broker(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(broker: RunningBroker) -> AsyncIterator[DataPlaneClient]:
    async with fresh_client(broker) as made:
        await made.create_topic("t", partitions=2)
        for value in (b"a", b"b", b"c", b"d"):
            await made.produce("t", batch_of(value))
        yield made


async def delete(
    client: DataPlaneClient, *offsets: tuple[int, int], topic: str = "t", version: int = 2
) -> list[tuple[int, int, int]]:
    """Partition, error code and low watermark of each answer to (partition, offset)."""
    partitions = [DeleteRecordsPartition(partition_index=index, offset=offset) for index, offset in offsets]
    request = DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=topic, partitions=partitions)], timeout_ms=10_000)
    (answered,) = (await client.ask(request, version)).topics
    return [(p.partition_index, p.error_code, p.low_watermark) for p in answered.partitions]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_log_starts_at_the_offset_that_is_named(client: DataPlaneClient, version: int) -> None:
    assert await delete(client, (0, 2), version=version) == [(0, 0, 2)]
    assert (await client.list_offset("t", OffsetSpec.EARLIEST)).offset == 2
    assert (await client.fetch("t", 1)).error_code == ErrorCode.OFFSET_OUT_OF_RANGE
    got = await client.fetch("t", 2)
    assert (values_of(got.records), got.log_start_offset) == ([b"c", b"d"], 2)


async def test_minus_1_deletes_everything_that_is_committed(client: DataPlaneClient) -> None:
    assert await delete(client, (0, -1)) == [(0, 0, 4)]
    assert (await client.fetch("t", 4)).records == b""
    assert (await client.produce("t", batch_of(b"e"))).base_offset == 4


async def test_what_is_already_gone_can_be_deleted_again(client: DataPlaneClient) -> None:
    await delete(client, (0, 3))
    assert await delete(client, (0, 1)) == [(0, 0, 3)]


@pytest.mark.parametrize("offset", [5, -2, 2**63 - 1])
async def test_an_offset_outside_the_log_is_out_of_range(client: DataPlaneClient, offset: int) -> None:
    assert await delete(client, (0, offset)) == [(0, ErrorCode.OFFSET_OUT_OF_RANGE, -1)]
    assert (await client.list_offset("t", OffsetSpec.EARLIEST)).offset == 0


async def test_each_partition_is_answered_for_itself_and_the_last_of_two_offsets_counts(
    client: DataPlaneClient,
) -> None:
    assert await delete(client, (0, 3), (7, 0), (1, 0), (0, 1)) == [
        (0, 0, 1),
        (7, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1),
        (1, 0, 0),
    ]


async def test_a_topic_that_is_only_compacted_keeps_its_records(client: DataPlaneClient) -> None:
    await client.create_topic("c", configs={"cleanup.policy": "compact"})
    await client.produce("c", batch_of(b"v", key=b"k"))
    assert await delete(client, (0, 1), topic="c") == [(0, ErrorCode.POLICY_VIOLATION, -1)]


async def test_internal_topics_are_not_for_clients(client: DataPlaneClient) -> None:
    assert await delete(client, (0, -1), topic="__consumer_offsets") == [(0, ErrorCode.INVALID_TOPIC_EXCEPTION, -1)]


async def test_deleted_records_stay_deleted_after_a_restart(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as broker, connected(broker) as client:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a"))
        await client.produce("t", batch_of(b"b"))
        await delete(client, (0, 1))
    async with running_broker(tmp_path) as broker, connected(broker) as client:
        assert (await client.list_offset("t", OffsetSpec.EARLIEST)).offset == 1
        assert values_of((await client.fetch("t", 1)).records) == [b"b"]
