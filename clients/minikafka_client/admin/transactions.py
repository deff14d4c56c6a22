"""Transactions: those that coordinators know of, and what partitions know of their producers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.describe_producers import (
    DescribeProducersRequest,
    TopicRequest,
)
from minikafka.protocol.messages.describe_producers import ProducerState as DescribedProducer
from minikafka.protocol.messages.describe_transactions import DescribeTransactionsRequest
from minikafka.protocol.messages.init_producer_id import InitProducerIdRequest
from minikafka.protocol.messages.list_transactions import ListTransactionsRequest
from minikafka.protocol.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
)
from minikafka.types import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerIdAndEpoch, TopicPartition
from minikafka_client.admin.requests import AdminPart, together
from minikafka_client.admin.types import (
    ProducerState,
    TransactionDescription,
    TransactionListing,
    TransactionState,
)
from minikafka_client.errors import Outcome, raise_failures

LIST_TRANSACTIONS_VERSION = 2
DESCRIBE_TRANSACTIONS_VERSION = 0
DESCRIBE_PRODUCERS_VERSION = 0
WRITE_TXN_MARKERS_VERSION = 1
INIT_PRODUCER_ID_VERSION = 4

_DURATIONS_FROM = 1
_PATTERNS_FROM = 2
_NOT_GIVEN = -1


class TransactionAdmin(AdminPart):
    """Lists and describes transactions, fences their producers, and ends those that nobody else will."""

    async def list_transactions(
        self,
        *,
        states: Iterable[TransactionState | str] = (),
        producer_ids: Iterable[int] = (),
        running_for_ms: int | None = None,
        transactional_id_pattern: str | None = None,
    ) -> list[TransactionListing]:
        """All transactional ids that coordinators know, in their order, whether in a transaction or not.

        Args:
            states: Only those in one of these states.
            producer_ids: Only those with one of these producer ids.
            running_for_ms: Only those whose transaction began longer ago.
            transactional_id_pattern: Only those that this regular expression (RE2) matches as a whole.

        Raises:
            UnsupportedVersion: A broker does not know of durations (before Kafka 3.8) or patterns (before 4.1).
            InvalidRegularExpression, TransactionalIdAuthorizationFailed, ...: As a broker says.
            OSError: A broker cannot be reached.
        """
        request = ListTransactionsRequest(
            state_filters=list(map(str, states)),
            producer_id_filters=list(producer_ids),
            duration_filter=_NOT_GIVEN if running_for_ms is None else running_for_ms,
            transactional_id_pattern=transactional_id_pattern,
        )
        min_version = 0 if running_for_ms is None else _DURATIONS_FROM
        min_version = min_version if transactional_id_pattern is None else _PATTERNS_FROM
        brokers = await self._requests.brokers()
        # One question to all of them: the first that cannot answer says why.
        listed = await asyncio.gather(*(self._list_at(node_id, request, min_version) for node_id in brokers))
        return sorted(transaction for of_broker in listed for transaction in of_broker)

    async def describe_transactions(self, transactional_ids: Iterable[str]) -> dict[str, TransactionDescription]:
        """Where transactional ids stand: their producer, and what the transaction that is open writes to.

        Raises:
            TransactionalIdNotFound: There is no such transactional id.
            KafkaError: As a coordinator says.
        """
        wanted = list(dict.fromkeys(transactional_ids))
        return dict(zip(wanted, await together(map(self._describe_transaction, wanted)), strict=True))

    async def describe_producers(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, list[ProducerState]]:
        """What partitions remember of the idempotent and transactional producers that wrote to them.

        Raises:
            UnknownTopicOrPartition: There is no such partition.
            KafkaError: As a leader says.
        """
        by_leader = await self._requests.leaders(dict.fromkeys(partitions))
        described = await together(self._describe_producers_at(*its) for its in by_leader.items())
        return {where: states for of_leader in described for where, states in of_leader.items()}

    async def abort_transaction(self, partition: TopicPartition, producer: ProducerState) -> None:
        """End the transaction that a producer has open in one partition, where its coordinator no longer will.

        Only for a transaction that hangs: one that the coordinator knows of would be torn.

        Args:
            partition: Where it hangs.
            producer: What :meth:`describe_producers` tells of it.

        Raises:
            InvalidProducerEpoch: The producer has gone on under another epoch.
            TransactionCoordinatorFenced: A later coordinator has ended a transaction of the producer.
            UnknownTopicOrPartition: There is no such partition.
            KafkaError: As the leader says.
        """
        (node_id,) = await self._requests.leaders([partition])
        marker = WritableTxnMarker(
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            transaction_result=False,
            topics=[WritableTxnMarkerTopic(name=partition.topic, partition_indexes=[partition.partition])],
            coordinator_epoch=producer.coordinator_epoch or 0,
        )
        request = WriteTxnMarkersRequest(markers=[marker])
        response = await self._requests.ask(request, WRITE_TXN_MARKERS_VERSION, node_id=node_id)
        raise_failures(
            {
                str(TopicPartition(topic.name, result.partition_index)): Outcome(result.error_code, None)
                for written in response.markers
                for topic in written.topics
                for result in topic.partitions
            }
        )

    async def fence_producers(self, transactional_ids: Iterable[str]) -> dict[str, ProducerIdAndEpoch]:
        """Take transactional ids from whoever has them; transactions that they have open are aborted.

        Returns:
            The producer id and epoch of each, which nobody uses now.

        Raises:
            RequestTimedOut: A transaction was not over in time.
            KafkaError: As a coordinator says.
        """
        wanted = list(dict.fromkeys(transactional_ids))
        return dict(zip(wanted, await together(map(self._fence, wanted)), strict=True))

    async def _list_at(
        self, node_id: int, request: ListTransactionsRequest, min_version: int
    ) -> list[TransactionListing]:
        response = await self._requests.ask_patiently(
            request,
            LIST_TRANSACTIONS_VERSION,
            node_id=node_id,
            min_version=min_version,
            error_of=lambda answer: answer.error_code,
        )
        reason = None
        if response.error_code == ErrorCode.INVALID_REGULAR_EXPRESSION:
            reason = f"{request.transactional_id_pattern!r} is not a valid regular expression"
        raise_failures({f"transactions of broker {node_id}": Outcome(response.error_code, reason)})
        return [
            TransactionListing(found.transactional_id, found.producer_id, _known(found.transaction_state))
            for found in response.transaction_states
        ]

    async def _describe_transaction(self, transactional_id: str) -> TransactionDescription:
        response = await self._requests.ask_transaction_coordinator(
            transactional_id,
            DescribeTransactionsRequest(transactional_ids=[transactional_id]),
            DESCRIBE_TRANSACTIONS_VERSION,
            lambda answer: answer.transaction_states[0].error_code,
        )
        (found,) = response.transaction_states
        raise_failures({f"transactional id {transactional_id!r}": Outcome(found.error_code, None)})
        return TransactionDescription(
            transactional_id,
            await self._requests.transaction_coordinators.node_id(transactional_id),
            _known(found.transaction_state),
            found.producer_id,
            found.producer_epoch,
            found.transaction_timeout_ms,
            _given(found.transaction_start_time_ms),
            frozenset(TopicPartition(topic.topic, number) for topic in found.topics for number in topic.partitions),
        )

    async def _describe_producers_at(
        self, node_id: int, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, list[ProducerState]]:
        topics: defaultdict[str, list[int]] = defaultdict(list)
        for topic, partition in partitions:
            topics[topic].append(partition)
        request = DescribeProducersRequest(
            topics=[TopicRequest(name=name, partition_indexes=numbers) for name, numbers in topics.items()]
        )
        response = await self._requests.ask(request, DESCRIBE_PRODUCERS_VERSION, node_id=node_id)
        results = {TopicPartition(t.name, r.partition_index): r for t in response.topics for r in t.partitions}
        raise_failures({str(where): Outcome(r.error_code, r.error_message) for where, r in results.items()})
        return {where: [_producer(state) for state in r.active_producers] for where, r in results.items()}

    async def _fence(self, transactional_id: str) -> ProducerIdAndEpoch:
        request = InitProducerIdRequest(
            transactional_id=transactional_id,
            transaction_timeout_ms=self._requests.timeout_ms,
            producer_id=NO_PRODUCER_ID,
            producer_epoch=NO_PRODUCER_EPOCH,
        )
        response = await self._requests.ask_transaction_coordinator(
            transactional_id, request, INIT_PRODUCER_ID_VERSION, lambda answer: answer.error_code
        )
        raise_failures({f"transactional id {transactional_id!r}": Outcome(response.error_code, None)})
        return ProducerIdAndEpoch(response.producer_id, response.producer_epoch)


def _producer(state: DescribedProducer) -> ProducerState:
    return ProducerState(
        state.producer_id,
        state.producer_epoch,
        state.last_sequence,
        state.last_timestamp,
        _given(state.coordinator_epoch),
        _given(state.current_txn_start_offset),
    )


def _given(number: int) -> int | None:
    return None if number < 0 else number


def _known(state: str) -> TransactionState:
    """A state as this client knows it; newer brokers may have newer ones, which become UNKNOWN."""
    return next((known for known in TransactionState if known == state), TransactionState.UNKNOWN)
