from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from minikafka.broker.context import RequestContext
from minikafka.broker.fetch_sessions import FetchSessionCache
from minikafka.broker.handlers.fetch import FetchHandler
from minikafka.broker.leader_hints import LeaderHints
from minikafka.clock import SystemClock
from minikafka.cluster.metadata import MetadataCache, PartitionState, TopicMetadata
from minikafka.config.topic import TopicConfig
from minikafka.errors import ErrorCode, FencedLeaderEpoch, KafkaError, NotLeaderOrFollower, StorageError
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from minikafka.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
    PartitionData,
    ReplicaState,
)
from minikafka.protocol.schema import as_view
from minikafka.records.batch import iter_batches
from minikafka.replication.state import PartitionRead
from minikafka.storage.leader_epochs import EpochEndOffset
from minikafka.storage.reading import FileSlice
from minikafka.types import ZERO_UUID
from tests.support.broker import RunningBroker, running_broker
from tests.support.data_plane import (
    DataPlaneClient,
    batch_of,
    connected,
    fresh_client,
    only_fetched,
    produce_request,
    values_of,
)
from tests.support.transaction_client import TransactionClient

VERSIONS = FetchRequest.VALID
FOREVER_MS = 60_000
NO_EPOCH = -1
DELETE_T = DeleteTopicsRequest(topics=[DeleteTopicState(name="t", topic_id=ZERO_UUID)], timeout_ms=10_000)


on_the_wire = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBroker]:
    """One for the module: starting it takes longer than most tests."""
    async with running_broker(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(broker: RunningBroker) -> AsyncIterator[DataPlaneClient]:
    async with fresh_client(broker) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def producer(broker: RunningBroker) -> AsyncIterator[DataPlaneClient]:
    """A second connection: the first may be waiting for its fetch."""
    async with connected(broker, "producer") as made:
        yield made


def fetch_request(
    topic: str,
    offsets: Mapping[int, int],
    *,
    topic_id: bytes = bytes(16),
    max_wait_ms: int = 0,
    min_bytes: int = 1,
    max_bytes: int = 1 << 26,
    partition_max_bytes: int = 1 << 20,
    isolation_level: int = 0,
    leader_epoch: int = NO_EPOCH,
    last_fetched_epoch: int = NO_EPOCH,
    session_id: int = 0,
    session_epoch: int = -1,
    forget: tuple[int, ...] = (),
) -> FetchRequest:
    partitions = [
        FetchPartition(
            partition=partition,
            fetch_offset=offset,
            partition_max_bytes=partition_max_bytes,
            current_leader_epoch=leader_epoch,
            last_fetched_epoch=last_fetched_epoch,
        )
        for partition, offset in offsets.items()
    ]
    return FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        isolation_level=isolation_level,
        session_id=session_id,
        session_epoch=session_epoch,
        topics=[FetchTopic(topic=topic, topic_id=topic_id, partitions=partitions)] if partitions else [],
        forgotten_topics_data=[ForgottenTopic(topic=topic, topic_id=topic_id, partitions=list(forget))]
        if forget
        else [],
    )


def partitions_of(answer: FetchResponse) -> list[PartitionData]:
    return [partition for topic in answer.responses for partition in topic.partitions]


def size_of(partition: PartitionData) -> int:
    assert partition.error_code == 0
    assert partition.records is not None, "librdkafka cannot parse null records"
    return len(as_view(partition.records))


