"""AlterPartitionReassignments (API key 45): move partitions to other brokers, or stop moving them.

Versions:
    1   allow_replication_factor_change (KIP-860)

Source: https://kafka.apache.org/protocol#The_Messages_AlterPartitionReassignments
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class ReassignablePartition:
    """The brokers that shall hold one partition; null ends its move."""

    partition_index: int = field(INT32)
    replicas: list[int] | None = array(INT32, nullable="0+", default=None)


@struct
class ReassignableTopic:
    """The partitions of one topic."""

    name: str = field(STRING)
    partitions: list[ReassignablePartition] = array(ReassignablePartition)


@message(api_key=45, valid="0-1", flexible="0+")
class AlterPartitionReassignmentsRequest(Request["AlterPartitionReassignmentsResponse"]):
    """The moves."""

    timeout_ms: int = field(INT32, default=60000)
    allow_replication_factor_change: bool = field(BOOL, "1+", default=True)
    topics: list[ReassignableTopic] = array(ReassignableTopic)


@struct
class ReassignablePartitionResponse:
    """The result of one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@struct
class ReassignableTopicResponse:
    """The results of one topic."""

    name: str = field(STRING)
    partitions: list[ReassignablePartitionResponse] = array(ReassignablePartitionResponse)


@message(api_key=45, valid="0-1", flexible="0+")
class AlterPartitionReassignmentsResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, default=0)
    allow_replication_factor_change: bool = field(BOOL, "1+", default=True, ignorable=True)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    responses: list[ReassignableTopicResponse] = array(ReassignableTopicResponse)
