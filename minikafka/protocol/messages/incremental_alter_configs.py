"""IncrementalAlterConfigs (API key 44): change single configs of resources.

Versions:
    1   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_IncrementalAlterConfigs
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class AlterableConfig:
    """One change."""

    name: str = field(STRING)
    config_operation: int = field(INT8)  # 0 set, 1 delete, 2 append, 3 subtract; the last two for lists
    value: str | None = field(STRING, nullable="0+")


@struct
class AlterConfigsResource:
    """A resource and the changes to it."""

    resource_type: int = field(INT8)  # as in DescribeConfigs
    resource_name: str = field(STRING)
    configs: list[AlterableConfig] = array(AlterableConfig)


@message(api_key=44, valid="0-1", flexible="1+")
class IncrementalAlterConfigsRequest(Request["IncrementalAlterConfigsResponse"]):
    """The changes to make, or only to check."""

    resources: list[AlterConfigsResource] = array(AlterConfigsResource)
    validate_only: bool = field(BOOL)


@struct
class AlterConfigsResourceResponse:
    """What became of one resource."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    resource_type: int = field(INT8)
    resource_name: str = field(STRING)


@message(api_key=44, valid="0-1", flexible="1+")
class IncrementalAlterConfigsResponse(Message):
    """One result per resource."""

    throttle_time_ms: int = field(INT32, default=0)
    responses: list[AlterConfigsResourceResponse] = array(AlterConfigsResourceResponse)
