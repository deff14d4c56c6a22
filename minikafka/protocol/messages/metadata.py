"""Metadata (API key 3): which brokers there are, and which of them leads what.

Versions:
    0   an empty list of topics asks for all
    1   null asks for all topics, an empty list for none; racks, the controller and internal topics in the response
    2   the cluster id
    3   throttle_time_ms
    4   allow_auto_topic_creation; earlier versions imply it
    5   offline_replicas (KIP-112)
    6   throttled requests are answered first and delayed afterwards (KIP-219)
    7   leader epochs (KIP-320)
    8   authorized operations, on request (KIP-430)
    9   flexible encoding
    10  topic ids in the response (KIP-516)
    11  the cluster's authorized operations move to DescribeCluster (KIP-700)
    12  topics may be asked for by id
    13  a top-level error: REBOOTSTRAP_REQUIRED (KIP-1102)

Source: https://kafka.apache.org/protocol#The_Messages_Metadata
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, STRING, UUID, Message, Request, array, field, message, struct
from minikafka.types import ZERO_UUID


@struct
class MetadataRequestTopic:
    """A topic by name or, since v12, by id with a null name."""

    topic_id: bytes = field(UUID, "10+", default=ZERO_UUID, ignorable=True)
    name: str | None = field(STRING, nullable="10+")


@message(api_key=3, valid="0-13", flexible="9+")
class MetadataRequest(Request["MetadataResponse"]):
    """The topics to describe."""

    topics: list[MetadataRequestTopic] | None = array(MetadataRequestTopic, nullable="1+")
    allow_auto_topic_creation: bool = field(BOOL, "4+", default=True)
    include_cluster_authorized_operations: bool = field(BOOL, "8-10", default=False)
    include_topic_authorized_operations: bool = field(BOOL, "8+", default=False)


@struct
class MetadataResponseBroker:
    """A broker and where it is reached."""

    node_id: int = field(INT32)
    host: str = field(STRING)
    port: int = field(INT32)
    rack: str | None = field(STRING, "1+", nullable="0+", default=None, ignorable=True)


@struct
class MetadataResponsePartition:
    """A partition, its leader and its replicas."""

    error_code: int = field(INT16, default=0)
    partition_index: int = field(INT32)
    leader_id: int = field(INT32)
    leader_epoch: int = field(INT32, "7+", default=-1, ignorable=True)
    replica_nodes: list[int] = array(INT32)
    isr_nodes: list[int] = array(INT32)
    offline_replicas: list[int] = array(INT32, "5+", default_factory=list, ignorable=True)


@struct
class MetadataResponseTopic:
    """A topic and its partitions, or why it cannot be described."""

    error_code: int = field(INT16, default=0)
    name: str | None = field(STRING, nullable="12+")
    topic_id: bytes = field(UUID, "10+", default=ZERO_UUID, ignorable=True)
    is_internal: bool = field(BOOL, "1+", default=False, ignorable=True)
    partitions: list[MetadataResponsePartition] = array(MetadataResponsePartition)
    topic_authorized_operations: int = field(
        INT32, "8+", default=-0x80000000
    )  # a bit per operation; the default says: not asked for


@message(api_key=3, valid="0-13", flexible="9+")
class MetadataResponse(Message):
    """Brokers and topics."""

    throttle_time_ms: int = field(INT32, "3+", default=0, ignorable=True)
    brokers: list[MetadataResponseBroker] = array(MetadataResponseBroker)
    cluster_id: str | None = field(STRING, "2+", nullable="0+", default=None, ignorable=True)
    controller_id: int = field(INT32, "1+", default=-1, ignorable=True)
    topics: list[MetadataResponseTopic] = array(MetadataResponseTopic)
    cluster_authorized_operations: int = field(
        INT32, "8-10", default=-0x80000000
    )  # a bit per operation; the default says: not asked for
    error_code: int = field(INT16, "13+", default=0, ignorable=True)
