"""SaslAuthenticate (API key 36): one step of a SASL exchange.

Versions:
    1   how long the session lasts before the client must authenticate again (KIP-368)
    2   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_SaslAuthenticate
"""

from __future__ import annotations

from minikafka.protocol.schema import BYTES, INT16, INT64, STRING, Buffer, Message, Request, field, message


@message(api_key=36, valid="0-2", flexible="2+")
class SaslAuthenticateRequest(Request["SaslAuthenticateResponse"]):
    """The client's token."""

    auth_bytes: Buffer = field(BYTES)


@message(api_key=36, valid="0-2", flexible="2+")
class SaslAuthenticateResponse(Message):
    """The broker's token."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    auth_bytes: Buffer = field(BYTES)
    session_lifetime_ms: int = field(INT64, "1+", default=0, ignorable=True)  # 0 when it does not end
