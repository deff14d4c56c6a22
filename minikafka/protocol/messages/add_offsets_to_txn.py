"""AddOffsetsToTxn (API key 25): a transaction is about to commit the offsets of a group.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   the error PRODUCER_FENCED (KIP-588)
    3   flexible encoding
    4   the error TRANSACTION_ABORTABLE (KIP-890)

Source: https://kafka.apache.org/protocol#The_Messages_AddOffsetsToTxn
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, field, message


@message(api_key=25, valid="0-4", flexible="3+")
class AddOffsetsToTxnRequest(Request["AddOffsetsToTxnResponse"]):
    """The transaction and the group."""

    transactional_id: str = field(STRING)
    producer_id: int = field(INT64)
    producer_epoch: int = field(INT16)
    group_id: str = field(STRING)


@message(api_key=25, valid="0-4", flexible="3+")
class AddOffsetsToTxnResponse(Message):
    """Whether the group is part of the transaction now."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
