"""DescribeGroups (API key 15): the state and members of classic groups.

Versions:
    1   throttle_time_ms
    2   throttled requests are answered first and delayed afterwards (KIP-219)
    3   authorized operations, on request (KIP-430)
    4   group_instance_id of the members (KIP-345)
    5   flexible encoding
    6   GROUP_ID_NOT_FOUND and a message where earlier versions say "Dead" (KIP-1043)

Source: https://kafka.apache.org/protocol#The_Messages_DescribeGroups
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


@message(api_key=15, valid="0-6", flexible="5+")
class DescribeGroupsRequest(Request["DescribeGroupsResponse"]):
    """The groups to describe."""

    groups: list[str] = array(STRING)
    include_authorized_operations: bool = field(BOOL, "3+", default=False)


@struct
class DescribedGroupMember:
    """A member; its metadata and assignment are known while the group is stable."""

    member_id: str = field(STRING)
    group_instance_id: str | None = field(STRING, "4+", nullable="0+", default=None, ignorable=True)
    client_id: str = field(STRING)
    client_host: str = field(STRING)
    member_metadata: Buffer = field(BYTES)
    member_assignment: Buffer = field(BYTES)


@struct
class DescribedGroup:
    """One group."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, "6+", nullable="0+", default=None)
    group_id: str = field(STRING)
    group_state: str = field(STRING)
    protocol_type: str = field(STRING)
    protocol_data: str = field(STRING)
    members: list[DescribedGroupMember] = array(DescribedGroupMember)
    authorized_operations: int = field(INT32, "3+", default=-0x80000000)


@message(api_key=15, valid="0-6", flexible="5+")
class DescribeGroupsResponse(Message):
    """The groups asked for."""

    throttle_time_ms: int = field(INT32, "1+", default=0, ignorable=True)
    groups: list[DescribedGroup] = array(DescribedGroup)
