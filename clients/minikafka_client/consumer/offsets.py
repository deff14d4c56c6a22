"""Looking up offsets: the first, the next to be written, and the first at or after a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut, UnknownTopicOrPartition
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from minikafka.types import NO_LEADER, TimestampAndOffset, TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.errors import NETWORK_ERRORS, NoBrokersAvailable, error_from_code, is_retriable

LIST_OFFSETS_VERSION = 10

_CONSUMER = -1


@dataclass(slots=True)
class Lookup:
    """A look-up under way: what is still asked for, what was found, and what will not be."""

    wanted: dict[TopicPartition, int]
    found: dict[TopicPartition, TimestampAndOffset] = field(default_factory=dict)
    failed: dict[TopicPartition, Exception] = field(default_factory=dict)
    last_error: Exception | None = None

    def fail(self, partition: TopicPartition, error: Exception) -> None:
        """There is no point in asking for this partition again."""
        self.failed[partition] = error
        self.wanted.pop(partition, None)


async def look_up_offsets(
    cluster: Cluster, timestamps_ms: Mapping[TopicPartition, int], timeout_ms: int
) -> dict[TopicPartition, TimestampAndOffset]:
    """As :func:`look_up`, all or nothing.

    Raises:
        KafkaError: A partition does not exist, a broker refuses, or not all were found in time.
    """
    lookup = await look_up(cluster, timestamps_ms, timeout_ms)
    for error in lookup.failed.values():
        raise error
    return lookup.found


async def look_up(cluster: Cluster, timestamps_ms: Mapping[TopicPartition, int], timeout_ms: int) -> Lookup:
    """Ask the leaders for the first offset at or after a time, in each partition.

    Args:
        cluster: Where the partitions are.
        timestamps_ms: A time for each partition, or -2 for its first offset, or -1 for the next to be written.
        timeout_ms: How long to ask, with pauses, while leaders are missing or do not answer.

    Returns:
        What was found (time and offset of that record, -1 and -1 when there is none), and what was not, and why.
    """
    lookup = Lookup(dict(timestamps_ms))
    try:
        async with asyncio.timeout(timeout_ms / 1_000):
            await _learn_of_topics(cluster, lookup, timeout_ms)
            attempt = 0
            while lookup.wanted:
                if attempt:
                    await asyncio.sleep(cluster.options.backoff.delay_s(attempt - 1))
                    await _refresh(cluster)
                await asyncio.gather(*(_ask(cluster, node_id, lookup) for node_id in _leaders(cluster, lookup)))
                attempt += 1
    except TimeoutError:
        for partition in list(lookup.wanted):
            why = f"no offset of {partition} within {timeout_ms} ms: {lookup.last_error}"
            lookup.fail(partition, RequestTimedOut(why))
    return lookup


async def _learn_of_topics(cluster: Cluster, lookup: Lookup, timeout_ms: int) -> None:
    for partition in list(lookup.wanted):
        try:
            topic = await cluster.topic(partition.topic, timeout_ms)
        except (KafkaError, NoBrokersAvailable) as error:
            lookup.fail(partition, error)
            continue
        if not 0 <= partition.partition < len(topic.partitions):
            what = f"{topic.name} has partitions 0 to {len(topic.partitions) - 1}, not {partition.partition}"
            lookup.fail(partition, UnknownTopicOrPartition(what))


async def _refresh(cluster: Cluster) -> None:
    try:
        await cluster.refresh()
    except NoBrokersAvailable:
        return  # the next attempt says what is wrong


def _leaders(cluster: Cluster, lookup: Lookup) -> set[int]:
    leaders = {cluster.metadata.leader_of(*partition) for partition in lookup.wanted}
    if NO_LEADER in leaders:
        lookup.last_error = error_from_code(ErrorCode.LEADER_NOT_AVAILABLE)
    return leaders - {NO_LEADER}


async def _ask(cluster: Cluster, node_id: int, lookup: Lookup) -> None:
    """Ask one broker for the partitions it leads; what it finds moves from ``wanted`` to ``found``."""
    topics: defaultdict[str, list[ListOffsetsPartition]] = defaultdict(list)
    for partition, timestamp_ms in lookup.wanted.items():
        info = cluster.metadata.partition(*partition)
        if info is not None and info.leader_id == node_id:
            topics[partition.topic].append(
                ListOffsetsPartition(
                    partition_index=partition.partition,
                    current_leader_epoch=info.leader_epoch,
                    timestamp=timestamp_ms,
                )
            )
    request = ListOffsetsRequest(
        replica_id=_CONSUMER,
        topics=[ListOffsetsTopic(name=name, partitions=partitions) for name, partitions in topics.items()],
    )
    try:
        connection = await cluster.connection(node_id)
        version = connection.pick(ApiKey.LIST_OFFSETS, LIST_OFFSETS_VERSION)
        response = await connection.request(request, version, timeout_ms=cluster.options.request_timeout_ms)
    except NETWORK_ERRORS as failure:
        lookup.last_error = failure
        return
    for topic in response.topics:
        for answer in topic.partitions:
            where = TopicPartition(topic.name, answer.partition_index)
            if answer.error_code == ErrorCode.NONE:
                lookup.found[where] = TimestampAndOffset(answer.timestamp, answer.offset, answer.leader_epoch)
                lookup.wanted.pop(where, None)
                continue
            error = lookup.last_error = error_from_code(answer.error_code)
            if not is_retriable(error):
                lookup.fail(where, error)
