from __future__ import annotations

import pytest

from minikafka.records.batch import RecordBatch
from minikafka.records.compacted import without_records
from minikafka.records.control import ControlType
from minikafka.storage.cleaned_transactions import CleanedTransactions
from minikafka.storage.transaction_index import AbortedTransaction
from tests.support.compaction import keyed, marker, parsed

ABORT, COMMIT = ControlType.ABORT, ControlType.COMMIT


def batch_at(offset: int, producer_id: int, *, is_transactional: bool = True) -> RecordBatch:
    return parsed(
        keyed(
            (b"a", b"1"),
            base_offset=offset,
            producer_id=producer_id,
            base_sequence=offset,
            is_transactional=is_transactional,
        )
    )


def aborted(producer_id: int, first_offset: int, last_offset: int) -> AbortedTransaction:
    return AbortedTransaction(producer_id, first_offset, last_offset, first_offset)


def test_records_of_aborted_transactions_do_not_count() -> None:
    transactions = CleanedTransactions([aborted(7, 1, 4)])
    assert not transactions.are_aborted(batch_at(0, 8))
    assert transactions.are_aborted(batch_at(1, 7))
    assert not transactions.are_aborted(batch_at(2, 8))
    assert transactions.are_aborted(batch_at(3, 7))
    assert not transactions.marks_nothing(marker(ABORT, 4, 7))
    assert not transactions.are_aborted(batch_at(5, 7))
    assert transactions.retained == [aborted(7, 1, 4)]


def test_records_of_a_producer_without_a_transaction_count() -> None:
    transactions = CleanedTransactions([aborted(7, 0, 9)])
    assert not transactions.are_aborted(batch_at(0, 7, is_transactional=False))


def test_transactions_of_a_producer_are_told_apart() -> None:
    transactions = CleanedTransactions([aborted(7, 4, 5), aborted(7, 0, 1)])
    assert transactions.are_aborted(batch_at(0, 7))
    assert not transactions.marks_nothing(marker(ABORT, 1, 7))
    assert not transactions.are_aborted(batch_at(2, 7))
    assert not transactions.marks_nothing(marker(COMMIT, 3, 7))
    assert transactions.are_aborted(batch_at(4, 7))
    assert not transactions.marks_nothing(marker(ABORT, 5, 7))
    assert [entry.first_offset for entry in transactions.retained] == [0, 4]


@pytest.mark.parametrize("kind", [ABORT, COMMIT])
def test_a_marker_whose_records_are_all_gone_marks_nothing(kind: ControlType) -> None:
    transactions = CleanedTransactions([aborted(7, 0, 4)] if kind is ABORT else [])
    assert not transactions.are_aborted(batch_at(2, 8))
    assert transactions.marks_nothing(marker(kind, 4, 7))
    assert transactions.retained == []


def test_a_batch_that_has_been_emptied_is_still_of_its_transaction() -> None:
    transactions = CleanedTransactions([])
    transactions.are_aborted(parsed(without_records(batch_at(0, 7))))
    assert not transactions.marks_nothing(marker(COMMIT, 1, 7))
    assert transactions.marks_nothing(marker(COMMIT, 2, 7))


def test_a_marker_that_has_been_emptied_marks_nothing() -> None:
    assert CleanedTransactions([]).marks_nothing(parsed(without_records(marker(COMMIT, 1, 7))))


def test_a_marker_that_nobody_knows_is_left_alone() -> None:
    assert not CleanedTransactions([]).marks_nothing(marker(None, 0, 7))
