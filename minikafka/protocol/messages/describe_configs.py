"""DescribeConfigs (API key 32).

Source: https://kafka.apache.org/protocol#The_Messages_DescribeConfigs
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class DescribeConfigsResource:
    """Describe configs resource."""

    resource_type: int = field(INT8)
    resource_name: str = field(STRING)
    configuration_keys: list[str] | None = array(STRING, nullable="0+")


@message(api_key=32, valid="1-4", flexible="4+")
class DescribeConfigsRequest(Request["DescribeConfigsResponse"]):
    """Describe configs request."""

    resources: list[DescribeConfigsResource] = array(DescribeConfigsResource)
    include_synonyms: bool = field(BOOL, default=False)
    include_documentation: bool = field(BOOL, "3+", default=False)


@struct
class DescribeConfigsSynonym:
    """Describe configs synonym."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")
    source: int = field(INT8)


@struct
class DescribeConfigsResourceResult:
    """Describe configs resource result."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")
    read_only: bool = field(BOOL)
    config_source: int = field(INT8, default=-1)
    is_sensitive: bool = field(BOOL)
    synonyms: list[DescribeConfigsSynonym] = array(DescribeConfigsSynonym)
    config_type: int = field(INT8, "3+", default=0, ignorable=True)
    documentation: str | None = field(STRING, "3+", nullable="0+", default="", ignorable=True)


@struct
class DescribeConfigsResult:
    """Describe configs result."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
    resource_type: int = field(INT8)
    resource_name: str = field(STRING)
    configs: list[DescribeConfigsResourceResult] = array(DescribeConfigsResourceResult)


@message(api_key=32, valid="1-4", flexible="4+")
class DescribeConfigsResponse(Message):
    """Describe configs response."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[DescribeConfigsResult] = array(DescribeConfigsResult)
