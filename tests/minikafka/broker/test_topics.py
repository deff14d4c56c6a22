"""Topics from wish to log, over real files and an embedded store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from minikafka.broker.topics import REST_AFTER_DELETION_S, TopicService
from minikafka.cluster.controller import Controller
from minikafka.cluster.metadata import BrokerInfo, Endpoint, MetadataCache
from minikafka.cluster.sqlite_store import SqliteStore
from minikafka.cluster.store import Operation, StoreUnavailable
from minikafka.cluster.topic_requests import TopicSpec
from minikafka.config.alter import AlterOperation, ConfigAlteration
from minikafka.config.sources import load
from minikafka.errors import (
    InvalidConfig,
    InvalidPartitions,
    NotLeaderOrFollower,
    StorageError,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from minikafka.replication.group_commit import GroupCommit
from minikafka.replication.partitions import Partitions
from minikafka.replication.state import DurabilityPolicy
from minikafka.storage import filenames
from minikafka.storage.fs import FileSystem, OsFileSystem
from minikafka.storage.log_manager import LogManager
from minikafka.types import NO_LEADER, TopicPartition, new_uuid
from tests.support.clock import ManualClock
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import make_batch, prepared

NODE_ID = 1


class SlowStore(SqliteStore):
    """A store whose transactions wait until a test lets them go, or that fails."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, ManualClock())
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False

    async def multi(self, operations: Sequence[Operation]) -> None:
        await self.gate.wait()
        if self.fails:
            raise StoreUnavailable("/", "disk I/O error")
        await super().multi(operations)


@dataclass
class Stage:
    """Everything around a topic service."""

    topics: TopicService
    metadata: MetadataCache
    logs: LogManager
    partitions: Partitions
    clock: ManualClock
    store: SlowStore
    data_dir: Path


@asynccontextmanager
async def staged(data_dir: Path, *overrides: str, fs: FileSystem | None = None) -> AsyncIterator[Stage]:
    """A broker without a network, stopped cleanly at the end."""
    loaded = load(None, {}, [f"node.id={NODE_ID}", *overrides])
    clock, metadata = ManualClock(), MetadataCache()
    # The state outlives a stage, as the data directory does: it lies beside it.
    data_dir.parent.mkdir(exist_ok=True)
    store = SlowStore(data_dir.with_suffix(".sqlite3"))
    await store.open()
    controller = Controller(store, metadata, loaded, clock)
    await controller.start()
    await controller.join(BrokerInfo(NODE_ID, {"PLAINTEXT": Endpoint("127.0.0.1", 9092)}))
    logs = LogManager([data_dir], fs or OsFileSystem(), clock, loaded.config.topic_defaults())
    logs.lock()
    logs.claim(metadata.cluster_id, NODE_ID)
    worker = ThreadPoolExecutor(1)
    partitions = Partitions(NODE_ID, GroupCommit(worker), DurabilityPolicy("never", 1 << 40))
    topics = TopicService(loaded.config, controller, metadata, log_manager=logs, partitions=partitions, clock=clock)
    logs.open_all(topics.configs())
    topics.start()
    try:
        yield Stage(topics, metadata, logs, partitions, clock, store, data_dir)
    finally:
        await topics.drain()
        logs.close()
        worker.shutdown()
        await store.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path / "data") as made:
        yield made


def append(stage: Stage, topic: str, partition: int = 0) -> int:
    """Append one record as a producer with acks=1 would, and return its offset."""
    found = stage.partitions.leader(topic, partition)
    return found.append_as_leader(prepared(make_batch(b"value")), 1).base_offset


def directories(data_dir: Path) -> set[str]:
    return {entry.name for entry in data_dir.iterdir() if entry.is_dir()}


def set_key(name: str, value: str) -> list[ConfigAlteration]:
    return [ConfigAlteration(name, AlterOperation.SET, value)]


async def test_a_created_topic_can_be_appended_to(stage: Stage) -> None:
    topic = await stage.topics.create(TopicSpec("orders", 3))
    assert [append(stage, "orders", index) for index in range(3)] == [0, 0, 0]
    assert directories(stage.data_dir) == {"orders-0", "orders-1", "orders-2"}
    assert stage.metadata.topic("orders") == topic
    assert stage.partitions.leader_by_id(topic.topic_id, 2).topic_partition == TopicPartition("orders", 2)


