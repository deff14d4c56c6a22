"""CreatePartitions (API key 37): give topics more partitions.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding
    3   the error THROTTLING_QUOTA_EXCEEDED (KIP-599)

Source: https://kafka.apache.org/protocol#The_Messages_CreatePartitions
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class CreatePartitionsAssignment:
    """The brokers that shall hold one new partition, the preferred leader first."""

    broker_ids: list[int] = array(INT32)


@struct
class CreatePartitionsTopic:
    """A topic and the number of partitions it shall have."""

    name: str = field(STRING)
    count: int = field(INT32)
    assignments: list[CreatePartitionsAssignment] | None = array(
        CreatePartitionsAssignment, nullable="0+"
    )  # of the new partitions; null leaves the choice to the broker


@message(api_key=37, valid="0-3", flexible="2+")
class CreatePartitionsRequest(Request["CreatePartitionsResponse"]):
    """The topics to extend, or only to check."""

    topics: list[CreatePartitionsTopic] = array(CreatePartitionsTopic)
    timeout_ms: int = field(INT32)
    validate_only: bool = field(BOOL)


@struct
class CreatePartitionsTopicResult:
    """What became of one topic."""

    name: str = field(STRING)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=37, valid="0-3", flexible="2+")
class CreatePartitionsResponse(Message):
    """One result per topic."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[CreatePartitionsTopicResult] = array(CreatePartitionsTopicResult)
