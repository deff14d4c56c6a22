"""DescribeTopicPartitions (API key 75): topics and their partitions, page by page (KIP-966).

Source: https://kafka.apache.org/protocol#The_Messages_DescribeTopicPartitions
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, STRING, UUID, Message, Request, array, field, message, struct


@struct
class TopicRequest:
    """A topic asked for."""

    name: str = field(STRING)


@struct
class Cursor:
    """Where a page starts."""

    topic_name: str = field(STRING)
    partition_index: int = field(INT32)


@message(api_key=75, valid="0", flexible="0+")
class DescribeTopicPartitionsRequest(Request["DescribeTopicPartitionsResponse"]):
    """The topics, none for all, and the size of a page."""

    topics: list[TopicRequest] = array(TopicRequest)
    response_partition_limit: int = field(INT32, default=2000)
    cursor: Cursor | None = field(Cursor, nullable="0+", default=None)


@struct
class DescribeTopicPartitionsResponsePartition:
    """A partition, its leader and its replicas."""

    error_code: int = field(INT16, default=0)
    partition_index: int = field(INT32)
    leader_id: int = field(INT32)
    leader_epoch: int = field(INT32, default=-1)
    replica_nodes: list[int] = array(INT32)
    isr_nodes: list[int] = array(INT32)
    eligible_leader_replicas: list[int] | None = array(
        INT32, nullable="0+", default=None
    )  # never null: Java's admin client would fail
    last_known_elr: list[int] | None = array(INT32, nullable="0+", default=None)  # never null, for the same reason
    offline_replicas: list[int] = array(INT32)


@struct
class DescribeTopicPartitionsResponseTopic:
    """A topic and some of its partitions, or why it cannot be described."""

    error_code: int = field(INT16, default=0)
    name: str | None = field(STRING, nullable="0+")
    topic_id: bytes = field(UUID)
    is_internal: bool = field(BOOL, default=False)
    partitions: list[DescribeTopicPartitionsResponsePartition] = array(DescribeTopicPartitionsResponsePartition)
    topic_authorized_operations: int = field(INT32, default=-0x80000000)


@message(api_key=75, valid="0", flexible="0+")
class DescribeTopicPartitionsResponse(Message):
    """One page; next_cursor is null on the last."""

    throttle_time_ms: int = field(INT32, default=0)
    topics: list[DescribeTopicPartitionsResponseTopic] = array(DescribeTopicPartitionsResponseTopic)
    next_cursor: Cursor | None = field(Cursor, nullable="0+", default=None)
