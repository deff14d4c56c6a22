"""DescribeAcls (API key 29): the access rules that match a filter.

Versions:
    1   pattern types (KIP-290)
    2   flexible encoding
    3   resources of type user (KIP-373)

Source: https://kafka.apache.org/protocol#The_Messages_DescribeAcls
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@message(api_key=29, valid="1-3", flexible="2+")
class DescribeAclsRequest(Request["DescribeAclsResponse"]):
    """The filter; null in it matches anything."""

    resource_type_filter: int = field(INT8)
    resource_name_filter: str | None = field(STRING, nullable="0+")
    pattern_type_filter: int = field(INT8, default=3)  # 3 literal, 4 prefixed, 2 whatever matches, 1 any
    principal_filter: str | None = field(STRING, nullable="0+")
    host_filter: str | None = field(STRING, nullable="0+")
    operation: int = field(INT8)
    permission_type: int = field(INT8)


@struct
class AclDescription:
    """One rule of a resource."""

    principal: str = field(STRING)
    host: str = field(STRING)
    operation: int = field(INT8)
    permission_type: int = field(INT8)


@struct
class DescribeAclsResource:
    """One resource and its rules."""

    resource_type: int = field(INT8)
    resource_name: str = field(STRING)
    pattern_type: int = field(INT8, default=3)
    acls: list[AclDescription] = array(AclDescription)


@message(api_key=29, valid="1-3", flexible="2+")
class DescribeAclsResponse(Message):
    """The resources that match."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    resources: list[DescribeAclsResource] = array(DescribeAclsResource)
