from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from minikafka.records.compression import Compression
from minikafka.replication.state import OffsetSpec
from tests.support.broker import RunningBroker, running_broker
from tests.support.data_plane import NOW_MS, DataPlaneClient, batch_of, fresh_client
from tests.support.transaction_client import TransactionClient

VERSIONS = ListOffsetsRequest.VALID


on_the_wire = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBroker]:
    """One for the module: starting it takes longer than most tests."""
    async with running_broker(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(broker: RunningBroker) -> AsyncIterator[DataPlaneClient]:
    """A broker with topic t: offsets 0 to 5, a second apart in pairs, the pairs a minute apart."""
    async with fresh_client(broker) as made:
        await made.create_topic("t")
        await made.create_topic("empty")
        for minute in range(3):
            await made.produce("t", batch_of(b"a", b"b", timestamp_ms=NOW_MS + minute * 60_000))
        yield made


def found(answer: ListOffsetsPartitionResponse) -> tuple[int, int, int]:
    return answer.error_code, answer.offset, answer.timestamp


@on_the_wire
@pytest.mark.parametrize("version", VERSIONS)
class TestEveryVersion:
    async def test_latest_is_the_end(self, client: DataPlaneClient, version: int) -> None:
        answer = await client.list_offset("t", OffsetSpec.LATEST, version=version)
        assert found(answer) == (0, 6, -1)
        assert answer.leader_epoch == (0 if version >= 4 else -1)

    async def test_earliest_is_the_start(self, client: DataPlaneClient, version: int) -> None:
        answer = await client.list_offset("t", OffsetSpec.EARLIEST, version=version)
        assert found(answer) == (0, 0, -1)
        assert answer.leader_epoch == (0 if version >= 4 else -1)

    async def test_a_time_is_the_first_record_at_or_after_it(self, client: DataPlaneClient, version: int) -> None:
        second_of_a_pair = NOW_MS + 60_001
        assert found(await client.list_offset("t", second_of_a_pair, version=version)) == (0, 3, second_of_a_pair)

    @pytest.mark.parametrize("special", sorted(OffsetSpec, reverse=True))
    async def test_special_times_are_known_from_their_version_on(
        self, client: DataPlaneClient, version: int, special: OffsetSpec
    ) -> None:
        first = {-1: 1, -2: 1, -3: 7, -4: 8, -5: 9, -6: 11}[special]
        offset = {-1: 6, -2: 0, -3: 5, -4: 0, -5: -1, -6: -1}[special]
        timestamp = NOW_MS + 120_001 if special == OffsetSpec.MAX_TIMESTAMP else -1
        expected = (0, offset, timestamp) if version >= first else (ErrorCode.UNSUPPORTED_VERSION, -1, -1)
        assert found(await client.list_offset("t", special, version=version)) == expected


@on_the_wire
class TestTimes:
    @pytest.mark.parametrize(
        ("timestamp", "offset", "at"),
        [
            (0, 0, NOW_MS),
            (NOW_MS, 0, NOW_MS),
            (NOW_MS + 1, 1, NOW_MS + 1),
            (NOW_MS + 2, 2, NOW_MS + 60_000),
            (NOW_MS + 120_001, 5, NOW_MS + 120_001),
            (NOW_MS + 120_002, -1, -1),
            (2**63 - 1, -1, -1),
        ],
        ids=["zero", "first", "second of a batch", "between batches", "last", "after all", "greatest"],
    )
    async def test_the_record_itself_is_found_not_its_batch(
        self, client: DataPlaneClient, timestamp: int, offset: int, at: int
    ) -> None:
        assert found(await client.list_offset("t", timestamp)) == (0, offset, at)

    @pytest.mark.parametrize("codec", [codec for codec in Compression if codec])
    async def test_it_is_found_inside_a_compressed_batch(self, client: DataPlaneClient, codec: Compression) -> None:
        await client.produce("empty", batch_of(*[b"v"] * 50, compression=codec))
        assert found(await client.list_offset("empty", NOW_MS + 20)) == (0, 20, NOW_MS + 20)

    async def test_the_largest_timestamp_need_not_be_the_last(self, client: DataPlaneClient) -> None:
        await client.produce("t", batch_of(b"late", timestamp_ms=NOW_MS + 3_600_000))
        await client.produce("t", batch_of(b"early", timestamp_ms=NOW_MS))
        assert found(await client.list_offset("t", OffsetSpec.MAX_TIMESTAMP)) == (0, 6, NOW_MS + 3_600_000)

    @pytest.mark.parametrize(
        ("special", "offset"),
        [
            (OffsetSpec.LATEST, 0),
            (OffsetSpec.EARLIEST, 0),
            (OffsetSpec.MAX_TIMESTAMP, -1),
            (OffsetSpec.EARLIEST_LOCAL, 0),
            (OffsetSpec.LATEST_TIERED, -1),
            (OffsetSpec.EARLIEST_PENDING_UPLOAD, -1),
        ],
    )
    async def test_an_empty_partition(self, client: DataPlaneClient, special: OffsetSpec, offset: int) -> None:
        assert found(await client.list_offset("empty", special)) == (0, offset, -1)

    @pytest.mark.parametrize("timestamp", [-7, -100, -(2**63)])
    async def test_other_negative_times_are_unsupported(self, client: DataPlaneClient, timestamp: int) -> None:
        assert found(await client.list_offset("t", timestamp)) == (ErrorCode.UNSUPPORTED_VERSION, -1, -1)


@on_the_wire
class TestErrors:
    @pytest.mark.parametrize("partition", [-1, 1, 2**31 - 1])
    async def test_a_partition_that_does_not_exist_is_unknown(self, client: DataPlaneClient, partition: int) -> None:
        answer = await client.list_offset("t", OffsetSpec.LATEST, partition=partition)
        assert found(answer) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1)

    @pytest.mark.parametrize(("epoch", "expected"), [(0, 0), (1, ErrorCode.UNKNOWN_LEADER_EPOCH)])
    async def test_the_leader_epoch_is_checked(self, client: DataPlaneClient, epoch: int, expected: int) -> None:
        answer = await client.list_offset("t", OffsetSpec.LATEST, leader_epoch=epoch)
        assert answer.error_code == expected

    async def test_a_partition_listed_twice_is_an_invalid_request(self, client: DataPlaneClient) -> None:
        asked = ListOffsetsPartition(partition_index=0, timestamp=OffsetSpec.LATEST)
        request = ListOffsetsRequest(
            replica_id=-1,
            topics=[
                ListOffsetsTopic(name="t", partitions=[asked, asked]),
                ListOffsetsTopic(name="empty", partitions=[asked]),
            ],
        )
        twice, once = (await client.ask(request, 7)).topics
        assert {p.error_code for p in twice.partitions} == {ErrorCode.INVALID_REQUEST}
        assert [p.error_code for p in once.partitions] == [0]

    @pytest.mark.parametrize(
        ("replica_id", "isolation_level", "expected"),
        [
            (-1, 0, ErrorCode.NONE),
            (-1, 1, ErrorCode.NONE),
            (-2, 0, ErrorCode.NONE),
            (0, 0, ErrorCode.TOPIC_AUTHORIZATION_FAILED),
            (1, 0, ErrorCode.TOPIC_AUTHORIZATION_FAILED),
            (-1, 2, ErrorCode.INVALID_REQUEST),
            (-1, -1, ErrorCode.INVALID_REQUEST),
        ],
    )
    async def test_only_consumers_are_answered(
        self, client: DataPlaneClient, replica_id: int, isolation_level: int, expected: ErrorCode
    ) -> None:
        asked = ListOffsetsPartition(partition_index=0, timestamp=OffsetSpec.LATEST)
        request = ListOffsetsRequest(
            replica_id=replica_id,
            isolation_level=isolation_level,
            topics=[ListOffsetsTopic(name="t", partitions=[asked])],
        )
        ((answer,),) = [topic.partitions for topic in (await client.ask(request, 7)).topics]
        assert answer.error_code == expected


@pytest.mark.parametrize("version", [version for version in ListOffsetsRequest.VALID if version >= 2])
async def test_for_a_consumer_of_committed_records_the_end_is_where_the_first_open_transaction_begins(
    transactional: TransactionClient, version: int
) -> None:
    async def ends() -> list[int]:
        found = []
        for isolation_level in (0, 1):
            asked = ListOffsetsPartition(partition_index=0, timestamp=OffsetSpec.LATEST)
            topics = [ListOffsetsTopic(name="orders", partitions=[asked])]
            request = ListOffsetsRequest(replica_id=-1, isolation_level=isolation_level, topics=topics)
            ((answer,),) = [topic.partitions for topic in (await transactional.ask(request, version)).topics]
            found.append(answer.offset)
        return found

    producer = await transactional.begin("payments")
    await transactional.produce_in("payments", producer, {0: 2})
    assert await ends() == [2, 0]
    await transactional.end("payments", producer)
    assert await ends() == [3, 3]
