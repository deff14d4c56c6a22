"""Metadata (API key 3).

Source: https://kafka.apache.org/protocol#The_Messages_Metadata
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, STRING, UUID, Message, Request, array, field, message, struct
from minikafka.types import ZERO_UUID


@struct
class MetadataRequestTopic:
    """Metadata request topic."""

    topic_id: bytes = field(UUID, "10+", default=ZERO_UUID, ignorable=True)
    name: str | None = field(STRING, nullable="10+")


@message(api_key=3, valid="0-13", flexible="9+")
class MetadataRequest(Request["MetadataResponse"]):
    """Metadata request."""

    topics: list[MetadataRequestTopic] | None = array(MetadataRequestTopic, nullable="1+")
    allow_auto_topic_creation: bool = field(BOOL, "4+", default=True)
    include_cluster_authorized_operations: bool = field(BOOL, "8-10", default=False)
    include_topic_authorized_operations: bool = field(BOOL, "8+", default=False)


@struct
class MetadataResponseBroker:
    """Metadata response broker."""

    node_id: int = field(INT32)
    host: str = field(STRING)
    port: int = field(INT32)
    rack: str | None = field(STRING, "1+", nullable="0+", default=None, ignorable=True)


@struct
class MetadataResponsePartition:
    """Metadata response partition."""

    error_code: int = field(INT16, default=0)
    partition_index: int = field(INT32)
    leader_id: int = field(INT32)
    leader_epoch: int = field(INT32, "7+", default=-1, ignorable=True)
    replica_nodes: list[int] = array(INT32)
    isr_nodes: list[int] = array(INT32)
    offline_replicas: list[int] = array(INT32, "5+", default_factory=list, ignorable=True)


@struct
class MetadataResponseTopic:
    """Metadata response topic."""

    error_code: int = field(INT16, default=0)
    name: str | None = field(STRING, nullable="12+")
    topic_id: bytes = field(UUID, "10+", default=ZERO_UUID, ignorable=True)
    is_internal: bool = field(BOOL, "1+", default=False, ignorable=True)
    partitions: list[MetadataResponsePartition] = array(MetadataResponsePartition)
    topic_authorized_operations: int = field(INT32, "8+", default=-0x80000000)


@message(api_key=3, valid="0-13", flexible="9+")
class MetadataResponse(Message):
    """Metadata response."""

    throttle_time_ms: int = field(INT32, "3+", default=0, ignorable=True)
    brokers: list[MetadataResponseBroker] = array(MetadataResponseBroker)
    cluster_id: str | None = field(STRING, "2+", nullable="0+", default=None, ignorable=True)
    controller_id: int = field(INT32, "1+", default=-1, ignorable=True)
    topics: list[MetadataResponseTopic] = array(MetadataResponseTopic)
    cluster_authorized_operations: int = field(INT32, "8-10", default=-0x80000000)
    error_code: int = field(INT16, "13+", default=0, ignorable=True)
