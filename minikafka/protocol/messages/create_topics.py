"""CreateTopics (API key 19).

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
    """Creatable replica assignment."""

    partition_index: int = field(INT32)
    broker_ids: list[int] = array(INT32)


@struct
class CreatableTopicConfig:
    """Creatable topic config."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")


@struct
class CreatableTopic:
    """Creatable topic."""

    name: str = field(STRING)
    num_partitions: int = field(INT32)
    replication_factor: int = field(INT16)
    assignments: list[CreatableReplicaAssignment] = array(CreatableReplicaAssignment)
    configs: list[CreatableTopicConfig] = array(CreatableTopicConfig)


@message(api_key=19, valid="2-7", flexible="5+")
class CreateTopicsRequest(Request["CreateTopicsResponse"]):
    """Create topics request."""

    topics: list[CreatableTopic] = array(CreatableTopic)
    timeout_ms: int = field(INT32, default=60000)
    validate_only: bool = field(BOOL, default=False)


@struct
class CreatableTopicConfigs:
    """Creatable topic configs."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")
    read_only: bool = field(BOOL)
    config_source: int = field(INT8, default=-1)
    is_sensitive: bool = field(BOOL)


@struct
class CreatableTopicResult:
    """Creatable topic result."""

    name: str = field(STRING)
    topic_id: bytes = field(UUID, "7+", default=ZERO_UUID, ignorable=True)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
    topic_config_error_code: int = field(INT16, "5+", default=0, tag=0, ignorable=True)
    num_partitions: int = field(INT32, "5+", default=-1, ignorable=True)
    replication_factor: int = field(INT16, "5+", default=-1, ignorable=True)
    configs: list[CreatableTopicConfigs] | None = array(
        CreatableTopicConfigs, "5+", nullable="0+", default_factory=list, ignorable=True
    )


@message(api_key=19, valid="2-7", flexible="5+")
class CreateTopicsResponse(Message):
    """Create topics response."""

    throttle_time_ms: int = field(INT32, default=0)
    topics: list[CreatableTopicResult] = array(CreatableTopicResult)
