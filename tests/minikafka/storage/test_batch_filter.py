from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from minikafka.errors import InvalidRecord
from minikafka.records.batch import RecordBatch
from minikafka.records.compression import Compression
from minikafka.records.control import ControlType, marker_of
from minikafka.records.record import iter_records
from minikafka.storage.batch_filter import BatchFilter, ProducerEnd
from minikafka.storage.cleaned_transactions import CleanedTransactions
from minikafka.storage.offset_map import OffsetMap
from minikafka.storage.transaction_index import AbortedTransaction
from tests.support.compaction import keyed, marker, parsed

NOW_MS = 1_700_000_000_000
DELETE_RETENTION_MS = 1_000
A, B, GONE = (b"a", b"1"), (b"b", b"2"), (b"a", None)


def filter_after(
    *batches: bytes,
    now_ms: int = NOW_MS,
    latest_offset: int | None = None,
    aborted: Sequence[AbortedTransaction] = (),
    producers: Mapping[int, ProducerEnd] | None = None,
) -> BatchFilter:
    """The filter of a pass that has read these batches."""
    last = OffsetMap(1 << 20)
    for batch in map(parsed, batches):
        records = list(iter_records(batch, budget_bytes=1 << 20))
        if not batch.is_control:
            last.add([record.key for record in records], [record.offset for record in records])
        last.latest_offset = batch.last_offset
    if latest_offset is not None:
        last.latest_offset = latest_offset
    return BatchFilter(
        last,
        CleanedTransactions(aborted),
        producers or {},
        now_ms=now_ms,
        delete_retention_ms=DELETE_RETENTION_MS,
        max_decompressed_bytes=1 << 20,
    )


def kept(batches: Sequence[bytes], number: int = 0, *, now_ms: int = NOW_MS, ends: bool = False) -> RecordBatch | None:
    """What is left of a batch when all have been read."""
    left = filter_after(*batches, now_ms=now_ms).keep(parsed(batches[number]), ends_segment=ends)
    return None if left is None else parsed(left)


def offsets(batch: RecordBatch | None) -> list[int]:
    return [] if batch is None else [record.offset for record in iter_records(batch, budget_bytes=1 << 20)]


@pytest.mark.parametrize("codec", list(Compression))
def test_only_the_last_record_of_a_key_stays(codec: Compression) -> None:
    batches = [keyed(A, B, A, codec=codec), keyed(B, base_offset=3, codec=codec)]
    assert offsets(kept(batches, 0)) == [2]
    assert offsets(kept(batches, 1)) == [3]
    left = kept(batches, 0)
    assert left is not None
    assert left.compression is codec
    assert (left.base_offset, left.last_offset) == (0, 2)


def test_a_batch_with_nothing_to_lose_is_not_copied() -> None:
    batch = parsed(keyed(A, B))
    assert filter_after(bytes(batch.view)).keep(batch, ends_segment=False) is batch.view


def test_a_batch_of_which_nothing_stays_goes_unless_the_segment_ends_there() -> None:
    batches = [keyed(A), keyed(A, base_offset=1)]
    assert kept(batches) is None
    left = kept(batches, ends=True)
    assert left is not None
    assert (left.records_count, left.last_offset) == (0, 0)


def test_an_empty_batch_at_the_end_stays_as_it_is() -> None:
    left = kept([keyed(A), keyed(A, base_offset=1)], ends=True)
    assert left is not None
    assert filter_after(keyed(A)).keep(left, ends_segment=True) is left.view
    assert filter_after(keyed(A)).keep(left, ends_segment=False) is None


def test_records_without_a_key_go() -> None:
    assert offsets(kept([keyed((None, b"1"), A)])) == [1]


def test_what_the_pass_has_not_read_stays_as_it_is() -> None:
    """The memory for keys may not have sufficed: a later record of the same key says nothing then."""
    batches = [keyed(A, A), keyed(A, A, base_offset=2)]
    cleaner = filter_after(batches[0], latest_offset=1)
    assert offsets(parsed(cleaner.keep(parsed(batches[0]), ends_segment=False) or b"")) == [1]
    batch = parsed(batches[1])
    assert cleaner.keep(batch, ends_segment=False) is batch.view


def test_a_tombstone_stays_until_consumers_have_had_the_time_to_see_it() -> None:
    batch = keyed(A, GONE, B)
    first = kept([batch])
    assert first is not None
    assert offsets(first) == [1, 2]
    assert first.delete_horizon_ms == NOW_MS + DELETE_RETENTION_MS
    again = bytes(first.view)
    assert offsets(kept([again], now_ms=NOW_MS + DELETE_RETENTION_MS - 1)) == [1, 2]
    assert offsets(kept([again], now_ms=NOW_MS + DELETE_RETENTION_MS)) == [2]


def test_the_horizon_is_set_once() -> None:
    first = kept([keyed(GONE)])
    assert first is not None
    later = filter_after(bytes(first.view), now_ms=NOW_MS + 10)
    assert later.keep(first, ends_segment=False) is first.view


def test_a_batch_without_tombstones_gets_no_horizon() -> None:
    left = kept([keyed(A, A, B), keyed(GONE, base_offset=3)])
    assert left is not None
    assert left.delete_horizon_ms is None


