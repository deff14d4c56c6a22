"""AddOffsetsToTxn (API key 25).

Source: https://kafka.apache.org/protocol#The_Messages_AddOffsetsToTxn
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, field, message


@message(api_key=25, valid="0-4", flexible="3+")
class AddOffsetsToTxnRequest(Request["AddOffsetsToTxnResponse"]):
    """Add offsets to txn request."""

    transactional_id: str = field(STRING)
    producer_id: int = field(INT64)
    producer_epoch: int = field(INT16)
    group_id: str = field(STRING)


@message(api_key=25, valid="0-4", flexible="3+")
class AddOffsetsToTxnResponse(Message):
    """Add offsets to txn response."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
