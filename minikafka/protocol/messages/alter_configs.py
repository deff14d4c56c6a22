"""AlterConfigs (API key 33).

Source: https://kafka.apache.org/protocol#The_Messages_AlterConfigs
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class AlterableConfig:
    """Alterable config."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")


@struct
class AlterConfigsResource:
    """Alter configs resource."""

    resource_type: int = field(INT8)
    resource_name: str = field(STRING)
    configs: list[AlterableConfig] = array(AlterableConfig)


@message(api_key=33, valid="0-2", flexible="2+")
class AlterConfigsRequest(Request["AlterConfigsResponse"]):
    """Alter configs request."""

    resources: list[AlterConfigsResource] = array(AlterConfigsResource)
    validate_only: bool = field(BOOL)


@struct
class AlterConfigsResourceResponse:
    """Alter configs resource response."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
    resource_type: int = field(INT8)
    resource_name: str = field(STRING)


@message(api_key=33, valid="0-2", flexible="2+")
class AlterConfigsResponse(Message):
    """Alter configs response."""

    throttle_time_ms: int = field(INT32, default=0)
    responses: list[AlterConfigsResourceResponse] = array(AlterConfigsResourceResponse)
