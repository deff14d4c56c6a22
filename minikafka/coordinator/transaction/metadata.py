"""What is known of a transactional id: one record of ``__transaction_state`` holds all of it.

Source: Kafka, TransactionMetadata, TransactionLog.
"""

from __future__ import annotations

from collections import defaultdict
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from minikafka.coordinator.transaction.states import PREVIOUS_STATES, TransactionState
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.payloads.transaction_records import PartitionsSchema, TransactionLogKey, TransactionLogValue
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned, version_of
from minikafka.protocol.schema import Buffer
from minikafka.types import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_TIMESTAMP, ProducerIdAndEpoch, TopicPartition

MAX_EPOCH = 2**15 - 1
"""No producer is ever given it: it is left for fencing one that has the epoch before."""

_REMEMBERED_KEYS = 512
"""A transactional id may have 32 KiB."""
_REMEMBERED_PARTITIONS = 64
"""A transaction may have thousands of them."""

_KEY_VERSION = 0
_VALUE_VERSION = 1


class TransactionVersion(IntEnum):
    """What a client knows of transactions; the feature ``transaction.version``."""

    TV_0 = 0
    TV_1 = 1
    """Its state is kept in a format that can be extended."""
    TV_2 = 2
    """Every transaction has an epoch of its own, and partitions are added by writing to them (KIP-890)."""


class TransactionMetadata(NamedTuple):
    """A transactional id as it stands in the log; times in milliseconds since the epoch.

    Attributes:
        producer_id: Who its producer is.
        producer_epoch: In which epoch; -1 before a new transactional id has its first.
        timeout_ms: How long a transaction may be ongoing.
        last_producer_epoch: The epoch that the producer had before, -1 when it must not go on from that one.  It is
            not in the log.
        previous_producer_id: The producer id before this one.
        next_producer_id: The one that comes when the transaction is over, since this one has no epochs left.
        partitions: What the transaction writes to; while it is ending, what it has written to.
        start_timestamp_ms: When the first partition was added.
        last_update_timestamp_ms: When this was written.
        client_version: What the client knew whose request led to this.
    """

    producer_id: int
    producer_epoch: int
    timeout_ms: int
    state: TransactionState = TransactionState.EMPTY
    last_producer_epoch: int = NO_PRODUCER_EPOCH
    previous_producer_id: int = NO_PRODUCER_ID
    next_producer_id: int = NO_PRODUCER_ID
    partitions: frozenset[TopicPartition] = frozenset()
    start_timestamp_ms: int = NO_TIMESTAMP
    last_update_timestamp_ms: int = NO_TIMESTAMP
    client_version: TransactionVersion = TransactionVersion.TV_0

    @property
    def producer(self) -> ProducerIdAndEpoch:
        """Producer id and epoch."""
        return ProducerIdAndEpoch(self.producer_id, self.producer_epoch)

    @property
    def is_epoch_exhausted(self) -> bool:
        """Whether the producer cannot be given another epoch of the same id."""
        return is_exhausted(self.producer_epoch)

    def check_follows(self, before: TransactionState) -> None:
        """Check that the table of states lets this come after ``before``.

        Raises:
            RuntimeError: It does not, which is a bug of the coordinator.
        """
        if before not in PREVIOUS_STATES[self.state]:
            raise RuntimeError(f"a transaction that is {before.title} cannot become {self.state.title}")


def is_exhausted(producer_epoch: int) -> bool:
    """Whether no producer may have an epoch after this one."""
    return producer_epoch >= MAX_EPOCH - 1


@lru_cache(_REMEMBERED_KEYS)
def encode_key(transactional_id: str) -> bytes:
    """The key of a transactional id.

    Raises:
        EncodeError: It is longer than a string can be.
    """
    return encode_versioned(TransactionLogKey(transactional_id=transactional_id), _KEY_VERSION)


def encode_value(metadata: TransactionMetadata) -> bytes:
    """The value of a record; an Empty transaction has null for its partitions, as in Kafka."""
    partitions = None if metadata.state is TransactionState.EMPTY else _by_topic(metadata.partitions)
    value = TransactionLogValue(
        producer_id=metadata.producer_id,
        previous_producer_id=metadata.previous_producer_id,
        next_producer_id=metadata.next_producer_id,
        producer_epoch=metadata.producer_epoch,
        transaction_timeout_ms=metadata.timeout_ms,
        transaction_status=metadata.state,
        transaction_partitions=partitions,
        transaction_last_update_timestamp_ms=metadata.last_update_timestamp_ms,
        transaction_start_timestamp_ms=metadata.start_timestamp_ms,
        client_transaction_version=metadata.client_version,
    )
    return encode_versioned(value, _VALUE_VERSION)


@lru_cache(_REMEMBERED_PARTITIONS)
def _by_topic(partitions: frozenset[TopicPartition]) -> list[PartitionsSchema]:
    """The partitions as a value has them; not to be changed."""
    by_topic: dict[str, list[int]] = defaultdict(list)
    for topic, partition in sorted(partitions):
        by_topic[topic].append(partition)
    return [PartitionsSchema(topic=topic, partition_ids=ids) for topic, ids in by_topic.items()]


def decode_key(key: Buffer) -> str | None:
    """The transactional id of a record; None when the record is of a type that is not known here.

    Raises:
        DecodeError: The bytes are no such key.
    """
    if version_of(key) != _KEY_VERSION:
        return None
    return decode_versioned(TransactionLogKey, key).transactional_id


def decode_value(value: Buffer) -> TransactionMetadata:
    """What a record says, of whichever broker.

    Raises:
        DecodeError: The bytes are no such value.
    """
    read = decode_versioned(TransactionLogValue, value)
    try:
        state = TransactionState(read.transaction_status)
    except ValueError as error:
        raise DecodeError(f"there is no transaction state {read.transaction_status}") from error
    return TransactionMetadata(
        producer_id=read.producer_id,
        producer_epoch=read.producer_epoch,
        timeout_ms=read.transaction_timeout_ms,
        state=state,
        previous_producer_id=read.previous_producer_id,
        next_producer_id=read.next_producer_id,
        partitions=frozenset(
            TopicPartition(topic.topic, partition)
            for topic in read.transaction_partitions or ()
            for partition in topic.partition_ids
        ),
        start_timestamp_ms=read.transaction_start_timestamp_ms,
        last_update_timestamp_ms=read.transaction_last_update_timestamp_ms,
        client_version=TransactionVersion(min(max(read.client_transaction_version, 0), TransactionVersion.TV_2)),
    )
