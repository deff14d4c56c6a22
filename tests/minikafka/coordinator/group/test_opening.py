from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from minikafka.config.sources import load
from minikafka.coordinator.group.opening import limits_of, open_shard
from minikafka.coordinator.group.values import GroupLimits
from minikafka.errors import KafkaError, StorageError
from tests.support.clock import ManualClock
from tests.support.group_topics import Topics


def test_the_limits_are_those_of_the_configuration() -> None:
    settings = {
        "group.min.session.timeout.ms": "1",
        "group.max.session.timeout.ms": "2",
        "group.initial.rebalance.delay.ms": "3",
        "group.max.size": "4",
        "group.consumer.min.session.timeout.ms": "1",
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.heartbeat.interval.ms": "1",
        "group.consumer.heartbeat.interval.ms": "700",
        "group.consumer.max.size": "8",
        "group.consumer.assignors": "range",
        "group.consumer.migration.policy": "upgrade",
    }
    config = load(None, {}, [f"{key}={value}" for key, value in settings.items()]).config
    limits = limits_of(config)
    assert limits == GroupLimits(
        min_session_timeout_ms=1,
        max_session_timeout_ms=2,
        initial_rebalance_delay_ms=3,
        max_size=4,
        consumer_session_timeout_ms=6_000,
        consumer_heartbeat_interval_ms=700,
        consumer_max_size=8,
        consumer_assignors=("range",),
        migration_policy="upgrade",
    )
    defaults = GroupLimits()
    assert all(getattr(limits, field.name) != getattr(defaults, field.name) for field in fields(GroupLimits))


def test_the_limits_of_groups_are_by_default_those_of_the_configuration() -> None:
    assert limits_of(load(None, {}, []).config) == GroupLimits()


async def test_who_gives_up_a_shard_is_told() -> None:
    failures: list[KafkaError] = []
    partition: Any = SimpleNamespace()
    shard = open_shard(partition, load(None, {}, []).config, Topics(), ManualClock(), failures.append)
    error = StorageError("the disk failed")
    shard.fail(error)
    assert failures == [error]
