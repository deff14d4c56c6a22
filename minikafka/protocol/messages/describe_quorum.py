"""DescribeQuorum (API key 55): the state of the controllers' quorum.

Versions:
    1   when each replica fetched last (KIP-836)
    2   error messages, directories and endpoints (KIP-853)

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
    """A partition of the metadata log."""

    partition_index: int = field(INT32)


@struct
class TopicData:
    """The partitions of one topic."""

    topic_name: str = field(STRING)
    partitions: list[PartitionData] = array(PartitionData)


@message(api_key=55, valid="0-2", flexible="0+")
class DescribeQuorumRequest(Request["DescribeQuorumResponse"]):
    """The partitions asked for."""

    topics: list[TopicData] = array(TopicData)


@struct
class ReplicaState:
    """How far a voter or an observer has come; times are milliseconds since the epoch, -1 when unknown."""

    replica_id: int = field(INT32)
    replica_directory_id: bytes = field(UUID, "2+", default=ZERO_UUID)
    log_end_offset: int = field(INT64)
    last_fetch_timestamp: int = field(INT64, "1+", default=-1, ignorable=True)
    last_caught_up_timestamp: int = field(INT64, "1+", default=-1, ignorable=True)


@struct
class ResponsePartitionData:
    """The quorum of one partition."""

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
    """The quorums of one topic."""

    topic_name: str = field(STRING)
    partitions: list[ResponsePartitionData] = array(ResponsePartitionData)


@struct
class Listener:
    """Where a node is reached."""

    name: str = field(STRING)
    host: str = field(STRING)
    port: int = field(UINT16)


@struct
class Node:
    """A node and its listeners."""

    node_id: int = field(INT32)
    listeners: list[Listener] = array(Listener)


@message(api_key=55, valid="0-2", flexible="0+")
class DescribeQuorumResponse(Message):
    """The quorums, and where their nodes are."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, "2+", nullable="0+", default="", ignorable=True)
    topics: list[ResponseTopicData] = array(ResponseTopicData)
    nodes: list[Node] = array(Node, "2+", default_factory=list)
