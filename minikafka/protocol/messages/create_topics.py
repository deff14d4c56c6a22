"""CreateTopics (API key 19): make topics.

Versions:
    2   throttle_time_ms
    3   throttled requests are answered first and delayed afterwards (KIP-219)
    4   -1 partitions or replicas ask for the broker's default (KIP-464)
    5   flexible encoding; partitions, replicas and configs in the response (KIP-525)
    6   the error THROTTLING_QUOTA_EXCEEDED (KIP-599)
    7   the id of the new topic (KIP-516)

Source: https://kafka.apache.org/protocol#The_Messages_CreateTopics
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
    INT8,
    INT16,
    INT32,
    STRING,
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
class CreatableReplicaAssignment:
    """The brokers that shall hold one partition, the preferred leader first."""

    partition_index: int = field(INT32)
    broker_ids: list[int] = array(INT32)


@struct
class CreatableTopicConfig:
    """A config of the new topic; null stands for its default."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")


@struct
class CreatableTopic:
    """A topic to make, by counts or by assignments."""

    name: str = field(STRING)
    num_partitions: int = field(INT32)
    replication_factor: int = field(INT16)
    assignments: list[CreatableReplicaAssignment] = array(CreatableReplicaAssignment)
    configs: list[CreatableTopicConfig] = array(CreatableTopicConfig)


@message(api_key=19, valid="2-7", flexible="5+")
class CreateTopicsRequest(Request["CreateTopicsResponse"]):
    """The topics to make, or only to check."""

    topics: list[CreatableTopic] = array(CreatableTopic)
    timeout_ms: int = field(INT32, default=60000)
    validate_only: bool = field(BOOL, default=False)


@struct
class CreatableTopicConfigs:
    """A config that the new topic has."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")
    read_only: bool = field(BOOL)
    config_source: int = field(INT8, default=-1)  # as in DescribeConfigs
    is_sensitive: bool = field(BOOL)


@struct
class CreatableTopicResult:
    """What became of one topic."""

    name: str = field(STRING)
    topic_id: bytes = field(UUID, "7+", default=ZERO_UUID, ignorable=True)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    topic_config_error_code: int = field(INT16, "5+", default=0, tag=0, ignorable=True)
    num_partitions: int = field(INT32, "5+", default=-1, ignorable=True)
    replication_factor: int = field(INT16, "5+", default=-1, ignorable=True)
    configs: list[CreatableTopicConfigs] | None = array(
        CreatableTopicConfigs, "5+", nullable="0+", default_factory=list, ignorable=True
    )  # never null on success: Java's admin client would fail


@message(api_key=19, valid="2-7", flexible="5+")
class CreateTopicsResponse(Message):
    """One result per topic."""

    throttle_time_ms: int = field(INT32, default=0)
    topics: list[CreatableTopicResult] = array(CreatableTopicResult)
