"""From a partition of ``__consumer_offsets`` to the shard of its groups, and what the configuration says of both."""

from __future__ import annotations

from collections.abc import Callable

from minikafka.clock import Clock
from minikafka.config.group import GroupConfig
from minikafka.coordinator.group.shard import GroupShard
from minikafka.coordinator.group.values import GroupLimits, TopicsView
from minikafka.coordinator.state_log import StateLog
from minikafka.errors import KafkaError
from minikafka.records.compression import Compression
from minikafka.replication.partition import Partition


def open_shard(
    partition: Partition,
    config: GroupConfig,
    topics: TopicsView,
    clock: Clock,
    on_failure: Callable[[KafkaError], None],
) -> GroupShard:
    """The shard of a partition, not loaded yet; ``on_failure`` is called when it had to give up its state."""
    log = StateLog(
        partition,
        clock,
        compression=Compression(config.offsets_topic_compression_codec),
        load_buffer_bytes=config.offsets_load_buffer_size,
    )
    return GroupShard(log, limits_of(config), topics, clock, on_failure)


def limits_of(config: GroupConfig) -> GroupLimits:
    """What the configuration allows groups."""
    return GroupLimits(
        min_session_timeout_ms=config.group_min_session_timeout_ms,
        max_session_timeout_ms=config.group_max_session_timeout_ms,
        initial_rebalance_delay_ms=config.group_initial_rebalance_delay_ms,
        max_size=config.group_max_size,
        consumer_session_timeout_ms=config.group_consumer_session_timeout_ms,
        consumer_heartbeat_interval_ms=config.group_consumer_heartbeat_interval_ms,
        consumer_max_size=config.group_consumer_max_size,
        consumer_assignors=config.group_consumer_assignors,
        migration_policy=config.group_consumer_migration_policy,
    )
