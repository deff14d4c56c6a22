"""DescribeClientQuotas (API key 48).

Source: https://kafka.apache.org/protocol#The_Messages_DescribeClientQuotas
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    STRING,
    Message,
    Request,
    array,
    field,
    message,
    struct,
)


@struct
class ComponentData:
    """Component data."""

    entity_type: str = field(STRING)
    match_type: int = field(INT8)
    match: str | None = field(STRING, nullable="0+")


@message(api_key=48, valid="0-1", flexible="1+")
class DescribeClientQuotasRequest(Request["DescribeClientQuotasResponse"]):
    """Describe client quotas request."""

    components: list[ComponentData] = array(ComponentData)
    strict: bool = field(BOOL)


@struct
class EntityData:
    """Entity data."""

    entity_type: str = field(STRING)
    entity_name: str | None = field(STRING, nullable="0+")


@struct
class ValueData:
    """Value data."""

    key: str = field(STRING)
    value: float = field(FLOAT64)


@struct
class EntryData:
    """Entry data."""

    entity: list[EntityData] = array(EntityData)
    values: list[ValueData] = array(ValueData)


@message(api_key=48, valid="0-1", flexible="1+")
class DescribeClientQuotasResponse(Message):
    """Describe client quotas response."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
    entries: list[EntryData] | None = array(EntryData, nullable="0+")
