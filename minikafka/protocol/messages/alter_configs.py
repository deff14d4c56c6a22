"""AlterConfigs (API key 33): replace all dynamic configs of resources.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_AlterConfigs
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class AlterableConfig:
    """A key and its value; null stands for the default."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")


@struct
class AlterConfigsResource:
    """A resource and all it shall have."""

    resource_type: int = field(INT8)  # as in DescribeConfigs
    resource_name: str = field(STRING)
    configs: list[AlterableConfig] = array(AlterableConfig)


@message(api_key=33, valid="0-2", flexible="2+")
class AlterConfigsRequest(Request["AlterConfigsResponse"]):
    """The resources to change, or only to check."""

    resources: list[AlterConfigsResource] = array(AlterConfigsResource)
    validate_only: bool = field(BOOL)


@struct
class AlterConfigsResourceResponse:
    """What became of one resource."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    resource_type: int = field(INT8)
    resource_name: str = field(STRING)


@message(api_key=33, valid="0-2", flexible="2+")
class AlterConfigsResponse(Message):
    """One result per resource."""

    throttle_time_ms: int = field(INT32, default=0)
    responses: list[AlterConfigsResourceResponse] = array(AlterConfigsResourceResponse)
