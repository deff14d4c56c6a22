"""Payloads that say which version they are: an int16, then the structure in that version.

| version: i16 | structure |
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar

from minikafka.protocol.codec import decode_prefix, encode
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.schema import Buffer, Message

M = TypeVar("M", bound=Message)

_VERSION: Final = struct.Struct(">h")


def encode_versioned(message: Message, version: int) -> bytes:
    """The version and ``message`` in it.

    Raises:
        EncodeError: As :func:`~minikafka.protocol.codec.encode`.
    """
    out = bytearray(_VERSION.pack(version))
    encode(message, version, out)
    return bytes(out)


def version_of(payload: Buffer) -> int:
    """The version that a payload says it is.

    Raises:
        DecodeError: It is too short to say.
    """
    if len(payload) < _VERSION.size:
        raise DecodeError(f"a payload of {len(payload)} bytes has no version")
    version: int = _VERSION.unpack_from(payload)[0]
    return version


def decode_versioned(cls: type[M], payload: Buffer) -> M:
    """Read a ``cls`` in the version that the payload says it is.

    A version later than the last known one is read as that one: later versions only append, and that is ignored.

    Raises:
        DecodeError: The payload is not such a structure.
    """
    version = version_of(payload)
    if version < 0:
        raise DecodeError(f"{cls.__name__} has no version {version}")
    message, _ = decode_prefix(cls, min(version, cls.VALID[-1]), payload, _VERSION.size)
    return message
