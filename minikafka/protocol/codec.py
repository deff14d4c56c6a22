"""Encode and decode messages.

Each (class, version) gets one encoder and one decoder, plain Python that is written and compiled on first use:
``print(source(ProduceRequest, 9))`` shows both.  :mod:`.encoder` and :mod:`.decoder` write them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from minikafka.protocol.decoder import DecoderWriter
from minikafka.protocol.encoder import EncoderWriter
from minikafka.protocol.errors import DecodeError, EncodeError
from minikafka.protocol.primitives import Cut, interleave
from minikafka.protocol.schema import Buffer, Message

M = TypeVar("M", bound=Message)

_Encoder = Callable[[Message, bytearray, list[Cut] | None], None]
_Decoder = Callable[[memoryview, int, int, int], tuple[Any, int]]

ANY_NUMBER: Final = 0x7FFFFFFF
"""As many elements as the bytes can hold."""

_MALFORMED = (IndexError, struct.error, UnicodeDecodeError)
"""What decoders raise, beside DecodeError, when the bytes are not what they should be."""

_encoders: dict[tuple[type[Message], int], _Encoder] = {}
_decoders: dict[tuple[type[Message], int], _Decoder] = {}


def encode(message: Message, version: int, out: bytearray) -> None:
    """Append ``message`` to ``out`` as ``version``.

    Raises:
        EncodeError: a value does not fit its wire type, or ``version`` has no room for one that is not its default.
            ``out`` is then as it was.
    """
    _encode(message, version, out, None)


def encode_buffers(message: Message, version: int, head: Buffer = b"") -> list[Buffer]:
    """``head`` and the encoded ``message`` as buffers to be sent one after the other.

    Records larger than a kilobyte are not copied: they are buffers of their own.

    Raises:
        EncodeError: as :func:`encode`.
    """
    out = bytearray(head)
    cuts: list[Cut] = []
    _encode(message, version, out, cuts)
    return interleave(out, cuts) if cuts else [out]


def _encode(message: Message, version: int, out: bytearray, cuts: list[Cut] | None) -> None:
    cls = type(message)
    start = len(out)
    try:
        encoder = _encoders.get((cls, version)) or _make_encoder(cls, version)
        encoder(message, out, cuts)
    except (struct.error, AttributeError, TypeError, ValueError) as error:
        del out[start:]
        if isinstance(error, EncodeError):
            raise
        raise EncodeError(f"{cls.__name__} v{version}: {error}") from error


def decode(cls: type[M], version: int, buf: Buffer, pos: int = 0, max_elements: int = ANY_NUMBER) -> M:
    """Read the ``cls`` that fills ``buf`` from ``pos`` to its end.

    Bytes and records are memoryviews of ``buf``, which must therefore not change while they are used.

    Args:
        cls: what to read.
        version: its version.
        buf: the bytes.
        pos: where it starts.
        max_elements: how many elements all its arrays may have together.  Each takes time, about a microsecond, and
            memory, about a hundred bytes, which its sender need not have had.

    Raises:
        DecodeError: the bytes are anything else than one message of that version.
    """
    decoder = _decoders.get((cls, version)) or _make_decoder(cls, version)
    view = buf if isinstance(buf, memoryview) else memoryview(buf)
    try:
        message, end = decoder(view, pos, len(view), max_elements)
    except _MALFORMED as error:
        raise DecodeError(f"{cls.__name__} v{version}: {error}") from error
    if end != len(view):
        raise DecodeError(f"{cls.__name__} v{version}: {len(view) - end} bytes too many")
    return message  # type: ignore[no-any-return]


def decode_prefix(
    cls: type[M], version: int, buf: Buffer, pos: int = 0, max_elements: int = ANY_NUMBER
) -> tuple[M, int]:
    """Read the ``cls`` that starts at ``pos``, and the position after it; the arguments are those of :func:`decode`.

    Raises:
        DecodeError: the bytes do not start with a message of that version.
    """
    decoder = _decoders.get((cls, version)) or _make_decoder(cls, version)
    view = buf if isinstance(buf, memoryview) else memoryview(buf)
    try:
        return cast("tuple[M, int]", decoder(view, pos, len(view), max_elements))
    except _MALFORMED as error:
        raise DecodeError(f"{cls.__name__} v{version}: {error}") from error


def source(cls: type[Message], version: int) -> str:
    """The generated decoder and encoder, for reading."""
    return "\n".join([*DecoderWriter(cls, version).emit.lines, "", *EncoderWriter(cls, version).emit.lines])


def _make_encoder(cls: type[Message], version: int) -> _Encoder:
    if version not in cls.VALID:
        raise EncodeError(f"{cls.__name__} has no version {version}")
    made = EncoderWriter(cls, version).emit.compile("encode", f"encode {cls.__name__} v{version}")
    _encoders[cls, version] = made
    return made


def _make_decoder(cls: type[Message], version: int) -> _Decoder:
    if version not in cls.VALID:
        raise DecodeError(f"{cls.__name__} has no version {version}")
    made = DecoderWriter(cls, version).emit.compile("decode", f"decode {cls.__name__} v{version}")
    _decoders[cls, version] = made
    return made
