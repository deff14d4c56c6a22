"""CreatePartitions (API key 37).

Source: https://kafka.apache.org/protocol#The_Messages_CreatePartitions
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class CreatePartitionsAssignment:
    """Create partitions assignment."""

    broker_ids: list[int] = array(INT32)


@struct
class CreatePartitionsTopic:
    """Create partitions topic."""

    name: str = field(STRING)
    count: int = field(INT32)
    assignments: list[CreatePartitionsAssignment] | None = array(CreatePartitionsAssignment, nullable="0+")


@message(api_key=37, valid="0-3", flexible="2+")
class CreatePartitionsRequest(Request["CreatePartitionsResponse"]):
    """Create partitions request."""

    topics: list[CreatePartitionsTopic] = array(CreatePartitionsTopic)
    timeout_ms: int = field(INT32)
    validate_only: bool = field(BOOL)


@struct
class CreatePartitionsTopicResult:
    """Create partitions topic result."""

    name: str = field(STRING)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=37, valid="0-3", flexible="2+")
class CreatePartitionsResponse(Message):
    """Create partitions response."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[CreatePartitionsTopicResult] = array(CreatePartitionsTopicResult)
