"""The records of ``__consumer_offsets``: what a group coordinator remembers.

A record's key begins with its type, which is also the version of the key's schema, as an int16; its value begins with
the version of the value's.  A record without value deletes what the key names.

    =====  ==========================================  ==========================================================
    type   key                                         value
    =====  ==========================================  ==========================================================
    0, 1   :class:`OffsetCommitKey`                    :class:`OffsetCommitValue`
    2      :class:`GroupMetadataKey`                   :class:`GroupMetadataValue` (classic groups)
    3      :class:`ConsumerGroupMetadataKey`           :class:`ConsumerGroupMetadataValue`
    5      :class:`ConsumerGroupMemberMetadataKey`     :class:`ConsumerGroupMemberMetadataValue`
    6      :class:`ConsumerGroupTargetAssignmentMetadataKey` :class:`ConsumerGroupTargetAssignmentMetadataValue`
    7      :class:`ConsumerGroupTargetAssignmentMemberKey`   :class:`ConsumerGroupTargetAssignmentMemberValue`
    8      :class:`ConsumerGroupCurrentMemberAssignmentKey`  :class:`ConsumerGroupCurrentMemberAssignmentValue`
    16     :class:`ConsumerGroupRegularExpressionKey`  :class:`ConsumerGroupRegularExpressionValue`
    =====  ==========================================  ==========================================================

Source: Kafka, group-coordinator/src/main/resources/common/message.
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BYTES,
    INT8,
    INT32,
    INT64,
    STRING,
    UUID,
    Buffer,
    Message,
    array,
    field,
    message,
    struct,
)
from minikafka.types import ZERO_UUID


@message(valid="0-1", flexible="none")
class OffsetCommitKey(Message):
    """A partition's place in a group."""

    group: str = field(STRING)
    topic: str = field(STRING)
    partition: int = field(INT32)


@message(valid="0-4", flexible="4+")
class OffsetCommitValue(Message):
    """The offset that was committed: that of the next record to be read."""

    offset: int = field(INT64)
    leader_epoch: int = field(INT32, "3+", default=-1, ignorable=True)
    metadata: str = field(STRING)
    commit_timestamp: int = field(INT64)
    expire_timestamp: int = field(INT64, "1", default=-1, ignorable=True)
    topic_id: bytes = field(UUID, "4+", default=ZERO_UUID, tag=0, ignorable=True)


@message(valid="2", flexible="none")
class GroupMetadataKey(Message):
    """A classic group."""

    group: str = field(STRING)


@struct
class MemberMetadata:
    """A member of a classic group that has settled; times in milliseconds."""

    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, "3+", nullable="3+", default=None, ignorable=True)
    client_id: str = field(STRING)
    client_host: str = field(STRING)
    rebalance_timeout: int = field(INT32, "1+", default=-1, ignorable=True)
    session_timeout: int = field(INT32)
    subscription: Buffer = field(BYTES)
    assignment: Buffer = field(BYTES)


@message(valid="0-4", flexible="4+")
class GroupMetadataValue(Message):
    """A classic group as of its last completed rebalance."""

    protocol_type: str = field(STRING)
    generation: int = field(INT32)
    protocol: str | None = field(STRING, nullable="0+")
    leader: str | None = field(STRING, nullable="0+")
    current_state_timestamp: int = field(INT64, "2+", default=-1, ignorable=True)
    members: list[MemberMetadata] = array(MemberMetadata)


@struct
class TopicPartitions:
    """Partitions of one topic, by id."""

    topic_id: bytes = field(UUID)
    partitions: list[int] = array(INT32)


@message(valid="3", flexible="none")
class ConsumerGroupMetadataKey(Message):
    """A group of the new protocol."""

    group_id: str = field(STRING)


@message(valid="0", flexible="0+")
class ConsumerGroupMetadataValue(Message):
    """Its epoch, and a hash of the topics it subscribes to, as they were when the epoch began (KIP-1101)."""

    epoch: int = field(INT32)
    metadata_hash: int = field(INT64, default=0, tag=0)


@message(valid="5", flexible="none")
class ConsumerGroupMemberMetadataKey(Message):
    """A member of it."""

    group_id: str = field(STRING)
    member_id: str = field(STRING)


@struct
class ClassicProtocol:
    """An assignor of a member that speaks the classic protocol, and what it tells it."""

    name: str = field(STRING)
    metadata: Buffer = field(BYTES)


@struct
class ClassicMemberMetadata:
    """What is kept of a member that speaks the classic protocol in a group of the new one."""

    session_timeout_ms: int = field(INT32)
    supported_protocols: list[ClassicProtocol] = array(ClassicProtocol)


@message(valid="0", flexible="0+")
class ConsumerGroupMemberMetadataValue(Message):
    """Who the member is and what it subscribes to."""

    instance_id: str | None = field(STRING, nullable="0+")
    rack_id: str | None = field(STRING, nullable="0+")
    client_id: str = field(STRING)
    client_host: str = field(STRING)
    subscribed_topic_names: list[str] = array(STRING)
    subscribed_topic_regex: str | None = field(STRING, nullable="0+")
    rebalance_timeout_ms: int = field(INT32, default=-1)
    server_assignor: str | None = field(STRING, nullable="0+")
    classic_member_metadata: ClassicMemberMetadata | None = field(
        ClassicMemberMetadata, nullable="0+", default=None, tag=0
    )


@message(valid="6", flexible="none")
class ConsumerGroupTargetAssignmentMetadataKey(Message):
    """The group's target assignment."""

    group_id: str = field(STRING)


@message(valid="0", flexible="0+")
class ConsumerGroupTargetAssignmentMetadataValue(Message):
    """The group epoch that the target assignment was made for."""

    assignment_epoch: int = field(INT32)


@message(valid="7", flexible="none")
class ConsumerGroupTargetAssignmentMemberKey(Message):
    """A member's part of the target assignment."""

    group_id: str = field(STRING)
    member_id: str = field(STRING)


@message(valid="0", flexible="0+")
class ConsumerGroupTargetAssignmentMemberValue(Message):
    """The partitions that the member shall have in the end."""

    topic_partitions: list[TopicPartitions] = array(TopicPartitions)


@message(valid="8", flexible="none")
class ConsumerGroupCurrentMemberAssignmentKey(Message):
    """What a member has now."""

    group_id: str = field(STRING)
    member_id: str = field(STRING)


@message(valid="0", flexible="0+")
class ConsumerGroupCurrentMemberAssignmentValue(Message):
    """Where the member is on its way to the target."""

    member_epoch: int = field(INT32)
    previous_member_epoch: int = field(INT32)
    state: int = field(INT8)
    assigned_partitions: list[TopicPartitions] = array(TopicPartitions)
    partitions_pending_revocation: list[TopicPartitions] = array(TopicPartitions)


@message(valid="16", flexible="none")
class ConsumerGroupRegularExpressionKey(Message):
    """A regular expression that members subscribe by."""

    group_id: str = field(STRING)
    regular_expression: str = field(STRING)


@message(valid="0", flexible="0+")
class ConsumerGroupRegularExpressionValue(Message):
    """The topics that it matched, in which version of the metadata, and when."""

    topics: list[str] = array(STRING)
    version: int = field(INT64)
    timestamp: int = field(INT64)
