"""LeaveGroup (API key 13): members leave a classic group.

Versions:
    1   throttle_time_ms
    2   throttled requests are answered first and delayed afterwards (KIP-219)
    3   several members at once, by instance id too (KIP-345)
    4   flexible encoding
    5   the reason for leaving (KIP-800)

Source: https://kafka.apache.org/protocol#The_Messages_LeaveGroup
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class MemberIdentity:
    """A member that leaves."""

    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, nullable="0+", default=None)
    reason: str | None = field(STRING, "5+", nullable="0+", default=None, ignorable=True)


@message(api_key=13, valid="0-5", flexible="4+")
class LeaveGroupRequest(Request["LeaveGroupResponse"]):
    """One member up to v2, several since v3."""

    group_id: str = field(STRING)
    member_id: str = field(STRING, "0-2", default="")
    members: list[MemberIdentity] = array(MemberIdentity, "3+", default_factory=list)


@struct
class MemberResponse:
    """The result of one member."""

    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, nullable="0+")
    error_code: int = field(INT16, default=0)


@message(api_key=13, valid="0-5", flexible="4+")
class LeaveGroupResponse(Message):
    """The result, and since v3 one per member."""

    throttle_time_ms: int = field(INT32, "1+", default=0, ignorable=True)
    error_code: int = field(INT16, default=0)
    members: list[MemberResponse] = array(MemberResponse, "3+", default_factory=list)
