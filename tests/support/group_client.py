"""A client that speaks the requests of groups: one connection, and the common requests with the fewest words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from minikafka.errors import ErrorCode
from minikafka.net.connection import Connection
from minikafka.protocol.messages.consumer_group_describe import ConsumerGroupDescribeRequest, DescribedGroup
from minikafka.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from minikafka.protocol.messages.find_coordinator import FindCoordinatorRequest
from minikafka.protocol.messages.heartbeat import HeartbeatRequest
from minikafka.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from minikafka.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity
from minikafka.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from minikafka.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from minikafka.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolSubscription
from minikafka.protocol.payloads.versioned import encode_versioned
from minikafka.protocol.schema import Message
from tests.support.broker import RunningBroker, SpawnedBroker
from tests.support.control_plane import ControlPlaneClient

R = TypeVar("R", bound=Message)

ANSWER_TIMEOUT_MS = 30_000
SESSION_TIMEOUT_MS = 10_000
REBALANCE_TIMEOUT_MS = 20_000


class Joined(NamedTuple):
    """A member of a generation, who has its assignment."""

    member_id: str
    generation_id: int
    is_leader: bool
    assignment: bytes


class Fetched(NamedTuple):
    """A committed offset, as OffsetFetch tells it."""

    offset: int
    leader_epoch: int
    metadata: str | None
    error_code: int


class GroupClient(ControlPlaneClient):
    """One client: a JoinGroup that waits keeps its connection busy, so each member has its own."""

    async def find_coordinator(self, group_id: str) -> int:
        """The broker that coordinates a group."""
        answer = await self.ask(FindCoordinatorRequest(coordinator_keys=[group_id]), 4)
        (found,) = answer.coordinators
        assert found.error_code == 0, found.error_message
        return found.node_id

    async def join(
        self,
        group_id: str,
        member_id: str = "",
        *,
        version: int = 9,
        instance_id: str | None = None,
        protocols: Mapping[str, bytes] | None = None,
        protocol_type: str = "consumer",
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> JoinGroupResponse:
        """One JoinGroup."""
        offered = subscription("orders") if protocols is None else protocols
        request = JoinGroupRequest(
            group_id=group_id,
            session_timeout_ms=session_timeout_ms,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            member_id=member_id,
            group_instance_id=instance_id,
            protocol_type=protocol_type,
            protocols=[JoinGroupRequestProtocol(name=name, metadata=data) for name, data in offered.items()],
        )
        return await self.connection.request(request, version, timeout_ms=ANSWER_TIMEOUT_MS)

    async def join_twice(self, group_id: str, *, version: int = 9, **options: object) -> JoinGroupResponse:
        """JoinGroup as a client does it: a second time when it is given an id."""
        answer = await self.join(group_id, version=version, **options)  # type: ignore[arg-type]
        if answer.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            answer = await self.join(group_id, answer.member_id, version=version, **options)  # type: ignore[arg-type]
        return answer

    async def sync(
        self,
        group_id: str,
        joined: JoinGroupResponse,
        assignments: Mapping[str, bytes] | None = None,
        *,
        version: int = 5,
        instance_id: str | None = None,
    ) -> SyncGroupResponse:
        """One SyncGroup."""
        request = SyncGroupRequest(
            group_id=group_id,
            generation_id=joined.generation_id,
            member_id=joined.member_id,
            group_instance_id=instance_id,
            protocol_type=joined.protocol_type or "consumer",
            protocol_name=joined.protocol_name,
            assignments=[
                SyncGroupRequestAssignment(member_id=member_id, assignment=given)
                for member_id, given in (assignments or {}).items()
            ],
        )
        return await self.connection.request(request, version, timeout_ms=ANSWER_TIMEOUT_MS)

    async def enter(self, group_id: str, *, version: int = 9, instance_id: str | None = None) -> Joined:
        """Join and sync; the leader assigns every member its own id."""
        joined = await self.join_twice(group_id, version=version, instance_id=instance_id)
        assert joined.error_code == 0, joined
        given = {member.member_id: member.member_id.encode() for member in joined.members}
        synced = await self.sync(group_id, joined, given, instance_id=instance_id)
        assert synced.error_code == 0, synced
        return Joined(
            joined.member_id, joined.generation_id, joined.leader == joined.member_id, bytes(synced.assignment)
        )

    async def heartbeat(
        self, group_id: str, member_id: str, generation_id: int, *, version: int = 4, instance_id: str | None = None
    ) -> int:
        """The error code of one Heartbeat."""
        request = HeartbeatRequest(
            group_id=group_id, generation_id=generation_id, member_id=member_id, group_instance_id=instance_id
        )
        return (await self.ask(request, version)).error_code

    async def until_rebalance(self, group_id: str, member_id: str, generation_id: int, *, version: int = 4) -> None:
        """Heartbeats, until one is answered that the member has to join again."""
        code = 0
        while code == ErrorCode.NONE:
            code = await self.heartbeat(group_id, member_id, generation_id, version=version)
        assert code == ErrorCode.REBALANCE_IN_PROGRESS, code

    async def leave(self, group_id: str, *member_ids: str, version: int = 5) -> LeaveGroupResponse:
        """One LeaveGroup."""
        if version < 3:
            return await self.ask(LeaveGroupRequest(group_id=group_id, member_id=member_ids[0]), version)
        members = [MemberIdentity(member_id=member_id) for member_id in member_ids]
        return await self.ask(LeaveGroupRequest(group_id=group_id, members=members), version)

    async def consumer_heartbeat(
        self,
        group_id: str,
        member_id: str,
        member_epoch: int,
        *,
        version: int = 1,
        topics: Sequence[str] | None = None,
        owned: Mapping[bytes, Sequence[int]] | None = None,
        **fields: Any,
    ) -> ConsumerGroupHeartbeatResponse:
        """One ConsumerGroupHeartbeat; what is not given has not changed."""
        request = ConsumerGroupHeartbeatRequest(
            group_id=group_id,
            member_id=member_id,
            member_epoch=member_epoch,
            subscribed_topic_names=None if topics is None else list(topics),
            topic_partitions=None
            if owned is None
            else [TopicPartitions(topic_id=topic_id, partitions=list(indexes)) for topic_id, indexes in owned.items()],
            **fields,
        )
        return await self.ask(request, version)

    async def consumer_join(
        self, group_id: str, member_id: str, *topics: str, version: int = 1, **fields: Any
    ) -> ConsumerGroupHeartbeatResponse:
        """The first ConsumerGroupHeartbeat of a member, who subscribes to topics, or as ``fields`` say."""
        fields.setdefault("rebalance_timeout_ms", REBALANCE_TIMEOUT_MS)
        return await self.consumer_heartbeat(group_id, member_id, 0, version=version, topics=topics, owned={}, **fields)

    async def consumer_describe(
        self, *group_ids: str, version: int = 1, operations: bool = False
    ) -> list[DescribedGroup]:
        """One ConsumerGroupDescribe."""
        request = ConsumerGroupDescribeRequest(group_ids=list(group_ids), include_authorized_operations=operations)
        return (await self.ask(request, version)).groups

    async def commit(
        self,
        group_id: str,
        offsets: Mapping[int, int],
        *,
        topic: str | bytes = "orders",
        member_id: str = "",
        generation_id: int = -1,
        metadata: str | None = "",
        leader_epoch: int = -1,
        version: int = 9,
        retention_time_ms: int = -1,
    ) -> dict[int, int]:
        """Commit offsets of one topic, by name (str) or id (bytes); the error code of each partition."""
        partitions = [
            OffsetCommitRequestPartition(
                partition_index=index,
                committed_offset=offset,
                committed_leader_epoch=leader_epoch,
                committed_metadata=metadata,
            )
            for index, offset in offsets.items()
        ]
        wanted = OffsetCommitRequestTopic(partitions=partitions)
        if isinstance(topic, str):
            wanted.name = topic
        else:
            wanted.topic_id = topic
        request = OffsetCommitRequest(
            group_id=group_id,
            generation_id_or_member_epoch=generation_id,
            member_id=member_id,
            retention_time_ms=retention_time_ms,
            topics=[wanted],
        )
        (answered,) = (await self.ask(request, version)).topics
        return {partition.partition_index: partition.error_code for partition in answered.partitions}

    async def fetch(
        self, group_id: str, partitions: Sequence[int] = (0,), topic: str = "orders", *, require_stable: bool = False
    ) -> dict[int, Fetched]:
        """The committed offsets of one topic."""
        group = OffsetFetchRequestGroup(
            group_id=group_id, topics=[OffsetFetchRequestTopics(name=topic, partition_indexes=list(partitions))]
        )
        answer = await self.ask(OffsetFetchRequest(groups=[group], require_stable=require_stable), 9)
        (found,) = answer.groups
        assert found.error_code == 0, found.error_code
        return {
            partition.partition_index: Fetched(
                partition.committed_offset,
                partition.committed_leader_epoch,
                partition.metadata,
                partition.error_code,
            )
            for partition in found.topics[0].partitions
        }

    async def offset(self, group_id: str, partition: int = 0, topic: str = "orders") -> int:
        """How far a group came in a partition, -1 when it has committed nothing."""
        return (await self.fetch(group_id, [partition], topic))[partition].offset


def subscription(*topics: str, version: int = 0) -> dict[str, bytes]:
    """What a consumer that only knows the range assignor offers, and that owns nothing."""
    return {"range": encode_versioned(ConsumerProtocolSubscription(topics=list(topics)), version)}


@asynccontextmanager
async def group_client(broker: RunningBroker | SpawnedBroker, client_id: str = "test") -> AsyncIterator[GroupClient]:
    """A client of a running broker, which knows where groups are coordinated."""
    connection = await Connection.open(*broker.address, client_id=client_id)
    try:
        client = GroupClient(connection)
        await client.find_coordinator("any")
        yield client
    finally:
        connection.close()


async def enter_together(group_id: str, *clients: GroupClient) -> list[Joined]:
    """Have several members end up in one generation, however many rebalances that takes."""
    members = await asyncio.gather(*(client.enter(group_id) for client in clients[:1]))
    for count in range(2, len(clients) + 1):
        members = await _rejoin(group_id, clients[:count], members)
    return members


async def _rejoin(group_id: str, clients: Sequence[GroupClient], before: Sequence[Joined]) -> list[Joined]:
    """The members of ``before`` join again with the client that is new."""
    newcomer = asyncio.create_task(clients[-1].join_twice(group_id))
    await clients[0].until_rebalance(group_id, before[0].member_id, before[0].generation_id)
    rejoining = [client.join(group_id, member.member_id) for client, member in zip(clients, before, strict=False)]
    joined = await asyncio.gather(*rejoining, newcomer)
    leader = next(answer for answer in joined if answer.members)
    given = {member.member_id: member.member_id.encode() for member in leader.members}
    synced = await asyncio.gather(
        *(
            client.sync(group_id, answer, given if answer is leader else None)
            for client, answer in zip(clients, joined, strict=True)
        )
    )
    return [
        Joined(answer.member_id, answer.generation_id, answer is leader, bytes(got.assignment))
        for answer, got in zip(joined, synced, strict=True)
    ]
