from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.records.compression import Compression
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.errors import error_from_code
from minikafka_client.producer.accumulator import PartitionQueue
from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.sequencer import Sequencer, is_lost_count
from tests.clients.support.fake_cluster import FakeCluster, Refuse


@pytest.fixture
async def sequencer(cluster: FakeCluster) -> AsyncIterator[Sequencer]:
    """One that can ask a broker."""
    client = Cluster(cluster.bootstrap_servers, ClusterOptions("test"))
    yield Sequencer(client)
    await client.close()


def batch_in(queue: PartitionQueue, count: int) -> ProducerBatch:
    batch = ProducerBatch(queue, Compression.NONE, 0.0)
    for _ in range(count):
        batch.builder.append(0, None, b"x")
    return batch


async def test_batches_are_numbered_on_from_one_another(sequencer: Sequencer) -> None:
    await sequencer.acquire()
    queue = PartitionQueue("orders", 0, 1_000)
    batches = [batch_in(queue, count) for count in (3, 1, 2)]
    for batch in batches:
        sequencer.number(batch)
    assert [batch.builder.base_sequence for batch in batches] == [0, 3, 4]
    assert {batch.builder.producer_id for batch in batches} == {1001}


async def test_each_partition_counts_for_itself(sequencer: Sequencer) -> None:
    await sequencer.acquire()
    for partition in range(2):
        batch = batch_in(PartitionQueue("orders", partition, 1_000), 3)
        sequencer.number(batch)
        assert batch.builder.base_sequence == 0


async def test_after_the_largest_number_comes_zero(sequencer: Sequencer) -> None:
    await sequencer.acquire()
    queue = PartitionQueue("orders", 0, 1_000)
    queue.next_sequence = 2**31 - 2
    first, second = batch_in(queue, 3), batch_in(queue, 1)
    sequencer.number(first)
    sequencer.number(second)
    assert first.builder.base_sequence == 2**31 - 2
    assert second.builder.base_sequence == 1


async def test_starting_over_raises_the_epoch_of_that_partition(sequencer: Sequencer) -> None:
    await sequencer.acquire()
    queue = PartitionQueue("orders", 0, 1_000)
    batch = batch_in(queue, 3)
    sequencer.number(batch)
    queue.ready.append(batch)
    queue.must_renumber = True
    sequencer.start_over(queue)
    assert not queue.must_renumber
    assert not batch.is_numbered
    sequencer.number(batch)
    assert (batch.builder.base_sequence, batch.builder.producer_epoch) == (0, 1)


async def test_when_the_epochs_are_used_up_another_producer_id_is_needed(sequencer: Sequencer) -> None:
    await sequencer.acquire()
    queue = PartitionQueue("orders", 0, 1_000)
    sequencer.number(batch_in(queue, 1))
    queue.producer_epoch = 2**15 - 1
    sequencer.start_over(queue)
    assert not sequencer.is_ready
    await sequencer.acquire()
    batch = batch_in(queue, 1)
    sequencer.number(batch)
    assert (batch.builder.producer_id, batch.builder.producer_epoch) == (1002, 0)


async def test_a_refusal_is_raised(sequencer: Sequencer, cluster: FakeCluster) -> None:
    cluster.next(ApiKey.INIT_PRODUCER_ID, Refuse(ErrorCode.CLUSTER_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaError):
        await sequencer.acquire()
    assert not sequencer.is_ready


def test_refusals_because_of_the_number_are_told_from_others() -> None:
    assert is_lost_count(error_from_code(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER))
    assert is_lost_count(error_from_code(ErrorCode.UNKNOWN_PRODUCER_ID))
    assert not is_lost_count(error_from_code(ErrorCode.PRODUCER_FENCED))
    assert not is_lost_count(ConnectionResetError())
