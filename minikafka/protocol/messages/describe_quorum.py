"""DescribeQuorum (API key 55).

Source: https://kafka.apache.org/protocol#The_Messages_DescribeQuorum
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    INT16,
    INT32,
    INT64,
    STRING,
    UINT16,
    UUID,
    Message,
    Request,
    array,
    field,
    message,
    struct,
)
from minikafka.types import ZERO_UUID


@struct
class PartitionData:
    """Partition data."""

    partition_index: int = field(INT32)


@struct
class TopicData:
    """Topic data."""

    topic_name: str = field(STRING)
    partitions: list[PartitionData] = array(PartitionData)


@message(api_key=55, valid="0-2", flexible="0+")
class DescribeQuorumRequest(Request["DescribeQuorumResponse"]):
    """Describe quorum request."""

    topics: list[TopicData] = array(TopicData)


@struct
class ReplicaState:
    """Replica state."""

    replica_id: int = field(INT32)
    replica_directory_id: bytes = field(UUID, "2+", default=ZERO_UUID)
    log_end_offset: int = field(INT64)
    last_fetch_timestamp: int = field(INT64, "1+", default=-1, ignorable=True)
    last_caught_up_timestamp: int = field(INT64, "1+", default=-1, ignorable=True)


@struct
class ResponsePartitionData:
    """Response partition data."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, "2+", nullable="0+", default="", ignorable=True)
    leader_id: int = field(INT32)
    leader_epoch: int = field(INT32)
    high_watermark: int = field(INT64)
    current_voters: list[ReplicaState] = array(ReplicaState)
    observers: list[ReplicaState] = array(ReplicaState)


@struct
class ResponseTopicData:
    """Response topic data."""

    topic_name: str = field(STRING)
    partitions: list[ResponsePartitionData] = array(ResponsePartitionData)


@struct
class Listener:
    """Listener."""

    name: str = field(STRING)
    host: str = field(STRING)
    port: int = field(UINT16)


@struct
class Node:
    """Node."""

    node_id: int = field(INT32)
    listeners: list[Listener] = array(Listener)


@message(api_key=55, valid="0-2", flexible="0+")
class DescribeQuorumResponse(Message):
    """Describe quorum response."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, "2+", nullable="0+", default="", ignorable=True)
    topics: list[ResponseTopicData] = array(ResponseTopicData)
    nodes: list[Node] = array(Node, "2+", default_factory=list)
