"""FindCoordinator (API key 10): which broker looks after a group or a transactional id.

Versions:
    1   transactional ids, by key_type; error_message and throttle_time_ms
    2   throttled requests are answered first and delayed afterwards (KIP-219)
    3   flexible encoding
    4   several keys in one request (KIP-699)
    5   the error TRANSACTION_ABORTABLE (KIP-890)
    6   key type 2: share groups (KIP-932)

Source: https://kafka.apache.org/protocol#The_Messages_FindCoordinator
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@message(api_key=10, valid="0-6", flexible="3+")
class FindCoordinatorRequest(Request["FindCoordinatorResponse"]):
    """The keys to look up: one up to v3, several since v4."""

    key: str = field(STRING, "0-3", default="")
    key_type: int = field(
        INT8, "1+", default=0
    )  # 0 group, 1 transactional id, 2 share partition as group:topic id:partition
    coordinator_keys: list[str] = array(STRING, "4+", default_factory=list)


@struct
class Coordinator:
    """The broker that looks after one key."""

    key: str = field(STRING)
    node_id: int = field(INT32)
    host: str = field(STRING)
    port: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=10, valid="0-6", flexible="3+")
class FindCoordinatorResponse(Message):
    """One broker up to v3, one per key since v4."""

    throttle_time_ms: int = field(INT32, "1+", default=0, ignorable=True)
    error_code: int = field(INT16, "0-3", default=0)
    error_message: str | None = field(STRING, "1-3", nullable="0+", default="", ignorable=True)
    node_id: int = field(INT32, "0-3", default=0)
    host: str = field(STRING, "0-3", default="")
    port: int = field(INT32, "0-3", default=0)
    coordinators: list[Coordinator] = array(Coordinator, "4+", default_factory=list)
