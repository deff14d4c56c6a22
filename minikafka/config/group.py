"""The keys of a broker that concern groups and their offsets.

Source: Kafka, coordinator/group/GroupCoordinatorConfig.java.
"""

from __future__ import annotations

from dataclasses import dataclass

from minikafka.config.definition import MAX_INT, ConfigError, ConfigType, at_least, between, key, one_of

_STRING = ConfigType.STRING
_SHORT = ConfigType.SHORT
_INT = ConfigType.INT
_LONG = ConfigType.LONG
_LIST = ConfigType.LIST

CLASSIC = "classic"
CONSUMER = "consumer"
MIGRATION_POLICIES = ("bidirectional", "upgrade", "downgrade", "disabled")


@dataclass(frozen=True, slots=True, eq=False, repr=False)  # BrokerConfig makes its own
class GroupConfig:
    """The settings of groups: classic ones, those of the consumer protocol, and offsets."""

    group_coordinator_rebalance_protocols: tuple[str, ...] = key(
        _LIST,
        (CLASSIC, CONSUMER),
        "The protocols that groups can use.",
        validator=one_of(CLASSIC, CONSUMER, "share", "streams"),
    )
    group_initial_rebalance_delay_ms: int = key(
        _INT,
        0,
        "How long the first member of a classic group waits for others, in milliseconds.",
        validator=at_least(0),
        kafka_default="3000",
    )
    group_min_session_timeout_ms: int = key(
        _INT, 6_000, "The shortest session of a member of a classic group, in milliseconds."
    )
    group_max_session_timeout_ms: int = key(
        _INT, 1_800_000, "The longest session of a member of a classic group, in milliseconds."
    )
    group_max_size: int = key(
        _INT, MAX_INT, "How many members a classic group may have, at most.", validator=at_least(1)
    )

    group_consumer_session_timeout_ms: int = key(
        _INT,
        45_000,
        "How long a member of a consumer group may be silent before it is removed, in milliseconds.",
        validator=at_least(1),
    )
    group_consumer_min_session_timeout_ms: int = key(
        _INT, 45_000, "The least that group.consumer.session.timeout.ms may be.", validator=at_least(1)
    )
    group_consumer_max_session_timeout_ms: int = key(
        _INT, 60_000, "The most that group.consumer.session.timeout.ms may be.", validator=at_least(1)
    )
    group_consumer_heartbeat_interval_ms: int = key(
        _INT,
        5_000,
        "How often members of a consumer group are told to send heartbeats, in milliseconds.",
        validator=at_least(1),
    )
    group_consumer_min_heartbeat_interval_ms: int = key(
        _INT, 5_000, "The least that group.consumer.heartbeat.interval.ms may be.", validator=at_least(1)
    )
    group_consumer_max_heartbeat_interval_ms: int = key(
        _INT, 15_000, "The most that group.consumer.heartbeat.interval.ms may be.", validator=at_least(1)
    )
    group_consumer_max_size: int = key(
        _INT, MAX_INT, "How many members a consumer group may have, at most.", validator=at_least(1)
    )
    group_consumer_assignors: tuple[str, ...] = key(
        _LIST,
        ("uniform", "range"),
        "The assignors that members can choose from; the first is for members that do not choose.",
        validator=one_of("uniform", "range"),
    )
    group_consumer_migration_policy: str = key(
        _STRING,
        "bidirectional",
        "Whether a group with members may change its protocol: from classic to consumer (upgrade), from consumer to "
        "classic (downgrade), both (bidirectional), or not at all (disabled).",
        validator=one_of(*MIGRATION_POLICIES),
    )
    group_consumer_regex_refresh_interval_ms: int = key(
        _INT,
        600_000,
        "How often topics are matched again with the regular expressions that groups subscribe by, in milliseconds.",
        validator=at_least(10_000),
    )

    offsets_topic_num_partitions: int = key(
        _INT,
        50,
        "How many partitions __consumer_offsets is made with; later changes would lose the groups.",
        validator=at_least(1),
    )
    offsets_topic_replication_factor: int = key(
        _SHORT,
        1,
        "How many replicas the partitions of __consumer_offsets get.",
        validator=at_least(1),
        kafka_default="3",
    )
    offsets_topic_segment_bytes: int = key(
        _INT, 104_857_600, "The segment size of __consumer_offsets, in bytes.", validator=at_least(1)
    )
    offsets_topic_compression_codec: int = key(
        _INT,
        0,
        "The codec of what is written to __consumer_offsets: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.",
        validator=between(0, 4),
    )
    offsets_load_buffer_size: int = key(
        _INT,
        5_242_880,
        "How many bytes of __consumer_offsets are read at a time when groups are loaded.",
        validator=at_least(1),
    )
    offsets_commit_timeout_ms: int = key(
        _INT,
        5_000,
        "How long a commit may take until every replica in sync has it, in milliseconds.",
        validator=at_least(1),
    )
    offset_metadata_max_bytes: int = key(_INT, 4_096, "How long the text that goes with a committed offset may be.")
    offsets_retention_minutes: int = key(
        _INT,
        10_080,
        "How long committed offsets are kept, in minutes: from when the group lost its last member, or from the commit "
        "when the group is not subscribed to the topic, or never had members.",
        validator=at_least(1),
    )
    offsets_retention_check_interval_ms: int = key(
        _LONG, 600_000, "How often it is looked for offsets to forget, in milliseconds.", validator=at_least(1)
    )

    @property
    def offsets_retention_ms(self) -> int:
        """``offsets.retention.minutes`` in milliseconds."""
        return self.offsets_retention_minutes * 60_000

    def offsets_topic_settings(self) -> dict[str, str]:
        """The settings that ``__consumer_offsets`` is made with."""
        return {
            "cleanup.policy": "compact",
            "compression.type": "producer",
            "segment.bytes": str(self.offsets_topic_segment_bytes),
        }

    def check_groups(self) -> None:
        """Check what one key alone cannot show.

        Raises:
            ConfigError: Settings contradict each other.
        """
        if CLASSIC not in self.group_coordinator_rebalance_protocols:
            raise ConfigError("Disabling the 'classic' protocol is not supported.")
        heartbeat, session = "group.consumer.{}heartbeat.interval.ms", "group.consumer.{}session.timeout.ms"
        _check_between(
            heartbeat,
            self.group_consumer_min_heartbeat_interval_ms,
            self.group_consumer_heartbeat_interval_ms,
            self.group_consumer_max_heartbeat_interval_ms,
        )
        _check_between(
            session,
            self.group_consumer_min_session_timeout_ms,
            self.group_consumer_session_timeout_ms,
            self.group_consumer_max_session_timeout_ms,
        )
        if self.group_consumer_heartbeat_interval_ms >= self.group_consumer_session_timeout_ms:
            raise ConfigError(f"{heartbeat.format('')} must be less than {session.format('')}")


def _check_between(name: str, minimum: int, value: int, maximum: int) -> None:
    """Check that a value is within what other keys allow it; ``name`` has a hole for their ``min.`` and ``max.``."""
    if maximum < minimum:
        raise ConfigError(f"{name.format('max.')} must be greater than or equal to {name.format('min.')}")
    if value < minimum:
        raise ConfigError(f"{name.format('')} must be greater than or equal to {name.format('min.')}")
    if value > maximum:
        raise ConfigError(f"{name.format('')} must be less than or equal to {name.format('max.')}")
