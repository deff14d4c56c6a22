"""Heartbeat (API key 12): a member of a classic group is alive.

Versions:
    1   throttle_time_ms
    2   throttled requests are answered first and delayed afterwards (KIP-219)
    3   group_instance_id: static members (KIP-345)
    4   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_Heartbeat
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, field, message


@message(api_key=12, valid="0-4", flexible="4+")
class HeartbeatRequest(Request["HeartbeatResponse"]):
    """The member and the generation it believes in."""

    group_id: str = field(STRING)
    generation_id: int = field(INT32)
    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, "3+", nullable="0+", default=None)


@message(api_key=12, valid="0-4", flexible="4+")
class HeartbeatResponse(Message):
    """Nothing, or that the group rebalances."""

    throttle_time_ms: int = field(INT32, "1+", default=0, ignorable=True)
    error_code: int = field(INT16, default=0)
