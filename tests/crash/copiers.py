"""Programs that copy a partition in transactions: what they have read counts exactly when what they wrote does.

Each copies on from where the last transaction ended.  When something goes wrong it begins again, as a program that was
started anew; when another of the same id has begun meanwhile, it ends.

Source: Kafka, tools/TransactionalMessageCopier.java.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

import confluent_kafka

from minikafka.errors import KafkaError
from minikafka_client import AsyncConsumer, AsyncProducer, ProducerFenced, TopicPartition

SOURCE = "input"
OUTPUT_PARTITIONS = 3

_POLL_S = 0.1
_REST_EVERY = 50
"""Records."""
_REST_S = 0.02
"""So that most of the time a transaction is open, and the broker that dies meets one."""
_BEGIN_AGAIN_S = 0.05
_ATTEMPT_S = 30


def output_partition(value: bytes) -> int:
    """Where a record goes; so the order among those of one source can be seen."""
    return int(value.rpartition(b"|")[2]) % OUTPUT_PARTITIONS


_FENCED = {
    confluent_kafka.KafkaError._FENCED,
    confluent_kafka.KafkaError.INVALID_PRODUCER_EPOCH,
    confluent_kafka.KafkaError.PRODUCER_FENCED,
}


class Copier(Protocol):
    """One run of such a program."""

    copied: int
    """How many records it has copied in transactions that it knows to be committed."""
    was_fenced: bool

    async def run(self) -> None:
        """Copy until everything is, or until another takes over."""
        ...


class SdkCopier:
    """With minikafka's own client.

    Args:
        bootstrap: The broker.
        partition: Of the source.
        output: The topic.
        total: How many records the partition has.
        per_transaction: How many are copied at a time.
    """

    name = "minikafka"

    def __init__(self, bootstrap: str, partition: int, output: str, total: int, per_transaction: int) -> None:
        self.copied = 0
        self.was_fenced = False
        self._bootstrap = bootstrap
        self._place = TopicPartition(SOURCE, partition)
        self._output = output
        self._total = total
        self._per_transaction = per_transaction
        self._id = f"{output}-{partition}"

    async def run(self) -> None:
        while not self.was_fenced:
            try:
                await self._copy()
            except ProducerFenced:
                self.was_fenced = True
            except (KafkaError, OSError):
                await asyncio.sleep(_BEGIN_AGAIN_S)  # as whoever starts a program that has ended by itself
            else:
                return

    async def _copy(self) -> None:
        async with (
            AsyncProducer(self._bootstrap, transactional_id=self._id, retry_backoff_max_ms=200) as producer,
            AsyncConsumer(
                self._bootstrap,
                group_id=self._id,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
            ) as consumer,
        ):
            consumer.assign([self._place])
            self.copied = await consumer.position(self._place)
            while self.copied < self._total:
                async with producer.transaction():
                    for _ in range(self._per_transaction):
                        message = await anext(consumer)
                        await producer.send(self._output, message.value, partition=output_partition(message.value))
                        if message.offset % _REST_EVERY == 0:
                            await asyncio.sleep(_REST_S)
                        if message.offset + 1 == self._total:
                            break
                    offsets = {self._place: message.offset + 1}
                    await producer.send_offsets_to_transaction(offsets, consumer.group_metadata)
                self.copied = message.offset + 1


class ConfluentCopier:
    """With librdkafka; arguments as those of :class:`SdkCopier`."""

    name = "confluent-kafka"

    def __init__(self, bootstrap: str, partition: int, output: str, total: int, per_transaction: int) -> None:
        self.copied = 0
        self.was_fenced = False
        self._common = {
            "bootstrap.servers": bootstrap,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
        self._partition = partition
        self._output = output
        self._total = total
        self._per_transaction = per_transaction
        self._id = f"{output}-{partition}"
        self._is_stopped = threading.Event()

    async def run(self) -> None:
        try:
            await asyncio.to_thread(self._run)
        finally:
            self._is_stopped.set()

    def _run(self) -> None:
        while not self.was_fenced and not self._is_stopped.is_set():
            try:
                self._copy()
            except confluent_kafka.KafkaException as error:
                # What follows upon that it was fenced has codes of all kinds, but says so.
                self.was_fenced = "fenced" in error.args[0].str() or error.args[0].code() in _FENCED
            else:
                return

    def _copy(self) -> None:
        producer = confluent_kafka.Producer({**self._common, "transactional.id": self._id})
        producer.init_transactions(_ATTEMPT_S)
        consumer = confluent_kafka.Consumer(
            {
                **self._common,
                "group.id": self._id,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )
        try:
            place = confluent_kafka.TopicPartition(SOURCE, self._partition)
            (committed,) = consumer.committed([place], _ATTEMPT_S)
            self.copied = max(committed.offset, 0)
            consumer.assign([confluent_kafka.TopicPartition(SOURCE, self._partition, self.copied)])
            while self.copied < self._total and not self._is_stopped.is_set():
                self.copied = self._copy_some(producer, consumer, self.copied)
        finally:
            consumer.close()

    def _copy_some(self, producer: confluent_kafka.Producer, consumer: confluent_kafka.Consumer, position: int) -> int:
        wanted = min(self._per_transaction, self._total - position)
        producer.begin_transaction()
        while wanted and not self._is_stopped.is_set():
            self._is_stopped.wait(_REST_S)
            for message in consumer.consume(min(wanted, _REST_EVERY), _POLL_S):
                if message.error() is None:
                    producer.produce(self._output, message.value(), partition=output_partition(message.value()))
                    position, wanted = message.offset() + 1, wanted - 1
            producer.poll(0)
        offsets = [confluent_kafka.TopicPartition(SOURCE, self._partition, position)]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), _ATTEMPT_S)
        producer.commit_transaction(_ATTEMPT_S)
        return position
