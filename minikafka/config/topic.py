"""The configuration of a topic: Kafka's 31 keys.

Source: Kafka, storage/internals/log/LogConfig.java and server/config/ServerTopicConfigSynonyms.java.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from minikafka.config.definition import (
    MAX_LONG,
    ConfigError,
    ConfigType,
    at_least,
    between,
    key,
    keys_of,
    one_of,
    parse_all,
)
from minikafka.errors import InvalidConfig

_LONG = ConfigType.LONG
_INT = ConfigType.INT
_DAY_MS = 24 * 3_600_000

COMPRESSION_TYPES = ("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
DERIVED_FROM_RETENTION = -2
"""``local.retention.*``: as much as ``retention.*`` says."""


def gzip_level(level: int) -> str | None:
    """Accepts gzip's levels, and -1 for its own default."""
    return None if level == -1 or 1 <= level <= 9 else "Value must be between 1 and 9, or -1"


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """What a topic's logs are told to do; -1 means without limit where a limit is meant.

    The constructor checks nothing: text from clients goes through :meth:`from_overrides`.
    """

    cleanup_policy: frozenset[str] = key(
        ConfigType.LIST,
        frozenset({"delete"}),
        "What happens to old segments: 'delete' discards them, 'compact' keeps the last value of each key.",
        validator=one_of("compact", "delete"),
        synonyms=("log.cleanup.policy",),
    )
    compression_gzip_level: int = key(
        _INT,
        -1,
        "The level at which the broker compresses with gzip.",
        validator=gzip_level,
        synonyms=("compression.gzip.level",),
    )
    compression_lz4_level: int = key(
        _INT,
        9,
        "The level at which the broker compresses with lz4.",
        validator=between(1, 17),
        synonyms=("compression.lz4.level",),
    )
    compression_type: str = key(
        ConfigType.STRING,
        "producer",
        "The codec that batches are stored with; 'producer' keeps what the producer chose.",
        validator=one_of(*COMPRESSION_TYPES),
        synonyms=("compression.type",),
    )
    compression_zstd_level: int = key(
        _INT,
        3,
        "The level at which the broker compresses with zstd.",
        validator=between(-131_072, 22),
        synonyms=("compression.zstd.level",),
    )
    delete_retention_ms: int = key(
        _LONG,
        _DAY_MS,
        "How long compaction keeps the marker of a deleted key, in milliseconds.",
        validator=at_least(0),
        synonyms=("log.cleaner.delete.retention.ms",),
    )
    file_delete_delay_ms: int = key(
        _LONG,
        60_000,
        "How long a deleted segment's file stays on disk, in milliseconds.",
        validator=at_least(0),
        synonyms=("log.segment.delete.delay.ms",),
    )
    flush_messages: int = key(
        _LONG,
        MAX_LONG,
        "How many records may wait to be forced to disk.",
        validator=at_least(1),
        synonyms=("log.flush.interval.messages",),
    )
    flush_ms: int = key(
        _LONG,
        MAX_LONG,
        "How long a record may wait to be forced to disk, in milliseconds.",
        validator=at_least(0),
        synonyms=("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
    )
    index_interval_bytes: int = key(
        _INT,
        4096,
        "How many bytes of log lie between two entries of its offset index, at least.",
        validator=at_least(0),
        synonyms=("log.index.interval.bytes",),
    )
    local_retention_bytes: int = key(
        _LONG,
        DERIVED_FROM_RETENTION,
        "With tiered storage: how much of a partition stays on local disk; -2 means as retention.bytes says.",
        validator=at_least(-2),
        synonyms=("log.local.retention.bytes",),
    )
    local_retention_ms: int = key(
        _LONG,
        DERIVED_FROM_RETENTION,
        "With tiered storage: how long a segment stays on local disk; -2 means as retention.ms says.",
        validator=at_least(-2),
        synonyms=("log.local.retention.ms",),
    )
    max_compaction_lag_ms: int = key(
        _LONG,
        MAX_LONG,
        "The longest time that a record stays out of compaction, in milliseconds.",
        validator=at_least(1),
        synonyms=("log.cleaner.max.compaction.lag.ms",),
    )
    max_message_bytes: int = key(
        _INT,
        1_048_588,
        "The largest record batch that is taken, in bytes, as it is sent (compressed or not).",
        validator=at_least(0),
        synonyms=("message.max.bytes",),
    )
    message_timestamp_after_max_ms: int = key(
        _LONG,
        3_600_000,
        "How far a record's timestamp may be ahead of the broker's clock, in milliseconds.",
        validator=at_least(0),
        synonyms=("log.message.timestamp.after.max.ms",),
    )
    message_timestamp_before_max_ms: int = key(
        _LONG,
        MAX_LONG,
        "How far a record's timestamp may be behind the broker's clock, in milliseconds.",
        validator=at_least(0),
        synonyms=("log.message.timestamp.before.max.ms",),
    )
    message_timestamp_type: str = key(
        ConfigType.STRING,
        "CreateTime",
        "Whose clock stamps the records: the producer's (CreateTime) or the broker's (LogAppendTime).",
        validator=one_of("CreateTime", "LogAppendTime"),
        synonyms=("log.message.timestamp.type",),
    )
    min_cleanable_dirty_ratio: float = key(
        ConfigType.DOUBLE,
        0.5,
        "The share of a log that must be new before it is compacted again.",
        validator=between(0, 1),
        synonyms=("log.cleaner.min.cleanable.ratio",),
    )
    min_compaction_lag_ms: int = key(
        _LONG,
        0,
        "The shortest time that a record stays out of compaction, in milliseconds.",
        validator=at_least(0),
        synonyms=("log.cleaner.min.compaction.lag.ms",),
    )
    min_insync_replicas: int = key(
        _INT,
        1,
        "How many replicas must be in sync for a write with acks=all to be taken.",
        validator=at_least(1),
        synonyms=("min.insync.replicas",),
    )
    preallocate: bool = key(
        ConfigType.BOOLEAN,
        False,
        "Whether a segment's file gets its full size when it is made.",
        synonyms=("log.preallocate",),
    )
    remote_log_copy_disable: bool = key(
        ConfigType.BOOLEAN, False, "With tiered storage: whether copying to it is switched off."
    )
    remote_log_delete_on_disable: bool = key(
        ConfigType.BOOLEAN, False, "With tiered storage: whether its data go when it is switched off."
    )
    remote_storage_enable: bool = key(ConfigType.BOOLEAN, False, "Whether the topic uses tiered storage.")
    retention_bytes: int = key(
        _LONG,
        -1,
        "How large a partition may grow before its oldest segments are deleted, in bytes; -1 is without limit.",
        synonyms=("log.retention.bytes",),
    )
    retention_ms: int = key(
        _LONG,
        7 * _DAY_MS,
        "How long a record is kept before its segment may be deleted, in milliseconds; -1 is for ever.",
        validator=at_least(-1),
        synonyms=("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
    )
    # Kafka 4 raised the minimum to 1 MiB.  Small segments are how retention is shown and tested, so the older bound
    # (a batch's smallest possible overhead) stays.
    segment_bytes: int = key(
        _INT,
        1_073_741_824,
        "The size at which a new segment is begun, in bytes.",
        validator=at_least(14),
        synonyms=("log.segment.bytes",),
    )
    segment_index_bytes: int = key(
        _INT,
        10_485_760,
        "The largest size of a segment's offset index, in bytes; a full index begins a new segment.",
        validator=at_least(4),
        synonyms=("log.index.size.max.bytes",),
    )
    segment_jitter_ms: int = key(
        _LONG,
        0,
        "The most that is subtracted at random from segment.ms, so that logs do not roll together.",
        validator=at_least(0),
        synonyms=("log.roll.jitter.ms", "log.roll.jitter.hours"),
    )
    segment_ms: int = key(
        _LONG,
        7 * _DAY_MS,
        "The age at which a new segment is begun even when the old one is not full, in milliseconds.",
        validator=at_least(1),
        synonyms=("log.roll.ms", "log.roll.hours"),
    )
    unclean_leader_election_enable: bool = key(
        ConfigType.BOOLEAN,
        False,
        "Whether a replica that is not in sync may lead when no other is left, at the price of lost records.",
        synonyms=("unclean.leader.election.enable",),
    )

    @classmethod
    def from_overrides(cls, overrides: Mapping[str, str], defaults: TopicConfig) -> TopicConfig:
        """``defaults`` with a topic's own settings put over them.

        Raises:
            InvalidConfig: A key is unknown, a value malformed, or two values contradict each other.
        """
        if not overrides:
            return defaults
        try:
            values: dict[str, Any] = parse_all(TOPIC_KEYS, overrides)
        except ConfigError as error:
            raise InvalidConfig(str(error)) from None
        config = replace(defaults, **values)
        _check_together(config)
        return config


def _check_together(config: TopicConfig) -> None:
    if config.min_compaction_lag_ms > config.max_compaction_lag_ms:
        raise InvalidConfig(
            f"conflict topic config setting min.compaction.lag.ms ({config.min_compaction_lag_ms}) > "
            f"max.compaction.lag.ms ({config.max_compaction_lag_ms})"
        )
    if config.remote_storage_enable:
        raise InvalidConfig(
            "Tiered Storage functionality is disabled in the broker. "
            "Topic cannot be configured with remote log storage."
        )


TOPIC_KEYS = keys_of(TopicConfig)
"""Every topic key by name."""