@on_the_wire
class TestReading:
    @pytest.mark.parametrize("version", VERSIONS)
    async def test_every_version_reads_what_was_produced(self, client: DataPlaneClient, version: int) -> None:
        topic_id = await client.create_topic("t")
        await client.produce("t", batch_of(b"a", b"b"))
        answer = await client.ask(fetch_request("t", {0: 0}, topic_id=topic_id), version)
        assert answer.error_code == 0
        assert answer.responses[0].topic == ("t" if version < 13 else "")
        assert answer.responses[0].topic_id == (bytes(16) if version < 13 else topic_id)
        got = only_fetched(answer)
        assert values_of(got.records) == [b"a", b"b"]
        assert (got.error_code, got.high_watermark, got.last_stable_offset) == (0, 2, 2)
        assert got.log_start_offset == (0 if version >= 5 else -1)
        assert got.preferred_read_replica == -1
        assert got.aborted_transactions is None
        assert got.diverging_epoch.epoch == NO_EPOCH

    async def test_an_offset_inside_a_batch_gives_the_whole_batch(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a", b"b", b"c"))
        assert values_of((await client.fetch("t", 1)).records) == [b"a", b"b", b"c"]

    async def test_nothing_to_read_is_empty_bytes_not_null(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        got = await client.fetch("t", 0)
        assert (got.error_code, got.records, got.high_watermark) == (0, b"", 0)

    async def test_a_consumer_of_committed_records_is_told_of_no_aborted_transactions(
        self, client: DataPlaneClient
    ) -> None:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a"))
        got = only_fetched(await client.ask(fetch_request("t", {0: 0}, isolation_level=1), 11))
        assert values_of(got.records) == [b"a"]
        assert got.aborted_transactions == []

    @pytest.mark.parametrize("offset", [-1, -2, 2, 2**63 - 1, -(2**63)])
    async def test_an_offset_outside_the_log_is_out_of_range(self, client: DataPlaneClient, offset: int) -> None:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a"))
        got = await client.fetch("t", offset, max_wait_ms=FOREVER_MS)
        assert (got.error_code, got.records) == (ErrorCode.OFFSET_OUT_OF_RANGE, b"")

    @pytest.mark.parametrize("partition", [-1, 1, 2**31 - 1])
    async def test_a_partition_that_does_not_exist_is_unknown(self, client: DataPlaneClient, partition: int) -> None:
        await client.create_topic("t")
        got = await client.fetch("t", 0, partition=partition, max_wait_ms=FOREVER_MS)
        assert (got.error_code, got.records) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, b"")

    async def test_an_unknown_topic_id_is_told_as_such(self, client: DataPlaneClient) -> None:
        request = fetch_request("", {0: 0}, topic_id=b"\7" * 16, max_wait_ms=FOREVER_MS)
        assert only_fetched(await client.ask(request, 13)).error_code == ErrorCode.UNKNOWN_TOPIC_ID

    async def test_a_request_without_partitions_is_answered_at_once(self, client: DataPlaneClient) -> None:
        assert (await client.ask(fetch_request("t", {}, max_wait_ms=FOREVER_MS), 12)).responses == []

    async def test_a_topic_that_is_all_zstd_is_not_for_versions_that_do_not_know_it(
        self, client: DataPlaneClient
    ) -> None:
        await client.create_topic("t", configs={"compression.type": "zstd"})
        await client.produce("t", batch_of(b"a"))
        assert (await client.fetch("t", 0, version=9)).error_code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
        assert values_of((await client.fetch("t", 0, version=10)).records) == [b"a"]


def is_control(partition: PartitionData) -> list[bool]:
    return [batch.is_control for batch in iter_batches(as_view(partition.records or b""))]


def aborted(partition: PartitionData) -> list[tuple[int, int]]:
    return [(one.producer_id, one.first_offset) for one in partition.aborted_transactions or []]


@pytest.fixture
async def waiting(transaction_broker: RunningBroker) -> AsyncIterator[DataPlaneClient]:
    """Another client of the same broker."""
    async with connected(transaction_broker) as made:
        yield made


class TestTransactions:
    async def fetch(
        self, client: TransactionClient, offset: int = 0, *, isolation_level: int = 1, version: int = 12, **options: Any
    ) -> PartitionData:
        metadata = await client.metadata(["orders"])
        request = fetch_request(
            "orders",
            {0: offset},
            topic_id=bytes(metadata.topics[0].topic_id),
            isolation_level=isolation_level,
            **options,
        )
        return only_fetched(await client.ask(request, version))

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_committed_records_end_where_the_first_open_transaction_begins(
        self, transactional: TransactionClient, version: int
    ) -> None:
        plain = DataPlaneClient(transactional.connection)
        await plain.produce("orders", batch_of(b"a"))
        producer = await transactional.begin("payments")
        await transactional.produce_in("payments", producer, {0: 2})
        await plain.produce("orders", batch_of(b"b"))
        committed = await self.fetch(transactional, version=version)
        assert values_of(committed.records) == [b"a"]
        assert (committed.high_watermark, committed.last_stable_offset) == (4, 1)
        everything = await self.fetch(transactional, isolation_level=0, version=version)
        assert values_of(everything.records) == [b"a", b"0", b"1", b"b"]
        assert (everything.last_stable_offset, everything.aborted_transactions) == (1, None)
        await transactional.end("payments", producer)
        committed = await self.fetch(transactional, version=version)
        assert is_control(committed) == [False, False, False, True]
        assert committed.last_stable_offset == 5
        assert committed.aborted_transactions == []

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_aborted_transactions_are_told_with_the_records_that_are_of_them(
        self, transactional: TransactionClient, version: int
    ) -> None:
        producer = await transactional.begin("payments")
        for sequence in range(2):
            await transactional.produce_in("payments", producer, {0: 1}, sequence=sequence)
            await transactional.end("payments", producer, commit=False)
        whole = await self.fetch(transactional, version=version)
        assert is_control(whole) == [False, True, False, True]
        assert aborted(whole) == [(producer.producer_id, 0), (producer.producer_id, 2)]
        assert aborted(await self.fetch(transactional, 2, version=version)) == [(producer.producer_id, 2)]
        assert aborted(await self.fetch(transactional, 4, version=version)) == []

    async def test_a_fetch_of_committed_records_is_answered_when_their_transaction_ends(
        self, transactional: TransactionClient, waiting: DataPlaneClient
    ) -> None:
        producer = await transactional.begin("payments")
        await transactional.produce_in("payments", producer, {0: 1})
        fetching = asyncio.ensure_future(waiting.fetch("orders", 0, max_wait_ms=FOREVER_MS, isolation_level=1))
        await DataPlaneClient(transactional.connection).produce("orders", batch_of(b"b"))
        assert not fetching.done()
        await transactional.end("payments", producer)
        got = await fetching
        assert values_of(got.records)[:2] == [b"0", b"b"]
        assert got.last_stable_offset == 3

    async def test_committed_records_are_too_few_as_long_as_a_transaction_holds_the_others_up(
        self, transactional: TransactionClient, waiting: DataPlaneClient
    ) -> None:
        plain = DataPlaneClient(transactional.connection)
        producer = await transactional.begin("payments")
        await transactional.produce_in("payments", producer, {0: 1})
        request = fetch_request("orders", {0: 0}, max_wait_ms=FOREVER_MS, min_bytes=1000, isolation_level=1)
        fetching = asyncio.ensure_future(waiting.ask(request, 12))
        await plain.produce("orders", batch_of(bytes(2000)))
        await plain.fetch("orders", 0)
        assert not fetching.done()
        await transactional.end("payments", producer, commit=False)
        got = only_fetched(await fetching)
        assert values_of(got.records)[:2] == [b"0", bytes(2000)]
        assert aborted(got) == [(producer.producer_id, 0)]


@on_the_wire
class TestLimits:
    BATCH = batch_of(bytes(1000))

    @pytest_asyncio.fixture(loop_scope="module")
    async def three(self, client: DataPlaneClient) -> DataPlaneClient:
        """Three partitions with three batches each."""
        await client.create_topic("t", partitions=3)
        for _ in range(3):
            await client.ask(produce_request("t", {0: self.BATCH, 1: self.BATCH, 2: self.BATCH}), 9)
        return client

    async def test_partitions_are_filled_in_the_order_of_the_request(self, three: DataPlaneClient) -> None:
        size = len(self.BATCH)
        answer = await three.ask(fetch_request("t", {2: 0, 0: 0, 1: 0}, max_bytes=4 * size), 12)
        assert [(p.partition_index, size_of(p) // size) for p in partitions_of(answer)] == [(2, 3), (0, 1), (1, 0)]

    async def test_a_partition_gives_whole_batches_within_its_own_limit(self, three: DataPlaneClient) -> None:
        size = len(self.BATCH)
        answer = await three.ask(fetch_request("t", {0: 0, 1: 0}, partition_max_bytes=2 * size + size // 2), 12)
        assert [size_of(p) for p in partitions_of(answer)] == [2 * size, 2 * size]

    @pytest.mark.parametrize("limit", [1, 0, -1, -(2**31)])
    async def test_the_first_batch_of_the_first_partition_with_records_always_comes(
        self, three: DataPlaneClient, limit: int
    ) -> None:
        request = fetch_request("t", {0: 3, 1: 0, 2: 0}, max_bytes=limit, partition_max_bytes=limit)
        answer = await three.ask(request, 12)
        assert [size_of(p) for p in partitions_of(answer)] == [0, len(self.BATCH), 0]

    async def test_the_broker_has_a_limit_of_its_own(self, tmp_path: Path) -> None:
        async with running_broker(tmp_path / "other", "fetch.max.bytes=2000") as broker, connected(broker) as client:
            await client.create_topic("t")
            for _ in range(3):
                await client.produce("t", self.BATCH)
            assert size_of(await client.fetch("t", 0)) == len(self.BATCH)

    async def test_of_a_partition_listed_twice_the_last_parameters_count(self, three: DataPlaneClient) -> None:
        request = fetch_request("t", {0: 0})
        request.topics += fetch_request("t", {0: 2}).topics
        assert size_of(only_fetched(await three.ask(request, 12))) == len(self.BATCH)

    async def test_thousands_of_partitions_are_read_in_turns(self, three: DataPlaneClient) -> None:
        answer = await three.ask(fetch_request("t", dict.fromkeys(range(20_000), 0)), 12)
        codes = [p.error_code for p in partitions_of(answer)]
        assert codes == [0] * 3 + [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 19_997

    async def test_more_partitions_than_any_cluster_has_end_the_connection(self, client: DataPlaneClient) -> None:
        with pytest.raises(ConnectionError):
            await client.ask(fetch_request("t", dict.fromkeys(range(100_001), 0)), 12)

    async def test_a_large_answer_is_read_in_another_thread(
        self, client: DataPlaneClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads = []
        read_into = FileSlice.read_into

        def spy(records: FileSlice, target: memoryview) -> None:
            threads.append(threading.get_ident())
            read_into(records, target)

        monkeypatch.setattr(FileSlice, "read_into", spy)
        await client.create_topic("t", partitions=2)
        batch = batch_of(bytes(900_000))
        for _ in range(3):
            await client.ask(produce_request("t", {0: batch, 1: batch}), 9)
        request = fetch_request("t", {0: 0, 1: 0}, partition_max_bytes=1 << 23)
        answer = await client.ask(request, 12)
        assert [size_of(p) for p in partitions_of(answer)] == [3 * len(batch)] * 2
        assert len(threads) == 2
        assert threading.get_ident() not in threads


@on_the_wire
class TestWaiting:
    async def test_a_waiting_fetch_is_answered_by_the_append(
        self, client: DataPlaneClient, producer: DataPlaneClient
    ) -> None:
        await client.create_topic("t")
        waiting = asyncio.ensure_future(client.fetch("t", 0, max_wait_ms=FOREVER_MS))
        await producer.end_offset("t")
        assert not waiting.done()
        await producer.produce("t", batch_of(b"a"))
        assert values_of((await waiting).records) == [b"a"]

    async def test_it_waits_for_min_bytes(self, client: DataPlaneClient, producer: DataPlaneClient) -> None:
        await client.create_topic("t", partitions=2)
        batch = batch_of(b"a")
        await producer.produce("t", batch)
        request = fetch_request("t", {0: 0, 1: 0}, max_wait_ms=FOREVER_MS, min_bytes=3 * len(batch))
        waiting = asyncio.ensure_future(client.ask(request, 12))
        await producer.produce("t", batch, partition=1)
        await producer.end_offset("t")
        assert not waiting.done()
        await producer.produce("t", batch, partition=1)
        assert [size_of(p) for p in partitions_of(await waiting)] == [len(batch), 2 * len(batch)]

    async def test_after_max_wait_it_gets_what_there_is(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a"))
        loop = asyncio.get_running_loop()
        began = loop.time()
        got = only_fetched(await client.ask(fetch_request("t", {0: 0}, max_wait_ms=200, min_bytes=1 << 20), 12))
        assert loop.time() - began >= 0.199
        assert (got.error_code, values_of(got.records)) == (0, [b"a"])

    @pytest.mark.parametrize("max_wait_ms", [0, -1, -(2**31)])
    async def test_who_does_not_want_to_wait_does_not(self, client: DataPlaneClient, max_wait_ms: int) -> None:
        await client.create_topic("t")
        assert (await client.fetch("t", 0, max_wait_ms=max_wait_ms)).records == b""

    @pytest.mark.parametrize("min_bytes", [0, -1])
    async def test_who_wants_no_bytes_does_not_wait(self, client: DataPlaneClient, min_bytes: int) -> None:
        await client.create_topic("t")
        request = fetch_request("t", {0: 0}, max_wait_ms=FOREVER_MS, min_bytes=min_bytes)
        assert only_fetched(await client.ask(request, 12)).records == b""

    async def test_more_than_max_bytes_is_not_waited_for(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a"))
        request = fetch_request("t", {0: 0}, max_wait_ms=FOREVER_MS, min_bytes=2**31 - 1, max_bytes=10)
        assert values_of(only_fetched(await client.ask(request, 12)).records) == [b"a"]

    async def test_the_longest_wait_can_be_asked_for(self, client: DataPlaneClient, producer: DataPlaneClient) -> None:
        await client.create_topic("t")
        waiting = asyncio.ensure_future(client.fetch("t", 0, max_wait_ms=2**31 - 1))
        await producer.end_offset("t")
        await producer.produce("t", batch_of(b"a"))
        assert values_of((await waiting).records) == [b"a"]

    async def test_an_error_in_one_partition_is_not_kept_waiting(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        answer = await client.ask(fetch_request("t", {0: 0, 7: 0}, max_wait_ms=FOREVER_MS), 12)
        assert [p.error_code for p in partitions_of(answer)] == [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]

    @pytest.mark.parametrize(
        ("version", "expected"), [(12, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION), (13, ErrorCode.UNKNOWN_TOPIC_ID)]
    )
    async def test_the_deletion_of_the_topic_ends_the_wait(
        self, client: DataPlaneClient, producer: DataPlaneClient, version: int, expected: ErrorCode
    ) -> None:
        topic_id = await client.create_topic("t")
        request = fetch_request("t", {0: 0}, topic_id=topic_id, max_wait_ms=FOREVER_MS)
        waiting = asyncio.ensure_future(client.ask(request, version))
        await producer.end_offset("t")
        await producer.ask(DELETE_T, 6)
        assert only_fetched(await waiting).error_code == expected

    async def test_what_lies_beyond_the_end_of_a_segment_is_not_waited_for(self, client: DataPlaneClient) -> None:
        """One answer takes from one segment: a reader who is behind must not wait at each segment's end."""
        await client.create_topic("t", configs={"segment.bytes": "1048576"})
        batch = batch_of(bytes(400_000))
        for _ in range(4):
            await client.produce("t", batch)
        request = fetch_request(
            "t", {0: 1}, max_wait_ms=FOREVER_MS, min_bytes=3 * len(batch), partition_max_bytes=1 << 24
        )
        assert size_of(only_fetched(await client.ask(request, 12))) == len(batch)

    async def test_a_waiting_fetch_that_goes_away_leaves_nothing_behind(
        self, broker: RunningBroker, client: DataPlaneClient
    ) -> None:
        await client.create_topic("t")
        async with connected(broker) as leaving:
            waiting = asyncio.ensure_future(leaving.fetch("t", 0, max_wait_ms=FOREVER_MS))
            await client.end_offset("t")
        with pytest.raises(ConnectionError):
            await waiting
        assert (await client.produce("t", batch_of(b"a"))).error_code == 0


@on_the_wire
class TestEpochs:
    @pytest.mark.parametrize(
        ("epoch", "expected"),
        [(-1, 0), (0, 0), (1, ErrorCode.UNKNOWN_LEADER_EPOCH), (2**31 - 1, ErrorCode.UNKNOWN_LEADER_EPOCH)],
    )
    async def test_leader_epochs_begin_at_0_and_a_newer_one_is_unknown(
        self, client: DataPlaneClient, epoch: int, expected: int
    ) -> None:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a"))
        got = only_fetched(await client.ask(fetch_request("t", {0: 0}, leader_epoch=epoch), 12))
        assert got.error_code == expected

    async def test_a_reader_in_step_has_no_diverging_epoch(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a", b"b"))
        await client.produce("t", batch_of(b"c"))
        got = only_fetched(await client.ask(fetch_request("t", {0: 2}, last_fetched_epoch=0), 12))
        assert values_of(got.records) == [b"c"]
        assert (got.diverging_epoch.epoch, got.diverging_epoch.end_offset) == (NO_EPOCH, -1)

    async def test_a_reader_from_an_epoch_that_never_was_is_out_of_range(self, client: DataPlaneClient) -> None:
        await client.create_topic("t")
        await client.produce("t", batch_of(b"a", b"b"))
        request = fetch_request("t", {0: 2}, last_fetched_epoch=5, max_wait_ms=FOREVER_MS)
        assert only_fetched(await client.ask(request, 12)).error_code == ErrorCode.OFFSET_OUT_OF_RANGE


@on_the_wire
class TestReplicas:
    @pytest.mark.parametrize("version", VERSIONS)
    async def test_a_client_cannot_fetch_as_a_replica(self, client: DataPlaneClient, version: int) -> None:
        topic_id = await client.create_topic("t")
        await client.produce("t", batch_of(b"a"))
        request = fetch_request("t", {0: 0}, topic_id=topic_id, max_wait_ms=FOREVER_MS)
        if version < 15:
            request.replica_id = 1
        else:
            request.replica_state = ReplicaState(replica_id=1)
        got = only_fetched(await client.ask(request, version))
        assert (got.error_code, got.records, got.high_watermark) == (ErrorCode.TOPIC_AUTHORIZATION_FAILED, b"", -1)
        assert await client.end_offset("t") == 1

    @pytest.mark.parametrize("level", [2, -1, 127])
    async def test_an_isolation_level_that_does_not_exist_is_an_invalid_request(
        self, client: DataPlaneClient, level: int
    ) -> None:
        await client.create_topic("t")
        request = fetch_request("t", {0: 0}, isolation_level=level, max_wait_ms=FOREVER_MS)
        assert only_fetched(await client.ask(request, 12)).error_code == ErrorCode.INVALID_REQUEST


@on_the_wire
class TestSessions:
    @pytest.mark.parametrize("version", [7, 12, 13, 18])
    async def test_a_session_names_only_what_changed(self, client: DataPlaneClient, version: int) -> None:
        topic_id = await client.create_topic("t", partitions=3)
        opening = fetch_request("t", {0: 0, 1: 0, 2: 0}, topic_id=topic_id, session_epoch=0)
        opened = await client.ask(opening, version)
        assert opened.session_id > 0
        assert len(partitions_of(opened)) == 3

        await client.produce("t", batch_of(b"a"), partition=1)
        second = await client.ask(fetch_request("t", {}, session_id=opened.session_id, session_epoch=1), version)
        assert [(p.partition_index, p.error_code, values_of(p.records)) for p in partitions_of(second)] == [
            (1, 0, [b"a"])
        ]
        assert second.session_id == opened.session_id

        moved = fetch_request("t", {1: 1}, topic_id=topic_id, session_id=opened.session_id, session_epoch=2)
        third = await client.ask(moved, version)
        assert (third.error_code, third.responses) == (0, [])

        forgetting = fetch_request(
            "t", {}, topic_id=topic_id, session_id=opened.session_id, session_epoch=3, forget=(0, 1)
        )
        await client.produce("t", batch_of(b"b"), partition=0)
        await client.produce("t", batch_of(b"c"), partition=2)
        fourth = await client.ask(forgetting, version)
        assert [(p.partition_index, values_of(p.records)) for p in partitions_of(fourth)] == [(2, [b"c"])]

    async def test_a_session_without_news_waits_for_some(
        self, client: DataPlaneClient, producer: DataPlaneClient
    ) -> None:
        await client.create_topic("t", partitions=2)
        opened = await client.ask(fetch_request("t", {0: 0, 1: 0}, session_epoch=0), 12)
        request = fetch_request("t", {}, session_id=opened.session_id, session_epoch=1, max_wait_ms=FOREVER_MS)
        waiting = asyncio.ensure_future(client.ask(request, 12))
        await producer.produce("t", batch_of(b"a"), partition=1)
        assert [p.partition_index for p in partitions_of(await waiting)] == [1]

    async def test_an_unknown_session_and_a_wrong_epoch_are_errors_of_the_whole_answer(
        self, client: DataPlaneClient
    ) -> None:
        await client.create_topic("t")
        opened = await client.ask(fetch_request("t", {0: 0}, session_epoch=0), 12)
        unknown = await client.ask(fetch_request("t", {}, session_id=opened.session_id + 1, session_epoch=1), 12)
        out_of_step = await client.ask(fetch_request("t", {}, session_id=opened.session_id, session_epoch=7), 12)
        other_names = await client.ask(fetch_request("t", {}, session_id=opened.session_id, session_epoch=1), 13)
        assert [unknown.error_code, out_of_step.error_code, other_names.error_code] == [
            ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
            ErrorCode.INVALID_FETCH_SESSION_EPOCH,
            ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
        ]
        assert (unknown.responses, unknown.session_id) == ([], 0)

    async def test_a_topic_made_anew_is_not_served_under_its_old_id(self, client: DataPlaneClient) -> None:
        old_id = await client.create_topic("t")
        opening = fetch_request("t", {0: 0}, topic_id=old_id, session_epoch=0)
        opened = await client.ask(opening, 13)
        await client.ask(DELETE_T, 6)
        assert await client.create_topic("t") != old_id
        await client.produce("t", batch_of(b"new"))
        in_session = await client.ask(fetch_request("t", {}, session_id=opened.session_id, session_epoch=1), 13)
        without = await client.ask(fetch_request("t", {0: 0}, topic_id=old_id), 13)
        assert only_fetched(in_session).error_code == ErrorCode.UNKNOWN_TOPIC_ID
        assert only_fetched(without).error_code == ErrorCode.UNKNOWN_TOPIC_ID

    async def test_a_flood_of_sessions_is_bounded(self, tmp_path: Path) -> None:
        overrides = "max.incremental.fetch.session.cache.slots=3"
        async with running_broker(tmp_path / "other", overrides) as broker, connected(broker) as client:
            await client.create_topic("t")
            answers = [await client.ask(fetch_request("t", {0: 0}, session_epoch=0), 12) for _ in range(10)]
            assert [answer.session_id > 0 for answer in answers] == [True] * 3 + [False] * 7
            assert all(answer.error_code == 0 for answer in answers)


class StubRecords:
    """A slice of a file that a disk gives, or not."""

    def __init__(self, content: bytes, fault: Exception | None = None) -> None:
        self.size = len(content)
        self._content = content
        self._fault = fault

    def read(self) -> bytes:
        if self._fault is not None:
            raise self._fault
        return self._content

    def read_into(self, target: memoryview) -> None:
        target[:] = self.read()


class StubPartition:
    """A partition of which every read comes to the same."""

    def __init__(self, read: PartitionRead | Exception) -> None:
        self.log = SimpleNamespace(config=TopicConfig())
        self._read = read

    def read(self, *args: object, **kwargs: object) -> PartitionRead:
        if isinstance(self._read, Exception):
            raise self._read
        return self._read


class StubPartitions:
    """Every partition is the one that the test gives."""

    def __init__(self, partition: StubPartition) -> None:
        self._partition = partition

    def leader(self, topic: str, partition: int) -> StubPartition:
        return self._partition

    def leader_by_id(self, topic_id: bytes, partition: int) -> StubPartition:
        return self._partition


class TestWithoutALog:
    """What a healthy disk and a single broker never show."""

    TOPIC_ID = b"i" * 16

    def handler(self, read: PartitionRead | Exception) -> FetchHandler:
        metadata = MetadataCache()
        metadata.put_topic(TopicMetadata("t", self.TOPIC_ID, (PartitionState(2, 4, (2,), (2,)),)))
        hints = LeaderHints(metadata, lambda broker_id, _: Address("other", 9000 + broker_id))
        partitions: Any = StubPartitions(StubPartition(read))
        return FetchHandler(partitions, FetchSessionCache(SystemClock(), 10), hints, ThreadPoolExecutor(1), 1 << 20)

    def ask(self, handler: FetchHandler, request: FetchRequest, version: int) -> FetchResponse:
        connection = ConnectionInfo(1, Address("127.0.0.1", 5000), Address("127.0.0.1", 9092), "PLAINTEXT")
        answer = handler(request, RequestContext(connection, version, "test", 1, 0.0))
        assert isinstance(answer, FetchResponse), "nothing to wait for"
        return answer

    def read_of(self, records: Any, diverging: EpochEndOffset | None = None) -> PartitionRead:
        return PartitionRead(records, 9, 9, 0, diverging)

    def test_a_diverging_epoch_is_told_at_once(self) -> None:
        handler = self.handler(self.read_of(StubRecords(b""), EpochEndOffset(3, 7)))
        request = fetch_request("t", {0: 8}, last_fetched_epoch=4, max_wait_ms=FOREVER_MS)
        got = only_fetched(self.ask(handler, request, 12))
        assert (got.error_code, got.records) == (0, b"")
        assert (got.diverging_epoch.epoch, got.diverging_epoch.end_offset) == (3, 7)

    @pytest.mark.parametrize(
        ("version", "expected"), [(5, ErrorCode.NOT_LEADER_OR_FOLLOWER), (6, ErrorCode.KAFKA_STORAGE_ERROR)]
    )
    def test_a_log_that_is_offline_is_told_in_a_way_the_client_knows(self, version: int, expected: ErrorCode) -> None:
        got = only_fetched(self.ask(self.handler(StorageError("offline")), fetch_request("t", {0: 0}), version))
        assert (got.error_code, got.records) == (expected, b"")

    def test_records_that_cannot_be_read_are_a_storage_error_which_a_session_repeats(self) -> None:
        handler = self.handler(self.read_of(StubRecords(b"records", StorageError("bad sector"))))
        first = self.ask(handler, fetch_request("t", {0: 0}, session_epoch=0), 12)
        assert only_fetched(first).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert only_fetched(first).records == b""
        handler_partition = StubPartition(self.read_of(StubRecords(b"")))
        handler._partitions._partition = handler_partition  # type: ignore[attr-defined]
        healed = self.ask(handler, fetch_request("t", {}, session_id=first.session_id, session_epoch=1), 12)
        assert (only_fetched(healed).error_code, only_fetched(healed).high_watermark) == (0, 9)

    def test_records_that_cannot_be_judged_are_not_waited_for(self) -> None:
        handler = self.handler(self.read_of(StubRecords(b"records", StorageError("bad sector"))))
        request = fetch_request("t", {0: 0}, min_bytes=1000, max_wait_ms=FOREVER_MS)
        assert only_fetched(self.ask(handler, request, 12)).error_code == ErrorCode.KAFKA_STORAGE_ERROR

    @pytest.mark.parametrize("version", [12, 15, 16])
    @pytest.mark.parametrize("error", [NotLeaderOrFollower("broker 2 leads"), FencedLeaderEpoch("epoch 4")])
    def test_from_version_16_the_real_leader_is_told(self, version: int, error: KafkaError) -> None:
        request = fetch_request("t", {0: 0}, topic_id=self.TOPIC_ID if version >= 13 else ZERO_UUID)
        answer = self.ask(self.handler(error), request, version)
        got = only_fetched(answer)
        assert got.error_code == error.code
        leader = (got.current_leader.leader_id, got.current_leader.leader_epoch)
        endpoints = [(node.node_id, node.host, node.port) for node in answer.node_endpoints]
        assert (leader, endpoints) == (((2, 4), [(2, "other", 9002)]) if version >= 16 else ((-1, -1), []))
