"""SaslHandshake (API key 17).

Source: https://kafka.apache.org/protocol#The_Messages_SaslHandshake
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, STRING, Message, Request, array, field, message


@message(api_key=17, valid="0-1", flexible="none")
class SaslHandshakeRequest(Request["SaslHandshakeResponse"]):
    """Sasl handshake request."""

    mechanism: str = field(STRING)


@message(api_key=17, valid="0-1", flexible="none")
class SaslHandshakeResponse(Message):
    """Sasl handshake response."""

    error_code: int = field(INT16, default=0)
    mechanisms: list[str] = array(STRING)
