"""A client that speaks the requests of transactions, each with the fewest words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from minikafka.net.connection import Connection
from minikafka.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from minikafka.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from minikafka.protocol.messages.describe_transactions import DescribeTransactionsRequest, TransactionState
from minikafka.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
from minikafka.protocol.messages.find_coordinator import FindCoordinatorRequest
from minikafka.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from minikafka.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from minikafka.types import ProducerIdAndEpoch
from tests.support.broker import RunningBroker, SpawnedBroker
from tests.support.data_plane import DataPlaneClient, batch_of, produce_request
from tests.support.group_client import GroupClient

_TRANSACTION = 1
_PRODUCE_THAT_ADDS_PARTITIONS = 12


class TransactionClient(GroupClient):
    """One client, which may act as any number of producers."""

    async def find_transaction_coordinator(self, transactional_id: str) -> int:
        """The broker that coordinates a transactional id."""
        request = FindCoordinatorRequest(coordinator_keys=[transactional_id], key_type=_TRANSACTION)
        (found,) = (await self.ask(request, 4)).coordinators
        assert found.error_code == 0, found.error_message
        return found.node_id

    async def ask_for_id(
        self,
        transactional_id: str | None,
        *,
        timeout_ms: int = 60_000,
        producer: ProducerIdAndEpoch | None = None,
        version: int = 5,
    ) -> InitProducerIdResponse:
        """One InitProducerId."""
        claim = ProducerIdAndEpoch(-1, -1) if producer is None else producer
        request = InitProducerIdRequest(
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            producer_id=claim.producer_id,
            producer_epoch=claim.producer_epoch,
        )
        return await self.ask(request, version)

    async def begin(self, transactional_id: str, *, timeout_ms: int = 60_000) -> ProducerIdAndEpoch:
        """A producer that is ready for its first transaction."""
        await self.find_transaction_coordinator(transactional_id)
        answer = await self.ask_for_id(transactional_id, timeout_ms=timeout_ms)
        assert answer.error_code == 0, answer
        return ProducerIdAndEpoch(answer.producer_id, answer.producer_epoch)

    async def add_partitions(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        topic: str,
        *partitions: int,
        version: int = 3,
        verify_only: bool = False,
    ) -> dict[int, int]:
        """One AddPartitionsToTxn; error codes by partition."""
        topics = [AddPartitionsToTxnTopic(name=topic, partitions=list(partitions))]
        if version < 4:
            request = AddPartitionsToTxnRequest(
                v3_and_below_transactional_id=transactional_id,
                v3_and_below_producer_id=producer.producer_id,
                v3_and_below_producer_epoch=producer.producer_epoch,
                v3_and_below_topics=topics,
            )
        else:
            transaction = AddPartitionsToTxnTransaction(
                transactional_id=transactional_id,
                producer_id=producer.producer_id,
                producer_epoch=producer.producer_epoch,
                verify_only=verify_only,
                topics=topics,
            )
            request = AddPartitionsToTxnRequest(transactions=[transaction])
        answer = await self.ask(request, version)
        assert answer.error_code == 0
        results = answer.results_by_topic_v3_and_below
        if version >= 4:
            (of_transaction,) = answer.results_by_transaction
            assert of_transaction.transactional_id == transactional_id
            results = of_transaction.topic_results
        (of_topic,) = results
        assert of_topic.name == topic
        return {one.partition_index: one.partition_error_code for one in of_topic.results_by_partition}

    async def add_offsets(
        self, transactional_id: str, producer: ProducerIdAndEpoch, group_id: str, *, version: int = 4
    ) -> int:
        """One AddOffsetsToTxn; its error code."""
        request = AddOffsetsToTxnRequest(
            transactional_id=transactional_id,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            group_id=group_id,
        )
        return (await self.ask(request, version)).error_code

    async def commit_in_transaction(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        group_id: str,
        offsets: Mapping[int, int],
        *,
        topic: str = "orders",
        claim: tuple[str, int] = ("", -1),
        metadata: str | None = "",
        leader_epoch: int = -1,
        version: int = 4,
    ) -> dict[int, int]:
        """One TxnOffsetCommit; error codes by partition."""
        partitions = [
            TxnOffsetCommitRequestPartition(partition_index=index, committed_offset=offset, committed_metadata=metadata)
            for index, offset in offsets.items()
        ]
        for partition in partitions if version >= 2 else ():
            partition.committed_leader_epoch = leader_epoch
        request = TxnOffsetCommitRequest(
            transactional_id=transactional_id,
            group_id=group_id,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            topics=[TxnOffsetCommitRequestTopic(name=topic, partitions=partitions)],
        )
        if version >= 3:
            request.member_id, request.generation_id = claim
        (answered,) = (await self.ask(request, version)).topics
        return {one.partition_index: one.error_code for one in answered.partitions}

    async def produce_in(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        records: Mapping[int, int],
        *,
        topic: str = "orders",
        sequence: int = 0,
        version: int = _PRODUCE_THAT_ADDS_PARTITIONS,
    ) -> None:
        """Write some records to each of some partitions, in one batch each, and durably."""
        batches = {
            partition: batch_of(
                *[b"%d" % number for number in range(count)],
                producer_id=producer.producer_id,
                producer_epoch=producer.producer_epoch,
                sequence=sequence,
                is_transactional=True,
            )
            for partition, count in records.items()
        }
        request = produce_request(topic, batches, acks=-1, transactional_id=transactional_id)
        (answered,) = (await self.ask(request, version)).responses
        assert not any(partition.error_code for partition in answered.partition_responses), answered

    async def end(
        self, transactional_id: str, producer: ProducerIdAndEpoch, *, commit: bool = True, version: int = 4
    ) -> EndTxnResponse:
        """One EndTxn."""
        request = EndTxnRequest(
            transactional_id=transactional_id,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            committed=commit,
        )
        return await self.ask(request, version)

    async def end_offset(self, topic: str, partition: int = 0) -> int:
        """Where a partition ends."""
        return await DataPlaneClient(self.connection).end_offset(topic, partition)

    async def describe(self, transactional_id: str) -> TransactionState:
        """One DescribeTransactions."""
        answer = await self.ask(DescribeTransactionsRequest(transactional_ids=[transactional_id]), 0)
        (found,) = answer.transaction_states
        assert found.transactional_id == transactional_id
        return found

    async def state_of(self, transactional_id: str) -> str:
        """The state of a transactional id that there is."""
        found = await self.describe(transactional_id)
        assert found.error_code == 0
        return found.transaction_state


@asynccontextmanager
async def transaction_client(broker: RunningBroker | SpawnedBroker) -> AsyncIterator[TransactionClient]:
    """A client of a running broker."""
    connection = await Connection.open(*broker.address, client_id="transactions")
    try:
        yield TransactionClient(connection)
    finally:
        connection.close()
