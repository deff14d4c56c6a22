"""What a coordinator writes down: the records of one partition of an internal topic.

Source: Kafka, CoordinatorPartitionWriter, CoordinatorLoaderImpl, CoordinatorOperationExceptionHelper.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minikafka.clock import Clock
from minikafka.errors import CoordinatorNotAvailable, ErrorCode, KafkaError, NotCoordinator
from minikafka.records.batch import TRANSACTIONAL_FLAG, RecordBatch, iter_batches
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.records.control import ControlType, read_marker
from minikafka.records.record import iter_records
from minikafka.records.single import build_single
from minikafka.replication.partition import ACKS_ALL, Partition
from minikafka.storage.append import DEFAULT_MAX_DECOMPRESSED_BYTES, prepare_own
from minikafka.types import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerIdAndEpoch

DEFAULT_LOAD_BUFFER_BYTES = 5 * 1024 * 1024

_RETRIABLE_HERE = frozenset(
    {ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.REQUEST_TIMED_OUT}
)
_RETRIABLE_ELSEWHERE = frozenset({ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.KAFKA_STORAGE_ERROR})
_TOO_LARGE = frozenset({ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.RECORD_LIST_TOO_LARGE})


class StoredRecord(NamedTuple):
    """A record of the log; without value it deletes what its key names.

    With a ``producer_id`` it is part of a transaction, and counts for nothing before that is committed.
    """

    key: bytes
    value: bytes | None
    offset: int
    producer_id: int = NO_PRODUCER_ID


class StoredMarker(NamedTuple):
    """The end of a producer's transaction."""

    producer_id: int
    is_commit: bool


class StateLog:
    """The records of one partition, which this broker leads.

    Args:
        partition: The partition.
        clock: What records are dated with.
        compression: The codec of what is written.
        load_buffer_bytes: How much is read at a time.
        max_decompressed_bytes: The most that the records of one batch may take.
    """

    __slots__ = ("_clock", "_compression", "_load_buffer_bytes", "_max_decompressed_bytes", "partition")

    def __init__(
        self,
        partition: Partition,
        clock: Clock,
        *,
        compression: Compression = Compression.NONE,
        load_buffer_bytes: int = DEFAULT_LOAD_BUFFER_BYTES,
        max_decompressed_bytes: int = DEFAULT_MAX_DECOMPRESSED_BYTES,
    ) -> None:
        self.partition = partition
        self._clock = clock
        self._compression = compression
        self._load_buffer_bytes = load_buffer_bytes
        self._max_decompressed_bytes = max_decompressed_bytes

    def append(
        self, records: Sequence[tuple[bytes, bytes | None]], producer: ProducerIdAndEpoch | None = None
    ) -> asyncio.Future[None] | None:
        """Write records, keys and values, as one batch: after a crash there are all of them or none.

        Args:
            records: The records.
            producer: Whose transaction they are part of, if they are; its coordinator has confirmed that.

        Returns:
            A future that is done when they are as durable as ``acks=all`` promises; None when they are already.  When
            it fails, with one of the errors below, nobody knows whether the log has them.

        Raises:
            NotCoordinator: Another broker leads the partition, or the disk failed.
            CoordinatorNotAvailable: The partition is being deleted, or too few replicas are in sync.
            InvalidProducerEpoch: The producer has been replaced.
            KafkaError: The batch is larger than ``max.message.bytes`` of the topic, or than a segment.
        """
        try:
            end_offset = self._append(records, producer)
            acknowledged = self.partition.wait_acknowledged(end_offset)
        except KafkaError as error:
            raise coordinator_error(error) from error
        return None if acknowledged is None else _with_coordinator_errors(acknowledged)

    def append_unforced(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """As :meth:`append`, for what may be lost: it is on the disk with whatever is forced there next.

        Raises:
            KafkaError: As :meth:`append`.
        """
        try:
            self._append(records, None)
        except KafkaError as error:
            raise coordinator_error(error) from error

    def read_all(self) -> Iterator[StoredRecord | StoredMarker]:
        """The records that the log has now, from its start, and where transactions end.

        They are read a buffer at a time as the iteration goes on, so that it may be left off in between to let others
        have their turn; what is appended meanwhile is not part of it.

        Raises:
            KafkaError: The log cannot be read, or a batch is damaged.
        """
        log = self.partition.log
        offset, end_offset = log.log_start_offset, log.log_end_offset
        while offset < end_offset:
            content = log.read(offset, self._load_buffer_bytes, end_offset, min_one_batch=True).read()
            if not content:
                return
            for batch in iter_batches(memoryview(content)):
                yield from self._records_of(batch)
                offset = batch.next_offset

    def _append(self, records: Sequence[tuple[bytes, bytes | None]], producer: ProducerIdAndEpoch | None) -> int:
        """Write records as one batch, and return the offset after them."""
        partition = self.partition
        now_ms = self._clock.now_ms()
        prepared = prepare_own(self._build(records, producer, now_ms), partition.log.config, now_ms)
        if producer is not None:
            prepared.guard = partition.begin_verification(prepared.batch, adds_partition=False)
        return partition.append_as_leader(prepared, ACKS_ALL).end_offset

    def _build(
        self, records: Sequence[tuple[bytes, bytes | None]], producer: ProducerIdAndEpoch | None, now_ms: int
    ) -> bytes:
        producer_id, producer_epoch = (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) if producer is None else producer
        if len(records) == 1 and self._compression is Compression.NONE:
            ((key, value),) = records
            attributes = 0 if producer is None else TRANSACTIONAL_FLAG
            return build_single(
                now_ms, key, value, attributes=attributes, producer_id=producer_id, producer_epoch=producer_epoch
            )
        builder = RecordBatchBuilder(
            self._compression,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            is_transactional=producer is not None,
        )
        for key, value in records:
            builder.append(now_ms, key, value)
        return builder.build()

    def _records_of(self, batch: RecordBatch) -> Iterator[StoredRecord | StoredMarker]:
        batch.verify_crc()
        producer_id = batch.producer_id if batch.is_transactional else NO_PRODUCER_ID
        for record in iter_records(batch, budget_bytes=self._max_decompressed_bytes):
            if batch.is_control:
                marker = read_marker(record)
                if marker is not None:
                    yield StoredMarker(producer_id, marker.type is ControlType.COMMIT)
            elif record.key is not None:
                yield StoredRecord(record.key, record.value, record.offset, producer_id)


def coordinator_error(error: KafkaError) -> KafkaError:
    """What clients of a coordinator are told when its partition answers with ``error``."""
    if error.code in _RETRIABLE_HERE:
        return CoordinatorNotAvailable(str(error))
    if error.code in _RETRIABLE_ELSEWHERE:
        return NotCoordinator(str(error))
    if error.code in _TOO_LARGE:
        return KafkaError(str(error))
    return error


def _with_coordinator_errors(acknowledged: asyncio.Future[None]) -> asyncio.Future[None]:
    result: asyncio.Future[None] = acknowledged.get_loop().create_future()

    def settle(_: asyncio.Future[None]) -> None:
        if result.done():
            return
        if acknowledged.cancelled():
            result.cancel()
        elif isinstance(error := acknowledged.exception(), KafkaError):
            result.set_exception(coordinator_error(error))
        elif error is not None:
            result.set_exception(error)
        else:
            result.set_result(None)

    acknowledged.add_done_callback(settle)
    return result
