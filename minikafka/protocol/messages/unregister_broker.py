"""UnregisterBroker (API key 64): forget a broker that will not come back.

Source: https://kafka.apache.org/protocol#The_Messages_UnregisterBroker
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, field, message


@message(api_key=64, valid="0", flexible="0+")
class UnregisterBrokerRequest(Request["UnregisterBrokerResponse"]):
    """The broker."""

    broker_id: int = field(INT32)


@message(api_key=64, valid="0", flexible="0+")
class UnregisterBrokerResponse(Message):
    """Whether it is forgotten."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
