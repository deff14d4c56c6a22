"""ListPartitionReassignments (API key 46): the partitions that are being moved.

Source: https://kafka.apache.org/protocol#The_Messages_ListPartitionReassignments
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class ListPartitionReassignmentsTopics:
    """The partitions of one topic."""

    name: str = field(STRING)
    partition_indexes: list[int] = array(INT32)


@message(api_key=46, valid="0", flexible="0+")
class ListPartitionReassignmentsRequest(Request["ListPartitionReassignmentsResponse"]):
    """The partitions asked for; null stands for all."""

    timeout_ms: int = field(INT32, default=60000)
    topics: list[ListPartitionReassignmentsTopics] | None = array(
        ListPartitionReassignmentsTopics, nullable="0+", default=None
    )


@struct
class OngoingPartitionReassignment:
    """One move."""

    partition_index: int = field(INT32)
    replicas: list[int] = array(INT32)
    adding_replicas: list[int] = array(INT32)
    removing_replicas: list[int] = array(INT32)


@struct
class OngoingTopicReassignment:
    """The moves of one topic."""

    name: str = field(STRING)
    partitions: list[OngoingPartitionReassignment] = array(OngoingPartitionReassignment)


@message(api_key=46, valid="0", flexible="0+")
class ListPartitionReassignmentsResponse(Message):
    """The moves."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    topics: list[OngoingTopicReassignment] = array(OngoingTopicReassignment)
