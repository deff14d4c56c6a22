"""StreamsGroupHeartbeat (API key 88): join, stay in and leave a group of Kafka Streams (KIP-1071).

Fields that have not changed since the last heartbeat are null or -1, in both directions.

Source: https://kafka.apache.org/protocol#The_Messages_StreamsGroupHeartbeat
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
    INT8,
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


@struct
class KeyValue:
    """A config or a tag."""

    key: str = field(STRING)
    value: str = field(STRING)


@struct
class TopicInfo:
    """An internal topic of the application; 0 partitions or replicas leave the number open."""

    name: str = field(STRING)
    partitions: int = field(INT32)
    replication_factor: int = field(INT16)
    topic_configs: list[KeyValue] = array(KeyValue)


@struct
class CopartitionGroup:
    """Source topics that need the same number of partitions, as indexes into the subtopology's lists."""

    source_topics: list[int] = array(INT16)
    source_topic_regex: list[int] = array(INT16)
    repartition_source_topics: list[int] = array(INT16)


@struct
class Subtopology:
    """A part of the application that its tasks are made from."""

    subtopology_id: str = field(STRING)
    source_topics: list[str] = array(STRING)
    source_topic_regex: list[str] = array(STRING)
    state_changelog_topics: list[TopicInfo] = array(TopicInfo)
    repartition_sink_topics: list[str] = array(STRING)
    repartition_source_topics: list[TopicInfo] = array(TopicInfo)
    copartition_groups: list[CopartitionGroup] = array(CopartitionGroup)


@struct
class Topology:
    """The application's shape, sent when a member joins."""

    epoch: int = field(INT32)
    subtopologies: list[Subtopology] = array(Subtopology)


@struct
class TaskIds:
    """Tasks of one subtopology."""

    subtopology_id: str = field(STRING)
    partitions: list[int] = array(INT32)


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


@message(api_key=88, valid="0", flexible="0+")
class StreamsGroupHeartbeatRequest(Request["StreamsGroupHeartbeatResponse"]):
    """The member, its topology and its tasks."""

    group_id: str = field(STRING)
    member_id: str = field(STRING)
    member_epoch: int = field(INT32)  # 0 to join, -1 to leave, -2 to leave as a static member
    endpoint_information_epoch: int = field(INT32)
    instance_id: str | None = field(STRING, nullable="0+", default=None)
    rack_id: str | None = field(STRING, nullable="0+", default=None)
    rebalance_timeout_ms: int = field(INT32, default=-1)
    topology: Topology | None = field(Topology, nullable="0+", default=None)
    active_tasks: list[TaskIds] | None = array(TaskIds, nullable="0+")
    standby_tasks: list[TaskIds] | None = array(TaskIds, nullable="0+")
    warmup_tasks: list[TaskIds] | None = array(TaskIds, nullable="0+")
    process_id: str | None = field(STRING, nullable="0+", default=None)
    user_endpoint: Endpoint | None = field(Endpoint, nullable="0+", default=None)
    client_tags: list[KeyValue] | None = array(KeyValue, nullable="0+")
    task_offsets: list[TaskOffset] | None = array(TaskOffset, nullable="0+")
    task_end_offsets: list[TaskOffset] | None = array(TaskOffset, nullable="0+")
    shutdown_application: bool = field(BOOL, default=False)


@struct
class Status:
    """Something that keeps the group from working, such as missing topics."""

    status_code: int = field(INT8)
    status_detail: str = field(STRING)


@struct
class ResponseEndpoint:
    """Where interactive queries reach an instance."""

    host: str = field(STRING)
    port: int = field(UINT16)


@struct
class TopicPartition:
    """Partitions of one topic."""

    topic: str = field(STRING)
    partitions: list[int] = array(INT32)


@struct
class EndpointToPartitions:
    """The partitions that can be queried at one instance."""

    user_endpoint: ResponseEndpoint = field(ResponseEndpoint)
    active_partitions: list[TopicPartition] = array(TopicPartition)
    standby_partitions: list[TopicPartition] = array(TopicPartition)


@message(api_key=88, valid="0", flexible="0+")
class StreamsGroupHeartbeatResponse(Message):
    """The epoch the member is in, and its tasks when they changed."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    member_id: str = field(STRING)
    member_epoch: int = field(INT32)
    heartbeat_interval_ms: int = field(INT32)
    acceptable_recovery_lag: int = field(INT32)
    task_offset_interval_ms: int = field(INT32)
    status: list[Status] | None = array(Status, nullable="0+")
    active_tasks: list[TaskIds] | None = array(TaskIds, nullable="0+")
    standby_tasks: list[TaskIds] | None = array(TaskIds, nullable="0+")
    warmup_tasks: list[TaskIds] | None = array(TaskIds, nullable="0+")
    endpoint_information_epoch: int = field(INT32)
    partitions_by_user_endpoint: list[EndpointToPartitions] | None = array(EndpointToPartitions, nullable="0+")
