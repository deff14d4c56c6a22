"""RenewDelegationToken (API key 39): let a delegation token live longer.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_RenewDelegationToken
"""

from __future__ import annotations

from minikafka.protocol.schema import BYTES, INT16, INT32, INT64, Buffer, Message, Request, field, message


@message(api_key=39, valid="1-2", flexible="2+")
class RenewDelegationTokenRequest(Request["RenewDelegationTokenResponse"]):
    """The token's secret and the time to add."""

    hmac: Buffer = field(BYTES)
    renew_period_ms: int = field(INT64)


@message(api_key=39, valid="1-2", flexible="2+")
class RenewDelegationTokenResponse(Message):
    """When it expires now."""

    error_code: int = field(INT16, default=0)
    expiry_timestamp_ms: int = field(INT64)
    throttle_time_ms: int = field(INT32, default=0)
