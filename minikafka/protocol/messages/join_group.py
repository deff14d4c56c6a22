"""JoinGroup (API key 11).

Source: https://kafka.apache.org/protocol#The_Messages_JoinGroup
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
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
class JoinGroupRequestProtocol:
    """Join group request protocol."""

    name: str = field(STRING)
    metadata: Buffer = field(BYTES)


@message(api_key=11, valid="0-9", flexible="6+")
class JoinGroupRequest(Request["JoinGroupResponse"]):
    """Join group request."""

    group_id: str = field(STRING)
    session_timeout_ms: int = field(INT32)
    rebalance_timeout_ms: int = field(INT32, "1+", default=-1, ignorable=True)
    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, "5+", nullable="0+", default=None)
    protocol_type: str = field(STRING)
    protocols: list[JoinGroupRequestProtocol] = array(JoinGroupRequestProtocol)
    reason: str | None = field(STRING, "8+", nullable="0+", default=None, ignorable=True)


@struct
class JoinGroupResponseMember:
    """Join group response member."""

    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, "5+", nullable="0+", default=None, ignorable=True)
    metadata: Buffer = field(BYTES)


@message(api_key=11, valid="0-9", flexible="6+")
class JoinGroupResponse(Message):
    """Join group response."""

    throttle_time_ms: int = field(INT32, "2+", default=0, ignorable=True)
    error_code: int = field(INT16, default=0)
    generation_id: int = field(INT32, default=-1)
    protocol_type: str | None = field(STRING, "7+", nullable="0+", default=None, ignorable=True)
    protocol_name: str | None = field(STRING, nullable="7+")
    leader: str = field(STRING)
    skip_assignment: bool = field(BOOL, "9+", default=False)
    member_id: str = field(STRING)
    members: list[JoinGroupResponseMember] = array(JoinGroupResponseMember)
