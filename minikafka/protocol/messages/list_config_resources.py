"""ListConfigResources (API key 74): the resources that have configs.

Versions:
    0   client metrics only (KIP-1000)
    1   resources of any type, and a filter for types (KIP-1142)

Source: https://kafka.apache.org/protocol#The_Messages_ListConfigResources
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@message(api_key=74, valid="0-1", flexible="0+")
class ListConfigResourcesRequest(Request["ListConfigResourcesResponse"]):
    """The types asked for; none asks for all."""

    resource_types: list[int] = array(INT8, "1+", default_factory=list)


@struct
class ConfigResource:
    """One resource."""

    resource_name: str = field(STRING)
    resource_type: int = field(INT8, "1+", default=16, ignorable=True)  # as in DescribeConfigs


@message(api_key=74, valid="0-1", flexible="0+")
class ListConfigResourcesResponse(Message):
    """The resources."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    config_resources: list[ConfigResource] = array(ConfigResource)
