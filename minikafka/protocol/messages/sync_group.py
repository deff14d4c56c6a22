"""SyncGroup (API key 14): the leader of a classic group hands out assignments, each member receives its own.

Versions:
    1   throttle_time_ms
    2   throttled requests are answered first and delayed afterwards (KIP-219)
    3   group_instance_id: static members (KIP-345)
    4   flexible encoding
    5   the protocol's type and name, for both sides to compare (KIP-559)

Source: https://kafka.apache.org/protocol#The_Messages_SyncGroup
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BYTES,
    INT16,
    INT32,
    STRING,
    Buffer,
    Message,
    Request,
    array,
    field,
    message,
    struct,
)


@struct
class SyncGroupRequestAssignment:
    """What one member shall work on."""

    member_id: str = field(STRING)
    assignment: Buffer = field(BYTES)


@message(api_key=14, valid="0-5", flexible="4+")
class SyncGroupRequest(Request["SyncGroupResponse"]):
    """The assignments from the leader, none from the others."""

    group_id: str = field(STRING)
    generation_id: int = field(INT32)
    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, "3+", nullable="0+", default=None)
    protocol_type: str | None = field(STRING, "5+", nullable="0+", default=None, ignorable=True)
    protocol_name: str | None = field(STRING, "5+", nullable="0+", default=None, ignorable=True)
    assignments: list[SyncGroupRequestAssignment] = array(SyncGroupRequestAssignment)


@message(api_key=14, valid="0-5", flexible="4+")
class SyncGroupResponse(Message):
    """The assignment of the member that asked."""

    throttle_time_ms: int = field(INT32, "1+", default=0, ignorable=True)
    error_code: int = field(INT16, default=0)
    protocol_type: str | None = field(STRING, "5+", nullable="0+", default=None, ignorable=True)
    protocol_name: str | None = field(STRING, "5+", nullable="0+", default=None, ignorable=True)
    assignment: Buffer = field(BYTES)
