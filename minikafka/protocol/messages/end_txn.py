"""EndTxn (API key 26).

Source: https://kafka.apache.org/protocol#The_Messages_EndTxn
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, INT64, STRING, Message, Request, field, message


@message(api_key=26, valid="0-5", flexible="3+")
class EndTxnRequest(Request["EndTxnResponse"]):
    """End txn request."""

    transactional_id: str = field(STRING)
    producer_id: int = field(INT64)
    producer_epoch: int = field(INT16)
    committed: bool = field(BOOL)


@message(api_key=26, valid="0-5", flexible="3+")
class EndTxnResponse(Message):
    """End txn response."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    producer_id: int = field(INT64, "5+", default=-1, ignorable=True)
    producer_epoch: int = field(INT16, "5+", default=-1, ignorable=True)
