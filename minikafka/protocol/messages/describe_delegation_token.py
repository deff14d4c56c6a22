"""DescribeDelegationToken (API key 41): the delegation tokens of some owners.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding
    3   who asked for the token (KIP-373)

Source: https://kafka.apache.org/protocol#The_Messages_DescribeDelegationToken
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
class DescribeDelegationTokenOwner:
    """A principal that owns tokens."""

    principal_type: str = field(STRING)
    principal_name: str = field(STRING)


@message(api_key=41, valid="1-3", flexible="2+")
class DescribeDelegationTokenRequest(Request["DescribeDelegationTokenResponse"]):
    """The owners; null asks for all."""

    owners: list[DescribeDelegationTokenOwner] | None = array(DescribeDelegationTokenOwner, nullable="0+")


@struct
class DescribedDelegationTokenRenewer:
    """A principal that may renew the token."""

    principal_type: str = field(STRING)
    principal_name: str = field(STRING)


@struct
class DescribedDelegationToken:
    """One token; its times are milliseconds since the epoch."""

    principal_type: str = field(STRING)
    principal_name: str = field(STRING)
    token_requester_principal_type: str = field(STRING, "3+", default="")
    token_requester_principal_name: str = field(STRING, "3+", default="")
    issue_timestamp: int = field(INT64)
    expiry_timestamp: int = field(INT64)
    max_timestamp: int = field(INT64)
    token_id: str = field(STRING)
    hmac: Buffer = field(BYTES)
    renewers: list[DescribedDelegationTokenRenewer] = array(DescribedDelegationTokenRenewer)


@message(api_key=41, valid="1-3", flexible="2+")
class DescribeDelegationTokenResponse(Message):
    """The tokens."""

    error_code: int = field(INT16, default=0)
    tokens: list[DescribedDelegationToken] = array(DescribedDelegationToken)
    throttle_time_ms: int = field(INT32, default=0)
