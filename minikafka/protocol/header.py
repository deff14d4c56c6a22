"""The header in front of every request and response.

    request    | api_key: int16 | api_version: int16 | correlation_id: int32
               | client_id: nullable string, always with an int16 length          v1
               | tagged fields                                                    v2: flexible versions
    response   | correlation_id: int32                                            v0
               | tagged fields                                                    v1: flexible versions

The response of ApiVersions has header v0 in every version, since a client that reads it does not know yet what the
broker speaks.

A header is read before its sender has shown who it is, so nothing of its tagged fields is kept.

Source: Kafka, RequestHeader.json, ResponseHeader.json and ApiMessageTypeGenerator.java.
"""

from __future__ import annotations

import struct
from codecs import utf_8_decode
from dataclasses import dataclass
from typing import Final

from minikafka.protocol.api_keys import ApiKey, is_flexible
from minikafka.protocol.errors import DecodeError, EncodeError
from minikafka.protocol.primitives import MAX_STRING_BYTES, skip_tags

_REQUEST: Final = struct.Struct(">hhih")  # up to the length of the client id
_RESPONSE: Final = struct.Struct(">i")

pack_correlation_id: Final = _RESPONSE.pack
"""The beginning of a response header; :func:`response_header_tags` is the rest."""


@dataclass(slots=True)
class RequestHeader:
    """What a request says of itself; ``body_position`` is where its body starts in the frame."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None
    body_position: int


def request_header_version(api_key: int, api_version: int) -> int:
    """1 or 2; 1 for an unknown API.  Version 0 went with ControlledShutdown, in Kafka 4.0."""
    return 2 if is_flexible(api_key, api_version) else 1


def response_header_version(api_key: int, api_version: int) -> int:
    """0 or 1."""
    return 1 if is_flexible(api_key, api_version) and api_key != ApiKey.API_VERSIONS else 0


def decode_request_header(frame: memoryview) -> RequestHeader:
    """Read the header at the start of ``frame``, of whatever version its API and version have.

    Raises:
        DecodeError: the frame does not start with a header.
    """
    try:
        api_key, api_version, correlation_id, length = _REQUEST.unpack_from(frame)
        client_id, pos = None, 10
        if length >= 0:
            pos += length
            if pos > len(frame):
                raise DecodeError(f"client id of {length} bytes in a frame of {len(frame)}")
            client_id = utf_8_decode(frame[10:pos], "strict", True)[0]
        elif length != -1:
            raise DecodeError(f"client id of {length} bytes")
        if is_flexible(api_key, api_version):
            pos = pos + 1 if frame[pos] == 0 else skip_tags(frame, pos, len(frame))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise DecodeError(f"request header: {error}") from error
    return RequestHeader(api_key, api_version, correlation_id, client_id, pos)


def encode_request_header(api_key: int, api_version: int, correlation_id: int, client_id: str | None) -> bytearray:
    """The header of a request, for its body to be appended to.

    Raises:
        EncodeError: the client id is longer than 32,767 bytes.
    """
    text = b"" if client_id is None else client_id.encode()
    if len(text) > MAX_STRING_BYTES:
        raise EncodeError(f"client id of {len(text)} bytes")
    out = bytearray(_REQUEST.pack(api_key, api_version, correlation_id, -1 if client_id is None else len(text)))
    out += text
    if request_header_version(api_key, api_version) == 2:
        out.append(0)
    return out


def decode_response_header(frame: memoryview, api_key: int, api_version: int) -> tuple[int, int]:
    """The correlation id of the response in ``frame``, and where its body starts.

    Raises:
        DecodeError: the frame does not start with a header.
    """
    try:
        (correlation_id,) = _RESPONSE.unpack_from(frame)
        if response_header_version(api_key, api_version) == 0:
            return correlation_id, 4
        return correlation_id, 5 if frame[4] == 0 else skip_tags(frame, 4, len(frame))
    except (struct.error, IndexError) as error:
        raise DecodeError(f"response header: {error}") from error


def response_header_tags(api_key: int, api_version: int) -> bytes:
    """What follows the correlation id in the header of a response: that there are no tagged fields, or nothing."""
    return b"\0" if response_header_version(api_key, api_version) else b""


def encode_response_header(api_key: int, api_version: int, correlation_id: int) -> bytes:
    """The header of a response."""
    return pack_correlation_id(correlation_id) + response_header_tags(api_key, api_version)
