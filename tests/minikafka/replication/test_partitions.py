import asyncio
import json
from dataclasses import replace

import pytest

from minikafka.cluster.metadata import PartitionState
from minikafka.errors import NotLeaderOrFollower, StorageError, UnknownTopicId, UnknownTopicOrPartition
from minikafka.observability import events
from minikafka.replication.partitions import Partitions
from minikafka.replication.state import DurabilityPolicy
from minikafka.replication.waiters import FetchWaiter
from minikafka.storage.opening import create_log
from minikafka.types import TopicPartition
from tests.minikafka.replication.conftest import ALONE
from tests.support.storage import PARTITION, TOPIC_ID, append

OTHER_ID = b"o" * 16


@pytest.fixture
def partitions(group_commit):
    return Partitions(1, group_commit, DurabilityPolicy("auto", 2**40))


def another_log(harness, topic, index, topic_id):
    return create_log(harness.environment, TopicPartition(topic, index), topic_id, harness.config)


async def test_a_partition_is_found_by_name_and_by_topic_id(partitions, log):
    partition = partitions.become_leader(log, ALONE)
    assert partitions.leader("orders", 0) is partition
    assert partitions.leader_by_id(TOPIC_ID, 0) is partition
    assert partitions.get("orders", 0) is partition
    assert list(partitions.all()) == [partition]


async def test_what_is_not_here_is_unknown(partitions, log):
    partitions.become_leader(log, ALONE)
    for topic, index in (("orders", 1), ("orders", -1), ("others", 0)):
        with pytest.raises(UnknownTopicOrPartition):
            partitions.leader(topic, index)
        assert partitions.get(topic, index) is None
    with pytest.raises(UnknownTopicOrPartition):
        partitions.leader_by_id(TOPIC_ID, 1)
    with pytest.raises(UnknownTopicId):
        partitions.leader_by_id(OTHER_ID, 0)


async def test_another_brokers_partition_is_not_led_here(partitions, log):
    partitions.become_leader(log, PartitionState(2, 0, (2,), (2, 1)))
    with pytest.raises(NotLeaderOrFollower):
        partitions.leader("orders", 0)
    with pytest.raises(NotLeaderOrFollower):
        partitions.leader_by_id(TOPIC_ID, 0)
    assert partitions.get("orders", 0) is not None


async def test_all_waits_end_together(partitions, log):
    waiter = FetchWaiter(1)
    with waiter.watching([partitions.become_leader(log, ALONE)]):
        waiting = asyncio.ensure_future(waiter.wait(float("inf")))
        await asyncio.sleep(0)
        partitions.end_waits()
        assert await waiting is False


async def test_an_offline_partition_says_why(partitions):
    partitions.mark_offline(PARTITION, "orders-0 is corrupt")
    with pytest.raises(StorageError, match="orders-0 is corrupt"):
        partitions.leader("orders", 0)
    assert partitions.offline() == {PARTITION: "orders-0 is corrupt"}
    partitions.delete(PARTITION)
    with pytest.raises(UnknownTopicOrPartition):
        partitions.leader("orders", 0)


async def test_a_partition_that_comes_back_is_no_longer_offline(partitions, log):
    partitions.mark_offline(PARTITION, "corrupt")
    partitions.become_leader(log, ALONE)
    assert partitions.offline() == {}


async def test_a_deleted_partition_is_unknown_under_its_name_and_its_id(partitions, log):
    partition = partitions.become_leader(log, ALONE)
    assert partitions.delete(PARTITION) is partition
    assert not partition.is_leader
    with pytest.raises(UnknownTopicOrPartition):
        partitions.leader("orders", 0)
    with pytest.raises(UnknownTopicId):
        partitions.leader_by_id(TOPIC_ID, 0)
    assert partitions.delete(PARTITION) is None


async def test_a_topic_id_is_known_as_long_as_one_partition_is(partitions, harness, log):
    partitions.become_leader(log, ALONE)
    partitions.become_leader(another_log(harness, "orders", 1, TOPIC_ID), ALONE)
    partitions.delete(PARTITION)
    with pytest.raises(UnknownTopicOrPartition):
        partitions.leader_by_id(TOPIC_ID, 0)
    partitions.leader_by_id(TOPIC_ID, 1)


async def test_whoever_waits_for_the_disk_is_told_of_a_deletion(partitions, log):
    partition = partitions.become_leader(log, ALONE)
    append(log, b"a")
    future = partition.wait_acknowledged(1)
    partitions.delete(PARTITION)
    with pytest.raises(UnknownTopicOrPartition, match="deleted before its records were on disk"):
        await future
    await asyncio.sleep(0)


async def test_a_new_state_of_the_same_log_keeps_the_partition(partitions, log):
    partition = partitions.become_leader(log, ALONE)
    assert partitions.become_leader(log, replace(ALONE, leader_epoch=1)) is partition
    assert partition.leader_epoch == 1


async def test_a_topic_made_again_takes_the_place_of_the_old_one(partitions, harness, log):
    old = partitions.become_leader(log, ALONE)
    log.delete()
    new = partitions.become_leader(another_log(harness, "orders", 0, OTHER_ID), ALONE)
    assert partitions.leader("orders", 0) is new
    assert partitions.leader_by_id(OTHER_ID, 0) is new
    assert not old.is_leader
    with pytest.raises(UnknownTopicId):
        partitions.leader_by_id(TOPIC_ID, 0)


async def test_leadership_stands_in_the_event_log(partitions, log, tmp_path):
    events.open_log(tmp_path / "events")
    try:
        partitions.become_leader(log, ALONE)
        partitions.mark_offline(PARTITION, "broken")
    finally:
        events.open_log(None)
    elected, offline = map(json.loads, (tmp_path / "events").read_text().splitlines())
    assert (elected["event"], elected["leader_id"], elected["leader_epoch"]) == ("LeaderElected", 1, 0)
    assert (offline["event"], offline["reason"]) == ("LogOffline", "broken")
