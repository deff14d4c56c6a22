"""The directories in which brokers keep their logs."""

from __future__ import annotations

from collections.abc import Iterable

from minikafka.protocol.messages.describe_log_dirs import DescribeLogDirsRequest, DescribeLogDirsResult
from minikafka.types import TopicPartition
from minikafka_client.admin.requests import AdminPart, together
from minikafka_client.admin.types import LogDirDescription, ReplicaDescription
from minikafka_client.errors import Outcome, error_from_code, raise_failures

DESCRIBE_LOG_DIRS_VERSION = 4


class LogDirAdmin(AdminPart):
    """Describes directories and what lies in them."""

    async def describe_log_dirs(
        self, broker_ids: Iterable[int] | None = None
    ) -> dict[int, dict[str, LogDirDescription]]:
        """The directories of brokers, by the broker's id and the directory's path; of all brokers by default.

        Raises:
            ClusterAuthorizationFailed, ...: As a broker says.
            OSError: A broker cannot be reached.
        """
        wanted = await self._requests.brokers() if broker_ids is None else list(broker_ids)
        return dict(zip(wanted, await together(map(self._describe_log_dirs_of, wanted)), strict=True))

    async def _describe_log_dirs_of(self, node_id: int) -> dict[str, LogDirDescription]:
        request = DescribeLogDirsRequest(topics=None)
        response = await self._requests.ask(request, DESCRIBE_LOG_DIRS_VERSION, node_id=node_id)
        raise_failures({f"broker {node_id}": Outcome(response.error_code, None)})
        return {result.log_dir: _directory(result) for result in response.results}


def _directory(result: DescribeLogDirsResult) -> LogDirDescription:
    replicas = {
        TopicPartition(topic.name, partition.partition_index): ReplicaDescription(
            partition.partition_size, partition.offset_lag, partition.is_future_key
        )
        for topic in result.topics
        for partition in topic.partitions
    }
    error = error_from_code(result.error_code) if result.error_code else None
    return LogDirDescription(replicas, result.total_bytes, result.usable_bytes, error)
