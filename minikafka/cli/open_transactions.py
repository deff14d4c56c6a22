"""Transactions that are open in a partition, and whether their coordinators know of them.

A coordinator that does not will never end them: they hang.

Source: Kafka, tools/TransactionsCommand.java (FindHangingTransactionsCommand); KIP-664.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from minikafka.cli.console import JsonValue, age_text
from minikafka.cli.group_progress import place_name
from minikafka.types import TopicPartition
from minikafka_client.admin.types import ProducerState
from minikafka_client.sync import Admin

HEADER = ("PARTITION", "START", "PRODUCER", "EPOCH", "LAST RECORD", "TRANSACTIONAL ID")


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """What a producer has open in a partition; its transactional id is None when no coordinator has the producer."""

    where: TopicPartition
    producer: ProducerState
    transactional_id: str | None
    hangs: bool

    def row(self, now_ms: int) -> tuple[object, ...]:
        """What stands in the table, under :data:`HEADER`."""
        producer = self.producer
        return (
            place_name(self.where),
            producer.transaction_start_offset,
            producer.producer_id,
            producer.producer_epoch,
            f"{age_text(now_ms - producer.last_timestamp_ms)} ago",
            self.transactional_id or "-",
        )

    def as_json(self) -> dict[str, JsonValue]:
        """All of it."""
        return {
            "topic": self.where.topic,
            "partition": self.where.partition,
            "start_offset": self.producer.transaction_start_offset,
            "producer_id": self.producer.producer_id,
            "producer_epoch": self.producer.producer_epoch,
            "coordinator_epoch": self.producer.coordinator_epoch,
            "last_timestamp_ms": self.producer.last_timestamp_ms,
            "transactional_id": self.transactional_id,
        }


def open_transactions(admin: Admin, partitions: Collection[TopicPartition]) -> list[OpenTransaction]:
    """What is open in these partitions.

    Coordinators are asked after the partitions, so that a transaction that ends meanwhile is not taken for one that
    hangs: :func:`_still_open` asks the partitions again.

    Raises:
        KafkaError, OSError: As a broker says, or it does not answer.
    """
    found = _open_in(admin, partitions)
    if not found:
        return []
    owners = {
        listing.producer_id: listing.transactional_id
        for listing in admin.list_transactions(producer_ids={producer.producer_id for _, producer in found})
    }
    described = admin.describe_transactions(owners.values())
    known = {(description.producer_id, where) for description in described.values() for where in description.partitions}
    return [
        OpenTransaction(
            where, producer, owners.get(producer.producer_id), hangs=(producer.producer_id, where) not in known
        )
        for where, producer in _still_open(admin, found)
    ]


def _open_in(admin: Admin, partitions: Collection[TopicPartition]) -> list[tuple[TopicPartition, ProducerState]]:
    return [
        (where, producer)
        for where, producers in sorted(admin.describe_producers(partitions).items())
        for producer in producers
        if producer.transaction_start_offset is not None
    ]


def _still_open(
    admin: Admin, found: Sequence[tuple[TopicPartition, ProducerState]]
) -> list[tuple[TopicPartition, ProducerState]]:
    now = {
        (where, producer.producer_id, producer.transaction_start_offset)
        for where, producer in _open_in(admin, {where for where, _ in found})
    }
    return [
        (where, producer)
        for where, producer in found
        if (where, producer.producer_id, producer.transaction_start_offset) in now
    ]
