"""DeleteAcls (API key 31): remove the access rules that match filters.

Versions:
    1   pattern types (KIP-290)
    2   flexible encoding
    3   resources of type user (KIP-373)

Source: https://kafka.apache.org/protocol#The_Messages_DeleteAcls
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class DeleteAclsFilter:
    """A filter; null in it matches anything."""

    resource_type_filter: int = field(INT8)
    resource_name_filter: str | None = field(STRING, nullable="0+")
    pattern_type_filter: int = field(INT8, default=3)  # 3 literal, 4 prefixed, 2 whatever matches, 1 any
    principal_filter: str | None = field(STRING, nullable="0+")
    host_filter: str | None = field(STRING, nullable="0+")
    operation: int = field(INT8)
    permission_type: int = field(INT8)


@message(api_key=31, valid="1-3", flexible="2+")
class DeleteAclsRequest(Request["DeleteAclsResponse"]):
    """The filters."""

    filters: list[DeleteAclsFilter] = array(DeleteAclsFilter)


@struct
class DeleteAclsMatchingAcl:
    """A rule that matched."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    resource_type: int = field(INT8)
    resource_name: str = field(STRING)
    pattern_type: int = field(INT8, default=3)
    principal: str = field(STRING)
    host: str = field(STRING)
    operation: int = field(INT8)
    permission_type: int = field(INT8)


@struct
class DeleteAclsFilterResult:
    """What one filter removed."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    matching_acls: list[DeleteAclsMatchingAcl] = array(DeleteAclsMatchingAcl)


@message(api_key=31, valid="1-3", flexible="2+")
class DeleteAclsResponse(Message):
    """One result per filter."""

    throttle_time_ms: int = field(INT32, default=0)
    filter_results: list[DeleteAclsFilterResult] = array(DeleteAclsFilterResult)
