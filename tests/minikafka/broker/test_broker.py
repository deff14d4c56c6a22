"""Brokers from start to stop: what is left when they end, and when they do not come to it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from pathlib import Path

import pytest

from minikafka.broker.broker import STORE_FILE, Broker
from minikafka.config.sources import load
from minikafka.errors import ErrorCode, StorageError
from minikafka.net.connection import Connection
from minikafka.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataResponse
from minikafka.storage import filenames
from tests.support.broker import RunningBroker, running_broker, settings, spawned_broker
from tests.support.data_plane import batch_of, produce_request


async def connect(running: RunningBroker) -> Connection:
    return await Connection.open(*running.address, client_id="test")


async def create_topic(connection: Connection, name: str) -> None:
    topic = CreatableTopic(name=name, num_partitions=2, replication_factor=1, assignments=[], configs=[])
    answer = await connection.request(CreateTopicsRequest(topics=[topic], timeout_ms=5_000), 7, timeout_ms=10_000)
    assert answer.topics[0].error_code == ErrorCode.NONE


async def describe(running: RunningBroker) -> MetadataResponse:
    connection = await connect(running)
    answer = await connection.request(MetadataRequest(topics=None), 12, timeout_ms=10_000)
    connection.close()
    return answer


async def produce(connection: Connection, topic: str, acks: int = 1) -> int:
    request = produce_request(topic, {0: batch_of(b"value")}, acks=acks)
    answer = await connection.request(request, 9, timeout_ms=10_000)
    (partition,) = answer.responses[0].partition_responses
    assert partition.error_code == ErrorCode.NONE
    return partition.base_offset


async def test_a_started_broker_serves_at_the_port_that_it_tells(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as running:
        answer = await describe(running)
        assert [(broker.node_id, broker.host, broker.port) for broker in answer.brokers] == [
            (1, "127.0.0.1", running.address.port)
        ]
        assert answer.cluster_id == running.broker.cluster_id
        assert answer.controller_id == 1


async def test_every_listener_is_served(tmp_path: Path) -> None:
    listeners = "listeners=INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0"
    protocols = "listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"
    async with running_broker(tmp_path / "data", listeners, protocols) as running:
        assert set(running.broker.addresses) == {"INSIDE", "OUTSIDE"}
        for address in running.broker.addresses.values():
            (await Connection.open(*address, client_id="test")).close()


async def test_topics_and_records_are_there_after_a_restart(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as running:
        connection = await connect(running)
        await create_topic(connection, "orders")
        assert await produce(connection, "orders") == 0
        before = await describe(running)
        connection.close()
    async with running_broker(tmp_path / "data") as running:
        after = await describe(running)
        assert after.cluster_id == before.cluster_id
        assert after.topics == before.topics
        connection = await connect(running)
        assert await produce(connection, "orders") == 1
        connection.close()


async def test_a_stopped_broker_leaves_the_clean_marker_and_the_lock_open(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with running_broker(data_dir):
        assert not (data_dir / filenames.CLEAN_SHUTDOWN).exists()
    assert (data_dir / filenames.CLEAN_SHUTDOWN).exists()
    async with running_broker(data_dir):
        assert not (data_dir / filenames.CLEAN_SHUTDOWN).exists()


async def test_a_stopped_broker_leaves_no_task_and_no_port(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as running:
        connection = await connect(running)
        address = running.address
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    connection.close()


async def test_a_second_broker_is_kept_out_of_the_data_directory(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as running:
        second = Broker(load(None, {}, settings(tmp_path / "data")))
        with pytest.raises(StorageError):
            await second.start()
        assert (await describe(running)).controller_id == 1


async def test_data_of_another_cluster_are_refused_with_both_ids(tmp_path: Path) -> None:
    for cluster in ("first-cluster", "other-cluster"):
        async with running_broker(tmp_path / cluster, f"minikafka.cluster.id={cluster}"):
            pass
    shutil.copy(tmp_path / "other-cluster" / STORE_FILE, tmp_path / "first-cluster" / STORE_FILE)
    with pytest.raises(StorageError, match=r"first-cluster.*other-cluster"):
        await Broker(load(None, {}, settings(tmp_path / "first-cluster"))).start()


async def test_data_of_another_broker_are_refused_with_both_ids(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data"):
        pass
    with pytest.raises(StorageError, match=r"broker 1.*broker 7"):
        await Broker(load(None, {}, [*settings(tmp_path / "data"), "node.id=7"])).start()


async def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """A port that is taken is found last, when everything else stands already."""
    data_dir = tmp_path / "data"
    async with running_broker(data_dir) as running:
        connection = await connect(running)
        await create_topic(connection, "orders")
        connection.close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = Broker(load(None, {}, [*settings(data_dir), f"listeners=PLAINTEXT://127.0.0.1:{port}"]))
        with pytest.raises(OSError, match="in use"):
            await broker.start()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (data_dir / filenames.CLEAN_SHUTDOWN).exists()
    async with running_broker(data_dir) as running:
        assert [topic.name for topic in (await describe(running)).topics] == ["orders"]


async def test_a_start_that_fails_before_recovery_does_not_call_the_logs_clean(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with running_broker(data_dir):
        pass
    (data_dir / filenames.CLEAN_SHUTDOWN).unlink()
    with pytest.raises(StorageError):
        await Broker(load(None, {}, [*settings(data_dir), "node.id=7"])).start()
    assert not (data_dir / filenames.CLEAN_SHUTDOWN).exists()


async def test_after_a_clean_stop_leader_epochs_go_on_and_after_a_kill_they_begin_anew(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with spawned_broker(data_dir) as spawned:
        connection = await Connection.open(*spawned.address, client_id="test")
        await create_topic(connection, "orders")
        assert await produce(connection, "orders", acks=-1) == 0
        connection.close()
        assert await spawned.terminate() == 0
    async with running_broker(data_dir) as running:
        assert {partition.leader_epoch for partition in (await describe(running)).topics[0].partitions} == {0}
    async with spawned_broker(data_dir) as spawned:
        connection = await Connection.open(*spawned.address, client_id="test")
        assert await produce(connection, "orders", acks=-1) == 1
        await spawned.kill()
        connection.close()
    async with running_broker(data_dir) as running:
        assert {partition.leader_epoch for partition in (await describe(running)).topics[0].partitions} == {1}
        connection = await connect(running)
        assert await produce(connection, "orders") == 2
        connection.close()


async def test_events_are_written_where_the_configuration_says(tmp_path: Path) -> None:
    event_log = tmp_path / "events.jsonl"
    async with running_broker(tmp_path / "data", f"minikafka.event.log.path={event_log}") as running:
        connection = await connect(running)
        await create_topic(connection, "orders")
        connection.close()
    events = [json.loads(line) for line in event_log.read_text().splitlines()]
    assert any(event.get("topic") == "orders" for event in events)


async def test_limits_of_the_configuration_reach_the_network(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data", "socket.request.max.bytes=1000", "max.connections=2") as running:
        reader, writer = await asyncio.open_connection(*running.address)
        writer.write((1001).to_bytes(4))
        assert await reader.read() == b""
        writer.close()
        connections = [await connect(running) for _ in range(2)]
        with pytest.raises(ConnectionError):
            await connect(running)
        for connection in connections:
            connection.close()


async def test_old_segments_are_deleted_by_the_clock(tmp_path: Path) -> None:
    async with running_broker(
        tmp_path / "data",
        "log.retention.check.interval.ms=20",
        "log.segment.bytes=200",
        "log.retention.bytes=200",
        "log.segment.delete.delay.ms=0",
    ) as running:
        connection = await connect(running)
        await create_topic(connection, "orders")
        for _ in range(10):
            await produce(connection, "orders")
        first = tmp_path / "data" / "orders-0" / "00000000000000000000.log"
        async with asyncio.timeout(10):
            while first.exists():  # noqa: ASYNC110 - files have no event
                await asyncio.sleep(0.01)
        connection.close()


async def test_recovery_points_are_noted_down_by_the_clock(tmp_path: Path) -> None:
    interval = "log.flush.offset.checkpoint.interval.ms=20"
    async with running_broker(tmp_path / "data", interval, "log.flush.on.acks.all=always") as running:
        connection = await connect(running)
        await create_topic(connection, "orders")
        await produce(connection, "orders", acks=-1)
        checkpoint = tmp_path / "data" / filenames.RECOVERY_POINTS
        async with asyncio.timeout(10):
            while not _holds(checkpoint, "orders 0 1"):  # noqa: ASYNC110 - files have no event
                await asyncio.sleep(0.01)
        connection.close()


def _holds(path: Path, line: str) -> bool:
    return path.exists() and line in path.read_text().splitlines()


async def test_stopping_answers_a_fetch_that_waits(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as running:
        connection = await connect(running)
        await create_topic(connection, "orders")
        wanted = FetchTopic(
            topic="orders", partitions=[FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1000)]
        )
        request = FetchRequest(max_wait_ms=60_000, min_bytes=1, topics=[wanted], forgotten_topics_data=[])
        waiting = asyncio.create_task(connection.request(request, 12, timeout_ms=60_000))
        await describe(running)  # on another connection, after which the fetch has arrived too
    ((partition,),) = [topic.partitions for topic in (await waiting).responses]
    assert (partition.error_code, partition.records) == (0, b"")
