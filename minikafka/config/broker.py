"""The configuration of a broker: the Kafka keys that are known here, and our own under ``minikafka.``.

A few have no effect yet; :mod:`minikafka.config.without_effect` lists them.

Source: Kafka, server/config/AbstractKafkaConfig.java and the ``*Configs`` classes beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from minikafka.config.definition import (
    MAX_INT,
    MAX_LONG,
    ConfigError,
    ConfigType,
    UpdateMode,
    at_least,
    between,
    key,
    keys_of,
    not_empty,
    one_of,
)
from minikafka.config.listeners import (
    Listener,
    check_listeners,
    parse_listeners,
    parse_protocol_map,
)
from minikafka.config.topic import COMPRESSION_TYPES, TOPIC_KEYS, TopicConfig, gzip_level
from minikafka.config.transaction import TransactionConfig

_BOOLEAN = ConfigType.BOOLEAN
_STRING = ConfigType.STRING
_INT = ConfigType.INT
_LONG = ConfigType.LONG
_LIST = ConfigType.LIST
_CLUSTER_WIDE = UpdateMode.CLUSTER_WIDE

_UNITS_MS = {"hours": 3_600_000, "minutes": 60_000}

FLUSH_AUTO = "auto"
FLUSH_ALWAYS = "always"
FLUSH_NEVER = "never"


@dataclass(frozen=True, slots=True)
class BrokerConfig(TransactionConfig):
    """Every setting of one broker.

    Fields are in Kafka's groups: consumer groups and transactions (inherited), who it is, sockets, topics, logs, our
    own.
    """

    node_id: int = key(_INT, 1, "The id of this broker in its cluster.", validator=at_least(0), kafka_default="-1")

    listeners: tuple[str, ...] = key(
        _LIST, ("PLAINTEXT://:9092",), "Where clients are served, as NAME://HOST:PORT.", validator=not_empty
    )
    advertised_listeners: tuple[str, ...] = key(
        _LIST,
        (),
        "What clients are told to connect to; when empty, the address that they came in by.",
    )
    listener_security_protocol_map: tuple[str, ...] = key(
        _LIST, ("PLAINTEXT:PLAINTEXT",), "The security protocol of each listener name, as NAME:PROTOCOL."
    )
    controller_listener_names: tuple[str, ...] = key(
        _LIST, (), "Listeners meant for KRaft controllers, which are not opened: there are none here."
    )
    socket_listen_backlog_size: int = key(
        _INT, 511, "How many connections may wait to be accepted.", validator=at_least(1), kafka_default="50"
    )
    socket_request_max_bytes: int = key(
        _INT, 104_857_600, "The largest request that is read, in bytes.", validator=at_least(1)
    )
    queued_max_request_bytes: int = key(
        _LONG,
        268_435_456,
        "How many bytes of unfinished requests are held for all connections together; -1 is without limit.",
        kafka_default="-1",
    )
    max_connections: int = key(_INT, MAX_INT, "How many connections may be open.", validator=at_least(0))
    max_connections_per_ip: int = key(
        _INT, MAX_INT, "How many connections may be open from one address.", validator=at_least(0)
    )
    connections_max_idle_ms: int = key(
        _LONG, 600_000, "How long a connection may be silent before it is closed, in milliseconds; -1 is for ever."
    )

    num_partitions: int = key(_INT, 1, "How many partitions a topic gets by default.", validator=at_least(1))
    default_replication_factor: int = key(
        _INT, 1, "How many replicas a topic's partitions get by default.", validator=at_least(1)
    )
    auto_create_topics_enable: bool = key(_BOOLEAN, True, "Whether topics come into being when they are first used.")
    delete_topic_enable: bool = key(_BOOLEAN, True, "Whether topics can be deleted.")
    min_insync_replicas: int = key(
        _INT,
        1,
        "How many replicas must be in sync for a write with acks=all to be taken.",
        validator=at_least(1),
        update_mode=_CLUSTER_WIDE,
    )
    unclean_leader_election_enable: bool = key(
        _BOOLEAN,
        False,
        "Whether a replica that is not in sync may lead when no other is left.",
        update_mode=_CLUSTER_WIDE,
    )
    message_max_bytes: int = key(
        _INT,
        1_048_588,
        "The largest record batch that is taken, in bytes.",
        validator=at_least(0),
        update_mode=_CLUSTER_WIDE,
    )
    compression_type: str = key(
        _STRING,
        "producer",
        "The codec that batches are stored with; 'producer' keeps what the producer chose.",
        validator=one_of(*COMPRESSION_TYPES),
        update_mode=_CLUSTER_WIDE,
    )
    compression_gzip_level: int = key(
        _INT,
        -1,
        "The level at which the broker compresses with gzip.",
        validator=gzip_level,
        update_mode=_CLUSTER_WIDE,
    )
    compression_lz4_level: int = key(
        _INT,
        9,
        "The level at which the broker compresses with lz4.",
        validator=between(1, 17),
        update_mode=_CLUSTER_WIDE,
    )
    compression_zstd_level: int = key(
        _INT,
        3,
        "The level at which the broker compresses with zstd.",
        validator=between(-131_072, 22),
        update_mode=_CLUSTER_WIDE,
    )
    fetch_max_bytes: int = key(
        _INT, 57_671_680, "The most bytes of records that one fetch returns.", validator=at_least(1024)
    )
    max_incremental_fetch_session_cache_slots: int = key(
        _INT, 1000, "How many incremental fetch sessions are kept.", validator=at_least(0)
    )
    background_threads: int = key(
        _INT, 4, "How many threads do what would hold up the event loop.", validator=at_least(1), kafka_default="10"
    )

    log_dirs: tuple[str, ...] = key(
        _LIST,
        ("minikafka-data",),
        "The directories that hold the logs.",
        validator=not_empty,
        kafka_default="/tmp/kafka-logs",
    )
    log_segment_bytes: int = key(
        _INT,
        1_073_741_824,
        "The size at which a new segment is begun, in bytes.",
        validator=at_least(14),
        update_mode=_CLUSTER_WIDE,
    )
    log_roll_ms: int | None = key(
        _LONG,
        None,
        "The age at which a new segment is begun, in milliseconds; when unset, log.roll.hours counts.",
        validator=at_least(1),
        update_mode=_CLUSTER_WIDE,
    )
    log_roll_hours: int = key(_INT, 168, "The age at which a new segment is begun, in hours.", validator=at_least(1))
    log_roll_jitter_ms: int | None = key(
        _LONG,
        None,
        "The most that is subtracted at random from log.roll.ms; when unset, log.roll.jitter.hours counts.",
        validator=at_least(0),
        update_mode=_CLUSTER_WIDE,
    )
    log_roll_jitter_hours: int = key(
        _INT, 0, "The most that is subtracted at random from log.roll.hours.", validator=at_least(0)
    )
    log_retention_ms: int | None = key(
        _LONG,
        None,
        "How long records are kept, in milliseconds, -1 for ever; when unset, log.retention.minutes counts.",
        update_mode=_CLUSTER_WIDE,
    )
    log_retention_minutes: int | None = key(
        _INT, None, "How long records are kept, in minutes; when unset, log.retention.hours counts."
    )
    log_retention_hours: int = key(_INT, 168, "How long records are kept, in hours.")
    log_retention_bytes: int = key(
        _LONG,
        -1,
        "How large a partition may grow before its oldest segments are deleted, in bytes; -1 is without limit.",
        update_mode=_CLUSTER_WIDE,
    )
    log_retention_check_interval_ms: int = key(
        _LONG,
        1000,
        "How often it is looked for segments to delete, in milliseconds.",
        validator=at_least(1),
        kafka_default="300000",
    )
    log_cleanup_policy: frozenset[str] = key(
        _LIST,
        frozenset({"delete"}),
        "What happens to old segments: delete, compact, or both.",
        validator=one_of("compact", "delete"),
        update_mode=_CLUSTER_WIDE,
    )
    log_index_size_max_bytes: int = key(
        _INT,
        10_485_760,
        "The largest size of an offset index, in bytes.",
        validator=at_least(4),
        update_mode=_CLUSTER_WIDE,
    )
    log_index_interval_bytes: int = key(
        _INT,
        4096,
        "How many bytes of log lie between two entries of its offset index, at least.",
        validator=at_least(0),
        update_mode=_CLUSTER_WIDE,
    )
    log_flush_interval_messages: int = key(
        _LONG,
        MAX_LONG,
        "How many records of a partition may wait to be forced to disk.",
        validator=at_least(1),
        update_mode=_CLUSTER_WIDE,
    )
    log_flush_interval_ms: int | None = key(
        _LONG,
        None,
        "How long a record may wait to be forced to disk; when unset, log.flush.scheduler.interval.ms counts.",
        validator=at_least(0),
        update_mode=_CLUSTER_WIDE,
    )
    log_flush_scheduler_interval_ms: int = key(
        _LONG, MAX_LONG, "How often it is looked for logs to force to disk, in milliseconds.", validator=at_least(1)
    )
    log_flush_offset_checkpoint_interval_ms: int = key(
        _INT,
        2000,
        "How often the recovery points are written down, in milliseconds: after a crash all that lies above is read.",
        validator=at_least(0),
        kafka_default="60000",
    )
    log_preallocate: bool = key(
        _BOOLEAN, False, "Whether a segment's file gets its full size when it is made.", update_mode=_CLUSTER_WIDE
    )
    log_segment_delete_delay_ms: int = key(
        _LONG,
        60_000,
        "How long a deleted segment's file stays on disk, in milliseconds.",
        validator=at_least(0),
        update_mode=_CLUSTER_WIDE,
    )
    log_message_timestamp_type: str = key(
        _STRING,
        "CreateTime",
        "Whose clock stamps the records: the producer's (CreateTime) or the broker's (LogAppendTime).",
        validator=one_of("CreateTime", "LogAppendTime"),
        update_mode=_CLUSTER_WIDE,
    )
    log_message_timestamp_before_max_ms: int = key(
        _LONG,
        MAX_LONG,
        "How far a record's timestamp may be behind the broker's clock, in milliseconds.",
        validator=at_least(0),
        update_mode=_CLUSTER_WIDE,
    )
    log_message_timestamp_after_max_ms: int = key(
        _LONG,
        3_600_000,
        "How far a record's timestamp may be ahead of the broker's clock, in milliseconds.",
        validator=at_least(0),
        update_mode=_CLUSTER_WIDE,
    )
    log_cleaner_delete_retention_ms: int = key(
        _LONG,
        86_400_000,
        "How long compaction keeps the marker of a deleted key, in milliseconds.",
        validator=at_least(0),
        update_mode=_CLUSTER_WIDE,
    )
    log_cleaner_min_compaction_lag_ms: int = key(
        _LONG,
        0,
        "The shortest time that a record stays out of compaction, in milliseconds.",
        validator=at_least(0),
        update_mode=_CLUSTER_WIDE,
    )
    log_cleaner_max_compaction_lag_ms: int = key(
        _LONG,
        MAX_LONG,
        "The longest time that a record stays out of compaction, in milliseconds.",
        validator=at_least(1),
        update_mode=_CLUSTER_WIDE,
    )
    log_cleaner_min_cleanable_ratio: float = key(
        ConfigType.DOUBLE,
        0.5,
        "The share of a log that must be new before it is compacted again.",
        validator=between(0, 1),
        update_mode=_CLUSTER_WIDE,
    )
    log_cleaner_enable: bool = key(_BOOLEAN, True, "Whether logs are compacted whose topic asks for it.")
    log_cleaner_backoff_ms: int = key(
        _LONG, 15_000, "How often it is looked for logs to compact, in milliseconds.", validator=at_least(0)
    )
    log_cleaner_dedupe_buffer_size: int = key(
        _LONG,
        134_217_728,
        "How much memory compaction has for the keys of a log, in bytes; more keys take several passes.",
        validator=at_least(1),
    )
    log_cleaner_io_buffer_size: int = key(
        _INT, 524_288, "How much compaction reads and writes at a time, in bytes.", validator=at_least(1)
    )
    log_cleaner_io_max_bytes_per_second: float = key(
        ConfigType.DOUBLE,
        sys.float_info.max,
        "How much compaction reads and writes at most, in bytes a second.",
        validator=at_least(1),
    )
    log_local_retention_ms: int = key(_LONG, -2, "With tiered storage: how long segments stay on local disk.")
    log_local_retention_bytes: int = key(_LONG, -2, "With tiered storage: how much stays on local disk.")

    log_flush_on_acks_all: str = key(
        _STRING,
        FLUSH_AUTO,
        "Whether acks=all waits until the disk has the records: 'auto' when the partition has a single replica, "
        "'always', or 'never' (for throw-away brokers).",
        validator=one_of(FLUSH_AUTO, FLUSH_ALWAYS, FLUSH_NEVER),
        kafka_default="never",
    )
    minikafka_unflushed_max_bytes: int = key(
        _LONG,
        67_108_864,
        "How many bytes of one log may wait to be forced to disk, and of all together eight times as many: "
        "about what is read again after a crash.",
        validator=at_least(1),
    )
    minikafka_request_read_timeout_ms: int = key(
        _LONG,
        30_000,
        "How long a request may take from its first byte to its last, in milliseconds.",
        validator=at_least(1),
    )
    minikafka_decompression_max_bytes: int = key(
        _LONG, 67_108_864, "How large a batch may become when it is decompressed, in bytes.", validator=at_least(1)
    )
    minikafka_cluster_id: str | None = key(
        _STRING, None, "The id of the cluster when its data directory is first made; one is drawn when unset."
    )
    minikafka_advertised_host: str | None = key(
        _STRING, None, "The host that clients from outside a container are told to connect to."
    )
    minikafka_published_port: int | None = key(
        _INT, None, "The port of the host that a container's port is published on.", validator=between(1, 65_535)
    )
    minikafka_event_log_path: str | None = key(
        _STRING, None, "A file that receives the events of partitions, one JSON object a line; none when unset."
    )

    def check(self) -> None:
        """Check what one key alone cannot show.

        Raises:
            ConfigError: Settings contradict each other.
        """
        protocols = parse_protocol_map(self.listener_security_protocol_map)
        check_listeners(self.parsed_listeners(), self.parsed_advertised_listeners(), protocols)
        self.check_groups()
        if 0 in {self.log_retention_ms, self.log_retention_minutes, self.log_retention_hours}:
            raise ConfigError("log.retention.ms must be unlimited (-1) or, equal or greater than 1")

    def parsed_listeners(self) -> tuple[Listener, ...]:
        """Where to listen, without listeners that are meant for controllers."""
        return self._without_controllers(parse_listeners("listeners", self.listeners))

    def parsed_advertised_listeners(self) -> tuple[Listener, ...]:
        """What ``advertised.listeners`` says; empty when it is for each connection to find out."""
        return self._without_controllers(parse_listeners("advertised.listeners", self.advertised_listeners))

    def topic_defaults(self) -> TopicConfig:
        """What a topic without settings of its own gets: of each key's synonyms, the first that is set."""
        return _topic_defaults(self)

    def synonym_in_effect(self, synonyms: tuple[str, ...]) -> str | None:
        """The broker key among ``synonyms`` that gives the value: the first that is not null."""
        return next((name for name in synonyms if getattr(self, BROKER_KEYS[name].attribute) is not None), None)

    def _without_controllers(self, listeners: Iterable[Listener]) -> tuple[Listener, ...]:
        controllers = {name.upper() for name in self.controller_listener_names}
        return tuple(listener for listener in listeners if listener.name not in controllers)


@lru_cache(maxsize=8)  # thousands of topics ask when a broker starts, all with one configuration
def _topic_defaults(config: BrokerConfig) -> TopicConfig:
    values: dict[str, Any] = {}
    for topic_key in TOPIC_KEYS.values():
        synonym = config.synonym_in_effect(topic_key.synonyms)
        if synonym is not None:
            value = getattr(config, BROKER_KEYS[synonym].attribute)
            values[topic_key.attribute] = _in_topic_unit(topic_key.name, synonym, value)
    return TopicConfig(**values)


def _in_topic_unit(topic_key: str, broker_key: str, value: Any) -> Any:
    factor = _UNITS_MS.get(broker_key.rpartition(".")[2])
    if factor is not None:
        value *= factor
    return -1 if topic_key == "retention.ms" and value < 0 else value


BROKER_KEYS = keys_of(BrokerConfig)
"""Every broker key by name."""

OWN_PREFIX = "minikafka."
