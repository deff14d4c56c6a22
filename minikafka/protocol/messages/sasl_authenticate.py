"""SaslAuthenticate (API key 36).

Source: https://kafka.apache.org/protocol#The_Messages_SaslAuthenticate
"""

from __future__ import annotations

from minikafka.protocol.schema import BYTES, INT16, INT64, STRING, Buffer, Message, Request, field, message


@message(api_key=36, valid="0-2", flexible="2+")
class SaslAuthenticateRequest(Request["SaslAuthenticateResponse"]):
    """Sasl authenticate request."""

    auth_bytes: Buffer = field(BYTES)


@message(api_key=36, valid="0-2", flexible="2+")
class SaslAuthenticateResponse(Message):
    """Sasl authenticate response."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
    auth_bytes: Buffer = field(BYTES)
    session_lifetime_ms: int = field(INT64, "1+", default=0, ignorable=True)
