"""RenewDelegationToken (API key 39).

Source: https://kafka.apache.org/protocol#The_Messages_RenewDelegationToken
"""

from __future__ import annotations

from minikafka.protocol.schema import BYTES, INT16, INT32, INT64, Buffer, Message, Request, field, message


@message(api_key=39, valid="1-2", flexible="2+")
class RenewDelegationTokenRequest(Request["RenewDelegationTokenResponse"]):
    """Renew delegation token request."""

    hmac: Buffer = field(BYTES)
    renew_period_ms: int = field(INT64)


@message(api_key=39, valid="1-2", flexible="2+")
class RenewDelegationTokenResponse(Message):
    """Renew delegation token response."""

    error_code: int = field(INT16, default=0)
    expiry_timestamp_ms: int = field(INT64)
    throttle_time_ms: int = field(INT32, default=0)
