"""What happens to a producer's batch before the leader gives it an offset: checks, the broker's date, its codec.

Everything here is a pure function of its arguments, so that an expensive batch can be prepared in another thread.

Source: Kafka, UnifiedLog.append, LogValidator.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from minikafka.config.topic import TopicConfig
from minikafka.errors import MessageTooLarge, UnsupportedCompressionType
from minikafka.records.batch import CODEC_MASK, RecordBatch, TimestampType, with_compression, with_log_append_time
from minikafka.records.compression import Compression
from minikafka.records.control import EndTransactionMarker, build_marker
from minikafka.records.validation import parse_single_batch, validate_batch, validate_records
from minikafka.storage.batch_headers import CorruptSegment
from minikafka.storage.fs import Buffer
from minikafka.storage.producer_state import BatchMetadata
from minikafka.storage.transaction_verification import VerificationGuard
from minikafka.types import NO_TIMESTAMP

DEFAULT_MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024

_EXPENSIVE_BYTES = 64 * 1024
_ATTRIBUTES_LOW_BYTE = 22
_CODECS = {"producer": None, "uncompressed": Compression.NONE} | {
    codec.config_name: codec for codec in Compression if codec
}
"""What a topic's records are compressed with; None: with what they come with."""


class AppendOrigin(Enum):
    """Who made a batch."""

    CLIENT = "client"
    COORDINATOR = "coordinator"
    """This broker itself: markers, group and transaction metadata."""


class LogAppendInfo(NamedTuple):
    """Where appended records are."""

    base_offset: int
    last_offset: int
    end_offset: int
    size_bytes: int
    """How much the log has grown: nothing when the batch was in it before."""
    log_append_time_ms: int
    """-1 when the records keep their own times."""
    log_start_offset: int

    @classmethod
    def of_known(cls, batch: BatchMetadata, log_start_offset: int) -> LogAppendInfo:
        """Where a batch has been all along; as in Kafka with the time of its latest record."""
        end_offset = batch.last_offset + 1
        return cls(batch.first_offset, batch.last_offset, end_offset, 0, batch.timestamp_ms, log_start_offset)


@dataclass(slots=True)
class PreparedBatch:
    """A batch that a log may append as it is, once its first 16 bytes are stamped."""

    batch: RecordBatch
    log_append_time_ms: int = NO_TIMESTAMP
    """The time that the broker has put on the records; -1 when they keep their own."""
    origin: AppendOrigin = AppendOrigin.CLIENT
    guard: VerificationGuard | None = None
    """That the coordinator has confirmed the transaction which begins in the partition with this batch."""
    marker: EndTransactionMarker | None = None
    """What the batch says, if it is a marker."""
    transaction_version: int = 0
    """Of a marker: from 2 on its epoch is above that of the records that it ends."""


def is_expensive(records: Buffer) -> bool:
    """Whether :func:`prepare` would hold up others for long: the batch has to be decompressed, and is large."""
    return len(records) > _EXPENSIVE_BYTES and records[_ATTRIBUTES_LOW_BYTE] & CODEC_MASK != 0


def prepare(
    records: Buffer,
    config: TopicConfig,
    now_ms: int,
    *,
    max_decompressed_bytes: int = DEFAULT_MAX_DECOMPRESSED_BYTES,
    zstd_allowed: bool = True,
) -> PreparedBatch:
    """Check the batch that a Produce request carries for one partition, and make of it what the topic asks for.

    Args:
        records: What the request holds; the batch keeps it alive unless it has to be rewritten.
        config: The topic's.
        now_ms: The broker's time.
        max_decompressed_bytes: The most that its records may take.
        zstd_allowed: Whether the version of the request knows zstd.

    Raises:
        InvalidRecord: It is not exactly one well-formed batch.
        CorruptMessage: Its length is impossible, or its CRC is wrong.
        MessageTooLarge: It is larger than ``max.message.bytes``.
        InvalidTimestamp: Its records are too old or too far in the future.
        UnsupportedCompressionType: The codec is unknown, or newer than the request.
    """
    batch = parse_single_batch(memoryview(records))
    _check_size(batch, config)
    validate_batch(
        batch,
        now_ms=now_ms,
        timestamp_type=_TIMESTAMP_TYPES[config.message_timestamp_type],
        timestamp_before_max_ms=config.message_timestamp_before_max_ms,
        timestamp_after_max_ms=config.message_timestamp_after_max_ms,
    )
    if not zstd_allowed and batch.compression is Compression.ZSTD:
        raise UnsupportedCompressionType("zstd needs version 7 of the produce request")
    validate_records(batch, max_decompressed_bytes, "compact" in config.cleanup_policy)
    return _as_topic_asks(batch, config, now_ms, AppendOrigin.CLIENT, max_decompressed_bytes)


