"""ExpireDelegationToken (API key 40): let a delegation token end earlier.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_ExpireDelegationToken
"""

from __future__ import annotations

from minikafka.protocol.schema import BYTES, INT16, INT32, INT64, Buffer, Message, Request, field, message


@message(api_key=40, valid="1-2", flexible="2+")
class ExpireDelegationTokenRequest(Request["ExpireDelegationTokenResponse"]):
    """The token's secret and the time left to it; a negative one ends it at once."""

    hmac: Buffer = field(BYTES)
    expiry_time_period_ms: int = field(INT64)


@message(api_key=40, valid="1-2", flexible="2+")
class ExpireDelegationTokenResponse(Message):
    """When it expires now."""

    error_code: int = field(INT16, default=0)
    expiry_timestamp_ms: int = field(INT64)
    throttle_time_ms: int = field(INT32, default=0)
