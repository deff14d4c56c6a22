"""The four compression codecs of a record batch; nothing else imports cramjam (2 ms).

A decompressor is never trusted: its output goes into a buffer that grows as it is filled, never as the input claims,
and ends at the caller's budget.  Producers compress; a broker only decompresses, to look inside.

Source: Kafka, clients/common/compress/, KIP-57 (LZ4 frames), KIP-110 (zstd), KIP-390 (levels).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from cramjam import DecompressionError, gzip, lz4, snappy, zstd

from minikafka.errors import InvalidRecord

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = _XERIAL_MAGIC + struct.pack(">ii", 1, 1)
_XERIAL_BLOCK_SIZE = 32 * 1024
_BLOCK_LENGTH = struct.Struct(">i")

_SNAPPY_MAX_RATIO = 22
"""A snappy copy of 64 bytes takes 3, so that no more than 21.3 bytes come out of one."""

_FIRST_GUESS_RATIO = 8
_SMALL = 16 * 1024


class Compression(IntEnum):
    """A codec, by its number in the lowest three attribute bits of a batch."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

    @property
    def config_name(self) -> str:
        """The name in Kafka's ``compression.type``."""
        return self.name.lower()


def compress(codec: Compression, data: bytes | bytearray | memoryview, level: int | None = None) -> bytes:
    """Compress the records of a batch as Kafka's Java producer does.

    Args:
        codec: ``NONE`` returns the data.
        data: The uncompressed records.
        level: The codec's own scale; snappy has none and ignores it.
    """
    match codec:
        case Compression.GZIP:
            return bytes(gzip.compress(data, level=6 if level is None else level))
        case Compression.SNAPPY:
            return _compress_xerial(data)
        case Compression.LZ4:
            return _compress_lz4(data, 1 if level is None else level)
        case Compression.ZSTD:
            return bytes(zstd.compress(data, level=3 if level is None else level))
    return bytes(data)


def decompress(codec: Compression, data: bytes | bytearray | memoryview, budget_bytes: int) -> bytes:
    """Decompress the records of a batch, at most ``budget_bytes`` of them.

    Snappy may be framed as xerial's Java library does or be one raw block, as librdkafka sends it.

    Raises:
        InvalidRecord: The data is corrupt, or holds more than the budget.
    """
    if codec is Compression.NONE:
        return bytes(data)
    if codec is not Compression.SNAPPY:
        return _decompress_frame(_FRAMED[codec], data, budget_bytes)
    if bytes(data[: len(_XERIAL_MAGIC)]) == _XERIAL_MAGIC:
        return _decompress_xerial(memoryview(data), budget_bytes)
    return _decompress_snappy_block(data, budget_bytes)


class _FramedCodec(NamedTuple):
    decompress_into: Callable[[bytes | bytearray | memoryview, bytearray], int]
    max_ratio: int
    """More bytes than this cannot come out of one byte of input."""


_FRAMED = {
    Compression.GZIP: _FramedCodec(gzip.decompress_into, 1032),
    Compression.LZ4: _FramedCodec(lz4.decompress_into, 255),
    # a block of four bytes may repeat one byte 128 Ki times
    Compression.ZSTD: _FramedCodec(zstd.decompress_into, 32 * 1024),
}


def _compress_lz4(data: bytes | bytearray | memoryview, level: int) -> bytes:
    # Kafka's Java reader knows only independent blocks; the library's one-shot function links them.
    compressor = lz4.Compressor(level=level, content_checksum=False, block_linked=False)
    compressor.compress(bytes(data))
    return bytes(compressor.finish())


def _compress_xerial(data: bytes | bytearray | memoryview) -> bytes:
    parts = [_XERIAL_HEADER]
    view = memoryview(data)
    for start in range(0, len(view), _XERIAL_BLOCK_SIZE):
        block = bytes(snappy.compress_raw(view[start : start + _XERIAL_BLOCK_SIZE]))
        parts += (_BLOCK_LENGTH.pack(len(block)), block)
    return b"".join(parts)


def _decompress_frame(codec: _FramedCodec, data: bytes | bytearray | memoryview, budget_bytes: int) -> bytes:
    limit = min(budget_bytes, len(data) * codec.max_ratio)
    capacity = min(limit, max(_SMALL, len(data) * _FIRST_GUESS_RATIO))
    while True:
        output = bytearray(capacity)
        try:
            size = codec.decompress_into(data, output)
        except DecompressionError as error:
            del output  # not kept for as long as somebody keeps the exception, nor until the next one is made
            # "Output full" and "corrupt" are one exception, so that only the largest buffer proves which.
            if capacity == limit:
                raise InvalidRecord(
                    f"compressed records are corrupt or exceed {budget_bytes} bytes: {error}"
                ) from error
            capacity = min(limit, capacity * _FIRST_GUESS_RATIO)
        else:
            return bytes(memoryview(output)[:size])


def _decompress_xerial(data: memoryview, budget_bytes: int) -> bytes:
    # magic[8] version:i32 compatible:i32 (length:i32 block[length])...
    pos = len(_XERIAL_HEADER)
    if len(data) < pos:
        raise InvalidRecord("a framed snappy stream ends within its header")
    parts = []
    while pos < len(data):
        if len(data) - pos < _BLOCK_LENGTH.size:
            raise InvalidRecord("a framed snappy stream ends within a block length")
        (length,) = _BLOCK_LENGTH.unpack_from(data, pos)
        pos += _BLOCK_LENGTH.size
        if not 0 < length <= len(data) - pos:
            raise InvalidRecord(f"a framed snappy block claims {length} bytes, {len(data) - pos} follow")
        block = _decompress_snappy_block(data[pos : pos + length], budget_bytes)
        pos += length
        budget_bytes -= len(block)
        parts.append(block)
    return b"".join(parts)


def _decompress_snappy_block(data: bytes | bytearray | memoryview, budget_bytes: int) -> bytes:
    try:
        claimed = snappy.decompress_raw_len(data)
        if claimed > budget_bytes or claimed > len(data) * _SNAPPY_MAX_RATIO:
            raise InvalidRecord(f"a snappy block of {len(data)} bytes claims {claimed}, {budget_bytes} are allowed")
        output = bytearray(claimed)
        size = snappy.decompress_raw_into(data, output)
    except DecompressionError as error:
        raise InvalidRecord(f"a snappy block is corrupt: {error}") from error
    if size != claimed:
        raise InvalidRecord(f"a snappy block claims {claimed} bytes and holds {size}")
    return bytes(output)
