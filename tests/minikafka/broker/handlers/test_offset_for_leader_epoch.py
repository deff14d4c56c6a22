from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from tests.support.broker import RunningBroker, running_broker
from tests.support.data_plane import DataPlaneClient, batch_of, fresh_client

VERSIONS = OffsetForLeaderEpochRequest.VALID


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBroker]:
    """One for the module: starting it takes longer than most tests."""
    async with running_broker(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(broker: RunningBroker) -> AsyncIterator[DataPlaneClient]:
    async with fresh_client(broker) as made:
        await made.create_topic("t")
        await made.produce("t", batch_of(b"a", b"b", b"c"))
        yield made


async def ask(
    client: DataPlaneClient, epoch: int, *, current: int = -1, partition: int = 0, version: int = 4
) -> EpochEndOffset:
    asked = OffsetForLeaderPartition(partition=partition, current_leader_epoch=current, leader_epoch=epoch)
    request = OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic="t", partitions=[asked])])
    (topic,) = (await client.ask(request, version)).topics
    (answer,) = topic.partitions
    return answer


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("current", [-1, 0])
async def test_the_current_epoch_ends_at_the_end_of_the_log(
    client: DataPlaneClient, version: int, current: int
) -> None:
    answer = await ask(client, 0, current=current, version=version)
    assert (answer.error_code, answer.partition, answer.leader_epoch, answer.end_offset) == (0, 0, 0, 3)


@pytest.mark.parametrize("epoch", [-1, 5])
async def test_an_epoch_that_never_was_has_no_end(client: DataPlaneClient, epoch: int) -> None:
    answer = await ask(client, epoch)
    assert (answer.error_code, answer.leader_epoch, answer.end_offset) == (0, -1, -1)


@pytest.mark.parametrize("partition", [-1, 1, 2**31 - 1])
async def test_a_partition_that_does_not_exist_is_unknown(client: DataPlaneClient, partition: int) -> None:
    answer = await ask(client, 0, partition=partition)
    assert (answer.error_code, answer.leader_epoch, answer.end_offset) == (
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        -1,
        -1,
    )


async def test_a_client_that_knows_a_newer_leader_is_told_that_this_one_does_not(client: DataPlaneClient) -> None:
    assert (await ask(client, 0, current=1)).error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
