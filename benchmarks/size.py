"""What much data and many partitions cost: memory, and throughput beside a broker that has neither."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.harness import (
    PARTITIONS,
    Settings,
    fetch,
    fill,
    produce,
    require_space,
    rotated,
    running,
    settle,
    warm_up,
)
from benchmarks.report import AtMost, AtMostTimes, Row
from benchmarks.targets import HOST, TOPIC, Minikafka, Tansu, Target
from benchmarks.wire import create_topic, delete_topic

LARGE_LOG_BYTES = 10_000_000_000
MANY_PARTITIONS = 1_000

_MEMORY_BYTES = 5_000_000_000
_ROUND_BYTES = 1_000_000_000
_EMPTY, _LARGE, _MANY = "empty, 4 partitions", "10 GB, 4 partitions", "1,000 partitions"


def measure_memory(settings: Settings) -> list[Row]:
    """The memory of a broker that has taken 5 GB, and given back some of it."""
    require_space(settings.directory, 2 * _MEMORY_BYTES)
    row = Row("memory after 5 GB", "MB", goals={"minikafka never": AtMost(120)})
    peak = Row("most memory up to then", "MB")
    for run in range(settings.runs):
        targets: list[Target] = [
            Minikafka(settings.directory / "never", "never"),
            Minikafka(settings.directory / "auto", "auto"),
            Tansu(settings.directory / "tansu"),
        ]
        for target in targets:
            with running(target):
                fill(settings, target, _MEMORY_BYTES)
                fetch(settings, target)
                row.add(target.name, target.resident_bytes() / 1e6)
                peak.add(target.name, target.peak_bytes() / 1e6)
        settings.tell(f"memory, run {run + 1}: {row.samples[targets[0].name][-1]:.0f} MB")
    return [row, peak]


@dataclass(slots=True)
class _Loaded:
    """A broker with a certain amount of data."""

    name: str
    target: Target
    partitions: int
    end_offset: int = 0


def measure_size(settings: Settings) -> list[Row]:
    """Three brokers side by side: one empty, one with a large log, one with many partitions."""
    require_space(settings.directory, LARGE_LOG_BYTES + (3 * settings.runs + 10) * _ROUND_BYTES)
    produced, fetched = Row("produce, by size", "MB/s"), Row("fetch, by size", "MB/s")
    with ExitStack() as stack:
        brokers = [
            _Loaded(name, Minikafka(settings.directory / name.split(",")[0].replace(" ", "-")), partitions)
            for name, partitions in ((_LARGE, PARTITIONS), (_MANY, MANY_PARTITIONS), (_EMPTY, PARTITIONS))
        ]
        for broker in brokers:
            stack.enter_context(running(broker.target, partitions=broker.partitions))
            volume = LARGE_LOG_BYTES if broker.name is _LARGE else 2 * _ROUND_BYTES
            broker.end_offset = fill(settings, broker.target, volume, partitions=broker.partitions).end_offset
            warm_up(settings, broker.target, partitions=broker.partitions)
        for run in range(settings.runs):
            for broker in rotated(brokers, run):
                _measure(settings, broker, produced, fetched)
            settings.tell(f"size, run {run + 1}")
    return [_beside_empty(row) for row in (produced, fetched)]


def _measure(settings: Settings, broker: _Loaded, produced: Row, fetched: Row) -> None:
    if broker.name is _EMPTY:
        delete_topic(HOST, broker.target.port, TOPIC)
        create_topic(HOST, broker.target.port, TOPIC, broker.partitions)
        broker.end_offset = 0
    settle(settings.directory, 2 * _ROUND_BYTES)
    result = produce(settings, broker.target, partitions=broker.partitions, max_bytes=_ROUND_BYTES)
    produced.add(broker.name, result.bytes / result.seconds / 1e6)
    read = fetch(settings, broker.target, partitions=broker.partitions, first_offset=broker.end_offset)
    fetched.add(broker.name, read.bytes / read.seconds / 1e6)
    broker.end_offset = result.end_offset


def _beside_empty(row: Row) -> Row:
    row.samples = {name: row.samples[name] for name in (_EMPTY, _LARGE, _MANY)}
    row.goals = {_LARGE: AtMostTimes(1 / 0.9), _MANY: AtMostTimes(1 / 0.9)}
    return row
