"""JoinGroup (API key 11): become a member of a classic consumer group, or stay one.

Versions:
    1   a rebalance timeout of its own, no longer the session's
    2   throttle_time_ms
    3   throttled requests are answered first and delayed afterwards (KIP-219)
    4   a new member is first given an id, with which it asks again (KIP-394)
    5   group_instance_id: static members (KIP-345)
    6   flexible encoding
    7   the protocol type in the response (KIP-559)
    8   the reason for joining (KIP-800)
    9   skip_assignment: a static leader that came back assigns nothing (KIP-814)

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
    """An assignor that the member supports, and what it wants to tell it."""

    name: str = field(STRING)
    metadata: Buffer = field(BYTES)


@message(api_key=11, valid="0-9", flexible="6+")
class JoinGroupRequest(Request["JoinGroupResponse"]):
    """The member and what it supports."""

    group_id: str = field(STRING)
    session_timeout_ms: int = field(INT32)
    rebalance_timeout_ms: int = field(INT32, "1+", default=-1, ignorable=True)  # -1 stands for the session timeout
    member_id: str = field(STRING)  # empty at first
    group_instance_id: str | None = field(STRING, "5+", nullable="0+", default=None)
    protocol_type: str = field(STRING)
    protocols: list[JoinGroupRequestProtocol] = array(JoinGroupRequestProtocol)
    reason: str | None = field(STRING, "8+", nullable="0+", default=None, ignorable=True)


@struct
class JoinGroupResponseMember:
    """A member of the group, told only to its leader."""

    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, "5+", nullable="0+", default=None, ignorable=True)
    metadata: Buffer = field(BYTES)


@message(api_key=11, valid="0-9", flexible="6+")
class JoinGroupResponse(Message):
    """The generation that the member is part of."""

    throttle_time_ms: int = field(INT32, "2+", default=0, ignorable=True)
    error_code: int = field(INT16, default=0)
    generation_id: int = field(INT32, default=-1)
    protocol_type: str | None = field(STRING, "7+", nullable="0+", default=None, ignorable=True)
    protocol_name: str | None = field(STRING, nullable="7+")
    leader: str = field(STRING)
    skip_assignment: bool = field(BOOL, "9+", default=False)
    member_id: str = field(STRING)
    members: list[JoinGroupResponseMember] = array(JoinGroupResponseMember)
