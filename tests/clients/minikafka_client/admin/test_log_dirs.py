from __future__ import annotations

from pathlib import Path

import pytest

from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.describe_log_dirs import DescribeLogDirsResponse, DescribeLogDirsResult
from minikafka_client import AsyncAdmin, AsyncProducer, NewTopic, TopicPartition
from tests.clients.support.fake_cluster import FakeCluster


async def test_directories_are_described_with_what_lies_in_them(
    admin: AsyncAdmin, bootstrap: str, tmp_path: Path
) -> None:
    await admin.create_topics([NewTopic("orders", num_partitions=2)])
    async with AsyncProducer(bootstrap) as producer:
        await producer.send_and_wait("orders", bytes(1_000), partition=1)
    (broker,) = (await admin.describe_cluster()).brokers
    described = await admin.describe_log_dirs()
    assert (await admin.describe_log_dirs([broker.node_id])).keys() == described.keys()
    ((path, directory),) = described[broker.node_id].items()
    assert Path(path) == tmp_path
    assert directory.error is None
    assert 0 < directory.usable_bytes <= directory.total_bytes
    assert directory.replicas[TopicPartition("orders", 0)].size_bytes == 0
    stored = directory.replicas[TopicPartition("orders", 1)]
    assert stored.size_bytes == (tmp_path / "orders-1" / f"{0:020}.log").stat().st_size
    assert (stored.offset_lag, stored.is_future) == (0, False)


async def test_a_directory_that_is_offline_does_not_hide_the_others(two_brokers: FakeCluster) -> None:
    two_brokers.serve(
        ApiKey.DESCRIBE_LOG_DIRS,
        2,
        lambda node_id, request: DescribeLogDirsResponse(
            results=[
                DescribeLogDirsResult(error_code=code, log_dir=f"/{code.name}", topics=[])
                for code in (ErrorCode.NONE, ErrorCode.KAFKA_STORAGE_ERROR)[: node_id + 1]
            ]
        ),
    )
    async with AsyncAdmin(two_brokers.bootstrap_servers) as admin:
        described = await admin.describe_log_dirs()
    assert list(described[0]) == ["/NONE"]
    assert described[0]["/NONE"].error is None
    assert described[0]["/NONE"].total_bytes == -1
    offline = described[1]["/KAFKA_STORAGE_ERROR"].error
    assert offline is not None
    assert offline.code is ErrorCode.KAFKA_STORAGE_ERROR


async def test_a_broker_that_refuses_is_an_error(cluster: FakeCluster) -> None:
    refused = DescribeLogDirsResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED, results=[])
    cluster.serve(ApiKey.DESCRIBE_LOG_DIRS, 3, lambda node_id, request: refused)
    async with AsyncAdmin(cluster.bootstrap_servers) as admin:
        with pytest.raises(KafkaError, match="broker 0: CLUSTER_AUTHORIZATION_FAILED"):
            await admin.describe_log_dirs()
