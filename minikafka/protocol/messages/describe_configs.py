"""DescribeConfigs (API key 32): the configs of topics, brokers and other resources.

Versions:
    1   sources and synonyms of the values (KIP-226)
    2   throttled requests are answered first and delayed afterwards (KIP-219)
    3   types and documentation (KIP-569)
    4   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_DescribeConfigs
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class DescribeConfigsResource:
    """A resource and the keys asked for; null asks for all."""

    resource_type: int = field(INT8)  # 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group
    resource_name: str = field(STRING)
    configuration_keys: list[str] | None = array(STRING, nullable="0+")


@message(api_key=32, valid="1-4", flexible="4+")
class DescribeConfigsRequest(Request["DescribeConfigsResponse"]):
    """The resources asked for."""

    resources: list[DescribeConfigsResource] = array(DescribeConfigsResource)
    include_synonyms: bool = field(BOOL, default=False)
    include_documentation: bool = field(BOOL, "3+", default=False)


@struct
class DescribeConfigsSynonym:
    """A place that the value could also come from, in the order of precedence."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")
    source: int = field(INT8)


@struct
class DescribeConfigsResourceResult:
    """One key and its value."""

    name: str = field(STRING)
    value: str | None = field(STRING, nullable="0+")  # null when it is sensitive
    read_only: bool = field(BOOL)
    config_source: int = field(
        INT8, default=-1
    )  # 1 dynamic topic, 2 dynamic broker, 3 all brokers, 4 static broker, 5 default
    is_sensitive: bool = field(BOOL)
    synonyms: list[DescribeConfigsSynonym] = array(DescribeConfigsSynonym)
    config_type: int = field(
        INT8, "3+", default=0, ignorable=True
    )  # 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password
    documentation: str | None = field(STRING, "3+", nullable="0+", default="", ignorable=True)


@struct
class DescribeConfigsResult:
    """The configs of one resource."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    resource_type: int = field(INT8)
    resource_name: str = field(STRING)
    configs: list[DescribeConfigsResourceResult] = array(DescribeConfigsResourceResult)


@message(api_key=32, valid="1-4", flexible="4+")
class DescribeConfigsResponse(Message):
    """One result per resource."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[DescribeConfigsResult] = array(DescribeConfigsResult)
