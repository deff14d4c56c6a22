"""EndTxn (API key 26): commit or abort a transaction.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   the error PRODUCER_FENCED (KIP-588)
    3   flexible encoding
    4   the error TRANSACTION_ABORTABLE (KIP-890)
    5   every transaction ends with a new epoch, told in the response (KIP-890)

Source: https://kafka.apache.org/protocol#The_Messages_EndTxn
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, INT64, STRING, Message, Request, field, message


@message(api_key=26, valid="0-5", flexible="3+")
class EndTxnRequest(Request["EndTxnResponse"]):
    """The transaction and how it shall end."""

    transactional_id: str = field(STRING)
    producer_id: int = field(INT64)
    producer_epoch: int = field(INT16)
    committed: bool = field(BOOL)  # False aborts


@message(api_key=26, valid="0-5", flexible="3+")
class EndTxnResponse(Message):
    """Whether it ends, and since v5 the id and epoch to go on with."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    producer_id: int = field(INT64, "5+", default=-1, ignorable=True)
    producer_epoch: int = field(INT16, "5+", default=-1, ignorable=True)
