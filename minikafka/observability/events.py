"""The event log: what happened to partitions, one JSON object a line, for checkers and for the curious.

    {"monotonic": 8123.402917, "event": "SegmentRolled", "topic": "orders", "partition": 0, "base_offset": 4211}

``monotonic`` is in seconds and shared by every process of a machine, so that the logs of several brokers can be
merged.  Nothing is written until :func:`open_log` names a file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from minikafka.types import uuid_text


@dataclass(frozen=True, slots=True)
class PartitionEvent:
    """What every event tells: the partition that it happened to."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class LeaderElected(PartitionEvent):
    """This broker leads, or another does."""

    leader_id: int
    leader_epoch: int
    log_end_offset: int


@dataclass(frozen=True, slots=True)
class IsrChanged(PartitionEvent):
    """The set of replicas that are in sync is another."""

    isr: tuple[int, ...]
    leader_epoch: int


@dataclass(frozen=True, slots=True)
class EpochAssigned(PartitionEvent):
    """A leader epoch begins at ``start_offset`` in this replica's log."""

    leader_epoch: int
    start_offset: int


@dataclass(frozen=True, slots=True)
class LogTruncated(PartitionEvent):
    """Records from ``end_offset`` on are gone; ``reason`` says whether recovery or a leader wanted it."""

    end_offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class LogFlushed(PartitionEvent):
    """Records below ``end_offset`` are on disk."""

    end_offset: int


@dataclass(frozen=True, slots=True)
class SegmentRolled(PartitionEvent):
    """A new segment begins at ``base_offset``."""

    base_offset: int


@dataclass(frozen=True, slots=True)
class SegmentDeleted(PartitionEvent):
    """The segment that began at ``base_offset`` is gone."""

    base_offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class LogCompacted(PartitionEvent):
    """A pass has come to its end: below ``end_offset`` every key is there once."""

    end_offset: int


@dataclass(frozen=True, slots=True)
class LogOffline(PartitionEvent):
    """The log takes and gives nothing any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class PartitionCreated(PartitionEvent):
    """The partition has a log on this broker."""

    topic_id: bytes


@dataclass(frozen=True, slots=True)
class PartitionDeleted(PartitionEvent):
    """The partition's log on this broker is deleted."""

    topic_id: bytes


_lock = threading.Lock()
_descriptor: int | None = None


def record(event: PartitionEvent) -> None:
    """Write one event down, from any thread; does nothing when no log is open."""
    if _descriptor is None:
        return
    line = _line(event)
    # The lock is for open_log: a descriptor that was closed meanwhile may already be another file's.
    with _lock:
        if _descriptor is not None:
            os.write(_descriptor, line)


def open_log(path: Path | None) -> None:
    """Append events to ``path`` from now on; None stops the log.

    Raises:
        OSError: The file cannot be opened.
    """
    global _descriptor
    # O_APPEND and one write an event: the lines of several processes stay whole.
    opened = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with _lock:
        before, _descriptor = _descriptor, opened
        if before is not None:
            os.close(before)


def _line(event: PartitionEvent) -> bytes:
    fields = {"monotonic": round(time.monotonic(), 6), "event": type(event).__name__, **dataclasses.asdict(event)}
    return json.dumps(fields, default=_topic_id).encode() + b"\n"


def _topic_id(value: object) -> str:
    if isinstance(value, bytes):
        return uuid_text(value)
    raise TypeError(f"an event has a field of type {type(value).__name__}")