def prepare_own(records: bytes, config: TopicConfig, now_ms: int) -> PreparedBatch:
    """As :func:`prepare`, for a batch of data that this broker has just built: only its size is checked.

    Raises:
        MessageTooLarge: As there.
    """
    batch = RecordBatch.parse(memoryview(records))
    _check_size(batch, config)
    return _as_topic_asks(batch, config, now_ms, AppendOrigin.COORDINATOR, DEFAULT_MAX_DECOMPRESSED_BYTES)


def prepare_marker(
    marker: EndTransactionMarker,
    *,
    producer_id: int,
    producer_epoch: int,
    now_ms: int,
    transaction_version: int = 0,
) -> PreparedBatch:
    """The end of a producer's transaction; a marker is as it is, whatever the topic asks for."""
    content = build_marker(marker, producer_id=producer_id, producer_epoch=producer_epoch, timestamp_ms=now_ms)
    return PreparedBatch(
        RecordBatch.parse(memoryview(content)),
        origin=AppendOrigin.COORDINATOR,
        marker=marker,
        transaction_version=transaction_version,
    )


def check_continues(batch: RecordBatch, end_offset: int, latest_epoch: int, config: TopicConfig) -> None:
    """Check that a batch that another leader has stamped can be the next one of a log.

    Raises:
        CorruptSegment: Its offset or its epoch goes back, or records are missing that nobody compacted away.
    """
    gap = batch.base_offset - end_offset
    if gap < 0 or (gap > 0 and "compact" not in config.cleanup_policy):
        raise CorruptSegment(f"a log that ends at {end_offset} cannot go on with a batch of offset {batch.base_offset}")
    if batch.partition_leader_epoch < latest_epoch:
        raise CorruptSegment(
            f"a log of epoch {latest_epoch} cannot go on with a batch of epoch {batch.partition_leader_epoch}"
        )


_TIMESTAMP_TYPES = {"CreateTime": TimestampType.CREATE_TIME, "LogAppendTime": TimestampType.LOG_APPEND_TIME}


def _check_size(batch: RecordBatch, config: TopicConfig) -> None:
    if batch.size > config.max_message_bytes:
        raise MessageTooLarge(f"a batch of {batch.size} bytes exceeds max.message.bytes, {config.max_message_bytes}")


def _as_topic_asks(
    batch: RecordBatch, config: TopicConfig, now_ms: int, origin: AppendOrigin, max_decompressed_bytes: int
) -> PreparedBatch:
    """Compress and date a batch anew where the topic has its own codec, or its records the time of the broker."""
    codec = _CODECS[config.compression_type]
    if codec is not None and codec != batch.attributes & CODEC_MASK:
        batch = _recompressed(batch, codec, config, max_decompressed_bytes)
    if config.message_timestamp_type == "CreateTime":
        return PreparedBatch(batch, origin=origin)
    return PreparedBatch(RecordBatch.parse(memoryview(with_log_append_time(batch, now_ms))), now_ms, origin)


def _recompressed(
    batch: RecordBatch, codec: Compression, config: TopicConfig, max_decompressed_bytes: int
) -> RecordBatch:
    levels = {
        Compression.GZIP: None if config.compression_gzip_level == -1 else config.compression_gzip_level,
        Compression.LZ4: config.compression_lz4_level,
        Compression.ZSTD: config.compression_zstd_level,
    }
    again = with_compression(batch, codec, max_decompressed_bytes, levels.get(codec))
    made = RecordBatch.parse(memoryview(again))
    _check_size(made, config)
    return made
