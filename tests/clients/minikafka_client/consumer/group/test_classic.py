"""The classic protocol: with other members against a real broker, and with a coordinator that misbehaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.join_group import JoinGroupRequest
from minikafka.protocol.messages.leave_group import LeaveGroupRequest
from minikafka.records.builder import RecordBatchBuilder
from minikafka.types import TopicPartition
from minikafka_client import AsyncConsumer
from minikafka_client.consumer.group.payloads import decode_subscription
from tests.clients.support.fake_cluster import Drop, FakeCluster, Refuse
from tests.clients.support.reading import PARTITIONS, QUICK, Reading, reading, send, until_all, until_shared
from tests.support.broker import RunningBroker

EVERYTHING = set(range(PARTITIONS))
STRATEGIES = ["range", "roundrobin", "sticky", "cooperative-sticky"]


def member(bootstrap: str, **options: Any) -> AsyncConsumer:
    return AsyncConsumer(bootstrap, **{"group_id": "billing", **QUICK, **options})


class TestWithOthers:
    """Real members, a real broker."""

    @pytest.mark.parametrize("strategy", STRATEGIES)
    async def test_members_share_by_any_strategy(self, broker: RunningBroker, strategy: str) -> None:
        async with (
            reading(member(broker.bootstrap, partition_assignment_strategy=[strategy])) as one,
            reading(member(broker.bootstrap, partition_assignment_strategy=[strategy])) as two,
            reading(member(broker.bootstrap, partition_assignment_strategy=[strategy])) as three,
        ):
            await until_shared([one, two, three], PARTITIONS)
            await send(broker.bootstrap, [b"%d" % number for number in range(30)])
            await until_all(one, two, three, are=lambda: sum(len(m.values) for m in (one, two, three)) == 30)

    async def test_a_cooperative_member_keeps_what_stays_its_own(self, broker: RunningBroker) -> None:
        async with reading(member(broker.bootstrap, partition_assignment_strategy=["cooperative-sticky"])) as stays:
            await stays.until(lambda: stays.has == EVERYTHING)
            async with reading(member(broker.bootstrap, partition_assignment_strategy=["cooperative-sticky"])) as new:
                await until_shared([stays, new], PARTITIONS)
                revoked = [partitions for what, partitions in stays.told if what == "revoked"]
                assert revoked == [new.has], "and nothing else, at any time"

    async def test_an_eager_sticky_member_gets_back_what_it_had(self, broker: RunningBroker) -> None:
        async with reading(member(broker.bootstrap, partition_assignment_strategy=["sticky"])) as one:
            await one.until(lambda: one.has == EVERYTHING)
            async with reading(member(broker.bootstrap, partition_assignment_strategy=["sticky"])) as two:
                await until_shared([one, two], PARTITIONS)
                had = one.has, two.has
                async with reading(member(broker.bootstrap, partition_assignment_strategy=["sticky"])) as three:
                    await until_shared([one, two, three], PARTITIONS)
                    assert one.has <= had[0]
                    assert two.has <= had[1]

    async def test_a_group_takes_what_all_its_members_know(self, broker: RunningBroker) -> None:
        async with (
            reading(member(broker.bootstrap, partition_assignment_strategy=["sticky", "roundrobin"])) as one,
            reading(member(broker.bootstrap, partition_assignment_strategy=["range", "roundrobin"])) as two,
        ):
            await until_shared([one, two], PARTITIONS)
            assert one.has in ({0, 2}, {1, 3}), "dealt out"

    async def test_who_knows_nothing_of_what_the_others_know_is_refused_by_name(self, broker: RunningBroker) -> None:
        async with reading(member(broker.bootstrap, partition_assignment_strategy=["range"])) as one:
            await one.until(lambda: one.has == EVERYTHING)
            async with reading(member(broker.bootstrap, partition_assignment_strategy=["sticky"])) as stranger:
                error = await stranger.until_error()
                assert "support none of this consumer's partition_assignment_strategy (sticky)" in str(error)

    async def test_a_static_member_that_restarts_gets_its_partitions_back_without_a_rebalance(
        self, broker: RunningBroker
    ) -> None:
        async with reading(member(broker.bootstrap, group_instance_id="stays")) as stays:
            async with reading(member(broker.bootstrap, group_instance_id="restarts")) as restarts:
                await until_shared([stays, restarts], PARTITIONS)
                had, generation_id = restarts.has, restarts.consumer.group_metadata.generation_id
                await restarts.stop()
            told = list(stays.told)
            async with reading(member(broker.bootstrap, group_instance_id="restarts")) as again:
                await again.until(lambda: bool(again.has))
                assert again.has == had
                await send(broker.bootstrap, [b"to all"] * PARTITIONS)
                await until_all(stays, again, are=lambda: len(stays.values) + len(again.values) == PARTITIONS)
                assert again.consumer.group_metadata.generation_id == generation_id
                assert stays.told == told

    async def test_a_second_consumer_of_the_same_name_takes_the_place_of_the_first(self, broker: RunningBroker) -> None:
        async with reading(member(broker.bootstrap, group_instance_id="name")) as first:
            await first.until(lambda: first.has == EVERYTHING)
            async with reading(member(broker.bootstrap, group_instance_id="name")) as second:
                await second.until(lambda: second.has == EVERYTHING)
                error = await first.until_error()
                assert isinstance(error, KafkaError)
                assert error.code is ErrorCode.FENCED_INSTANCE_ID
                assert ("lost", EVERYTHING) in first.told
                await send(broker.bootstrap, [b"x"])
                await second.until(lambda: second.values == [b"x"])

    async def test_a_broker_that_does_not_allow_the_session_timeout_says_which(self, broker: RunningBroker) -> None:
        async with reading(member(broker.bootstrap, session_timeout_ms=1)) as hasty:
            assert "does not allow session_timeout_ms=1" in str(await hasty.until_error())


def store(cluster: FakeCluster, *values: bytes) -> None:
    builder = RecordBatchBuilder()
    for value in values:
        builder.append(0, None, value)
    cluster.partitions[TopicPartition("orders", 0)].append(builder.build())


@asynccontextmanager
async def alone(cluster: FakeCluster, **options: Any) -> AsyncIterator[Reading]:
    """The only member, of a group with one partition."""
    cluster.create("orders")
    async with reading(member(cluster.bootstrap_servers, **{"fetch_max_wait_ms": 20, **options})) as program:
        yield program


def requests(cluster: FakeCluster, kind: type[Any]) -> list[Any]:
    return [request for _, _, request in cluster.requests if isinstance(request, kind)]


async def until_beaten(cluster: FakeCluster, program: Reading, more: int = 2) -> None:
    """Wait for some more heartbeats."""
    enough = cluster.count(ApiKey.HEARTBEAT) + more
    await program.until(lambda: cluster.count(ApiKey.HEARTBEAT) >= enough)


class TestWithACoordinatorThatMisbehaves:
    """A fake coordinator with one member."""

    async def test_a_member_joins_again_with_the_id_it_is_given(self, cluster: FakeCluster) -> None:
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
        first, second = requests(cluster, JoinGroupRequest)
        assert (first.member_id, second.member_id) == ("", "member-1")

    @pytest.mark.parametrize(
        "trouble",
        [
            Refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS),
            Refuse(ErrorCode.NOT_COORDINATOR),
            Refuse(ErrorCode.REBALANCE_IN_PROGRESS),
            Refuse(ErrorCode.UNKNOWN_MEMBER_ID),
            Refuse(ErrorCode.ILLEGAL_GENERATION),
            Drop(carried_out=False),
            Drop(carried_out=True),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("api_key", [ApiKey.JOIN_GROUP, ApiKey.SYNC_GROUP], ids=lambda key: key.name)
    async def test_joining_survives_what_passes(
        self, cluster: FakeCluster, api_key: ApiKey, trouble: Drop | Refuse
    ) -> None:
        cluster.next(api_key, trouble, trouble)
        async with alone(cluster) as program:
            store(cluster, b"x")
            await program.until(lambda: program.values == [b"x"])

    @pytest.mark.parametrize(
        ("code", "why"),
        [
            (ErrorCode.GROUP_AUTHORIZATION_FAILED, "cannot join group 'billing': GROUP_AUTHORIZATION_FAILED"),
            (ErrorCode.GROUP_MAX_SIZE_REACHED, "as many members as the broker allows"),
            (ErrorCode.FENCED_INSTANCE_ID, "another consumer has group_instance_id"),
        ],
        ids=lambda value: value.name if isinstance(value, ErrorCode) else "",
    )
    async def test_a_refusal_for_good_is_raised_until_there_is_another_subscription(
        self, cluster: FakeCluster, code: ErrorCode, why: str
    ) -> None:
        cluster.next(ApiKey.JOIN_GROUP, Refuse(code))
        async with alone(cluster) as program:
            assert why in str(await program.until_error())
            with pytest.raises(KafkaError):
                await program.consumer.poll(timeout_ms=1)
            program.error = None
            program.consumer.subscribe(["orders"], program)
            program.start()
            await program.until(lambda: program.has == {0})

    async def test_a_member_joins_the_rebalance_that_a_heartbeat_tells_of(self, cluster: FakeCluster) -> None:
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
            cluster.coordinator.rebalances = True
            await program.until(lambda: cluster.coordinator.generation_id == 2 and program.has == {0})
            assert program.told == [("assigned", {0}), ("revoked", {0}), ("assigned", {0})]
            (_, owned) = [
                decode_subscription(request.protocols[0].metadata, None).owned
                for request in requests(cluster, JoinGroupRequest)
                if request.member_id
            ]
            assert not owned, "an eager member has given everything back"

    async def test_a_cooperative_member_says_what_it_has_when_it_joins_again(self, cluster: FakeCluster) -> None:
        async with alone(cluster, partition_assignment_strategy=["cooperative-sticky"]) as program:
            await program.until(lambda: program.has == {0})
            cluster.coordinator.rebalances = True
            await program.until(lambda: program.told == [("assigned", {0}), ("assigned", set())])
            told = decode_subscription(requests(cluster, JoinGroupRequest)[-1].protocols[0].metadata, None)
            assert (told.owned, told.generation) == ({TopicPartition("orders", 0)}, 1)

    async def test_a_member_that_the_coordinator_forgot_loses_what_it_has_and_joins_anew(
        self, cluster: FakeCluster, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
            cluster.coordinator.forget_the_member()
            await program.until(lambda: program.told[1:] == [("lost", {0}), ("assigned", {0})])
            assert cluster.coordinator.member_id == "member-2"
        assert any("no longer a member: UNKNOWN_MEMBER_ID" in message for message in caplog.messages)

    async def test_heartbeats_survive_a_coordinator_that_moves_or_does_not_answer(self, cluster: FakeCluster) -> None:
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
            cluster.next(
                ApiKey.HEARTBEAT,
                Drop(carried_out=False),
                Refuse(ErrorCode.NOT_COORDINATOR),
                Refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS),
            )
            await until_beaten(cluster, program, 6)
            assert program.told == [("assigned", {0})]

    async def test_a_member_that_is_not_heard_for_a_session_knows_that_it_lost_its_partitions(
        self, cluster: FakeCluster
    ) -> None:
        async with alone(cluster, session_timeout_ms=60) as program:
            await program.until(lambda: program.has == {0})
            cluster.next(ApiKey.HEARTBEAT, *[Drop(carried_out=False)] * 1_000)
            await program.until(lambda: ("lost", {0}) in program.told)
            cluster.actions[ApiKey.HEARTBEAT].clear()
            await program.until(lambda: program.told[-1] == ("assigned", {0}))

    async def test_a_dynamic_member_says_goodbye_and_a_static_one_keeps_its_place(self, cluster: FakeCluster) -> None:
        async with alone(cluster, group_instance_id="name") as program:
            await program.until(lambda: program.has == {0})
        assert not requests(cluster, LeaveGroupRequest)
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
        (goodbye,) = requests(cluster, LeaveGroupRequest)
        assert goodbye.members[0].member_id == "member-2"

    async def test_closing_does_not_wait_for_a_coordinator_that_is_gone(self, cluster: FakeCluster) -> None:
        async with alone(cluster) as program:
            await program.until(lambda: program.has == {0})
            cluster.next(ApiKey.LEAVE_GROUP, Drop(carried_out=False))
            cluster.next(ApiKey.OFFSET_COMMIT, *[Refuse(ErrorCode.GROUP_AUTHORIZATION_FAILED)] * 5)

    async def test_a_static_member_that_is_not_polled_leaves_for_good(
        self, cluster: FakeCluster, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with alone(cluster, group_instance_id="name", max_poll_interval_ms=40) as program:
            await program.until(lambda: program.has == {0})
            await program.stop()
            await asyncio.wait_for(cluster.arrived[ApiKey.LEAVE_GROUP].wait(), 10)
            assert any("nobody polled for" in message for message in caplog.messages)
            program.start()
            await program.until(lambda: program.told[1:] == [("lost", {0}), ("assigned", {0})])

    @pytest.mark.parametrize("version", [0, 2, 4, 5])
    async def test_old_coordinators_are_spoken_to_in_their_versions(self, cluster: FakeCluster, version: int) -> None:
        for api_key in (ApiKey.JOIN_GROUP, ApiKey.SYNC_GROUP, ApiKey.HEARTBEAT, ApiKey.LEAVE_GROUP):
            low, high = cluster.versions[api_key]
            cluster.versions[api_key] = (low, min(high, version))
        async with alone(cluster) as program:
            store(cluster, b"x")
            await program.until(lambda: program.values == [b"x"])
            await until_beaten(cluster, program)

    async def test_what_happens_is_said(self, cluster: FakeCluster, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            async with alone(cluster) as program:
                await program.until(lambda: program.has == {0})
        said = [message for message in caplog.messages if message.startswith("group billing")]
        assert said == ["group billing: assigned orders[0]", "group billing: giving back orders[0]"]


def test_the_options_are_checked_when_the_consumer_is_made() -> None:
    make: Callable[..., AsyncConsumer] = AsyncConsumer
    with pytest.raises(ValueError, match="classic, consumer"):
        make(group_id="billing", group_protocol="modern")
    with pytest.raises(ValueError, match="roundrobin"):
        make(group_id="billing", partition_assignment_strategy=["fair"])
