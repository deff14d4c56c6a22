"""ListGroups (API key 16): the groups that this broker coordinates.

Versions:
    1   throttle_time_ms
    2   throttled requests are answered first and delayed afterwards (KIP-219)
    3   flexible encoding
    4   states, and a filter for them (KIP-518)
    5   types, and a filter for them (KIP-848)

Source: https://kafka.apache.org/protocol#The_Messages_ListGroups
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, array, field, message, struct


@message(api_key=16, valid="0-5", flexible="3+")
class ListGroupsRequest(Request["ListGroupsResponse"]):
    """Filters; empty ones let everything pass."""

    states_filter: list[str] = array(STRING, "4+", default_factory=list)
    types_filter: list[str] = array(STRING, "5+", default_factory=list)


@struct
class ListedGroup:
    """One group."""

    group_id: str = field(STRING)
    protocol_type: str = field(STRING)
    group_state: str = field(STRING, "4+", default="", ignorable=True)
    group_type: str = field(STRING, "5+", default="", ignorable=True)


@message(api_key=16, valid="0-5", flexible="3+")
class ListGroupsResponse(Message):
    """The groups that pass."""

    throttle_time_ms: int = field(INT32, "1+", default=0, ignorable=True)
    error_code: int = field(INT16, default=0)
    groups: list[ListedGroup] = array(ListedGroup)
