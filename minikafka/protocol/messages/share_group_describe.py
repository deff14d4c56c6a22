"""ShareGroupDescribe (API key 77): the state and members of share groups (KIP-932).

Source: https://kafka.apache.org/protocol#The_Messages_ShareGroupDescribe
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, STRING, UUID, Message, Request, array, field, message, struct


@message(api_key=77, valid="1", flexible="0+")
class ShareGroupDescribeRequest(Request["ShareGroupDescribeResponse"]):
    """The groups to describe."""

    group_ids: list[str] = array(STRING)
    include_authorized_operations: bool = field(BOOL)


@struct
class TopicPartitions:
    """Partitions of one topic."""

    topic_id: bytes = field(UUID)
    topic_name: str = field(STRING)
    partitions: list[int] = array(INT32)


@struct
class Assignment:
    """The partitions that a member fetches from."""

    topic_partitions: list[TopicPartitions] = array(TopicPartitions)


@struct
class Member:
    """One member."""

    member_id: str = field(STRING)
    rack_id: str | None = field(STRING, nullable="0+", default=None)
    member_epoch: int = field(INT32)
    client_id: str = field(STRING)
    client_host: str = field(STRING)
    subscribed_topic_names: list[str] = array(STRING)
    assignment: Assignment = field(Assignment)


@struct
class DescribedGroup:
    """One group."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    group_id: str = field(STRING)
    group_state: str = field(STRING)
    group_epoch: int = field(INT32)
    assignment_epoch: int = field(INT32)
    assignor_name: str = field(STRING)
    members: list[Member] = array(Member)
    authorized_operations: int = field(INT32, default=-0x80000000)


@message(api_key=77, valid="1", flexible="0+")
class ShareGroupDescribeResponse(Message):
    """The groups asked for."""

    throttle_time_ms: int = field(INT32, default=0)
    groups: list[DescribedGroup] = array(DescribedGroup)
