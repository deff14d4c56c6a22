"""What the coordinators of a transaction are asked: that of the transactional id, and those of groups.

Each request is repeated while a coordinator moves, starts, or is completing the transaction before.  A producer that
turns out to be fenced stays so.

Source: Kafka, TransactionManager and its handlers of requests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from operator import attrgetter
from typing import TypeVar

from minikafka.errors import ErrorCode, ProducerFenced
from minikafka.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from minikafka.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from minikafka.protocol.messages.end_txn import EndTxnRequest
from minikafka.protocol.messages.init_producer_id import InitProducerIdRequest
from minikafka.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from minikafka.protocol.schema import Message, Request
from minikafka.types import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerIdAndEpoch, TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.coordinators import Coordinators, KeyType
from minikafka_client.errors import CommitFailed, error_from_code
from minikafka_client.offsets import Commits, GroupMetadata, OffsetAndMetadata

INIT_PRODUCER_ID_VERSION = 5
ADD_PARTITIONS_VERSION = 3
ADD_OFFSETS_VERSION = 4
TXN_OFFSET_COMMIT_VERSION = 5
END_TXN_VERSION = 5
"""This and the one before are for transaction version 2: without it one less."""

_FENCED = frozenset(
    {ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.INVALID_PRODUCER_ID_MAPPING}
)
_NO_MEMBER = frozenset({ErrorCode.ILLEGAL_GENERATION, ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID})
"""The partitions may be another member's by now."""

_PASSING = frozenset(code for code in ErrorCode if code.retriable)

R = TypeVar("R", bound=Message)


