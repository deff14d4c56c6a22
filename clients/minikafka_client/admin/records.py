"""The records of partitions: where they begin and end, and deleting the oldest of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from minikafka.types import TimestampAndOffset, TopicPartition
from minikafka_client.admin.requests import AdminPart, pick, together
from minikafka_client.admin.types import OffsetSpec
from minikafka_client.consumer.offsets import LIST_OFFSETS_VERSION, look_up_offsets
from minikafka_client.errors import Outcome, raise_failures

DELETE_RECORDS_VERSION = 2

_MAX_TIMESTAMP_FROM = 7


class RecordAdmin(AdminPart):
    """Looks offsets up, and deletes records."""

    async def list_offsets(
        self, specs: Mapping[TopicPartition, OffsetSpec | int]
    ) -> dict[TopicPartition, TimestampAndOffset]:
        """Look up one offset in each partition.

        Args:
            specs: Which: the first, the next to be written, that of the youngest record, or a time in milliseconds
                since 1970 for the first record that is not older.

        Returns:
            Offset, timestamp and leader epoch.  Both are -1 where there is no such record; the first and the next
            offset have no timestamp.

        Raises:
            UnknownTopicOrPartition: There is no such partition.
            UnsupportedVersion: A broker does not know which record is the youngest (before Kafka 3.0).
            RequestTimedOut: Not all were found in time; leaders were missing or did not answer.
        """
        if OffsetSpec.MAX_TIMESTAMP in specs.values():
            connection = await self._requests.connection()
            pick(connection, ApiKey.LIST_OFFSETS, _MAX_TIMESTAMP_FROM, LIST_OFFSETS_VERSION)
        wanted = {where: int(spec) for where, spec in specs.items()}
        return await look_up_offsets(self._requests.cluster, wanted, self._requests.timeout_ms)

    async def delete_records(self, before_offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Delete the records before an offset, in each of these partitions; -1 stands for all there are.

        Returns:
            The first offset that is left, in each of them.

        Raises:
            OffsetOutOfRange, UnknownTopicOrPartition, PolicyViolation, ...: As the broker says.
        """
        by_leader = await self._requests.leaders(before_offsets)
        remaining = await together(
            self._delete_records_at(node_id, {where: before_offsets[where] for where in theirs})
            for node_id, theirs in by_leader.items()
        )
        return {where: offset for theirs in remaining for where, offset in theirs.items()}

    async def _delete_records_at(
        self, node_id: int, before_offsets: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        topics: defaultdict[str, list[DeleteRecordsPartition]] = defaultdict(list)
        for partition, offset in before_offsets.items():
            topics[partition.topic].append(DeleteRecordsPartition(partition_index=partition.partition, offset=offset))
        request = DeleteRecordsRequest(
            topics=[DeleteRecordsTopic(name=name, partitions=partitions) for name, partitions in topics.items()],
            timeout_ms=self._requests.timeout_ms,
        )
        response = await self._requests.ask(request, DELETE_RECORDS_VERSION, node_id=node_id)
        results = {TopicPartition(t.name, r.partition_index): r for t in response.topics for r in t.partitions}
        raise_failures({str(where): Outcome(r.error_code, None) for where, r in results.items()})
        return {where: r.low_watermark for where, r in results.items()}
