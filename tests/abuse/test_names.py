"""Names and numbers of things that cannot be: an error for each, and no file where none belongs (F16-F18)."""

from __future__ import annotations

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.alter_configs import AlterableConfig, AlterConfigsRequest, AlterConfigsResource
from minikafka.protocol.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from minikafka.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from minikafka.protocol.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from minikafka.protocol.messages.find_coordinator import FindCoordinatorRequest
from minikafka.protocol.messages.init_producer_id import InitProducerIdRequest
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from minikafka.types import INTERNAL_TOPICS
from tests.abuse.healthy import BRIEF_S, delete_topic, healthy_client, kafka_client
from tests.abuse.victim import Victim
from tests.support.data_plane import DataPlaneClient, batch_of, only_produced, produce_request

BATCH = batch_of(b"value")

ILLEGAL_TOPICS = [
    "",
    ".",
    "..",
    "../escaped",
    "/tmp/escaped",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "a b",
    "a:b",
    "x" * 250,
    "x" * 32_767,
    "\u0430buse",  # a Cyrillic a
    "abuse\u200b",  # and a space of no width
    "abusé",
    "%2e%2e%2fescaped",
    "~",
    "$HOME",
]


def topic(name: str, partitions: int = 1, replication_factor: int = 1) -> CreatableTopic:
    return CreatableTopic(
        name=name, num_partitions=partitions, replication_factor=replication_factor, assignments=[], configs=[]
    )


async def create(client: DataPlaneClient, *topics: CreatableTopic, version: int = 7) -> list[int]:
    request = CreateTopicsRequest(topics=list(topics), timeout_ms=10_000, validate_only=False)
    return [result.error_code for result in (await client.ask(request, version)).topics]


@pytest.mark.parametrize("name", ILLEGAL_TOPICS, ids=lambda name: repr(name[:20]))
async def test_f16_names_that_no_topic_has_are_refused_and_make_no_file(victim: Victim, name: str) -> None:
    async with healthy_client(victim) as _, kafka_client(victim) as client:
        before = victim.files()
        for version in (2, 4, 7):
            assert await create(client, topic(name), version=version) == [ErrorCode.INVALID_TOPIC_EXCEPTION]
        for version in (1, 4, 12):
            asked = MetadataRequest(topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=True)
            (told,) = (await client.ask(asked, version)).topics
            assert (told.error_code, told.name) == (ErrorCode.INVALID_TOPIC_EXCEPTION, name)
        produced = await client.produce(name, BATCH)
        assert produced.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert (await client.fetch(name, 0)).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert victim.files() == before


@pytest.mark.parametrize("name", sorted(INTERNAL_TOPICS))
async def test_f16_internal_topics_are_guarded(victim: Victim, name: str) -> None:
    async with healthy_client(victim) as _, kafka_client(victim) as client:
        await delete_topic(client, name, may_be_missing=True)  # another test may have looked for a coordinator
        asked = MetadataRequest(topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=True)
        (told,) = (await client.ask(asked, 12)).topics
        assert told.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await create(client, topic(name)) == [0]
        assert (await client.produce(name, BATCH)).error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
        assert await client.end_offset(name) == 0
        await delete_topic(client, name)


async def test_f16_names_that_metrics_could_not_tell_apart_are_refused(victim: Victim) -> None:
    async with healthy_client(victim) as _, kafka_client(victim) as client:
        assert await create(client, topic("col.lision"), topic("col_lision")) == [0, ErrorCode.INVALID_TOPIC_EXCEPTION]
        await delete_topic(client, "col.lision")


@pytest.mark.parametrize("partition", [-1, -(2**31), 1, 2**31 - 1])
async def test_f17_partitions_that_do_not_exist_are_unknown(victim: Victim, partition: int) -> None:
    async with healthy_client(victim, growth_mib=8) as _, kafka_client(victim) as client:
        await client.create_topic("one")
        unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert (await client.produce("one", BATCH, partition=partition)).error_code == unknown
        assert (await client.fetch("one", 0, partition=partition)).error_code == unknown
        assert (await client.list_offset("one", -1, partition=partition)).error_code == unknown
        await delete_topic(client, "one")


async def test_f17_a_partition_listed_twice_is_written_once(victim: Victim) -> None:
    async with healthy_client(victim) as _, kafka_client(victim) as client:
        await client.create_topic("one")
        request = produce_request("one", {0: BATCH})
        request.topic_data[0].partition_data *= 3
        request.topic_data *= 2
        assert only_produced(await client.ask(request, 9)).error_code == 0
        assert await client.end_offset("one") == 1
        await delete_topic(client, "one")


