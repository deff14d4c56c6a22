"""What compaction has to know of transactions: whose records count, and when a marker has nothing left to mark.

Source: Kafka, core/log/LogCleaner.scala (CleanedTransactionMetadata).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from operator import attrgetter

from minikafka.records.batch import RecordBatch
from minikafka.records.control import ControlType, marker_of
from minikafka.storage.transaction_index import AbortedTransaction


class CleanedTransactions:
    """Follows the transactions of a log, whose batches it is shown one after another.

    All of them have ended: nothing above the last stable offset is compacted.

    Args:
        aborted: All aborted transactions that have records in what is read, wherever their markers are.
    """

    __slots__ = ("_aborted", "_committed", "_open", "_seen", "retained")

    def __init__(self, aborted: Iterable[AbortedTransaction]) -> None:
        self.retained: list[AbortedTransaction] = []
        """The aborted transactions whose markers have been met and had records: who reads has to know of them."""
        self._aborted = deque(sorted(aborted, key=attrgetter("first_offset")))
        self._open: dict[int, AbortedTransaction] = {}
        self._seen: set[int] = set()
        self._committed: set[int] = set()

    def are_aborted(self, batch: RecordBatch) -> bool:
        """Take note of a batch of records; whether they do not count."""
        if not batch.is_transactional:
            return False
        self._go_on_to(batch.last_offset)
        if batch.producer_id in self._open:
            self._seen.add(batch.producer_id)
            return True
        self._committed.add(batch.producer_id)
        return False

    def marks_nothing(self, batch: RecordBatch) -> bool:
        """Take note of a control batch; whether none of the records is left that it is about.

        Raises:
            InvalidRecord: It is not what a control batch has to be.
        """
        self._go_on_to(batch.last_offset)
        marker = marker_of(batch)
        producer_id = batch.producer_id
        if marker is None:
            return batch.records_count == 0
        if marker.type is ControlType.COMMIT:
            has_records = producer_id in self._committed
            self._committed.discard(producer_id)
            return not has_records
        transaction = self._open.pop(producer_id, None)
        if transaction is None or producer_id not in self._seen:
            return True
        self._seen.discard(producer_id)
        self.retained.append(transaction)
        return False

    def _go_on_to(self, offset: int) -> None:
        aborted = self._aborted
        while aborted and aborted[0].first_offset <= offset:
            transaction = aborted.popleft()
            self._open.setdefault(transaction.producer_id, transaction)
