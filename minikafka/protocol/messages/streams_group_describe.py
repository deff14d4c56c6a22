"""StreamsGroupDescribe (API key 89): the state and members of groups of Kafka Streams (KIP-1071).

Source: https://kafka.apache.org/protocol#The_Messages_StreamsGroupDescribe
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
    INT16,
    INT32,
    INT64,
    STRING,
    UINT16,
    Message,
    Request,
    array,
    field,
    message,
    struct,
)


@message(api_key=89, valid="0", flexible="0+")
class StreamsGroupDescribeRequest(Request["StreamsGroupDescribeResponse"]):
    """The groups to describe."""

    group_ids: list[str] = array(STRING)
    include_authorized_operations: bool = field(BOOL)


@struct
class KeyValue:
    """A config or a tag."""

    key: str = field(STRING)
    value: str = field(STRING)


@struct
class TopicInfo:
    """An internal topic of the application."""

    name: str = field(STRING)
    partitions: int = field(INT32)
    replication_factor: int = field(INT16)
    topic_configs: list[KeyValue] = array(KeyValue)


@struct
class Subtopology:
    """A part of the application that its tasks are made from."""

    subtopology_id: str = field(STRING)
    source_topics: list[str] = array(STRING)
    repartition_sink_topics: list[str] = array(STRING)
    state_changelog_topics: list[TopicInfo] = array(TopicInfo)
    repartition_source_topics: list[TopicInfo] = array(TopicInfo)


@struct
class Topology:
    """The application's shape."""

    epoch: int = field(INT32)
    subtopologies: list[Subtopology] | None = array(Subtopology, nullable="0+")


@struct
class Endpoint:
    """Where interactive queries reach an instance."""

    host: str = field(STRING)
    port: int = field(UINT16)


@struct
class TaskOffset:
    """How far a task has restored its state."""

    subtopology_id: str = field(STRING)
    partition: int = field(INT32)
    offset: int = field(INT64)


@struct
class TaskIds:
    """Tasks of one subtopology."""

    subtopology_id: str = field(STRING)
    partitions: list[int] = array(INT32)


@struct
class Assignment:
    """The tasks that a member has or shall have."""

    active_tasks: list[TaskIds] = array(TaskIds)
    standby_tasks: list[TaskIds] = array(TaskIds)
    warmup_tasks: list[TaskIds] = array(TaskIds)


@struct
class Member:
    """One member."""

    member_id: str = field(STRING)
    member_epoch: int = field(INT32)
    instance_id: str | None = field(STRING, nullable="0+", default=None)
    rack_id: str | None = field(STRING, nullable="0+", default=None)
    client_id: str = field(STRING)
    client_host: str = field(STRING)
    topology_epoch: int = field(INT32)
    process_id: str = field(STRING)
    user_endpoint: Endpoint | None = field(Endpoint, nullable="0+", default=None)
    client_tags: list[KeyValue] = array(KeyValue)
    task_offsets: list[TaskOffset] = array(TaskOffset)
    task_end_offsets: list[TaskOffset] = array(TaskOffset)
    assignment: Assignment = field(Assignment)
    target_assignment: Assignment = field(Assignment)
    is_classic: bool = field(BOOL)


@struct
class DescribedGroup:
    """One group."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    group_id: str = field(STRING)
    group_state: str = field(STRING)
    group_epoch: int = field(INT32)
    assignment_epoch: int = field(INT32)
    topology: Topology | None = field(Topology, nullable="0+", default=None)
    members: list[Member] = array(Member)
    authorized_operations: int = field(INT32, default=-0x80000000)


@message(api_key=89, valid="0", flexible="0+")
class StreamsGroupDescribeResponse(Message):
    """The groups asked for."""

    throttle_time_ms: int = field(INT32, default=0)
    groups: list[DescribedGroup] = array(DescribedGroup)
