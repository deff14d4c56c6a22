"""DescribeLogDirs (API key 35): how much of the disk each log takes, by data directory.

Source: KIP-113, KIP-827; Kafka, ReplicaManager.describeLogDirs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from minikafka.broker.context import RequestContext
from minikafka.broker.services import Services
from minikafka.errors import ErrorCode
from minikafka.protocol.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)
from minikafka.storage.data_directory import DataDirectory
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.types import TopicPartition

_UNKNOWN = -1


class DiskSpace(NamedTuple):
    """The size of a volume and what is left of it, in bytes; -1 when it cannot be told."""

    total_bytes: int
    usable_bytes: int


def disk_space(directory: Path) -> DiskSpace:
    """The space of the volume that ``directory`` is on."""
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return DiskSpace(_UNKNOWN, _UNKNOWN)
    return DiskSpace(usage.total, usage.free)


class DescribeLogDirsHandler:
    """Answers from the logs as they are."""

    __slots__ = ("_disk_space", "_log_manager")

    def __init__(self, log_manager: LogManager, disk_space: Callable[[Path], DiskSpace] = disk_space) -> None:
        self._log_manager = log_manager
        self._disk_space = disk_space

    def __call__(self, request: DescribeLogDirsRequest, ctx: RequestContext) -> DescribeLogDirsResponse:
        """Answer ``request``: null topics are all, and a partition that is not here is left out."""
        logs = list(self._log_manager.logs.values())
        if request.topics is not None:
            wanted = {TopicPartition(topic.topic, index) for topic in request.topics for index in topic.partitions}
            logs = [log for log in logs if log.topic_partition in wanted]
        return DescribeLogDirsResponse(results=[self._describe(home, logs) for home in self._log_manager.directories])

    def _describe(self, home: DataDirectory, logs: Iterable[Log]) -> DescribeLogDirsResult:
        path = str(home.path.absolute())
        if home.offline_reason is not None:
            return DescribeLogDirsResult(error_code=ErrorCode.KAFKA_STORAGE_ERROR, log_dir=path, topics=[])
        topics: dict[str, list[DescribeLogDirsPartition]] = {}
        for log in logs:
            if log.directory.parent == home.path:
                topics.setdefault(log.topic_partition.topic, []).append(_partition(log))
        space = self._disk_space(home.path)
        return DescribeLogDirsResult(
            log_dir=path,
            topics=[DescribeLogDirsTopic(name=name, partitions=partitions) for name, partitions in topics.items()],
            total_bytes=space.total_bytes,
            usable_bytes=space.usable_bytes,
        )


def _partition(log: Log) -> DescribeLogDirsPartition:
    # The lag is that of the log behind the high watermark, which no leader has.
    return DescribeLogDirsPartition(
        partition_index=log.topic_partition.partition,
        partition_size=log.size_bytes,
        offset_lag=0,
        is_future_key=False,
    )


def build(services: Services) -> DescribeLogDirsHandler:
    """The handler, with what it needs of the broker."""
    return DescribeLogDirsHandler(services.log_manager)
