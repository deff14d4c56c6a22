"""CreateDelegationToken (API key 38): a secret that stands for its owner.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding
    3   tokens for somebody else (KIP-373)

Source: https://kafka.apache.org/protocol#The_Messages_CreateDelegationToken
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BYTES,
    INT16,
    INT32,
    INT64,
    STRING,
    Buffer,
    Message,
    Request,
    array,
    field,
    message,
    struct,
)


@struct
class CreatableRenewers:
    """A principal that may renew the token."""

    principal_type: str = field(STRING)
    principal_name: str = field(STRING)


@message(api_key=38, valid="1-3", flexible="2+")
class CreateDelegationTokenRequest(Request["CreateDelegationTokenResponse"]):
    """Whom the token stands for, and how long."""

    owner_principal_type: str | None = field(STRING, "3+", nullable="0+", default="")
    owner_principal_name: str | None = field(STRING, "3+", nullable="0+", default="")
    renewers: list[CreatableRenewers] = array(CreatableRenewers)
    max_lifetime_ms: int = field(INT64)  # -1 for the broker's limit


@message(api_key=38, valid="1-3", flexible="2+")
class CreateDelegationTokenResponse(Message):
    """The token; its times are milliseconds since the epoch."""

    error_code: int = field(INT16, default=0)
    principal_type: str = field(STRING)
    principal_name: str = field(STRING)
    token_requester_principal_type: str = field(STRING, "3+", default="")
    token_requester_principal_name: str = field(STRING, "3+", default="")
    issue_timestamp_ms: int = field(INT64)
    expiry_timestamp_ms: int = field(INT64)
    max_timestamp_ms: int = field(INT64)
    token_id: str = field(STRING)
    hmac: Buffer = field(BYTES)
    throttle_time_ms: int = field(INT32, default=0)
