"""Requests for more than there is or could be: bounded work, bounded answers (F19)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest
from minikafka.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from minikafka.protocol.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from minikafka.protocol.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest
from minikafka.protocol.messages.describe_topic_partitions import DescribeTopicPartitionsRequest, TopicRequest
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from minikafka.protocol.messages.find_coordinator import FindCoordinatorRequest
from minikafka.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from minikafka.protocol.schema import Message
from minikafka.types import ZERO_UUID
from tests.abuse.conftest import FETCH_SESSION_SLOTS
from tests.abuse.healthy import BRIEF_S, MIB, TOPIC, delete_topic, healthy_client, kafka_client
from tests.abuse.victim import Victim
from tests.abuse.wire import frame_of, raw_client, refused
from tests.support.data_plane import batch_of, only_fetched, values_of

MANY = 90_000
"""Almost as many elements as a request may have."""

EXTREMES = (-(2**31), -1, 0, 1, 2**31 - 1)


def fetch_of(topic: str, partitions: list[FetchPartition], *, max_wait_ms: int = 0, min_bytes: int = 0) -> FetchRequest:
    topics = [FetchTopic(topic=topic, partitions=partitions)]
    return FetchRequest(max_wait_ms=max_wait_ms, min_bytes=min_bytes, topics=topics)


def partition_of(index: int = 0, offset: int = 0, max_bytes: int = MIB) -> FetchPartition:
    return FetchPartition(partition=index, fetch_offset=offset, partition_max_bytes=max_bytes)


@pytest.mark.parametrize("max_bytes", EXTREMES)
async def test_f19_any_limits_of_a_fetch_get_a_bounded_answer(victim: Victim, max_bytes: int) -> None:
    async with healthy_client(victim, growth_mib=24) as _, kafka_client(victim) as client:
        await client.create_topic("limits")
        for number in range(10):
            await client.produce("limits", batch_of(b"%d" % number * 500_000))
        for partition_max_bytes in EXTREMES:
            for min_bytes in EXTREMES:
                request = fetch_of("limits", [partition_of(max_bytes=partition_max_bytes)], min_bytes=min_bytes)
                request.max_bytes = max_bytes
                records = only_fetched(await client.ask(request, 12)).records
                whole = max_bytes > MIB and partition_max_bytes > MIB
                assert len(values_of(records)) == (10 if whole else 1)
        await delete_topic(client, "limits")


@pytest.mark.parametrize("offset", [-(2**63), -1, 1, 2**63 - 1])
async def test_f19_offsets_that_do_not_exist_are_out_of_range(victim: Victim, offset: int) -> None:
    async with healthy_client(victim, growth_mib=8) as _, kafka_client(victim) as client:
        await client.create_topic("limits")
        expected = ErrorCode.OFFSET_OUT_OF_RANGE
        assert (await client.fetch("limits", offset)).error_code == expected
        await delete_topic(client, "limits")


async def test_f19_a_fetch_that_waits_for_ever_ends_with_its_client(victim: Victim) -> None:
    request = frame_of(fetch_of(TOPIC, [partition_of()], max_wait_ms=2**31 - 1, min_bytes=2**31 - 1), 12)
    async with healthy_client(victim, growth_mib=24) as healthy, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(victim)) for _ in range(100)]
        for client in clients:
            await client.send(request)
        await healthy.served(3)  # each record that comes wakes them, and is not enough
        for client in clients:
            client.reset()


async def test_f19_a_negative_wait_is_none(victim: Victim) -> None:
    async with healthy_client(victim, growth_mib=8) as _, kafka_client(victim) as client:
        request = fetch_of(TOPIC, [partition_of(2**31 - 1)], max_wait_ms=-(2**31), min_bytes=2**31 - 1)
        assert only_fetched(await client.ask(request, 12)).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


async def test_f19_a_fetch_of_a_million_partitions_closes_the_connection(victim: Victim) -> None:
    frame = frame_of(fetch_of(TOPIC, [partition_of()] * 1_000_000), 12)
    async with healthy_client(victim, growth_mib=128) as healthy:
        await refused(victim, frame)
        await healthy.served()
        assert healthy.slowest_s < BRIEF_S


LONG_REQUESTS: dict[str, tuple[Message, int]] = {
    "fetch of many partitions": (fetch_of(TOPIC, [partition_of(index) for index in range(MANY)]), 12),
    "fetch of one partition, many times": (fetch_of(TOPIC, [partition_of()] * MANY), 12),
    "metadata": (
        MetadataRequest(
            topics=[MetadataRequestTopic(name=f"no-{number}") for number in range(MANY)],
            allow_auto_topic_creation=False,
        ),
        12,
    ),
    "metadata of one topic, many times": (MetadataRequest(topics=[MetadataRequestTopic(name=TOPIC)] * MANY), 12),
    "coordinators": (FindCoordinatorRequest(key_type=0, coordinator_keys=[str(n) for n in range(MANY)]), 6),
    "configuration of one broker, many times": (
        DescribeConfigsRequest(
            resources=[DescribeConfigsResource(resource_type=4, resource_name="1", configuration_keys=None)] * MANY,
            include_synonyms=True,
            include_documentation=True,
        ),
        4,
    ),
    "topics that might be made": (
        CreateTopicsRequest(
            topics=[
                CreatableTopic(name=f"no-{n}", num_partitions=1, replication_factor=1, assignments=[], configs=[])
                for n in range(10_000)
            ],
            timeout_ms=1_000,
            validate_only=True,
        ),
        7,
    ),
    "topics to be deleted": (
        DeleteTopicsRequest(
            topics=[DeleteTopicState(name=f"no-{number}", topic_id=ZERO_UUID) for number in range(MANY)],
            timeout_ms=1_000,
        ),
        6,
    ),
    "one key, altered many times": (
        IncrementalAlterConfigsRequest(
            resources=[
                AlterConfigsResource(
                    resource_type=2,
                    resource_name=TOPIC,
                    configs=[AlterableConfig(name=f"key.{n // 2}", value="1", config_operation=2) for n in range(MANY)],
                )
            ],
            validate_only=True,
        ),
        1,
    ),
    "log directories": (
        DescribeLogDirsRequest(topics=[DescribableLogDirTopic(topic=TOPIC, partitions=[0])] * (MANY // 2)),
        4,
    ),
    "pages of topics": (
        DescribeTopicPartitionsRequest(
            topics=[TopicRequest(name=f"no-{number}") for number in range(MANY)], response_partition_limit=2**31 - 1
        ),
        0,
    ),
}


@pytest.mark.parametrize("what", LONG_REQUESTS)
async def test_f19_long_requests_are_answered_in_turns_and_briefly(victim: Victim, what: str) -> None:
    frame = frame_of(*LONG_REQUESTS[what])
    async with healthy_client(victim, growth_mib=112) as healthy, raw_client(victim) as client:
        await client.send(frame)
        answer = await client.answer()
        assert len(answer) < 12 * MIB
        await healthy.served()
        assert healthy.slowest_s < BRIEF_S


async def test_f19_floods_of_fetch_sessions_end_at_the_limit(impatient_victim: Victim) -> None:
    async with healthy_client(impatient_victim, growth_mib=112) as _, kafka_client(impatient_victim) as client:
        asked = fetch_of(TOPIC, [partition_of(index) for index in range(20)])
        asked.session_epoch = 0
        opened = []
        for _ in range(FETCH_SESSION_SLOTS // 50 + 2):
            answers = await asyncio.gather(*(client.ask(asked, 12) for _ in range(50)))
            opened += [answer.session_id for answer in answers if answer.session_id]
        assert len(opened) == len(set(opened)) == FETCH_SESSION_SLOTS  # the others are told to do without
        everything = fetch_of(TOPIC, [partition_of(index) for index in range(MANY)])
        everything.session_epoch = 0
        assert (await client.ask(everything, 12)).session_id == 0
        for session_id in opened:
            closing = FetchRequest(max_wait_ms=0, min_bytes=0, topics=[], session_id=session_id, session_epoch=-1)
            assert (await client.ask(closing, 12)).error_code == 0
