"""DescribeLogDirs over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka.broker.context import RequestContext
from minikafka.broker.handlers.describe_log_dirs import DescribeLogDirsHandler, DiskSpace, disk_space
from minikafka.config.topic import TopicConfig
from minikafka.errors import ErrorCode
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.describe_log_dirs import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
    DescribeLogDirsResult,
)
from minikafka.storage.log_manager import LogManager
from minikafka.types import TopicPartition, new_uuid
from tests.support.broker import RunningBroker, running_broker
from tests.support.clock import ManualClock
from tests.support.control_plane import ControlPlaneClient, administering, versions_of
from tests.support.memory_fs import MemoryFileSystem


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    directories = f"log.dirs={tmp_path / 'one'},{tmp_path / 'two'}"
    async with running_broker(tmp_path / "one", directories) as running:
        yield running


@pytest.fixture
async def client(broker: RunningBroker) -> AsyncIterator[ControlPlaneClient]:
    async with administering(broker) as connected:
        yield connected


def sizes(result: DescribeLogDirsResult) -> dict[tuple[str, int], int]:
    return {
        (topic.name, partition.partition_index): partition.partition_size
        for topic in result.topics
        for partition in topic.partitions
    }


def segment_size(root: Path, partition: str) -> int:
    (segment,) = root.glob(f"*/{partition}/*.log")
    return segment.stat().st_size


@pytest.mark.parametrize("version", versions_of(ApiKey.DESCRIBE_LOG_DIRS))
async def test_every_log_is_in_one_directory_with_its_size(
    broker: RunningBroker, client: ControlPlaneClient, tmp_path: Path, version: int
) -> None:
    await client.create_topic("orders", 3)
    await client.produce("orders", 1)
    answer = await client.ask(DescribeLogDirsRequest(topics=None), version)
    assert answer.error_code == 0
    assert {Path(result.log_dir) for result in answer.results} == {tmp_path / "one", tmp_path / "two"}
    found = {partition: size for result in answer.results for partition, size in sizes(result).items()}
    assert found.keys() == {("orders", 0), ("orders", 1), ("orders", 2)}
    assert found["orders", 1] == segment_size(tmp_path, "orders-1") > 0
    for result in answer.results:
        assert (result.error_code, result.is_cordoned) == (0, False)
        for topic in result.topics:
            assert not any(partition.is_future_key or partition.offset_lag for partition in topic.partitions)
        if version >= 4:
            assert 0 < result.usable_bytes <= result.total_bytes
        else:
            assert (result.total_bytes, result.usable_bytes) == (-1, -1)


async def test_only_the_partitions_asked_for_are_described(client: ControlPlaneClient) -> None:
    await client.create_topic("orders", 3)
    await client.create_topic("payments")
    wanted = [
        DescribableLogDirTopic(topic="orders", partitions=[0, 2, 9]),
        DescribableLogDirTopic(topic="../x", partitions=[0]),
    ]
    answer = await client.ask(DescribeLogDirsRequest(topics=wanted), 5)
    assert {partition for result in answer.results for partition in sizes(result)} == {("orders", 0), ("orders", 2)}
    none = await client.ask(DescribeLogDirsRequest(topics=[]), 5)
    assert [result.topics for result in none.results] == [[], []]


def test_a_directory_that_failed_is_an_error_of_its_own() -> None:
    manager = LogManager([Path("/good"), Path("/bad")], MemoryFileSystem(), ManualClock(), TopicConfig())
    manager.lock()
    manager.create(TopicPartition("orders", 0), new_uuid())
    manager.create(TopicPartition("orders", 1), new_uuid())
    manager.directories[1].fail("the disk is on fire")
    handler = DescribeLogDirsHandler(manager, lambda directory: DiskSpace(10, 5))
    good, bad = handler(DescribeLogDirsRequest(topics=None), context(5)).results
    assert (good.error_code, good.log_dir, good.total_bytes, good.usable_bytes) == (0, "/good", 10, 5)
    assert sizes(good).keys() == {("orders", 0)}
    assert (bad.error_code, bad.log_dir, bad.topics) == (ErrorCode.KAFKA_STORAGE_ERROR, "/bad", [])


def context(version: int) -> RequestContext:
    here = Address("127.0.0.1", 9092)
    return RequestContext(ConnectionInfo(1, here, here, "PLAINTEXT"), version, "test", 1, 0.0)


def test_the_space_of_a_directory_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    assert disk_space(tmp_path / "absent") == DiskSpace(-1, -1)