class TransactionCoordinator:
    """The requests of one transactional id.

    All of them raise ProducerFenced when another producer has the transactional id, RequestTimedOut when there was no
    answer within ``max_block_ms``, and another KafkaError when the coordinator refuses.

    Args:
        cluster: The way to the brokers.
        transactional_id: Who the producer is, over restarts.
        timeout_ms: How long the coordinator lets a transaction be open.
        max_block_ms: How long to try.
    """

    def __init__(self, cluster: Cluster, transactional_id: str, timeout_ms: int, max_block_ms: int) -> None:
        self.fencing: ProducerFenced | None = None
        """What was raised when the producer turned out to be fenced."""
        self._transactional_id = transactional_id
        self._timeout_ms = timeout_ms
        self._max_block_ms = max_block_ms
        self._coordinators = Coordinators(cluster, KeyType.TRANSACTION)
        self._groups = Coordinators(cluster)

    async def initialize(self, expected: ProducerIdAndEpoch | None = None) -> ProducerIdAndEpoch:
        """Get an epoch that nobody has had; ``expected`` is who the producer was, if it goes on."""
        claim = expected or ProducerIdAndEpoch(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
        request = InitProducerIdRequest(
            transactional_id=self._transactional_id,
            transaction_timeout_ms=self._timeout_ms,
            producer_id=claim.producer_id,
            producer_epoch=claim.producer_epoch,
        )
        answer = await self._ask(request, INIT_PRODUCER_ID_VERSION)
        self._raise(answer.error_code)
        return ProducerIdAndEpoch(answer.producer_id, answer.producer_epoch)

    async def feature_level(self, name: str) -> int:
        """The level at which the cluster has a feature, as the coordinator says; 0 when it does not."""
        connection = await self._coordinators.connection(self._transactional_id)
        return connection.features.get(name, 0)

    async def add_partitions(self, producer: ProducerIdAndEpoch, partitions: Collection[TopicPartition]) -> None:
        """Have partitions join the transaction."""
        topics: dict[str, list[int]] = {}
        for topic, partition in sorted(partitions):
            topics.setdefault(topic, []).append(partition)
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self._transactional_id,
            v3_and_below_producer_id=producer.producer_id,
            v3_and_below_producer_epoch=producer.producer_epoch,
            v3_and_below_topics=[
                AddPartitionsToTxnTopic(name=topic, partitions=indexes) for topic, indexes in topics.items()
            ],
        )
        answer = await self._ask(request, ADD_PARTITIONS_VERSION, _first_error_of_partitions)
        self._raise(_first_error_of_partitions(answer))

    async def add_offsets(self, producer: ProducerIdAndEpoch, group_id: str) -> None:
        """Have the partition of a group's offsets join the transaction."""
        request = AddOffsetsToTxnRequest(
            transactional_id=self._transactional_id,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            group_id=group_id,
        )
        self._raise((await self._ask(request, ADD_OFFSETS_VERSION)).error_code)

    async def commit_offsets(
        self, producer: ProducerIdAndEpoch, offsets: Commits, group: GroupMetadata, *, adds: bool
    ) -> None:
        """Commit offsets in the transaction, which with ``adds`` need not have been told of the group.

        Raises:
            CommitFailed: The group went on without the consumer.
        """
        topics: dict[str, TxnOffsetCommitRequestTopic] = {}
        for (topic, partition), given in offsets.items():
            committed = OffsetAndMetadata.of(given)
            wanted = topics.setdefault(topic, TxnOffsetCommitRequestTopic(name=topic, partitions=[]))
            wanted.partitions.append(
                TxnOffsetCommitRequestPartition(
                    partition_index=partition,
                    committed_offset=committed.offset,
                    committed_leader_epoch=committed.leader_epoch,
                    committed_metadata=committed.metadata,
                )
            )
        request = TxnOffsetCommitRequest(
            transactional_id=self._transactional_id,
            group_id=group.group_id,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            generation_id=group.generation_id,
            member_id=group.member_id,
            group_instance_id=group.group_instance_id,
            topics=list(topics.values()),
        )
        version = TXN_OFFSET_COMMIT_VERSION if adds else TXN_OFFSET_COMMIT_VERSION - 1
        answer = await self._groups.ask(
            group.group_id,
            request,
            version,
            timeout_ms=self._max_block_ms,
            error_of=_first_error_of_offsets,
            passing=_PASSING,
        )
        code = _first_error_of_offsets(answer)
        if code in _NO_MEMBER:
            raise CommitFailed(f"group {group.group_id} went on without this consumer: {ErrorCode(code).name}")
        self._raise(code)

    async def end(
        self, producer: ProducerIdAndEpoch, *, is_commit: bool, bumps_epochs: bool
    ) -> ProducerIdAndEpoch | None:
        """Decide the transaction; who the producer is from now on, with ``bumps_epochs``, else None."""
        request = EndTxnRequest(
            transactional_id=self._transactional_id,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            committed=is_commit,
        )
        answer = await self._ask(request, END_TXN_VERSION if bumps_epochs else END_TXN_VERSION - 1)
        self._raise(answer.error_code)
        if answer.producer_id == NO_PRODUCER_ID:
            return None
        return ProducerIdAndEpoch(answer.producer_id, answer.producer_epoch)

    async def close(self) -> None:
        """Give up what is being looked up."""
        await self._coordinators.close()
        await self._groups.close()

    async def _ask(
        self, request: Request[R], max_version: int, error_of: Callable[[R], int] = attrgetter("error_code")
    ) -> R:
        return await self._coordinators.ask(
            self._transactional_id,
            request,
            max_version,
            timeout_ms=self._max_block_ms,
            error_of=error_of,
            passing=_PASSING,
        )

    def _raise(self, code: int) -> None:
        if code == ErrorCode.NONE:
            return
        error = error_from_code(code)
        if code in _FENCED:
            self.fencing = ProducerFenced(
                f"another producer has taken over the transactional id {self._transactional_id!r}, or the transaction "
                f"was open for more than {self._timeout_ms} ms ({error})"
            )
            raise self.fencing from error
        raise error


def _first_error_of_partitions(response: AddPartitionsToTxnResponse) -> int:
    """The error that speaks for all: partitions that were all right were not attempted when others were not."""
    codes = (
        partition.partition_error_code
        for topic in response.results_by_topic_v3_and_below
        for partition in topic.results_by_partition
    )
    return next((code for code in codes if code not in (0, ErrorCode.OPERATION_NOT_ATTEMPTED)), 0)


def _first_error_of_offsets(response: TxnOffsetCommitResponse) -> int:
    codes = (partition.error_code for topic in response.topics for partition in topic.partitions)
    return next((code for code in codes if code), 0)
