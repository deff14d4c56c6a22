"""The consumer protocol: with other members against a real broker, and with a coordinator that misbehaves."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from minikafka.records.builder import RecordBatchBuilder
from minikafka.types import TopicPartition
from minikafka_client import AsyncAdmin, AsyncConsumer, NewTopic
from tests.clients.support.fake_cluster import Drop, FakeCluster, Hold, Refuse
from tests.clients.support.reading import PARTITIONS, QUICK, Reading, reading, send, until_all, until_shared
from tests.support.broker import RunningBroker

EVERYTHING = set(range(PARTITIONS))


def member(bootstrap: str, **options: Any) -> AsyncConsumer:
    return AsyncConsumer(bootstrap, **{"group_id": "billing", "group_protocol": "consumer", **QUICK, **options})


class TestWithOthers:
    """Real members, a real broker."""

    @pytest.mark.parametrize("assignor", ["uniform", "range"])
    async def test_the_broker_divides_by_the_assignor_that_is_asked_for(
        self, broker: RunningBroker, assignor: str
    ) -> None:
        async with AsyncAdmin(broker.bootstrap) as admin:
            await admin.create_topics([NewTopic("bills", PARTITIONS)])
        topics = ["orders", "bills"]
        async with (
            reading(member(broker.bootstrap, group_remote_assignor=assignor), topics) as one,
            reading(member(broker.bootstrap, group_remote_assignor=assignor), topics) as two,
        ):
            halves = lambda: [len(m.consumer.assignment) for m in (one, two)] == [4, 4]  # noqa: E731
            await until_all(one, two, are=halves)
            if assignor == "range":
                for program in (one, two):
                    numbers = [
                        {where.partition for where in program.consumer.assignment if where.topic == topic}
                        for topic in topics
                    ]
                    assert numbers[0] == numbers[1] != set()

    async def test_an_assignor_that_the_broker_does_not_have_is_refused(self, broker: RunningBroker) -> None:
        async with reading(member(broker.bootstrap, group_remote_assignor="fair")) as program:
            error = await program.until_error()
            assert isinstance(error, KafkaError)
            assert error.code is ErrorCode.UNSUPPORTED_ASSIGNOR
            assert "cannot be a member of group 'billing'" in str(error)

    async def test_a_member_keeps_what_stays_its_own(self, broker: RunningBroker) -> None:
        async with reading(member(broker.bootstrap)) as stays:
            await stays.until(lambda: stays.has == EVERYTHING)
            async with reading(member(broker.bootstrap)) as new:
                await until_shared([stays, new], PARTITIONS)
                assert [partitions for what, partitions in stays.told if what == "revoked"] == [new.has]

    async def test_nothing_is_given_away_before_the_other_has_given_it_back(self, broker: RunningBroker) -> None:
        async with reading(member(broker.bootstrap)) as slow:
            await slow.until(lambda: slow.has == EVERYTHING)
            await slow.stop()
            async with reading(member(broker.bootstrap)) as new:
                await new.until(lambda: new.told == [("assigned", set())])
                slow.start()
                await until_shared([slow, new], PARTITIONS)

    async def test_the_broker_matches_a_pattern(self, broker: RunningBroker) -> None:
        pattern = re.compile("ORD(ers|inary)", re.IGNORECASE)
        consumer = member(broker.bootstrap)
        async with consumer, AsyncAdmin(broker.bootstrap) as admin:
            program = Reading(consumer)
            consumer.subscribe(pattern, program)
            await program.until(lambda: program.has == EVERYTHING)
            await admin.create_topics([NewTopic("ordinary", 1), NewTopic("ordinaryish", 1)])
            await send(broker.bootstrap, [b"new"], "ordinary")
            await program.until(lambda: b"new" in program.values)
            assert {where.topic for where in consumer.assignment} == {"orders", "ordinary"}
            await program.stop()

    async def test_a_pattern_that_the_broker_cannot_read_is_refused(self, broker: RunningBroker) -> None:
        async with member(broker.bootstrap, topic_pattern="or(?=ders).*") as consumer:
            with pytest.raises(KafkaError) as raised:
                await consumer.poll()
            assert raised.value.code is ErrorCode.INVALID_REGULAR_EXPRESSION

    async def test_a_static_member_that_restarts_gets_its_partitions_back_without_a_rebalance(
        self, broker: RunningBroker
    ) -> None:
        async with reading(member(broker.bootstrap, group_instance_id="stays")) as stays:
            async with reading(member(broker.bootstrap, group_instance_id="restarts")) as restarts:
                await until_shared([stays, restarts], PARTITIONS)
                had = restarts.has
                await restarts.stop()
            told = list(stays.told)
            async with reading(member(broker.bootstrap, group_instance_id="restarts")) as again:
                await again.until(lambda: bool(again.has))
                assert again.has == had
                await send(broker.bootstrap, [b"to all"] * PARTITIONS)
                await until_all(stays, again, are=lambda: len(stays.values) + len(again.values) == PARTITIONS)
                assert stays.told == told

    async def test_a_second_consumer_of_the_same_name_is_refused_as_long_as_the_first_is_there(
        self, broker: RunningBroker
    ) -> None:
        async with reading(member(broker.bootstrap, group_instance_id="name")) as first:
            await first.until(lambda: first.has == EVERYTHING)
            async with reading(member(broker.bootstrap, group_instance_id="name")) as second:
                error = await second.until_error()
                assert isinstance(error, KafkaError)
                assert error.code is ErrorCode.UNRELEASED_INSTANCE_ID
                assert "group_instance_id='name'" in str(error)
            assert first.has == EVERYTHING

    @pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
    async def test_members_of_both_protocols_share_a_group_that_changes_its_protocol_while_it_lives(
        self, broker: RunningBroker, strategy: str
    ) -> None:
        classic = {"group_protocol": "classic", "partition_assignment_strategy": [strategy]}
        async with reading(member(broker.bootstrap, **classic)) as old:
            await old.until(lambda: old.has == EVERYTHING)
            async with reading(member(broker.bootstrap)) as new:
                await until_shared([old, new], PARTITIONS)
                await send(broker.bootstrap, [b"%d" % number for number in range(20)])
                await until_all(old, new, are=lambda: len(old.values) + len(new.values) == 20)
                await new.stop()
            await old.until(lambda: old.has == EVERYTHING)
            assert sorted(int(value) for value in old.values + new.values) == list(range(20))


def store(cluster: FakeCluster, *values: bytes, topic: str = "orders") -> None:
    builder = RecordBatchBuilder()
    for value in values:
        builder.append(0, None, value)
    cluster.partitions[TopicPartition(topic, 0)].append(builder.build())


@asynccontextmanager
async def alone(cluster: FakeCluster, **options: Any) -> AsyncIterator[Reading]:
    """The only member, of a group with one partition."""
    cluster.create("orders")
    cluster.coordinator.target = {cluster.topic_ids["orders"]: [0]}
    async with reading(member(cluster.bootstrap_servers, **{"fetch_max_wait_ms": 20, **options})) as program:
        yield program


def heartbeats(cluster: FakeCluster) -> list[ConsumerGroupHeartbeatRequest]:
    return [request for _, _, request in cluster.requests if isinstance(request, ConsumerGroupHeartbeatRequest)]


async def heartbeat(cluster: FakeCluster) -> None:
    """Wait for the next heartbeat."""
    arrived = cluster.arrived[ApiKey.CONSUMER_GROUP_HEARTBEAT]
    arrived.clear()
    await asyncio.wait_for(arrived.wait(), 10)


async def until_beaten(cluster: FakeCluster, program: Reading, more: int = 2) -> None:
    """Wait for some more heartbeats."""
    enough = len(heartbeats(cluster)) + more
    await program.until(lambda: len(heartbeats(cluster)) >= enough)


class TestWithACoordinatorThatMisbehaves:
    """A fake coordinator with one member."""

    async def test_a_heartbeat_says_only_what_changed(self, cluster: FakeCluster) -> None:
        async with alone(cluster, client_rack="here", group_remote_assignor="uniform") as program:
            await program.until(lambda: program.has == {0})
            await until_beaten(cluster, program, 3)
            first, second, *rest = heartbeats(cluster)
            assert (first.member_epoch, first.rack_id, first.server_assignor) == (0, "here", "uniform")
            assert (first.subscribed_topic_names, first.topic_partitions) == (["orders"], [])
            assert second.member_epoch == 1
            assert second.topic_partitions is not None
            assert [topic.partitions for topic in second.topic_partitions] == [[0]]
            for request in (second, *rest):
                assert request.subscribed_topic_names is request.rack_id is request.server_assignor is None
            assert all(request.topic_partitions is None for request in rest)

    @pytest.mark.parametrize(
        "trouble",
        [
            Refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS),
            Refuse(ErrorCode.NOT_COORDINATOR),
            Drop(carried_out=False),
            Drop(carried_out=True),
        ],
        ids=str,
    )
    async def test_joining_and_beating_survive_what_passes(self, cluster: FakeCluster, trouble: Drop | Refuse) -> None:
        cluster.next(ApiKey.CONSUMER_GROUP_HEARTBEAT, trouble)
        async with alone(cluster) as program:
            if trouble == Drop(carried_out=True):
                # The answer with the assignment was lost: the coordinator sends it again to who says all anew.
                cluster.coordinator.target = {cluster.topic_ids["orders"]: [0]}
                await until_beaten(cluster, program)
                cluster.coordinator.target = {cluster.topic_ids["orders"]: [0]}
            await program.until(lambda: program.has == {0})
            cluster.next(ApiKey.CONSUMER_GROUP_HEARTBEAT, trouble, trouble)
            await until_beaten(cluster, program, 4)
            assert program.told == [("assigned", {0})]

    async def test_what_was_taken_over_or_given_back_is_said_at_once(self, cluster: FakeCluster) -> None:
        cluster.coordinator.heartbeat_interval_ms = 600_000
        async with alone(cluster) as program:
            await program.until(lambda: len(heartbeats(cluster)) == 2)
            assert heartbeats(cluster)[-1].topic_partitions

    async def test_after_a_lost_answer_everything_is_said_again(self, cluster: FakeCluster) -> None:
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
            await until_beaten(cluster, program)
            count = len(heartbeats(cluster))
            cluster.next(ApiKey.CONSUMER_GROUP_HEARTBEAT, Drop(carried_out=True))
            await until_beaten(cluster, program, 3)
            assert any(
                request.subscribed_topic_names == ["orders"] and request.topic_partitions
                for request in heartbeats(cluster)[count:]
            )

    @pytest.mark.parametrize("code", [ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID], ids=str)
    async def test_a_member_that_was_fenced_loses_what_it_has_and_joins_anew(
        self, cluster: FakeCluster, code: ErrorCode
    ) -> None:
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
            cluster.coordinator.target = None
            cluster.next(ApiKey.CONSUMER_GROUP_HEARTBEAT, Refuse(code))
            await program.until(lambda: ("lost", {0}) in program.told)
            cluster.coordinator.target = {cluster.topic_ids["orders"]: [0]}
            await program.until(lambda: program.told == [("assigned", {0}), ("lost", {0}), ("assigned", {0})])
            joins = [request.member_id for request in heartbeats(cluster) if request.member_epoch == 0]
            assert len(set(joins)) == 1, "under the same id"

    async def test_a_refusal_for_good_is_raised(self, cluster: FakeCluster) -> None:
        cluster.next(ApiKey.CONSUMER_GROUP_HEARTBEAT, Refuse(ErrorCode.GROUP_MAX_SIZE_REACHED))
        async with alone(cluster) as program:
            assert "GROUP_MAX_SIZE_REACHED" in str(await program.until_error())

    async def test_a_broker_that_does_not_have_the_protocol_is_an_error(self, cluster: FakeCluster) -> None:
        del cluster.versions[ApiKey.CONSUMER_GROUP_HEARTBEAT]
        async with alone(cluster) as program:
            error = await program.until_error()
            assert isinstance(error, KafkaError)
            assert error.code is ErrorCode.UNSUPPORTED_VERSION

    async def test_a_newer_assignment_takes_the_place_of_one_that_was_not_taken_over_yet(
        self, cluster: FakeCluster
    ) -> None:
        cluster.create("orders", 3)
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
            await program.stop()
            for numbers in ([0, 1], [2]):
                cluster.coordinator.target = {cluster.topic_ids["orders"]: numbers}
                while cluster.coordinator.target is not None:
                    await heartbeat(cluster)
                await heartbeat(cluster)  # the answer to the one before is there
            program.start()
            await program.until(lambda: program.has == {2})
            assert program.told == [("assigned", {0}), ("revoked", {0}), ("assigned", {2})]

    async def test_a_topic_that_is_not_known_yet_is_read_when_it_is(self, cluster: FakeCluster) -> None:
        async with alone(cluster, metadata_max_age_ms=20, allow_auto_create_topics=False) as program:
            await program.until(lambda: program.has == {0})
            program.consumer.subscribe(["orders", "bills"], program)
            unknown = b"bills".ljust(16, b"\0")
            cluster.coordinator.target = {cluster.topic_ids["orders"]: [0], unknown: [0]}
            await program.until(lambda: cluster.coordinator.target is None)
            cluster.create("bills")
            store(cluster, b"bill", topic="bills")
            await program.until(lambda: program.values == [b"bill"])

    async def test_who_leaves_says_so_and_a_static_member_says_for_how_long(self, cluster: FakeCluster) -> None:
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
        assert heartbeats(cluster)[-1].member_epoch == -1
        async with alone(cluster, group_instance_id="name") as program:
            await program.until(lambda: program.has == {0})
        assert heartbeats(cluster)[-1].member_epoch == -2
        assert heartbeats(cluster)[-1].instance_id == "name"

    async def test_who_leaves_before_the_answer_to_its_first_heartbeat_says_so_too(self, cluster: FakeCluster) -> None:
        may_go_on = asyncio.Event()
        cluster.next(ApiKey.CONSUMER_GROUP_HEARTBEAT, Hold(may_go_on))
        async with alone(cluster):
            await heartbeat(cluster)
            asyncio.get_running_loop().call_soon(may_go_on.set)
        assert [request.member_epoch for request in heartbeats(cluster)] == [0, -1]
        assert not cluster.coordinator.member_id

    async def test_a_member_that_is_not_polled_leaves_and_joins_again_when_it_is(self, cluster: FakeCluster) -> None:
        async with alone(cluster, max_poll_interval_ms=60) as program:
            await program.until(lambda: program.has == {0})
            await program.stop()
            while heartbeats(cluster)[-1].member_epoch != -1:
                await heartbeat(cluster)
            cluster.coordinator.target = {cluster.topic_ids["orders"]: [0]}
            program.start()
            await program.until(lambda: program.told == [("assigned", {0}), ("lost", {0}), ("assigned", {0})])

    async def test_another_subscription_is_told_at_once(self, cluster: FakeCluster) -> None:
        cluster.create("bills")
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
            may_go_on = asyncio.Event()
            cluster.next(ApiKey.CONSUMER_GROUP_HEARTBEAT, Hold(may_go_on))
            program.consumer.subscribe(["bills"], program)
            may_go_on.set()
            await program.until(
                lambda: ["bills"] in [request.subscribed_topic_names for request in heartbeats(cluster)]
            )
            assert [request.member_epoch for request in heartbeats(cluster)].count(0) == 1

    async def test_before_version_1_the_client_matches_a_pattern_itself(self, cluster: FakeCluster) -> None:
        cluster.versions[ApiKey.CONSUMER_GROUP_HEARTBEAT] = (0, 0)
        cluster.create("orders")
        cluster.create("bills")
        cluster.coordinator.target = {cluster.topic_ids["orders"]: [0]}
        async with member(cluster.bootstrap_servers, topic_pattern="or.*", fetch_max_wait_ms=20) as consumer:
            program = Reading(consumer)
            await program.until(lambda: program.has == {0})
            await program.stop()
        first = heartbeats(cluster)[0]
        assert (first.subscribed_topic_names, first.subscribed_topic_regex) == (["orders"], None)
