"""InitProducerId (API key 22): an id and epoch for an idempotent or transactional producer.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding
    3   a producer may name the id and epoch it had, to go on with them (KIP-360)
    4   the error PRODUCER_FENCED (KIP-588)
    5   the error TRANSACTION_ABORTABLE (KIP-890)

Not supported: v6, two-phase commit (KIP-939), which Kafka 4.3 marks as unstable.

Source: https://kafka.apache.org/protocol#The_Messages_InitProducerId
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, field, message


@message(api_key=22, valid="0-5", flexible="2+")
class InitProducerIdRequest(Request["InitProducerIdResponse"]):
    """The transactional id, null for a producer that is merely idempotent."""

    transactional_id: str | None = field(STRING, nullable="0+")
    transaction_timeout_ms: int = field(INT32)
    producer_id: int = field(INT64, "3+", default=-1)
    producer_epoch: int = field(INT16, "3+", default=-1)


@message(api_key=22, valid="0-5", flexible="2+")
class InitProducerIdResponse(Message):
    """The id and epoch to produce with."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    producer_id: int = field(INT64, default=-1)
    producer_epoch: int = field(INT16)
