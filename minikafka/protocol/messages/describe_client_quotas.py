"""DescribeClientQuotas (API key 48): the quotas that match a filter.

Versions:
    1   flexible encoding

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
    """What one part of an entity must be."""

    entity_type: str = field(STRING)
    match_type: int = field(INT8)  # 0 the name in match, 1 the default entity, 2 any name
    match: str | None = field(STRING, nullable="0+")


@message(api_key=48, valid="0-1", flexible="1+")
class DescribeClientQuotasRequest(Request["DescribeClientQuotasResponse"]):
    """The filter, strict when an entity may have no other parts."""

    components: list[ComponentData] = array(ComponentData)
    strict: bool = field(BOOL)


@struct
class EntityData:
    """One part of an entity, such as a user; null is the default one."""

    entity_type: str = field(STRING)
    entity_name: str | None = field(STRING, nullable="0+")


@struct
class ValueData:
    """One quota."""

    key: str = field(STRING)
    value: float = field(FLOAT64)


@struct
class EntryData:
    """An entity and its quotas."""

    entity: list[EntityData] = array(EntityData)
    values: list[ValueData] = array(ValueData)


@message(api_key=48, valid="0-1", flexible="1+")
class DescribeClientQuotasResponse(Message):
    """The entities that match."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    entries: list[EntryData] | None = array(EntryData, nullable="0+")
