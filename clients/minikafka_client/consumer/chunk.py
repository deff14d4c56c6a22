"""What one fetch brought of one partition, and which of its batches an application does not see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from minikafka.protocol.messages.fetch import AbortedTransaction
from minikafka.records.batch import RecordBatch
from minikafka.records.control import ControlType, read_control_type
from minikafka.records.record import iter_records
from minikafka_client.consumer.message import Message

_MAX_MARKER_BYTES = 64 * 1024


class Chunk:
    """Batches, less those that were decoded already.

    A reader of committed records only is told of the aborted transactions among them: each counts from its first
    offset to its producer's next abort marker, and one producer may have several.

    Source: Kafka, clients/consumer/internals/CompletedFetch.java.
    """

    __slots__ = ("_aborted_producers", "_to_come", "records", "rest")

    def __init__(self, records: memoryview, aborted: Iterable[AbortedTransaction] = ()) -> None:
        self.records = records
        self.rest: Iterator[Message] | None = None  # of the first batch, when some of its messages were decoded
        self._to_come = sorted(aborted, key=lambda transaction: transaction.first_offset, reverse=True)
        self._aborted_producers: set[int] = set()

    def hides(self, batch: RecordBatch) -> bool:
        """Whether the next batch is control information, or part of an aborted transaction.

        To be asked of every batch, in their order; asking again before the next one changes nothing.

        Raises:
            InvalidRecord: It is a control batch that cannot be read.
        """
        while self._to_come and self._to_come[-1].first_offset <= batch.last_offset:
            self._aborted_producers.add(self._to_come.pop().producer_id)
        if batch.is_control:
            if batch.producer_id in self._aborted_producers and _is_abort(batch):
                self._aborted_producers.remove(batch.producer_id)
            return True
        return batch.is_transactional and batch.producer_id in self._aborted_producers

    def cut(self, size_bytes: int) -> None:
        """Take away the first batches, which are so large together."""
        self.records = self.records[size_bytes:]


def _is_abort(batch: RecordBatch) -> bool:
    return any(
        read_control_type(record) == ControlType.ABORT for record in iter_records(batch, budget_bytes=_MAX_MARKER_BYTES)
    )