async def test_f17_numbers_of_partitions_and_replicas_that_cannot_be_are_refused(victim: Victim) -> None:
    async with healthy_client(victim) as _, kafka_client(victim) as client:
        for partitions in (0, -2, -(2**31)):
            assert await create(client, topic("odd", partitions)) == [ErrorCode.INVALID_PARTITIONS]
        for replication_factor in (0, -2, 2, 3, 32_767, -32_768):
            refused = await create(client, topic("odd", 1, replication_factor))
            assert refused == [ErrorCode.INVALID_REPLICATION_FACTOR]
        for assignment in ([], [7], [1, 1], [-1], [1] * 10_000):
            manual = topic("odd", -1, -1)
            manual.assignments = [CreatableReplicaAssignment(partition_index=0, broker_ids=assignment)]
            assert await create(client, manual) == [ErrorCode.INVALID_REPLICA_ASSIGNMENT]


async def test_f17_more_partitions_than_anybody_needs_are_not_made(victim: Victim) -> None:
    async with healthy_client(victim, growth_mib=16) as healthy, kafka_client(victim) as client:
        excessive = ErrorCode.POLICY_VIOLATION
        before = victim.files()
        for partitions in (10_001, 100_000, 2**31 - 1):
            assert await create(client, topic("many", partitions)) == [excessive]
        many_topics = [topic(f"many-{number}", 2) for number in range(5_001)]
        assert set(await create(client, *many_topics)) == {excessive}
        grown = [CreatePartitionsTopic(name="healthy", count=count, assignments=None) for count in (2**31 - 1,)]
        answer = await client.ask(CreatePartitionsRequest(topics=grown, timeout_ms=1_000, validate_only=False), 3)
        assert [result.error_code for result in answer.results] == [excessive]
        assert victim.files() == before
        assert healthy.slowest_s < BRIEF_S


STRANGE_NAMES = ["../../escaped", "..", "/", "a/b", "%2e%2e", "a\0b", "\x1b[31m", "x" * 32_767, "\u20ac" * 10_000, ""]


@pytest.mark.parametrize("name", STRANGE_NAMES, ids=lambda name: repr(name[:20]))
async def test_f18_strange_names_are_never_a_path(victim: Victim, name: str) -> None:
    async with healthy_client(victim) as _, kafka_client(victim) as client:
        for key_type in (0, 1):  # makes __consumer_offsets and __transaction_state
            await client.ask(FindCoordinatorRequest(key_type=key_type, coordinator_keys=["billing"]), 4)
        before = victim.files()
        for key_type in (0, 1, 2, 77, -1):
            await client.ask(FindCoordinatorRequest(key_type=key_type, coordinator_keys=[name, name]), 6)
            await client.ask(FindCoordinatorRequest(key_type=key_type, key=name), 1)
        await client.ask(InitProducerIdRequest(transactional_id=name, transaction_timeout_ms=1_000), 4)
        await client.ask(produce_request("nowhere", {0: BATCH}, transactional_id=name), 9)
        assert victim.files() == before


@pytest.mark.parametrize("name", STRANGE_NAMES, ids=lambda name: repr(name[:20]))
@pytest.mark.parametrize("resource_type", [2, 4, 8, 0, -1, 127])
async def test_f18_strange_names_of_configurations_are_refused(victim: Victim, resource_type: int, name: str) -> None:
    keys = [AlterableConfig(name=name, value=name)]
    created = topic("strange")
    created.configs = [CreatableTopicConfig(name=name, value=name)]
    async with healthy_client(victim) as _, kafka_client(victim) as client:
        before = victim.files()
        for version in (0, 2):  # what is quoted has to fit both kinds of string
            for resource_name in (name, "healthy"):
                resource = AlterConfigsResource(resource_type=resource_type, resource_name=resource_name, configs=keys)
                answer = await client.ask(AlterConfigsRequest(resources=[resource], validate_only=False), version)
                (altered,) = answer.responses
                assert altered.error_code != 0
                assert altered.error_message
        for version in (1, 4):
            described = DescribeConfigsResource(
                resource_type=resource_type, resource_name=name, configuration_keys=[name]
            )
            (result,) = (await client.ask(DescribeConfigsRequest(resources=[described]), version)).results
            assert (result.error_code, len(result.configs)) != (0, 1)
        assert await create(client, created) == [ErrorCode.INVALID_CONFIG]
        assert victim.files() == before
