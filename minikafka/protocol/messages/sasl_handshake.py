"""SaslHandshake (API key 17): choose how to authenticate.

Versions:
    0   the tokens follow as bare frames
    1   the tokens follow in SaslAuthenticate requests (KIP-152)

Source: https://kafka.apache.org/protocol#The_Messages_SaslHandshake
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, STRING, Message, Request, array, field, message


@message(api_key=17, valid="0-1", flexible="none")
class SaslHandshakeRequest(Request["SaslHandshakeResponse"]):
    """The mechanism that the client wants."""

    mechanism: str = field(STRING)


@message(api_key=17, valid="0-1", flexible="none")
class SaslHandshakeResponse(Message):
    """Whether it may have it, and the mechanisms there are."""

    error_code: int = field(INT16, default=0)
    mechanisms: list[str] = array(STRING)
