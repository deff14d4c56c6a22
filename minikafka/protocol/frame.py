"""The frame around every request and response: four bytes of length, big-endian, and that many bytes.

    | size: int32 | size bytes: header and body |

Reading frames from a stream belongs to :mod:`minikafka.net`; here is what can be said of one without a socket.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from minikafka.protocol.errors import DecodeError, EncodeError
from minikafka.protocol.schema import Buffer

FRAME_PREFIX: Final = struct.Struct(">i")
MAX_FRAME_SIZE: Final = 0x7FFFFFFF


class InvalidFrameSize(DecodeError):
    """A size that no frame can have: zero or negative."""


class FrameTooLarge(DecodeError):
    """A size above what the receiver accepts."""


def check_frame_size(size: int, max_bytes: int) -> None:
    """Refuse a size read from a prefix before anything is allocated for it.

    Raises:
        InvalidFrameSize: it is not positive.
        FrameTooLarge: it is above ``max_bytes``.
    """
    if size <= 0:
        raise InvalidFrameSize(f"frame of {size} bytes")
    if size > max_bytes:
        raise FrameTooLarge(f"frame of {size} bytes, {max_bytes} are allowed")


def frame_prefix(buffers: Iterable[Buffer]) -> bytes:
    """The prefix of the frame that ``buffers`` make up.

    Raises:
        EncodeError: they hold more than 2 GiB.
    """
    size = sum(map(len, buffers))
    if size > MAX_FRAME_SIZE:
        raise EncodeError(f"frame of {size} bytes")
    return FRAME_PREFIX.pack(size)
