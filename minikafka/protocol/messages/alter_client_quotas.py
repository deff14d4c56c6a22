"""AlterClientQuotas (API key 49).

Source: https://kafka.apache.org/protocol#The_Messages_AlterClientQuotas
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
    FLOAT64,
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
class EntityData:
    """Entity data."""

    entity_type: str = field(STRING)
    entity_name: str | None = field(STRING, nullable="0+")


@struct
class OpData:
    """Op data."""

    key: str = field(STRING)
    value: float = field(FLOAT64)
    remove: bool = field(BOOL)


@struct
class EntryData:
    """Entry data."""

    entity: list[EntityData] = array(EntityData)
    ops: list[OpData] = array(OpData)


@message(api_key=49, valid="0-1", flexible="1+")
class AlterClientQuotasRequest(Request["AlterClientQuotasResponse"]):
    """Alter client quotas request."""

    entries: list[EntryData] = array(EntryData)
    validate_only: bool = field(BOOL)


@struct
class ResponseEntryData:
    """Response entry data."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
    entity: list[EntityData] = array(EntityData)


@message(api_key=49, valid="0-1", flexible="1+")
class AlterClientQuotasResponse(Message):
    """Alter client quotas response."""

    throttle_time_ms: int = field(INT32, default=0)
    entries: list[ResponseEntryData] = array(ResponseEntryData)
