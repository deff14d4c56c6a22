"""AlterClientQuotas (API key 49): set or remove quotas.

Versions:
    1   flexible encoding

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
    """One part of an entity, such as a user; null is the default one."""

    entity_type: str = field(STRING)
    entity_name: str | None = field(STRING, nullable="0+")


@struct
class OpData:
    """A quota to set or to remove."""

    key: str = field(STRING)
    value: float = field(FLOAT64)
    remove: bool = field(BOOL)


@struct
class EntryData:
    """An entity and the changes to its quotas."""

    entity: list[EntityData] = array(EntityData)
    ops: list[OpData] = array(OpData)


@message(api_key=49, valid="0-1", flexible="1+")
class AlterClientQuotasRequest(Request["AlterClientQuotasResponse"]):
    """The changes to make, or only to check."""

    entries: list[EntryData] = array(EntryData)
    validate_only: bool = field(BOOL)


@struct
class ResponseEntryData:
    """What became of one entity."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    entity: list[EntityData] = array(EntityData)


@message(api_key=49, valid="0-1", flexible="1+")
class AlterClientQuotasResponse(Message):
    """One result per entity."""

    throttle_time_ms: int = field(INT32, default=0)
    entries: list[ResponseEntryData] = array(ResponseEntryData)