async def test_of_two_who_create_one_topic_one_wins(stage: Stage) -> None:
    results = await asyncio.gather(
        *(stage.topics.create(TopicSpec("orders", count)) for count in (1, 2)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["TopicAlreadyExists", "TopicMetadata"]
    assert append(stage, "orders") == 0


async def test_who_creates_automatically_does_not_mind_who_was_faster(stage: Stage) -> None:
    await asyncio.gather(*(stage.topics.create_automatically("orders") for _ in range(3)))
    assert append(stage, "orders") == 0


async def test_validation_alone_makes_nothing(stage: Stage) -> None:
    topic = await stage.topics.create(TopicSpec("orders", 2), validate_only=True)
    assert len(topic.partitions) == 2
    assert stage.metadata.topic("orders") is None
    assert directories(stage.data_dir) == set()
    await stage.topics.create(TopicSpec("orders", 2))
    with pytest.raises(TopicAlreadyExists):
        await stage.topics.create(TopicSpec("orders", 2), validate_only=True)


async def test_the_files_of_a_deleted_topic_are_gone(stage: Stage) -> None:
    first = await stage.topics.create(TopicSpec("orders", 40))
    partition = stage.partitions.leader("orders", 0)
    await stage.topics.delete("orders")
    assert directories(stage.data_dir) == set()
    assert stage.metadata.topic("orders") is None
    with pytest.raises(NotLeaderOrFollower):
        partition.append_as_leader(prepared(make_batch(b"late")), 1)
    second = await stage.topics.create(TopicSpec("orders"))
    assert second.topic_id != first.topic_id
    assert append(stage, "orders") == 0


async def test_only_a_topic_that_is_there_can_be_deleted(stage: Stage) -> None:
    with pytest.raises(UnknownTopicOrPartition):
        await stage.topics.delete("orders")


async def test_the_name_of_a_deleted_topic_rests_before_it_is_created_automatically(stage: Stage) -> None:
    assert stage.topics.creates_automatically("orders")
    await stage.topics.create(TopicSpec("orders"))
    await stage.topics.delete("orders")
    assert not stage.topics.creates_automatically("orders")
    stage.clock.advance(int(REST_AFTER_DELETION_S * 1000) - 1)
    assert not stage.topics.creates_automatically("orders")
    stage.clock.advance(1)
    assert stage.topics.creates_automatically("orders")


async def test_a_topic_made_by_hand_ends_the_rest_of_its_name(stage: Stage) -> None:
    await stage.topics.create(TopicSpec("orders"))
    await stage.topics.delete("orders")
    await stage.topics.create(TopicSpec("orders"))
    assert stage.topics.creates_automatically("orders")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\0b", "x" * 250, "t\u03bfpic", "__consumer_offsets"])
async def test_illegal_and_internal_names_are_not_created_automatically(stage: Stage, name: str) -> None:
    assert not stage.topics.creates_automatically(name)


async def test_nothing_is_created_automatically_where_that_is_switched_off(tmp_path: Path) -> None:
    async with staged(tmp_path / "data", "auto.create.topics.enable=false") as stage:
        assert not stage.topics.creates_automatically("orders")


async def test_added_partitions_can_be_appended_to(stage: Stage) -> None:
    await stage.topics.create(TopicSpec("orders"))
    append(stage, "orders")
    await stage.topics.add_partitions("orders", 3)
    assert [append(stage, "orders", index) for index in range(3)] == [1, 0, 0]
    await stage.topics.add_partitions("orders", 4, validate_only=True)
    assert stage.partitions.get("orders", 3) is None
    with pytest.raises(InvalidPartitions):
        await stage.topics.add_partitions("orders", 2)


async def test_a_topic_setting_reaches_its_logs_at_once(stage: Stage) -> None:
    await stage.topics.create(TopicSpec("orders", 2, settings={"retention.ms": "1000"}))
    log = stage.partitions.leader("orders", 1).log
    assert log.config.retention_ms == 1000
    await stage.topics.alter_topic_config("orders", set_key("segment.bytes", "2000"))
    assert (log.config.retention_ms, log.config.segment_bytes) == (1000, 2000)
    await stage.topics.alter_topic_config("orders", set_key("segment.bytes", "3000"), validate_only=True)
    assert log.config.segment_bytes == 2000
    await stage.topics.replace_topic_config("orders", {"max.message.bytes": "77"})
    assert (log.config.retention_ms, log.config.max_message_bytes) == (7 * 86_400_000, 77)
    with pytest.raises(InvalidConfig):
        await stage.topics.alter_topic_config("orders", set_key("retention.ms", "soon"))


@pytest.mark.parametrize("broker_id", [None, NODE_ID])
async def test_a_broker_setting_reaches_every_log_that_has_none_of_its_own(stage: Stage, broker_id: int | None) -> None:
    await stage.topics.create(TopicSpec("defaults"))
    await stage.topics.create(TopicSpec("own", settings={"retention.ms": "1000"}))
    await stage.topics.alter_broker_config(broker_id, set_key("log.retention.ms", "5000"))
    logs = [stage.partitions.leader(topic, 0).log for topic in ("defaults", "own")]
    assert [log.config.retention_ms for log in logs] == [5000, 1000]
    await stage.topics.create(TopicSpec("later"))
    assert stage.partitions.leader("later", 0).log.config.retention_ms == 5000
    await stage.topics.replace_broker_config(broker_id, {})
    assert logs[0].config.retention_ms == 7 * 86_400_000


async def test_a_broker_setting_that_contradicts_a_topics_own_leaves_the_broker_running(stage: Stage) -> None:
    await stage.topics.create(TopicSpec("orders", settings={"min.compaction.lag.ms": "1000"}))
    await stage.topics.alter_broker_config(None, set_key("log.cleaner.max.compaction.lag.ms", "500"))
    log = stage.partitions.leader("orders", 0).log
    assert (log.config.min_compaction_lag_ms, log.config.max_compaction_lag_ms) == (0, 500)


async def test_who_listens_is_told_when_the_logs_have_obeyed(stage: Stage) -> None:
    heard: list[tuple[str | None, int]] = []

    def listen(topic: str | None) -> None:
        heard.append((topic, stage.logs.logs[TopicPartition("orders", 0)].config.retention_ms))

    await stage.topics.create(TopicSpec("orders", 1))
    stage.topics.on_configuration(listen)
    await stage.topics.alter_topic_config("orders", set_key("retention.ms", "1000"))
    await stage.topics.alter_topic_config("orders", set_key("retention.ms", "2000"), validate_only=True)
    await stage.topics.alter_broker_config(None, set_key("log.retention.ms", "3000"))
    assert heard == [("orders", 1000), (None, 1000)]


async def test_a_restart_brings_topics_settings_and_records_back(tmp_path: Path) -> None:
    async with staged(tmp_path / "data") as stage:
        topic = await stage.topics.create(TopicSpec("orders", 2, settings={"retention.ms": "1000"}))
        append(stage, "orders", 1)
    async with staged(tmp_path / "data") as stage:
        assert stage.metadata.topic("orders") == topic
        partition = stage.partitions.leader("orders", 1)
        assert (partition.log_end_offset, partition.log.config.retention_ms) == (1, 1000)
        assert append(stage, "orders", 1) == 1


async def test_a_log_that_a_crash_kept_from_being_made_is_made_at_the_start(tmp_path: Path) -> None:
    async with staged(tmp_path / "data") as stage:
        await stage.topics.create(TopicSpec("orders", 2))
        stage.logs.delete(TopicPartition("orders", 1))
    async with staged(tmp_path / "data") as stage:
        assert append(stage, "orders", 1) == 0


async def test_a_log_whose_topic_is_gone_is_removed_at_the_start(tmp_path: Path) -> None:
    async with staged(tmp_path / "data") as stage:
        await stage.topics.create(TopicSpec("orders"))
        stage.logs.create(TopicPartition("gone", 0), new_uuid())
        stage.logs.create(TopicPartition("orders", 7), new_uuid())
    async with staged(tmp_path / "data") as stage:
        assert directories(tmp_path / "data") == {"orders-0"}
        assert stage.partitions.get("gone", 0) is None


async def test_a_log_of_an_earlier_topic_is_never_served_as_the_new_ones(tmp_path: Path) -> None:
    async with staged(tmp_path / "data") as stage:
        topic = await stage.topics.create(TopicSpec("orders"))
        stage.logs.delete(TopicPartition("orders", 0))
        log = stage.logs.create(TopicPartition("orders", 0), new_uuid())
        log.append_as_leader(prepared(make_batch(b"of the dead")), 0)
    async with staged(tmp_path / "data") as stage:
        partition = stage.partitions.leader("orders", 0)
        assert (partition.topic_id, partition.log_end_offset) == (topic.topic_id, 0)


async def test_a_log_that_lost_its_topics_id_is_served_under_it(tmp_path: Path) -> None:
    async with staged(tmp_path / "data") as stage:
        topic = await stage.topics.create(TopicSpec("orders"))
        append(stage, "orders")
    (tmp_path / "data" / "orders-0" / filenames.PARTITION_METADATA).unlink()
    async with staged(tmp_path / "data") as stage:
        assert stage.partitions.leader_by_id(topic.topic_id, 0).log_end_offset == 1


async def test_nothing_is_removed_when_the_cluster_knows_no_topic_at_all(tmp_path: Path) -> None:
    async with staged(tmp_path / "data") as stage:
        await stage.topics.create(TopicSpec("orders"))
        append(stage, "orders")
    (tmp_path / "data.sqlite3").unlink()
    async with staged(tmp_path / "data", f"minikafka.cluster.id={_cluster_id(tmp_path / 'data')}") as stage:
        assert directories(tmp_path / "data") == {"orders-0"}
        with pytest.raises(UnknownTopicOrPartition):
            stage.partitions.leader("orders", 0)
        await stage.topics.create(TopicSpec("orders"))
        assert append(stage, "orders") == 0


async def test_a_log_that_cannot_be_opened_makes_its_own_partition_offline_and_no_other(tmp_path: Path) -> None:
    async with staged(tmp_path / "data") as stage:
        await stage.topics.create(TopicSpec("orders", 2))
        append(stage, "orders", 0)
        append(stage, "orders", 1)
    segment = tmp_path / "data" / "orders-0" / filenames.segment_file(0, filenames.LOG_SUFFIX)
    segment.rename(segment.with_suffix(".moved"))
    segment.mkdir()
    async with staged(tmp_path / "data") as stage:
        with pytest.raises(StorageError):
            stage.partitions.leader("orders", 0)
        assert append(stage, "orders", 1) == 1
        (offline,) = stage.partitions.offline()
        assert offline == TopicPartition("orders", 0)
        topic = stage.metadata.topic("orders")
        assert topic is not None
        assert [state.leader_id for state in topic.partitions] == [NO_LEADER, 1]


async def test_a_topic_whose_logs_cannot_be_made_does_not_exist(tmp_path: Path) -> None:
    fs = MemoryFileSystem()
    async with staged(tmp_path / "data", fs=fs) as stage:
        fs.fail("make_directory", path_part="orders-2")
        with pytest.raises(StorageError):
            await stage.topics.create(TopicSpec("orders", 4))
        assert stage.metadata.topic("orders") is None
        assert (list(stage.logs.logs), stage.partitions.offline()) == ([], {})
        fs.heal()
        await stage.topics.create(TopicSpec("orders", 4))
        assert append(stage, "orders", 3) == 0


async def test_a_store_that_fails_is_an_error_of_storage(stage: Stage) -> None:
    await stage.topics.create(TopicSpec("orders"))
    stage.store.fails = True
    for change in (
        stage.topics.create(TopicSpec("payments")),
        stage.topics.delete("orders"),
        stage.topics.add_partitions("orders", 2),
    ):
        with pytest.raises(StorageError, match="disk I/O error"):
            await change
    assert append(stage, "orders") == 0
    assert stage.metadata.topic("payments") is None


async def test_a_change_is_carried_to_its_end_when_the_client_goes_away(stage: Stage) -> None:
    stage.store.gate.clear()
    asking = asyncio.ensure_future(stage.topics.create(TopicSpec("orders")))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    stage.store.gate.set()
    await stage.topics.drain()
    assert append(stage, "orders") == 0


async def test_a_large_topic_does_not_keep_others_from_their_turn(stage: Stage) -> None:
    creating = asyncio.ensure_future(stage.topics.create(TopicSpec("large", 200)))
    sizes = []
    while not creating.done():
        sizes.append(len(stage.logs.logs))
        await asyncio.sleep(0)
    assert len(set(sizes)) > 5
    assert len(stage.logs.logs) == 200


def _cluster_id(data_dir: Path) -> str:
    text = (data_dir / filenames.META_PROPERTIES).read_text()
    return next(line.partition("=")[2] for line in text.splitlines() if line.startswith("cluster.id="))
