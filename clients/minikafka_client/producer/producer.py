"""The producer."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from minikafka.clock import Clock
from minikafka.errors import InvalidTxnState, RequestTimedOut, UnknownTopicOrPartition
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.errors import ClientClosed
from minikafka_client.offsets import Commits, GroupMetadata
from minikafka_client.producer.accumulator import Accumulator
from minikafka_client.producer.batch import NotDelivered, ProducerBatch
from minikafka_client.producer.delivery import Delivery, DeliveryCallback, RecordMetadata
from minikafka_client.producer.intake import GivenHeaders as Headers
from minikafka_client.producer.intake import Intake
from minikafka_client.producer.options import (
    Acks,
    CompressionName,
    PartitionerOption,
    acks_value,
    compression_value,
    is_idempotent,
    partitioner_value,
)
from minikafka_client.producer.partitioner import RoundRobinPartitioner, StickyPartitioner
from minikafka_client.producer.sender import Sender, SenderOptions
from minikafka_client.producer.sequencer import Sequencer
from minikafka_client.producer.transactions import TransactionManager
from minikafka_client.serializers import Serializer, serialize

_log = logging.getLogger(__name__)

_REPORTED_FAILURES = 5


class AsyncProducer:
    """Sends records, in batches, and says where each was stored.

    >>> async def brew(bootstrap_servers: str) -> int:
    ...     async with AsyncProducer(bootstrap_servers) as producer:
    ...         delivery = await producer.send("orders", "one coffee", key="table 7")   # on its way
    ...         metadata = await delivery                                               # stored
    ...         return metadata.offset

    Leaving the ``async with`` block, :meth:`flush` and :meth:`close` wait for what is on its way, and raise
    :class:`NotDelivered` when something that nobody was waiting for could not be stored.

    Args:
        bootstrap_servers: ``HOST:PORT`` of a broker, or several with commas between them.
        client_id: How the brokers' logs name this client.
        acks: When a record counts as stored: "all" (every in-sync replica has it), 1 (the leader has it), or 0 (it
            was sent).
        enable_idempotence: Number the batches, so that repeating one never stores it twice or out of order.  By
            default whenever ``acks`` is "all".
        transactional_id: Send in transactions, as the one producer that has this name at a time, over restarts: who
            had it before is fenced, and what it left open is aborted.
        transaction_timeout_ms: How long a transaction may be open before its coordinator aborts it.
        compression: Codec of the batches: "none", "gzip", "snappy", "lz4" or "zstd".
        linger_ms: How long an open batch waits for more records.  With 0 a record waits only while an earlier batch
            of its partition is on its way, and then at most 5 ms.
        batch_size: Bytes of records, before compression, at which a batch is full; 8,192 records are always enough.
        max_request_size: The most bytes in one record, and in one request.
        buffer_memory: Bytes of records that may be waiting or on their way; beyond, :meth:`send` waits.
        max_block_ms: How long :meth:`send` may wait for memory or for the metadata of a topic.
        delivery_timeout_ms: How long a record is sent again after failures before its delivery fails.
        request_timeout_ms: How long to wait for the answer to one request.
        retry_backoff_ms: The first pause after a failure; pauses double up to ``retry_backoff_max_ms``.
        retry_backoff_max_ms: The longest pause after a failure.
        max_in_flight_requests_per_connection: How many requests may wait for their answers at each broker.
        metadata_max_age_ms: How old the metadata may grow before it is asked for again.
        partitioner: Chooses the partition of a record whose sender does not.  Records with a key go by its murmur2
            hash, as Java clients do; those without one to each partition in turn ("round_robin"), or to one until its
            batch leaves ("sticky": larger batches).  Or your own: ``lambda topic, key, partition_count: ...``.
        key_serializer: Makes bytes of keys, whatever they are.
        value_serializer: The same for values.  By default bytes go as they are, text as UTF-8, other objects as
            msgpack.
        clock: Dates the records.
    """

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        client_id: str = "minikafka-producer",
        acks: Acks = "all",
        enable_idempotence: bool | None = None,
        transactional_id: str | None = None,
        transaction_timeout_ms: int = 60_000,
        compression: CompressionName = "none",
        linger_ms: float = 0,
        batch_size: int = 256 * 1024,
        max_request_size: int = 1024 * 1024,
        buffer_memory: int = 32 * 1024 * 1024,
        max_block_ms: int = 60_000,
        delivery_timeout_ms: int = 120_000,
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 50,
        retry_backoff_max_ms: int = 1_000,
        max_in_flight_requests_per_connection: int = 5,
        metadata_max_age_ms: int = 300_000,
        partitioner: PartitionerOption = "round_robin",
        key_serializer: Serializer = serialize,
        value_serializer: Serializer = serialize,
        clock: Clock | None = None,
    ) -> None:
        self._sender_options = SenderOptions(
            acks_value(acks), linger_ms, delivery_timeout_ms, max_request_size, max_in_flight_requests_per_connection
        )
        self._is_idempotent = is_idempotent(
            enable_idempotence, self._sender_options.acks, max_in_flight_requests_per_connection
        )
        if transactional_id is not None and not self._is_idempotent:
            raise ValueError("transactions need enable_idempotence")
        self._cluster = Cluster(
            bootstrap_servers,
            ClusterOptions(
                client_id,
                request_timeout_ms=request_timeout_ms,
                metadata_max_age_ms=metadata_max_age_ms,
                backoff=Backoff(retry_backoff_ms, retry_backoff_max_ms),
            ),
        )
        chooser = partitioner_value(partitioner)
        self._intake = Intake(
            buffer_memory=buffer_memory,
            max_record_size=min(max_request_size, buffer_memory),
            partitioner=chooser,
            key_serializer=key_serializer,
            value_serializer=value_serializer,
            clock=clock,
        )
        # The intake's own: a program without an event loop calls it for every record.
        self.try_send = self._intake.try_send
        self._accumulator = Accumulator(
            self._intake,
            batch_size=min(batch_size, max_request_size),
            compression=compression_value(compression),
            turns=chooser if isinstance(chooser, RoundRobinPartitioner) else RoundRobinPartitioner(),
        )
        if isinstance(chooser, StickyPartitioner):
            self._accumulator.on_batch_closed = chooser.batch_closed
        self._buffer_memory = buffer_memory
        self._max_block_ms = max_block_ms
        self._room = asyncio.Event()
        self._sender: Sender | None = None
        self._transactions = (
            None
            if transactional_id is None
            else TransactionManager(self._cluster, transactional_id, transaction_timeout_ms, max_block_ms)
        )
        self._is_closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except NotDelivered:
            if error is None:
                raise
            _log.exception("the producer was closed because of another error, and could not deliver everything")

    async def start(self) -> None:
        """Find the cluster.  The first :meth:`send` does it if need be; ``async with`` does it at the door.

        Raises:
            NoBrokersAvailable: No broker answered.
            ClientClosed: The producer was closed.
        """
        self._refuse_if_closed()
        await self._cluster.start()
        if self._sender is None:
            self._cluster.on_update(self._update_queues)
            self._accumulator.on_room = self._room.set
            sequencer = self._transactions or (Sequencer(self._cluster) if self._is_idempotent else None)
            self._sender = Sender(self._cluster, self._accumulator, sequencer, self._sender_options)
            self._intake.on_work = self._sender.wake
            if self._transactions is not None:
                self._transactions.attach(self._sender)
        if self._transactions is not None:
            await self._transactions.initialize()

    async def send(  # noqa: PLR0917 - the order is the one that everybody knows
        self,
        topic: str,
        value: object,
        key: object = None,
        partition: int | None = None,
        headers: Headers | None = None,
        timestamp_ms: int | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Put a record on its way; await what is returned to know that it is stored, and where.

        This waits only for the topic's metadata, and for memory when ``buffer_memory`` is used up.

        Args:
            topic: Its name; a broker may create it.
            value: The record's content; None marks the key as deleted in a compacted topic.
            key: Records with equal keys stay in order, in one partition.
            partition: Where to, instead of the partitioner's choice.
            headers: Names and values that travel beside the value.
            timestamp_ms: When the record came about, in milliseconds since 1970; now, by default.
            on_delivery: Called with the delivery once it is done, as by :meth:`Delivery.add_done_callback`.

        Raises:
            SerializationError: Key or value has no bytes.
            MessageTooLarge: The record exceeds ``max_request_size`` or ``buffer_memory``.
            RequestTimedOut: Metadata or memory were not to be had within ``max_block_ms``.
            KafkaError: The topic cannot be written to.
            NoBrokersAvailable: No broker answered, at the first record.
            ClientClosed: The producer was closed.
        """
        delivery = self._intake.try_send(topic, value, key, partition, headers, timestamp_ms, on_delivery)
        if delivery is None:
            delivery = await self._send_when_possible(topic, value, key, partition, headers, timestamp_ms, on_delivery)
        if self._intake.is_full:
            # Let the sender run: a loop that does nothing but send would otherwise fill the whole buffer first.
            await asyncio.sleep(0)
        return delivery

    async def send_and_wait(  # noqa: PLR0917 - as send
        self,
        topic: str,
        value: object,
        key: object = None,
        partition: int | None = None,
        headers: Headers | None = None,
        timestamp_ms: int | None = None,
    ) -> RecordMetadata:
        """Send a record and wait until it is stored; arguments and errors as in :meth:`send`, and those of delivery."""
        delivery = await self.send(topic, value, key, partition, headers, timestamp_ms)
        return await delivery

    async def flush(self) -> None:
        """Send what waits, and wait until everything sent so far is stored or given up.

        Raises:
            NotDelivered: Something was given up since the last flush, and nobody was waiting for its delivery.
        """
        if self._sender is not None:
            await self._sender.flush()
            self._report_failures()

    async def close(self, timeout_ms: int | None = None) -> None:
        """Flush, and stop; closing again does nothing.

        Args:
            timeout_ms: What is not stored by then is given up; by default ``delivery_timeout_ms`` is the limit.

        Raises:
            NotDelivered: Something was given up since the last flush, and nobody was waiting for its delivery.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._transactions is not None:
            await self._transactions.abort_what_is_open()
        self._intake.close()
        try:
            if self._sender is not None:
                reason = ClientClosed("the producer was closed before the record was stored")
                await self._sender.stop(reason, timeout_ms)
        finally:
            if self._transactions is not None:
                await self._transactions.close()
            await self._cluster.close()
        self._report_failures()

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """A transaction: what is sent within the ``async with`` block counts altogether or not at all.

        It is committed at the end of the block, and aborted if that ends with an exception.  Records become visible to
        consumers that read committed records (``isolation_level="read_committed"``) with the commit.

        >>> async def transfer(bootstrap_servers: str) -> None:
        ...     async with AsyncProducer(bootstrap_servers, transactional_id="transfers") as producer:
        ...         async with producer.transaction():
        ...             await producer.send("withdrawals", "10 from Alice")
        ...             await producer.send("deposits", "10 to Bob")

        Raises:
            ProducerFenced: Another producer has taken over the transactional id; this one is of no more use.
            InvalidTxnState: The producer has no ``transactional_id``, or a transaction is open already.
            RequestTimedOut: The coordinator did not answer within ``max_block_ms``: when that happens at the end of the
                block, nobody knows whether the transaction was committed.
            KafkaError: Something that was sent could not be stored; the transaction was aborted.
        """
        return self._transactional.transaction(self.start)

    async def send_offsets_to_transaction(self, offsets: Commits, group_metadata: GroupMetadata) -> None:
        """Commit how far a consumer has come as part of the transaction that is open.

        So what was read counts as read exactly when what was made of it counts.  The consumer itself commits nothing
        (``enable_auto_commit=False``).

        >>> async def pour(bootstrap_servers: str) -> None:
        ...     from minikafka_client import AsyncConsumer, TopicPartition
        ...     async with (
        ...         AsyncConsumer(
        ...             bootstrap_servers, topics=["orders"], group_id="bar", enable_auto_commit=False,
        ...             isolation_level="read_committed",
        ...         ) as consumer,
        ...         AsyncProducer(bootstrap_servers, transactional_id="bar-1") as producer,
        ...     ):
        ...         while messages := await consumer.poll():
        ...             async with producer.transaction():
        ...                 for message in messages:
        ...                     await producer.send("drinks", message.value)
        ...                 offsets = {TopicPartition(m.topic, m.partition): m.offset + 1 for m in messages}
        ...                 await producer.send_offsets_to_transaction(offsets, consumer.group_metadata)

        Args:
            offsets: The next offset to be read, in each partition.
            group_metadata: ``consumer.group_metadata``.

        Raises:
            CommitFailed: The consumer's partitions are no longer its own.
            InvalidTxnState: No transaction is open.
            KafkaError: As :meth:`transaction`.
        """
        await self._transactional.send_offsets(offsets, group_metadata)

    @property
    def _transactional(self) -> TransactionManager:
        if self._transactions is None:
            raise InvalidTxnState("transactions need a producer with a transactional_id")
        return self._transactions

    async def partitions_for(self, topic: str) -> int:
        """How many partitions a topic has.

        Raises:
            KafkaError: The topic does not exist, or nobody says within ``max_block_ms``.
        """
        return len((await self._cluster.topic(topic, self._max_block_ms)).partitions)

    async def _send_when_possible(  # noqa: PLR0917 - as send
        self,
        topic: str,
        value: object,
        key: object,
        partition: int | None,
        headers: Headers | None,
        timestamp_ms: int | None,
        on_delivery: DeliveryCallback | None,
    ) -> Delivery:
        if self._sender is None:
            await self.start()
        await self._learn_of(topic, partition)
        self._accumulator.waiting_senders += 1
        self._intake.on_work()
        try:
            async with asyncio.timeout(self._max_block_ms / 1_000):
                while True:
                    self._refuse_if_closed()
                    self._room.clear()
                    delivery = self.try_send(topic, value, key, partition, headers, timestamp_ms, on_delivery)
                    if delivery is not None:
                        return delivery
                    await self._room.wait()
        except TimeoutError:
            raise RequestTimedOut(
                f"the {self._buffer_memory} bytes of buffer_memory were in use for {self._max_block_ms} ms"
            ) from None
        finally:
            self._accumulator.waiting_senders -= 1

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise ClientClosed("the producer was closed")

    async def _learn_of(self, topic: str, partition: int | None) -> None:
        info = await self._cluster.topic(topic, self._max_block_ms)
        if partition is not None and not 0 <= partition < len(info.partitions):
            info = (await self._cluster.refresh()).topics.get(topic, info)
            if not 0 <= partition < len(info.partitions):
                raise UnknownTopicOrPartition(
                    f"{topic} has partitions 0 to {len(info.partitions) - 1}, not {partition}"
                )
        self._accumulator.line_up(topic, len(info.partitions))

    def _update_queues(self) -> None:
        for topic in self._intake.inboxes:
            info = self._cluster.metadata.topics.get(topic)
            if info is not None:
                self._accumulator.line_up(topic, len(info.partitions))

    def _report_failures(self) -> None:
        failures = [batch for batch in self._accumulator.take_failures() if batch.unheard_count]
        if failures:
            raise NotDelivered(_describe(failures))


def _describe(failures: list[ProducerBatch]) -> str:
    counts: Counter[str] = Counter()
    for batch in failures:
        counts[f"{batch.queue}: {batch.error}"] += batch.unheard_count
    reasons = [f"{count} for {reason}" for reason, count in counts.most_common(_REPORTED_FAILURES)]
    more = "" if len(counts) <= _REPORTED_FAILURES else f", and {len(counts) - _REPORTED_FAILURES} more reasons"
    return f"{sum(counts.values())} records were not stored ({'; '.join(reasons)}{more})"
