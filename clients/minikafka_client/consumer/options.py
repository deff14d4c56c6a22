"""The consumer's options, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, TypedDict

from minikafka.types import IsolationLevel
from minikafka_client.consumer.assignors.assignor import Assignor
from minikafka_client.consumer.assignors.range import RangeAssignor
from minikafka_client.consumer.assignors.round_robin import RoundRobinAssignor
from minikafka_client.consumer.assignors.sticky import CooperativeStickyAssignor, StickyAssignor
from minikafka_client.consumer.group.listener import RebalanceCallback
from minikafka_client.consumer.positions import Start
from minikafka_client.serializers import Deserializer

AutoOffsetReset = Literal["earliest", "latest", "none"]
IsolationLevelName = Literal["read_uncommitted", "read_committed"]
GroupProtocol = Literal["classic", "consumer"]

_STARTS: dict[str, Start | None] = {"earliest": Start.EARLIEST, "latest": Start.LATEST, "none": None}


class ConsumerOptions(TypedDict, total=False):
    """The options of :class:`~.consumer.AsyncConsumer`, which explains them."""

    topics: Iterable[str]
    topic_pattern: str | re.Pattern[str] | None
    group_id: str | None
    group_instance_id: str | None
    group_protocol: GroupProtocol
    group_remote_assignor: str | None
    partition_assignment_strategy: Iterable[str | Assignor]
    session_timeout_ms: int
    heartbeat_interval_ms: int
    max_poll_interval_ms: int
    enable_auto_commit: bool
    auto_commit_interval_ms: int
    on_partitions_assigned: RebalanceCallback | None
    on_partitions_revoked: RebalanceCallback | None
    on_partitions_lost: RebalanceCallback | None
    poll_interval_ms: int
    client_rack: str | None
    client_id: str
    auto_offset_reset: AutoOffsetReset
    fetch_min_bytes: int
    fetch_max_wait_ms: int
    fetch_max_bytes: int
    max_partition_fetch_bytes: int
    max_poll_records: int
    check_crcs: bool
    request_timeout_ms: int
    retry_backoff_ms: int
    retry_backoff_max_ms: int
    metadata_max_age_ms: int
    allow_auto_create_topics: bool
    isolation_level: IsolationLevelName
    key_deserializer: Deserializer | None
    value_deserializer: Deserializer | None


_ASSIGNORS: dict[str, type[Assignor]] = {
    kind.name: kind for kind in (RangeAssignor, RoundRobinAssignor, StickyAssignor, CooperativeStickyAssignor)
}


def assignors_value(strategies: Iterable[str | Assignor]) -> tuple[Assignor, ...]:
    """The assignors of these names, and those that are assignors already, the preferred one first.

    Raises:
        ValueError: There is none of that name, or none at all.
    """
    if isinstance(strategies, str):
        strategies = [strategies]
    made = tuple(_assignor(strategy) for strategy in strategies)
    if not made:
        raise ValueError("partition_assignment_strategy names no assignor")
    return made


def _assignor(strategy: str | Assignor) -> Assignor:
    if isinstance(strategy, Assignor):
        return strategy
    if strategy not in _ASSIGNORS:
        names = ", ".join(_ASSIGNORS)
        raise ValueError(f"partition_assignment_strategy is made of {names} and Assignors, not {strategy!r}")
    return _ASSIGNORS[strategy]()


def start_value(auto_offset_reset: str) -> Start | None:
    """Where to begin without a position; None: nowhere, that is an error.

    Raises:
        ValueError: It is none of the names.
    """
    if auto_offset_reset not in _STARTS:
        raise ValueError(f"auto_offset_reset is one of {', '.join(_STARTS)}, not {auto_offset_reset!r}")
    return _STARTS[auto_offset_reset]


def isolation_level_value(name: str) -> IsolationLevel:
    """Kafka's number of an isolation level.

    Raises:
        ValueError: There is no such level.
    """
    try:
        return IsolationLevel[name.upper()]
    except KeyError:
        names = ", ".join(level.name.lower() for level in IsolationLevel)
        raise ValueError(f"isolation_level is one of {names}, not {name!r}") from None