def test_an_endless_retention_of_tombstones_does_not_overflow() -> None:
    last = OffsetMap(1 << 20)
    last.add([b"a"], [0])
    last.latest_offset = 0
    cleaner = BatchFilter(
        last, CleanedTransactions(()), {}, now_ms=NOW_MS, delete_retention_ms=2**63 - 1, max_decompressed_bytes=1 << 20
    )
    left = cleaner.keep(parsed(keyed(GONE)), ends_segment=False)
    assert left is not None
    assert parsed(left).delete_horizon_ms == 2**63 - 1


def test_the_last_batch_of_a_producer_stays_for_its_sequence_numbers() -> None:
    batches = [
        keyed(A, producer_id=7, base_sequence=0),
        keyed(A, producer_id=7, base_sequence=1, base_offset=1),
        keyed(A, base_offset=2),
    ]
    cleaner = filter_after(*batches, producers={7: ProducerEnd(1, 0)})
    assert cleaner.keep(parsed(batches[0]), ends_segment=False) is None
    left = parsed(cleaner.keep(parsed(batches[1]), ends_segment=False) or b"")
    assert (left.records_count, left.producer_id, left.last_sequence) == (0, 7, 1)
    assert cleaner.keep(left, ends_segment=False) is left.view


def test_a_producer_that_nobody_remembers_keeps_nothing() -> None:
    batches = [keyed(A, producer_id=7, base_sequence=0), keyed(A, base_offset=1)]
    assert kept(batches) is None


def in_transaction(*pairs: tuple[bytes, bytes | None], offset: int = 0) -> bytes:
    return keyed(*pairs, base_offset=offset, producer_id=7, base_sequence=offset, is_transactional=True)


def test_records_of_an_aborted_transaction_go_and_its_marker_stays_until_they_have() -> None:
    batches = [in_transaction(A), bytes(marker(ControlType.ABORT, 1, 7).view)]
    aborted = [AbortedTransaction(7, 0, 1, 0)]
    first = filter_after(*batches, aborted=aborted)
    assert first.keep(parsed(batches[0]), ends_segment=False) is None
    end = parsed(batches[1])
    assert first.keep(end, ends_segment=False) is end.view

    second = filter_after(batches[1], aborted=aborted)
    dated = parsed(second.keep(end, ends_segment=False) or b"")
    assert dated.delete_horizon_ms == NOW_MS + DELETE_RETENTION_MS
    assert marker_of(dated) == marker_of(end)
    for now_ms, stays in ((NOW_MS + DELETE_RETENTION_MS - 1, True), (NOW_MS + DELETE_RETENTION_MS, False)):
        left = filter_after(batches[1], now_ms=now_ms).keep(dated, ends_segment=False)
        assert (left is dated.view) if stays else left is None


def test_a_later_record_that_was_aborted_makes_no_earlier_one_superfluous() -> None:
    """The pass does not count it, so that the key still is where it was before."""
    batches = [keyed(A), in_transaction(A, offset=1), bytes(marker(ControlType.ABORT, 2, 7).view)]
    cleaner = filter_after(batches[0], aborted=[AbortedTransaction(7, 1, 2, 1)], latest_offset=2)
    first = parsed(batches[0])
    assert cleaner.keep(first, ends_segment=False) is first.view
    assert cleaner.keep(parsed(batches[1]), ends_segment=False) is None


def test_aborted_records_go_even_where_the_pass_has_not_looked_for_keys() -> None:
    cleaner = filter_after(aborted=[AbortedTransaction(7, 0, 1, 0)], latest_offset=-1)
    assert cleaner.keep(parsed(in_transaction(A)), ends_segment=False) is None


def test_a_committed_transaction_is_like_any_other_records() -> None:
    batches = [in_transaction(A, B), bytes(marker(ControlType.COMMIT, 2, 7).view), keyed(A, base_offset=3)]
    cleaner = filter_after(*batches)
    assert offsets(parsed(cleaner.keep(parsed(batches[0]), ends_segment=False) or b"")) == [1]
    end = parsed(batches[1])
    assert cleaner.keep(end, ends_segment=False) is end.view


def test_a_marker_whose_time_has_come_stays_emptied_for_the_epoch_it_tells() -> None:
    end = marker(ControlType.COMMIT, 0, 7)
    dated = parsed(filter_after().keep(end, ends_segment=False) or b"")
    later = NOW_MS + DELETE_RETENTION_MS
    assert filter_after(now_ms=later).keep(dated, ends_segment=False) is None
    assert filter_after(now_ms=later, producers={7: ProducerEnd(None, 3)}).keep(dated, ends_segment=False) is None
    left = parsed(
        filter_after(now_ms=later, producers={7: ProducerEnd(None, 0)}).keep(dated, ends_segment=False) or b""
    )
    assert (left.records_count, left.is_control, left.producer_epoch) == (0, True, 0)
    assert marker_of(left) is None


def test_damaged_records_are_refused() -> None:
    damaged = bytearray(keyed(A, B))
    damaged[61] = 0x7E
    batch = RecordBatch.parse(memoryview(damaged))
    with pytest.raises(InvalidRecord):
        filter_after(keyed(A, B)).keep(batch, ends_segment=False)
