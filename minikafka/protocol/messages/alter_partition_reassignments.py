"""AlterPartitionReassignments (API key 45).

Source: https://kafka.apache.org/protocol#The_Messages_AlterPartitionReassignments
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class ReassignablePartition:
    """Reassignable partition."""

    partition_index: int = field(INT32)
    replicas: list[int] | None = array(INT32, nullable="0+", default=None)


@struct
class ReassignableTopic:
    """Reassignable topic."""

    name: str = field(STRING)
    partitions: list[ReassignablePartition] = array(ReassignablePartition)


@message(api_key=45, valid="0-1", flexible="0+")
class AlterPartitionReassignmentsRequest(Request["AlterPartitionReassignmentsResponse"]):
    """Alter partition reassignments request."""

    timeout_ms: int = field(INT32, default=60000)
    allow_replication_factor_change: bool = field(BOOL, "1+", default=True)
    topics: list[ReassignableTopic] = array(ReassignableTopic)


@struct
class ReassignablePartitionResponse:
    """Reassignable partition response."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")


@struct
class ReassignableTopicResponse:
    """Reassignable topic response."""

    name: str = field(STRING)
    partitions: list[ReassignablePartitionResponse] = array(ReassignablePartitionResponse)


@message(api_key=45, valid="0-1", flexible="0+")
class AlterPartitionReassignmentsResponse(Message):
    """Alter partition reassignments response."""

    throttle_time_ms: int = field(INT32, default=0)
    allow_replication_factor_change: bool = field(BOOL, "1+", default=True, ignorable=True)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
    responses: list[ReassignableTopicResponse] = array(ReassignableTopicResponse)
