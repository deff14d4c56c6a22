"""How far groups have come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from minikafka.errors import ErrorCode, UnknownMemberId
from minikafka.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from minikafka.types import TopicPartition
from minikafka_client.admin.requests import AdminPart
from minikafka_client.commits import commit_offsets, fetch_offsets
from minikafka_client.errors import Outcome, raise_failures
from minikafka_client.offsets import Commits, GroupMetadata, OffsetAndMetadata

OFFSET_DELETE_VERSION = 0


class GroupOffsetAdmin(AdminPart):
    """Reads, sets and forgets what groups have committed."""

    async def list_group_offsets(
        self, group_id: str, partitions: Iterable[TopicPartition] | None = None
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """How far a group has come: the next offset it will read in each partition.

        Args:
            group_id: The group; one that does not exist has committed nothing.
            partitions: Only these; all by default.

        Returns:
            What is committed; partitions for which nothing is are left out.

        Raises:
            KafkaError: As the coordinator says.
        """
        await self._requests.start()
        found = await fetch_offsets(
            self._requests.coordinators,
            group_id,
            partitions,
            require_stable=False,
            timeout_ms=self._requests.timeout_ms,
        )
        return {partition: offset for partition, offset in found.items() if offset.offset >= 0}

    async def alter_group_offsets(self, group_id: str, offsets: Commits) -> None:
        """Have a group go on from these offsets when it is next started; it comes into being if it is not there.

        Raises:
            UnknownMemberId: The group has members, which know better where they are.
            UnknownTopicOrPartition, ...: As the coordinator says.
        """
        if not offsets:
            return
        await self._requests.start()
        wanted = {where: OffsetAndMetadata.of(offset) for where, offset in offsets.items()}
        codes = await commit_offsets(
            self._requests.coordinators, GroupMetadata(group_id), wanted, timeout_ms=self._requests.timeout_ms
        )
        if ErrorCode.UNKNOWN_MEMBER_ID in codes.values():
            raise UnknownMemberId(f"group {group_id!r} has members; stop them before its offsets are altered")
        raise_failures({f"offset of {where}": Outcome(code, None) for where, code in codes.items()})

    async def delete_group_offsets(self, group_id: str, partitions: Iterable[TopicPartition]) -> None:
        """Have a group forget how far it has come in these partitions.

        Raises:
            GroupIdNotFound: There is no such group.
            GroupSubscribedToTopic: It has members that read the topic.
            UnknownTopicOrPartition, ...: As the coordinator says.
        """
        by_topic: defaultdict[str, list[OffsetDeleteRequestPartition]] = defaultdict(list)
        for where in partitions:
            by_topic[where.topic].append(OffsetDeleteRequestPartition(partition_index=where.partition))
        request = OffsetDeleteRequest(
            group_id=group_id,
            topics=[OffsetDeleteRequestTopic(name=name, partitions=parts) for name, parts in by_topic.items()],
        )
        response = await self._requests.ask_coordinator(
            group_id, request, OFFSET_DELETE_VERSION, lambda answer: answer.error_code
        )
        raise_failures({f"group {group_id!r}": Outcome(response.error_code, None)})
        raise_failures(
            {
                f"offset of {topic.name}-{partition.partition_index}": Outcome(partition.error_code, None)
                for topic in response.topics
                for partition in topic.partitions
            }
        )
