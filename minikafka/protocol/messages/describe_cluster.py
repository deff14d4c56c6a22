"""DescribeCluster (API key 60): the brokers of the cluster, without its topics.

Versions:
    1   brokers or controllers, as endpoint_type says (KIP-919)
    2   fenced brokers too, on request (KIP-1073)

Source: https://kafka.apache.org/protocol#The_Messages_DescribeCluster
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@message(api_key=60, valid="0-2", flexible="0+")
class DescribeClusterRequest(Request["DescribeClusterResponse"]):
    """What to tell."""

    include_cluster_authorized_operations: bool = field(BOOL)
    endpoint_type: int = field(INT8, "1+", default=1)  # 1 brokers, 2 controllers
    include_fenced_brokers: bool = field(BOOL, "2+", default=False)


@struct
class DescribeClusterBroker:
    """A broker and where it is reached."""

    broker_id: int = field(INT32)
    host: str = field(STRING)
    port: int = field(INT32)
    rack: str | None = field(STRING, nullable="0+", default=None)
    is_fenced: bool = field(BOOL, "2+", default=False)


@message(api_key=60, valid="0-2", flexible="0+")
class DescribeClusterResponse(Message):
    """The cluster and its brokers."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    endpoint_type: int = field(INT8, "1+", default=1)
    cluster_id: str = field(STRING)
    controller_id: int = field(INT32, default=-1)
    brokers: list[DescribeClusterBroker] = array(DescribeClusterBroker)
    cluster_authorized_operations: int = field(
        INT32, default=-0x80000000
    )  # a bit per operation; the default says: not asked for
