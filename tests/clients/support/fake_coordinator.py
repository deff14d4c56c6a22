"""The coordinator of a fake cluster: one group with one member, by either protocol, and its offsets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from minikafka.protocol.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)
from minikafka.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from minikafka.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember
from minikafka.protocol.messages.leave_group import LeaveGroupResponse
from minikafka.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from minikafka.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from minikafka.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from minikafka.protocol.schema import Message
from minikafka.types import TopicPartition

GROUP_VERSIONS = {
    ApiKey.FIND_COORDINATOR: (0, 4),
    ApiKey.JOIN_GROUP: (0, 9),
    ApiKey.SYNC_GROUP: (0, 5),
    ApiKey.HEARTBEAT: (0, 4),
    ApiKey.LEAVE_GROUP: (0, 5),
    ApiKey.OFFSET_COMMIT: (2, 9),
    ApiKey.OFFSET_FETCH: (1, 9),
    ApiKey.CONSUMER_GROUP_HEARTBEAT: (0, 1),
}


@dataclass
class FakeCoordinator:
    """Where the group is coordinated, who is in it, and what it remembers.

    ``target`` is what the next heartbeat of the consumer protocol assigns, by topic id; None for no change.
    """

    node_id: int = 0
    member_id: str = ""
    generation_id: int = 0
    rebalances: bool = False
    heartbeat_interval_ms: int = 10
    target: dict[bytes, list[int]] | None = None
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    _assignment: bytes = b""
    _named: int = 0

    def answer(self, node_id: int, api_key: ApiKey, request: Any, refusal: ErrorCode) -> Message | None:
        """The answer to a request of a group; None when this is none."""
        code = refusal if node_id == self.node_id else ErrorCode.NOT_COORDINATOR
        match api_key:
            case ApiKey.FIND_COORDINATOR:
                return self._find(request, refusal)
            case ApiKey.JOIN_GROUP:
                return self._join(request, code)
            case ApiKey.SYNC_GROUP:
                return self._sync(request, code or self._check(request.member_id, request.generation_id))
            case ApiKey.HEARTBEAT:
                return self._heartbeat(request, code)
            case ApiKey.LEAVE_GROUP:
                self.member_id = "" if not code else self.member_id
                return LeaveGroupResponse(error_code=code)
            case ApiKey.OFFSET_COMMIT:
                return self._commit(request, code)
            case ApiKey.OFFSET_FETCH:
                return self._fetch(request, code)
            case ApiKey.CONSUMER_GROUP_HEARTBEAT:
                return self._consumer_heartbeat(request, code)
        return None

    def forget_the_member(self) -> None:
        """As a session that ran out."""
        self.member_id = ""

    def _check(self, member_id: str, generation_id: int) -> ErrorCode:
        if member_id != self.member_id:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE if generation_id == self.generation_id else ErrorCode.ILLEGAL_GENERATION

    def _find(self, request: FindCoordinatorRequest, code: ErrorCode) -> FindCoordinatorResponse:
        node_id = -1 if code else self.node_id
        found = [
            Coordinator(key=key, node_id=node_id, host="", port=0, error_code=code) for key in request.coordinator_keys
        ]
        return FindCoordinatorResponse(
            coordinators=found, **({} if found else {"node_id": node_id, "error_code": code})
        )

    def _join(self, request: JoinGroupRequest, code: ErrorCode) -> JoinGroupResponse:
        if not code and not request.member_id:
            self._named += 1
            code = ErrorCode.MEMBER_ID_REQUIRED
            return self._joined(code, member_id=f"member-{self._named}")
        if code:
            return self._joined(code)
        self.member_id, self.rebalances = request.member_id, False
        self.generation_id += 1
        chosen = request.protocols[0]
        member = JoinGroupResponseMember(
            member_id=request.member_id,
            group_instance_id=request.group_instance_id,
            metadata=bytes(chosen.metadata),
        )
        return self._joined(ErrorCode.NONE, member_id=request.member_id, name=chosen.name, members=[member])

    def _joined(
        self,
        code: ErrorCode,
        member_id: str = "",
        name: str = "",
        members: list[JoinGroupResponseMember] | None = None,
    ) -> JoinGroupResponse:
        return JoinGroupResponse(
            error_code=code,
            generation_id=-1 if code else self.generation_id,
            protocol_type="consumer",
            protocol_name=name,
            leader=self.member_id,
            member_id=member_id,
            members=members or [],
        )

    def _sync(self, request: SyncGroupRequest, code: ErrorCode) -> SyncGroupResponse:
        if request.assignments and not code:
            self._assignment = bytes(request.assignments[0].assignment)
        return SyncGroupResponse(error_code=code, assignment=b"" if code else self._assignment)

    def _heartbeat(self, request: HeartbeatRequest, code: ErrorCode) -> HeartbeatResponse:
        code = code or self._check(request.member_id, request.generation_id)
        if not code and self.rebalances:
            code = ErrorCode.REBALANCE_IN_PROGRESS
        return HeartbeatResponse(error_code=code)

    def _commit(self, request: OffsetCommitRequest, code: ErrorCode) -> OffsetCommitResponse:
        if not code and request.member_id:
            code = self._check(request.member_id, request.generation_id_or_member_epoch)
        topics = []
        for topic in request.topics:
            for partition in topic.partitions:
                if not code:
                    where = TopicPartition(topic.name, partition.partition_index)
                    self.offsets[where] = partition.committed_offset
            answers = [
                OffsetCommitResponsePartition(partition_index=partition.partition_index, error_code=code)
                for partition in topic.partitions
            ]
            topics.append(OffsetCommitResponseTopic(name=topic.name, partitions=answers))
        return OffsetCommitResponse(topics=topics)

    def _fetch(self, request: OffsetFetchRequest, code: ErrorCode) -> OffsetFetchResponse:
        if not request.groups:
            return OffsetFetchResponse(
                error_code=code,
                topics=[
                    OffsetFetchResponseTopic(
                        name=topic.name,
                        partitions=[
                            OffsetFetchResponsePartition(
                                partition_index=number,
                                committed_offset=self.offsets.get(TopicPartition(topic.name, number), -1),
                                metadata="",
                            )
                            for number in topic.partition_indexes
                        ],
                    )
                    for topic in request.topics or []
                ],
            )
        (group,) = request.groups
        unstable = code if code == ErrorCode.UNSTABLE_OFFSET_COMMIT else ErrorCode.NONE
        topics = [
            OffsetFetchResponseTopics(
                name=topic.name,
                partitions=[
                    OffsetFetchResponsePartitions(
                        partition_index=number,
                        committed_offset=self.offsets.get(TopicPartition(topic.name, number), -1),
                        metadata="",
                        error_code=unstable,
                    )
                    for number in topic.partition_indexes
                ],
            )
            for topic in group.topics or []
        ]
        refused = ErrorCode.NONE if unstable else code
        answered = OffsetFetchResponseGroup(
            group_id=group.group_id, topics=[] if refused else topics, error_code=refused
        )
        return OffsetFetchResponse(groups=[answered])

    def _consumer_heartbeat(
        self, request: ConsumerGroupHeartbeatRequest, code: ErrorCode
    ) -> ConsumerGroupHeartbeatResponse:
        if not code and request.member_epoch == 0:
            self.member_id = request.member_id
            self.generation_id += 1
        elif not code and request.member_epoch < 0:
            self.member_id = ""
        elif not code:
            code = self._check(request.member_id, request.member_epoch)
            code = ErrorCode.FENCED_MEMBER_EPOCH if code == ErrorCode.ILLEGAL_GENERATION else code
        target = None
        if not code and self.target is not None and request.member_epoch >= 0:
            parts = [
                TopicPartitions(topic_id=topic_id, partitions=numbers) for topic_id, numbers in self.target.items()
            ]
            target, self.target = Assignment(topic_partitions=parts), None
        return ConsumerGroupHeartbeatResponse(
            error_code=code,
            member_id=request.member_id,
            member_epoch=self.generation_id,
            heartbeat_interval_ms=self.heartbeat_interval_ms,
            assignment=target,
        )
