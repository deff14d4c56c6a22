"""DeleteGroups (API key 42): remove empty groups and their offsets.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_DeleteGroups
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, array, field, message, struct


@message(api_key=42, valid="0-2", flexible="2+")
class DeleteGroupsRequest(Request["DeleteGroupsResponse"]):
    """The groups to remove."""

    groups_names: list[str] = array(STRING)


@struct
class DeletableGroupResult:
    """What became of one group."""

    group_id: str = field(STRING)
    error_code: int = field(INT16, default=0)


@message(api_key=42, valid="0-2", flexible="2+")
class DeleteGroupsResponse(Message):
    """One result per group."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[DeletableGroupResult] = array(DeletableGroupResult)
