"""InitProducerId (API key 22).

Source: https://kafka.apache.org/protocol#The_Messages_InitProducerId
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, field, message


@message(api_key=22, valid="0-5", flexible="2+")
class InitProducerIdRequest(Request["InitProducerIdResponse"]):
    """Init producer id request."""

    transactional_id: str | None = field(STRING, nullable="0+")
    transaction_timeout_ms: int = field(INT32)
    producer_id: int = field(INT64, "3+", default=-1)
    producer_epoch: int = field(INT16, "3+", default=-1)


@message(api_key=22, valid="0-5", flexible="2+")
class InitProducerIdResponse(Message):
    """Init producer id response."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    producer_id: int = field(INT64, default=-1)
    producer_epoch: int = field(INT16)
